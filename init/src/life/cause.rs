//! Why a life of PID 1 ended.

use std::fmt;

/// Why the program was executed again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Somebody asked for it.
    Asked,
    /// A panic.
    Panic,
    /// A fault of its own: the signal, and the address where it has one.
    Fault {
        /// `SIGSEGV` and its like.
        signal: i32,
        /// `si_addr`.
        address: usize,
    },
    /// Another process sent a signal that is a fault's.
    Sent {
        /// `SIGSEGV` and its like.
        signal: i32,
    },
}

impl Cause {
    /// Whether PID 1 itself did something wrong.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::Panic | Self::Fault { .. })
    }

    /// What [`fmt::Display`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let cause = match (parts.next()?, parts.next(), parts.next()) {
            ("asked", None, None) => Self::Asked,
            ("panic", None, None) => Self::Panic,
            ("sent", Some(signal), None) => Self::Sent {
                signal: signal.parse().ok()?,
            },
            ("fault", Some(signal), Some(address)) => Self::Fault {
                signal: signal.parse().ok()?,
                address: usize::from_str_radix(address, 16).ok()?,
            },
            _ => return None,
        };
        Some(cause)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked => f.write_str("asked"),
            Self::Panic => f.write_str("panic"),
            Self::Fault { signal, address } => write!(f, "fault:{signal}:{address:x}"),
            Self::Sent { signal } => write!(f, "sent:{signal}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back() {
        for cause in [
            Cause::Asked,
            Cause::Panic,
            Cause::Fault {
                signal: 11,
                address: 0xdead_beef,
            },
            Cause::Sent { signal: 6 },
        ] {
            assert_eq!(Cause::parse(&cause.to_string()), Some(cause));
        }
        for text in ["", "fault", "fault:11", "sent:x", "panic:1"] {
            assert_eq!(Cause::parse(text), None, "{text}");
        }
    }
}
