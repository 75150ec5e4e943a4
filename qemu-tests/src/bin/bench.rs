//! `make bench`: the figures of `docs/performance.md`, as Markdown tables.
//!
//! ```text
//! bench [times] [compression] [size] [memory]     default: all
//! ```

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};
use qemu_tests::bench::{self, MACHINE, Run, Spread, Timeline};
use qemu_tests::case::{Machine, Target, X86_6_1, X86_6_12};
use qemu_tests::image::Image;
use qemu_tests::places;

/// Runs of one measurement. Under `-icount` they differ by what QEMU's own
/// devices do, hardly at all.
const RUNS: usize = 3;

/// Prints a table.
type Chapter = fn() -> Result<()>;

const CHAPTERS: [(&str, Chapter); 4] = [
    ("times", times),
    ("compression", compression),
    ("size", size),
    ("memory", memory),
];

fn main() -> Result<()> {
    let chosen: Vec<String> = std::env::args().skip(1).collect();
    if let Some(unknown) = chosen
        .iter()
        .find(|name| CHAPTERS.iter().all(|(chapter, _)| chapter != name))
    {
        bail!("bench has no {unknown}: there are times, compression, size, memory");
    }
    for (name, chapter) in CHAPTERS {
        if chosen.is_empty() || chosen.iter().any(|chosen| chosen == name) {
            chapter()?;
        }
    }
    Ok(())
}

/// From the kernel's start to the power's end, beside the floor.
fn times() -> Result<()> {
    println!(
        "\n| image | to PID 1 | PID 1 → onboot | → last service | userland | power-off | to last service ÷ floor |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for target in [X86_6_12, X86_6_1] {
        let kernel = target.kernel;
        let three = bench::build(target, "three", &bench::services_yaml(3, true), None)?;
        let floor = three.with_only_init(&places::program(target.arch, "poweroff-init"))?;
        let floor = runs(&floor, &MACHINE)?;
        let bottom = spread(&floor, |t| t.off)?.median;
        println!(
            "| {kernel}, floor: an init that powers off | {} | | | | | {} to its end |",
            seconds(spread(&floor, |t| t.init)?),
            seconds(spread(&floor, |t| t.off)?),
        );
        row(&format!("{kernel}, 3 services"), &three, bottom)?;
        for (name, count, readonly) in [("three-writable", 3, false), ("thirteen", 13, true)] {
            let yaml = bench::services_yaml(count, readonly);
            let image = bench::build(target, name, &yaml, None)?;
            let root = if readonly { "" } else { " with overlays" };
            row(&format!("{kernel}, {count} services{root}"), &image, bottom)?;
        }
    }
    Ok(())
}

fn row(name: &str, image: &Image, floor: Duration) -> Result<()> {
    let runs = runs(image, &MACHINE)?;
    let ratio = spread(&runs, |t| t.services)?.median.as_secs_f64() / floor.as_secs_f64();
    println!(
        "| {name} | {} | {} | {} | {} | {} | {ratio:.3} |",
        seconds(spread(&runs, |t| t.init)?),
        seconds(spread(&runs, |t| t.onboot - t.init)?),
        seconds(spread(&runs, |t| t.services - t.onboot)?),
        seconds(spread(&runs, |t| t.services - t.init)?),
        seconds(spread(&runs, |t| t.off - t.stopping)?),
    );
    Ok(())
}

/// What the initrd's compression costs and saves.
fn compression() -> Result<()> {
    println!("\n| compression | initrd, MB | to PID 1, s | to the last service, s |");
    println!("| --- | --- | --- | --- |");
    let yaml = bench::services_yaml(3, true);
    for how in ["none", "lz4", "zstd", "gzip"] {
        let image = bench::build(X86_6_12, how, &yaml, Some(how))?;
        let runs = runs(&image, &MACHINE)?;
        println!(
            "| {how} | {} | {} | {} |",
            megabytes(&image.file("initrd.img"))?,
            seconds(spread(&runs, |t| t.init)?),
            seconds(spread(&runs, |t| t.services)?),
        );
    }
    Ok(())
}

