//! What PID 1 tells the log process: datagrams over a socket pair, descriptors
//! with them (`SCM_RIGHTS`).

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// With the listening socket for clients.
    Listen,
    /// With the two files of the journal. The first message.
    Journal,
    /// With the reading ends of a container's standard output and standard
    /// error.
    Attach {
        /// The container: `services.web`.
        id: &'a str,
        /// Whether its lines go to the kernel log as well.
        console: bool,
    },
    /// A run of the container has ended: a line without an end is one.
    Ended {
        /// The container.
        id: &'a str,
        /// Whether its last words go to the kernel log.
        failed: bool,
    },
}

impl<'a> Message<'a> {
    /// The datagram.
    #[must_use]
    pub fn encode(&self) -> String {
        match self {
            Self::Listen => "listen".to_owned(),
            Self::Journal => "journal".to_owned(),
            Self::Attach { id, console: false } => format!("attach {id}"),
            Self::Attach { id, console: true } => format!("show {id}"),
            Self::Ended { id, failed: false } => format!("ended {id}"),
            Self::Ended { id, failed: true } => format!("failed {id}"),
        }
    }

    /// The message in a datagram.
    #[must_use]
    pub fn decode(text: &'a str) -> Option<Self> {
        match text.split_once(' ') {
            Some((word @ ("attach" | "show"), id)) => Some(Self::Attach {
                id,
                console: word == "show",
            }),
            Some((word @ ("ended" | "failed"), id)) => Some(Self::Ended {
                id,
                failed: word == "failed",
            }),
            None if text == "listen" => Some(Self::Listen),
            None if text == "journal" => Some(Self::Journal),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back() {
        for message in [Message::Listen, Message::Journal] {
            assert_eq!(Message::decode(&message.encode()), Some(message));
        }
        for yes in [false, true] {
            let attach = Message::Attach {
                id: "services.web",
                console: yes,
            };
            let ended = Message::Ended {
                id: "onboot.000-a b",
                failed: yes,
            };
            for message in [attach, ended] {
                assert_eq!(Message::decode(&message.encode()), Some(message));
            }
        }
        assert_eq!(Message::decode("attach"), None);
    }
}
