//! Docker's HEALTHCHECK, which the OCI image specification does not have: it
//! stands in the image's configuration all the same.

use serde::Deserialize;

/// `config.Healthcheck` of an image's configuration. Times are nanoseconds; 0
/// is Docker's default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Healthcheck {
    test: Vec<String>,
    interval: i64,
    timeout: i64,
    start_period: i64,
    retries: i64,
}

/// What it says, in our terms: milliseconds, and an `exec` probe's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) words: Vec<String>,
    pub(super) interval: Option<u64>,
    pub(super) timeout: Option<u64>,
    pub(super) start_period: Option<u64>,
    pub(super) retries: Option<u32>,
}

/// Health is not looked at more often, in milliseconds.
const SHORTEST: u64 = 100;

impl Healthcheck {
    /// The one in `config`, an image's configuration as it was found.
    #[must_use]
    pub fn find(config: &[u8]) -> Option<Self> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Whole {
            config: Inner,
        }
        #[derive(Default, Deserialize)]
        #[serde(default, rename_all = "PascalCase")]
        struct Inner {
            healthcheck: Option<Healthcheck>,
        }
        // What else is wrong with it others have found.
        let whole: Option<Whole> = serde_json::from_slice(config).ok();
        whole?.config.healthcheck
    }

    /// What it says, or what is wrong with it. None: no check.
    pub(super) fn said(&self) -> Result<Option<Said>, String> {
        let (kind, rest) = match self.test.split_first() {
            None => return Ok(None),
            Some((kind, rest)) => (kind.as_str(), rest),
        };
        let mut words = vec!["exec".to_owned()];
        match (kind, rest) {
            ("NONE", _) => return Ok(None),
            ("CMD", [_, ..]) => words.extend_from_slice(rest),
            ("CMD-SHELL", [line]) => words.extend(["/bin/sh", "-c", line].map(str::to_owned)),
            _ => {
                return Err(format!(
                    "Test {:?}, allowed: NONE, CMD with a command, CMD-SHELL with a line",
                    self.test
                ));
            }
        }
        let ms = |ns: i64| {
            let ms = u64::try_from(ns).ok().filter(|ns| *ns > 0)?;
            Some(ms.div_ceil(1_000_000))
        };
        Ok(Some(Said {
            words,
            interval: ms(self.interval).map(|ms| ms.max(SHORTEST)),
            timeout: ms(self.timeout),
            start_period: ms(self.start_period),
            retries: u32::try_from(self.retries).ok().filter(|n| *n > 0),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Result<Option<Said>, String> {
        let config = format!(r#"{{"config":{{"Cmd":["/x"],"Healthcheck":{text}}}}}"#);
        Healthcheck::find(config.as_bytes()).unwrap().said()
    }

    #[test]
    fn commands_and_lines() {
        let cmd = said(r#"{"Test":["CMD","/bin/check","-q"],"Interval":5000000000,"Retries":2}"#);
        let cmd = cmd.unwrap().unwrap();
        assert_eq!(cmd.words, ["exec", "/bin/check", "-q"]);
        assert_eq!(
            (cmd.interval, cmd.retries, cmd.timeout),
            (Some(5000), Some(2), None)
        );
        let line = said(r#"{"Test":["CMD-SHELL","a || exit 1"],"Interval":1}"#);
        let line = line.unwrap().unwrap();
        assert_eq!(line.words, ["exec", "/bin/sh", "-c", "a || exit 1"]);
        assert_eq!(line.interval, Some(SHORTEST));
    }

    #[test]
    fn none_is_none_and_nonsense_an_error() {
        assert_eq!(said(r#"{"Test":["NONE"]}"#), Ok(None));
        assert_eq!(said("{}"), Ok(None));
        for wrong in [r#"["CMD"]"#, r#"["CMD-SHELL","a","b"]"#, r#"["curl"]"#] {
            assert!(said(&format!(r#"{{"Test":{wrong}}}"#)).is_err(), "{wrong}");
        }
        assert_eq!(Healthcheck::find(b"{\"config\":{}}"), None);
        assert_eq!(Healthcheck::find(b"no JSON"), None);
    }
}
