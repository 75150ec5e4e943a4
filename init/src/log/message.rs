//! What PID 1 tells the log process: datagrams over a socket pair, descriptors
//! with them (`SCM_RIGHTS`).

use hullkit_bundle::supervision::LogFile;

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// With the listening socket for clients.
    Listen,
    /// With the two files of the journal. The first message.
    Journal,
    /// A container's log is kept in files on a disk as well. Comes before its
    /// [`Message::Attach`].
    Keep {
        /// The container.
        id: &'a str,
        /// The files.
        file: LogFile,
    },
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
            Self::Keep { id, file } => {
                let (size, files) = (file.max_size, file.max_files);
                format!("keep {size} {files} {}\0{id}", file.path)
            }
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
            Some(("keep", rest)) => {
                let (max_size, rest) = rest.split_once(' ')?;
                let (max_files, rest) = rest.split_once(' ')?;
                let (path, id) = rest.split_once('\0')?;
                let file = LogFile {
                    path: path.to_owned(),
                    max_size: max_size.parse().ok()?,
                    max_files: max_files.parse().ok()?,
                };
                Some(Self::Keep { id, file })
            }
            None if text == "listen" => Some(Self::Listen),
            None if text == "journal" => Some(Self::Journal),
            _ => None,
        }
    }
}

/// What the log process tells PID 1: how a container's file is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileState {
    /// Why nothing comes into it; empty: all is well.
    pub error: String,
    /// Lines that it does not have, and will not.
    pub lost: u64,
}

impl FileState {
    /// The longest text of an error in a datagram, in characters.
    const LONGEST: usize = 600;

    /// The datagram about the container `id`.
    #[must_use]
    pub fn encode(&self, id: &str) -> String {
        let error: String = self.error.chars().take(Self::LONGEST).collect();
        format!("{} {id}\0{error}", self.lost)
    }

    /// The container and its file's state in a datagram.
    #[must_use]
    pub fn decode(text: &str) -> Option<(&str, Self)> {
        let (lost, rest) = text.split_once(' ')?;
        let (id, error) = rest.split_once('\0')?;
        let state = Self {
            error: error.to_owned(),
            lost: lost.parse().ok()?,
        };
        Some((id, state))
    }
}

/// The longest datagram, in bytes: a path and a name.
pub const LONGEST: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back() {
        for message in [Message::Listen, Message::Journal] {
            assert_eq!(Message::decode(&message.encode()).as_ref(), Some(&message));
        }
        let keep = Message::Keep {
            id: "onboot.000-a b",
            file: LogFile {
                path: "/var/my log/x y".to_owned(),
                max_size: 1 << 40,
                max_files: 7,
            },
        };
        assert_eq!(Message::decode(&keep.encode()).as_ref(), Some(&keep));
        let state = FileState {
            error: "write /x: No space".to_owned(),
            lost: 12,
        };
        let text = state.encode("onboot.000-a b");
        assert_eq!(FileState::decode(&text), Some(("onboot.000-a b", state)));
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
                assert_eq!(Message::decode(&message.encode()).as_ref(), Some(&message));
            }
        }
        assert_eq!(Message::decode("attach"), None);
    }
}
