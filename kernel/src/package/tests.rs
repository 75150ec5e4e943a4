use super::*;
use crate::modinfo::sample;
use crate::{ModuleCompression, Selection};

const RELEASE: &str = "6.12.0-test";

/// A bzImage, as far as anybody looks.
fn bzimage() -> Vec<u8> {
    let mut image = vec![0; 1024];
    image[0x1fe..0x200].copy_from_slice(b"\x55\xaa");
    image[0x202..0x206].copy_from_slice(b"HdrS");
    image
}

fn signed(mut module: Vec<u8>) -> Vec<u8> {
    module.extend(b"PKCS7\0\0\x02\0\0\0\0\0\0\0\0\x05~Module signature appended~\n");
    module
}

/// All modules as they are, but stripped of all that can go.
fn all() -> Options {
    Options {
        modules: Selection::All,
        compression: ModuleCompression::None,
        ..Options::default()
    }
}

/// The files of a small package.
fn package() -> PackageFiles {
    let mut files = PackageFiles::new();
    let tree = format!("lib/modules/{RELEASE}");
    let xz = |bytes: &[u8]| {
        let options = lzma_rust2::XzOptions::default();
        let mut xz = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
        std::io::Write::write_all(&mut xz, bytes).unwrap();
        xz.finish().unwrap()
    };
    let needed = sample::module(&[
        "alias=y",
        "alias=devname:net/tun",
        "alias=char-major-10-200",
    ]);
    let wanted = sample::module(&["depends=lib-b", "softdep=pre: z", "alias=x*"]);
    for (path, bytes) in [
        (format!("boot/vmlinuz-{RELEASE}"), bzimage()),
        (format!("boot/config-{RELEASE}"), b"CONFIG_X=y\n".to_vec()),
        (
            format!("{tree}/modules.builtin"),
            b"kernel/fs/ext4/ext4.ko\n".to_vec(),
        ),
        (
            format!("{tree}/modules.order"),
            b"kernel/virtio_net.ko\nkernel/lib_b.ko\n".to_vec(),
        ),
        (format!("{tree}/kernel/lib_b.ko.xz"), xz(&signed(needed))),
        (format!("{tree}/kernel/virtio_net.ko"), signed(wanted)),
        (
            format!("{tree}/kernel/aaa.ko"),
            signed(sample::module(&["alias=aaa"])),
        ),
        ("usr/share/doc/copyright".to_owned(), b"GPL".to_vec()),
    ] {
        files.add(&path, bytes).unwrap();
    }
    files
}

/// The file at `path` below `lib/modules/RELEASE`.
fn file(kernel: &Kernel, path: &str) -> Option<String> {
    let path = format!("lib/modules/{RELEASE}/{path}");
    let file = kernel.files.iter().find(|file| file.path == path)?;
    Some(String::from_utf8_lossy(&file.contents).into_owned())
}

#[test]
fn a_small_package() {
    let kernel = package().into_kernel(&Options::default()).unwrap();
    assert_eq!(
        (kernel.release.as_str(), kernel.series()),
        (RELEASE, "6.12")
    );
    assert_eq!(kernel.image, bzimage());
    assert_eq!(kernel.config.as_deref(), Some(&b"CONFIG_X=y\n"[..]));
    assert_eq!((kernel.modules(), kernel.modules_in_package), (2, 3));
    let dep = "kernel/virtio_net.ko.zst: kernel/lib_b.ko.zst\nkernel/lib_b.ko.zst:\n";
    assert_eq!(file(&kernel, "modules.dep").unwrap(), dep);
    let alias = "alias x* virtio_net\nalias y lib_b\nalias devname:net/tun lib_b\n\
        alias char-major-10-200 lib_b\n";
    assert_eq!(file(&kernel, "modules.alias").unwrap(), alias);
    assert_eq!(
        file(&kernel, "modules.softdep").unwrap(),
        "softdep virtio_net pre: z\n"
    );
    assert_eq!(
        file(&kernel, "modules.builtin").unwrap(),
        "kernel/fs/ext4/ext4.ko\n"
    );
    assert_eq!(
        file(&kernel, "modules.devname").unwrap(),
        "lib_b net/tun c10:200\n"
    );
    assert!(file(&kernel, "kernel/aaa.ko.zst").is_none());
    assert!(kernel.files.is_sorted_by(|a, b| a.path < b.path));
}

