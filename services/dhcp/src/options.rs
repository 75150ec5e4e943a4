//! The command line.

use std::time::Duration;

use crate::Error;

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// End with the first lease.
    pub one_shot: bool,
    /// How long a one-shot waits for it.
    pub timeout: Duration,
    /// Wait for a network card that is not there yet.
    pub wait: bool,
    /// The interfaces; empty: every Ethernet card.
    pub interfaces: Vec<String>,
}

/// How long a one-shot waits unless told.
const TIMEOUT: Duration = Duration::from_secs(30);

impl Options {
    /// Reads the arguments behind the program's name.
    ///
    /// # Errors
    /// [`Error::Usage`].
    pub fn parse(args: impl IntoIterator<Item = String>) -> Result<Self, Error> {
        let mut options = Self {
            one_shot: false,
            timeout: TIMEOUT,
            wait: false,
            interfaces: Vec::new(),
        };
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "-1" | "--one-shot" => options.one_shot = true,
                "--wait" => options.wait = true,
                "--timeout" => {
                    let seconds = args.next().and_then(|text| text.parse().ok());
                    let seconds = seconds.filter(|seconds| *seconds > 0);
                    options.timeout = seconds.map(Duration::from_secs).ok_or_else(|| {
                        Error::Usage("--timeout wants a number of seconds from 1".to_owned())
                    })?;
                }
                _ if arg.is_empty() || arg.starts_with('-') => {
                    return Err(Error::Usage(format!("unknown option {arg:?}")));
                }
                _ => options.interfaces.push(arg),
            }
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, Error> {
        Options::parse(line.split_ascii_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_and_names() {
        let options = parse("-1 --timeout 5 eth0 eth1").unwrap();
        assert!(options.one_shot);
        assert_eq!(options.timeout, Duration::from_secs(5));
        assert_eq!(options.interfaces, ["eth0", "eth1"]);
        assert!(!parse("").unwrap().one_shot);
    }

    #[test]
    fn what_is_no_option_is_refused() {
        for line in ["--timeout", "--timeout 0", "--timeout x", "-2"] {
            assert!(matches!(parse(line), Err(Error::Usage(_))), "{line}");
        }
    }
}
