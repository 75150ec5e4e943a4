use super::*;

fn line(command: &QemuCommand) -> String {
    command.to_string()
}

#[test]
fn both_architectures_have_their_machine() {
    let x86 = line(&QemuCommand::new(Arch::X86_64, "k"));
    assert!(x86.starts_with("qemu-system-x86_64 -machine q35 -cpu max -accel tcg,thread=multi "));
    let arm = line(&QemuCommand::new(Arch::Aarch64, "k"));
    assert!(arm.starts_with("qemu-system-aarch64 -machine virt -cpu max,pauth-impdef=on "));
}

#[test]
fn what_is_asked_for_is_on_the_command_line() {
    let command = QemuCommand::new(Arch::X86_64, "k")
        .initrd("i")
        .cmdline("console=ttyS0")
        .append("quiet")
        .memory_mib(64)
        .cpus(2)
        .accel(Accel::Icount)
        .serial(Serial::File("log".into()))
        .channel("agent", "a,b.sock")
        .net(["8080:80".parse().unwrap()])
        .drive(Drive {
            file: "d.img".into(),
            format: DriveFormat::Raw,
            readonly: true,
        });
    let line = line(&command);
    for part in [
        "-kernel k -initrd i -append 'console=ttyS0 quiet'",
        "-m 64 -smp 2",
        "-icount shift=0,sleep=off",
        "-serial file:log",
        "path=a,,b.sock",
        "virtserialport,chardev=channel0,name=agent",
        "user,id=net0,hostfwd=tcp:127.0.0.1:8080-:80",
        "if=none,id=disk0,format=raw,readonly=on,file=d.img",
    ] {
        assert!(line.contains(part), "{part} is not in {line}");
    }
}

#[test]
fn what_was_built_boots_before_what_is_given_along() {
    let firmware = || QemuCommand::of_firmware(Arch::X86_64, Firmware::Bios).unwrap();
    let drive = |readonly| Drive {
        file: "d.img".into(),
        format: DriveFormat::Raw,
        readonly,
    };
    let disk_and_data = line(&firmware().drive(drive(true)).cd("data.iso"));
    assert!(disk_and_data.contains("drive=disk0,bootindex=0"));
    assert!(disk_and_data.contains("drive=cd0,bootindex=1"));
    let cd_and_disk = line(&firmware().cd("built.iso").drive(drive(false)));
    assert!(cd_and_disk.contains("drive=cd0,bootindex=0"));
    assert!(!cd_and_disk.contains("drive=disk0,bootindex"));
    let disk_alone = line(&firmware().drive(drive(false)));
    assert!(disk_alone.contains("drive=disk0,bootindex=0"));
}

#[test]
fn a_reboot_ends_it_unless_it_is_to_boot_again() {
    let once = QemuCommand::new(Arch::X86_64, "k");
    assert!(line(&once).contains(" -no-reboot "));
    assert!(!line(&once.reboots()).contains("-no-reboot"));
}

#[test]
fn ports_are_two_numbers() {
    assert_eq!("0:80".parse(), Ok(Forward { host: 0, guest: 80 }));
    assert_eq!("1:2/tcp".parse(), Ok(Forward { host: 1, guest: 2 }));
    for bad in ["80", "80:", ":80", "1:0", "1:70000", "a:b", "1:2/udp"] {
        assert_eq!(bad.parse::<Forward>(), Err(BadForward(bad.to_owned())));
    }
}

#[test]
fn a_missing_file_of_a_prefix_is_named() {
    let error = QemuCommand::of_prefix(Arch::X86_64, Path::new("/nowhere/n")).unwrap_err();
    assert!(error.to_string().starts_with("/nowhere/n-cmdline: "));
}

/// The command line for a file of this name, with all others beside it.
fn built(arch: Arch, name: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    for beside in [
        "n-kernel",
        "n-cmdline",
        "n-initrd.img",
        "n-squashfs-initrd.img",
    ] {
        std::fs::write(dir.path().join(beside), "").unwrap();
    }
    let path = dir.path().join(name);
    if name != "n" {
        std::fs::write(&path, "").unwrap();
    }
    let command = QemuCommand::of_built(arch, &path, None).unwrap();
    line(&command).replace(&format!("{}/", dir.path().display()), "")
}

#[test]
fn what_was_built_is_told_by_its_name() {
    assert!(built(Arch::X86_64, "n").contains("-kernel n-kernel -initrd n-initrd.img"));
    let squashfs = built(Arch::X86_64, "n-squashfs.img");
    assert!(
        squashfs.contains("-initrd n-squashfs-initrd.img"),
        "{squashfs}"
    );
    assert!(
        squashfs.contains("readonly=on,file=n-squashfs.img"),
        "{squashfs}"
    );
    let bios = built(Arch::X86_64, "n.qcow2");
    assert!(
        bios.contains("format=qcow2") && !bios.contains("pflash"),
        "{bios}"
    );
    assert!(bios.contains("drive=disk0,bootindex=0"), "{bios}");
    let cd = built(Arch::X86_64, "n.iso");
    assert!(cd.contains("ide-cd,drive=cd0,bootindex=0"), "{cd}");
}

#[test]
fn a_bios_is_x86s() {
    let error = QemuCommand::of_firmware(Arch::Aarch64, Firmware::Bios).unwrap_err();
    assert!(error.to_string().contains("only EFI"), "{error}");
}

#[test]
fn a_missing_disk_is_named() {
    let error = QemuCommand::of_built(Arch::X86_64, Path::new("/nowhere/n.img"), None).unwrap_err();
    assert!(error.to_string().starts_with("/nowhere/n.img: "), "{error}");
}
