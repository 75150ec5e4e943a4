//! What PID 1 tells the log process: datagrams over a socket pair, descriptors
//! with them (`SCM_RIGHTS`).

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// With the listening socket for clients.
    Listen,
    /// With the reading ends of a container's standard output and standard
    /// error.
    Attach {
        /// The container: `services.web`.
        id: &'a str,
    },
    /// A run of the container has ended: a line without an end is one.
    Ended {
        /// The container.
        id: &'a str,
    },
}

impl<'a> Message<'a> {
    /// The datagram.
    #[must_use]
    pub fn encode(&self) -> String {
        match self {
            Self::Listen => "listen".to_owned(),
            Self::Attach { id } => format!("attach {id}"),
            Self::Ended { id } => format!("ended {id}"),
        }
    }

    /// The message in a datagram.
    #[must_use]
    pub fn decode(text: &'a str) -> Option<Self> {
        match text.split_once(' ') {
            Some(("attach", id)) => Some(Self::Attach { id }),
            Some(("ended", id)) => Some(Self::Ended { id }),
            None if text == "listen" => Some(Self::Listen),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back() {
        for message in [
            Message::Listen,
            Message::Attach { id: "services.web" },
            Message::Ended {
                id: "onboot.000-a b",
            },
        ] {
            assert_eq!(Message::decode(&message.encode()), Some(message));
        }
        assert_eq!(Message::decode("attach"), None);
    }
}
