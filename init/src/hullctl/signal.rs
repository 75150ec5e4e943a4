//! Signals by name.

use nix::sys::signal::Signal;

/// `9`, `KILL`, `SIGKILL`, `kill`.
pub(super) fn number(text: &str) -> Result<i32, String> {
    let wrong = || format!("{text:?} is no signal");
    if let Ok(number) = text.parse::<i32>() {
        return (1..=64)
            .contains(&number)
            .then_some(number)
            .ok_or_else(wrong);
    }
    let name = text.to_ascii_uppercase();
    let name = match name.strip_prefix("SIG") {
        Some(_) => name,
        None => format!("SIG{name}"),
    };
    let signal: Signal = name.parse().map_err(|_| wrong())?;
    Ok(signal as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_name_or_number() {
        for text in ["9", "KILL", "SIGKILL", "kill"] {
            assert_eq!(number(text), Ok(9));
        }
        assert_eq!(number("64"), Ok(64));
        for text in ["0", "65", "-1", "", "SIG", "nope"] {
            assert!(number(text).is_err(), "{text:?}");
        }
    }
}
