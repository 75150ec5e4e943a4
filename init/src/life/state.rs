//! The state that a life of PID 1 has left: read, and found to be one.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::record::{Record, Writer};
use crate::Error;

/// The version of the state that this program writes. A program reads those up
/// to its own; a field more is no new version.
pub const VERSION: u32 = 1;

/// The most that is read, in bytes: some thousand times what a large machine
/// leaves.
const MAX: u64 = 64 << 20;

/// The first record of every state.
pub fn begin(to: &mut Writer) {
    to.record("hullkit-state").field("version", VERSION);
}

/// The text in `file`, from its beginning.
///
/// # Errors
/// It cannot be read, or is too large.
pub fn text(file: &File) -> io::Result<String> {
    let length = file.metadata()?.len();
    if length > MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let length = usize::try_from(length).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, 0)?;
    String::from_utf8(bytes).map_err(io::Error::other)
}

/// The records of a state, without the first.
///
/// # Errors
/// It is no state, or that of a later version.
pub fn records(text: &str) -> Result<Vec<Record<'_>>, Error> {
    let wrong = |reason: String| Error::Bundle {
        object: "state of init".to_owned(),
        reason,
    };
    let mut records = Record::parse(text);
    let first = records.next().filter(|first| first.word == "hullkit-state");
    let version: Option<u32> = first.and_then(|first| first.parsed("version"));
    match version {
        Some(1..=VERSION) => Ok(records.collect()),
        Some(version) => Err(wrong(format!(
            "version {version}; this program reads up to {VERSION}"
        ))),
        None => Err(wrong("it is none".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_version_is_refused() {
        let mut writer = Writer::default();
        begin(&mut writer);
        writer.record("core").field("phase", "services");
        let (ours, _) = writer.finish();
        assert_eq!(records(&ours).unwrap().len(), 1);
        let later = ours.replace("version=1", "version=2");
        let error = records(&later).unwrap_err().to_string();
        assert_eq!(
            error,
            "state of init: version 2; this program reads up to 1"
        );
        for none in ["", "core phase=idle\n", "hullkit-state version=0\n"] {
            assert!(records(none).is_err(), "{none:?}");
        }
    }
}
