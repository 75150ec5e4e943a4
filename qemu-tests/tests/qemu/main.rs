//! The cases that boot a machine: a file for each kind.

fn main() -> std::process::ExitCode {
    qemu_tests::suite::run(&[]).exit_code()
}
