//! `make soak`: the long forms of short promises, with their counts.
//!
//! ```text
//! soak [boots=200] [shutdowns=100] [kills=1000]     default: all three
//! ```

use anyhow::{Context, Result, bail, ensure};
use qemu_tests::case::{Machine, X86_6_12};
use qemu_tests::guest::{Guest, HULLCTL};
use qemu_tests::image::Image;
use qemu_tests::places;
use qemu_tests::soak::{self, Held, KILLS};

fn main() -> Result<()> {
    let mut counts = [("boots", 0), ("shutdowns", 0), ("kills", 0)];
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.is_empty() {
        counts = [("boots", 200), ("shutdowns", 100), ("kills", 1000)];
    }
    for arg in &args {
        let (name, count) = arg.split_once('=').context("soak NAME=COUNT")?;
        let Some(place) = counts.iter_mut().find(|(known, _)| *known == name) else {
            bail!("soak has no {name}: there are boots, shutdowns, kills");
        };
        place.1 = count.parse().context("soak NAME=COUNT")?;
    }
    let [(_, boots), (_, shutdowns), (_, kills)] = counts;
    let mut failed = repeat("boots", boots, boot)?;
    failed += repeat("shutdowns", shutdowns, shut_down)?;
    failed += massacres(kills)?;
    ensure!(failed == 0, "{failed} failed");
    Ok(())
}

/// Does something in a new machine, so often. How often it failed.
fn repeat(what: &str, count: usize, act: fn(&Guest) -> Result<()>) -> Result<usize> {
    if count == 0 {
        return Ok(0);
    }
    let dir = places::case_dir(&format!("soak-{what}"));
    let image = Image::build(X86_6_12, &dir, &Machine::PLAIN, &[])?;
    let mut failed = 0;
    for n in 1..=count {
        let done = Guest::boot(&image, &Machine::PLAIN, &dir).and_then(|guest| act(&guest));
        if let Err(error) = done {
            failed += 1;
            println!("{what}: number {n}: {error:#}");
        }
    }
    println!("{what}: {count}, failed: {failed}");
    Ok(failed)
}

fn boot(guest: &Guest) -> Result<()> {
    guest.wait_up()
}

fn shut_down(guest: &Guest) -> Result<()> {
    guest.wait_up()?;
    let _goes_down_too = guest.exec(&[HULLCTL, "poweroff"]);
    let end = guest.wait_end(guest.patience())?;
    ensure!(
        end.reason == "guest-shutdown" && end.code == Some(0),
        "{end:?}"
    );
    Ok(())
}

/// Kills so many processes of one machine, a hundred at a time.
fn massacres(kills: usize) -> Result<usize> {
    if kills == 0 {
        return Ok(0);
    }
    let dir = places::case_dir("soak-kills");
    let parts = [("massacre", soak::MASSACRE)];
    let image = Image::build(X86_6_12, &dir, &Machine::PLAIN, &parts)?;
    let guest = Guest::boot(&image, &Machine::PLAIN, &dir)?;
    guest.wait_up()?;
    let before = Held::by(&guest)?;
    let rounds = kills.div_ceil(KILLS);
    for n in 1..=rounds {
        if let Err(error) = soak::massacre(&guest, n, &before) {
            println!("kills: after {}: {error:#}", n * KILLS);
            return Ok(1);
        }
        guest.hullctl(&["start", "killer"])?;
    }
    println!("kills: {}, lost: 0, doubled: 0, leaked: 0", rounds * KILLS);
    Ok(0)
}
