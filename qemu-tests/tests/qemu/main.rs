//! The cases that boot a machine: a file for each kind.

mod abuse;
mod boot;
mod broken;
mod containers;
mod control;
mod examples;
mod health;
mod hostile;
mod hotplug;
mod life;
mod logfiles;
mod logs;
mod network;
mod onboot;
mod orphans;
mod outputs;
mod ready;
mod root;
mod services;
mod shutdown;
mod sockets;

use qemu_tests::case::Case;

const CASES: &[&[Case]] = &[
    boot::CASES,
    onboot::CASES,
    services::CASES,
    ready::CASES,
    health::CASES,
    sockets::CASES,
    root::CASES,
    containers::CASES,
    hostile::CASES,
    logs::CASES,
    logfiles::CASES,
    network::CASES,
    broken::CASES,
    hotplug::CASES,
    control::CASES,
    abuse::CASES,
    life::CASES,
    orphans::CASES,
    shutdown::CASES,
    examples::CASES,
    outputs::CASES,
];

fn main() -> std::process::ExitCode {
    qemu_tests::suite::run(CASES).exit_code()
}