#[test]
fn modules_are_packed_one_by_one() {
    let packed = package().into_kernel(&Options::default()).unwrap();
    let plain = package()
        .into_kernel(&Options {
            compression: ModuleCompression::None,
            ..Options::default()
        })
        .unwrap();
    let modules = plain.files.iter().filter(|file| file.path.ends_with(".ko"));
    for module in modules {
        let path = format!("{}.zst", module.path);
        let file = packed.files.iter().find(|file| file.path == path).unwrap();
        assert_eq!(
            Compression::Zstd.unpack(&file.contents).unwrap(),
            module.contents
        );
    }
    assert_eq!((packed.modules(), plain.modules()), (2, 2));
}

#[test]
fn signatures_go_or_stay() {
    for (signatures, there) in [(Signatures::Strip, false), (Signatures::Keep, true)] {
        let kernel = package()
            .into_kernel(&Options {
                signatures,
                ..all()
            })
            .unwrap();
        assert_eq!(kernel.modules(), 3);
        for module in kernel
            .files
            .iter()
            .filter(|file| file.path.ends_with(".ko"))
        {
            assert_eq!(
                module.contents.ends_with(b"appended~\n"),
                there,
                "{}",
                module.path
            );
        }
    }
}

#[test]
fn types_go_only_where_the_signature_does() {
    use Signatures as S;
    for (signatures, btf, there) in [
        (S::Strip, Btf::Strip, false),
        (S::Strip, Btf::Keep, true),
        (S::Keep, Btf::Strip, true),
    ] {
        let mut files = package();
        let module = sample::module_with(&["alias=t"], b".BTF", b"types of it");
        files
            .add(
                &format!("lib/modules/{RELEASE}/kernel/t.ko"),
                signed(module),
            )
            .unwrap();
        let options = Options {
            signatures,
            btf,
            ..all()
        };
        let module = file(&files.into_kernel(&options).unwrap(), "kernel/t.ko").unwrap();
        assert_eq!(module.contains("types of it"), there, "{options:?}");
    }
}

#[test]
fn the_same_files_give_the_same_tar() {
    let tar = || {
        let mut tar = Vec::new();
        let kernel = package().into_kernel(&all()).unwrap();
        kernel.write_tar(&mut tar).unwrap();
        tar
    };
    assert_eq!(tar(), tar());
}

#[test]
fn what_does_not_fit_is_named() {
    let tree = format!("lib/modules/{RELEASE}");
    for (path, expected) in [
        (
            "boot/vmlinuz-6.1",
            format!("the package has both kernel {RELEASE} and kernel 6.1"),
        ),
        (
            &format!("boot/vmlinuz-{RELEASE}"),
            format!("the package has both boot/vmlinuz-{RELEASE} and boot/vmlinuz-{RELEASE}"),
        ),
        (
            &format!("{tree}/kernel/lib_b.ko"),
            format!("the package has both {tree}/kernel/lib_b.ko.xz and {tree}/kernel/lib_b.ko"),
        ),
        (
            &format!("{tree}/kernel/a b.ko"),
            format!("module {tree}/kernel/a b.ko: its path cannot stand in modules.dep"),
        ),
    ] {
        let error = package().add(path, Vec::new()).unwrap_err().to_string();
        assert_eq!(error, expected);
    }
    let error = PackageFiles::new().into_kernel(&all()).unwrap_err();
    assert_eq!(error.to_string(), "the package has no boot/vmlinuz-RELEASE");
}

#[test]
fn the_first_broken_module_is_named() {
    let mut files = package();
    for name in ["c", "b", "d"] {
        files
            .add(
                &format!("lib/modules/{RELEASE}/kernel/{name}.ko"),
                b"no ELF".to_vec(),
            )
            .unwrap();
    }
    let error = files.into_kernel(&all()).unwrap_err().to_string();
    let expected = format!("module lib/modules/{RELEASE}/kernel/b.ko: not a kernel module: ");
    assert!(error.starts_with(&expected), "{error}");
}
