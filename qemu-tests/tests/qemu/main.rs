//! The cases that boot a machine: a file for each kind.

mod abuse;
mod boot;
mod broken;
mod containers;
mod control;
mod examples;
mod hostile;
mod hotplug;
mod life;
mod logs;
mod network;
mod onboot;
mod orphans;
mod root;
mod services;
mod shutdown;

use qemu_tests::case::Case;

const CASES: &[&[Case]] = &[
    boot::CASES,
    onboot::CASES,
    services::CASES,
    root::CASES,
    containers::CASES,
    hostile::CASES,
    logs::CASES,
    network::CASES,
    broken::CASES,
    hotplug::CASES,
    control::CASES,
    abuse::CASES,
    life::CASES,
    orphans::CASES,
    shutdown::CASES,
    examples::CASES,
];

fn main() -> std::process::ExitCode {
    qemu_tests::suite::run(CASES).exit_code()
}