/// How large things are.
fn size() -> Result<()> {
    println!("\n| what | MB |\n| --- | --- |");
    for target in [X86_6_12, X86_6_1] {
        let kernel = target.kernel;
        let image = bench::build(target, "three", &bench::services_yaml(3, true), None)?;
        println!(
            "| initrd of 3 services, {kernel} | {} |",
            megabytes(&image.file("initrd.img"))?
        );
        let minimal = bench::build(target, "minimal", "@EXAMPLE minimal.yml", None)?;
        println!(
            "| initrd of examples/minimal.yml, with busybox | {} |",
            megabytes(&minimal.file("initrd.img"))?
        );
        println!(
            "| kernel {kernel} | {} |",
            megabytes(&image.file("kernel"))?
        );
    }
    for program in ["init", "runc-shim", "dhcp", "sysctl", "getty"] {
        let file = places::program(X86_6_12.arch, program);
        println!("| {program} | {} |", megabytes(&file)?);
    }
    Ok(())
}

/// What it needs to run.
fn memory() -> Result<()> {
    println!(
        "\n| image | RAM used, MB | above the floor, MB | RSS of PID 1, MB | smallest -m, MiB |"
    );
    println!("| --- | --- | --- | --- | --- |");
    for target in [X86_6_12, X86_6_1] {
        memory_of(target)?;
    }
    Ok(())
}

fn memory_of(target: Target) -> Result<()> {
    let kernel = target.kernel;
    let three = bench::build(target, "three", &bench::services_yaml(3, true), None)?;
    let floor = three.with_only_init(&places::program(target.arch, "poweroff-init"))?;
    // Next to no pages in a processor's own list of free ones (`kmsg.rs` of the
    // agent), and the floor's init prints what it finds.
    let machine = Machine {
        cmdline: "sysctl.vm.percpu_pagelist_high_fraction=100000 meminfo",
        ..MACHINE
    };
    let floor = bench::run(&floor, &machine)?.used_kib()?;
    println!("| {kernel}, floor | {} | | | |", of_kib(floor));
    for count in [3, 13] {
        let yaml = bench::services_yaml(count, true);
        let image = bench::build(target, &format!("memory-{count}"), &yaml, None)?;
        let run = bench::run(&image, &machine)?;
        let used = run.used_kib()?;
        let smallest = bench::smallest_memory(&image, count, 4)?;
        println!(
            "| {kernel}, {count} services | {} | {} | {} | {smallest} |",
            of_kib(used),
            of_kib(used.saturating_sub(floor)),
            of_kib(run.kib("/proc/1/status", "VmRSS")?),
        );
    }
    Ok(())
}

fn runs(image: &Image, machine: &Machine) -> Result<Vec<Run>> {
    (0..RUNS).map(|_| bench::run(image, machine)).collect()
}

fn spread(runs: &[Run], time: impl Fn(&Timeline) -> Duration) -> Result<Spread> {
    Spread::of(runs.iter().map(|run| time(&run.timeline)))
}

/// Seconds: the middle, and the ends in brackets where they differ from it by
/// a millisecond.
fn seconds(spread: Spread) -> String {
    let Spread { min, median, max } = spread;
    let second = |time: Duration| format!("{:.3}", time.as_secs_f64());
    if max - min < Duration::from_millis(1) {
        return second(median);
    }
    format!("{} [{}–{}]", second(median), second(min), second(max))
}

fn megabytes(file: &Path) -> Result<String> {
    #[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
    let megabytes = fs::metadata(file)?.len() as f64 / 1e6;
    Ok(format!("{megabytes:.2}"))
}

fn of_kib(kib: u64) -> String {
    #[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
    let megabytes = kib as f64 * 1024.0 / 1e6;
    format!("{megabytes:.2}")
}
