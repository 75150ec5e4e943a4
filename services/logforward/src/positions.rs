//! What has arrived: the number of the next line of each container. Kept in a
//! file that a restart of the machine forgets, as the log process does.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::Error;

/// How far each container's log has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Positions(BTreeMap<String, u64>);

impl Positions {
    /// The number of the next line of the container `id`.
    #[must_use]
    pub fn next(&self, id: &str) -> u64 {
        self.0.get(id).copied().unwrap_or(0)
    }

    /// The line `n` of the container `id` is done.
    pub fn pass(&mut self, id: &str, n: u64) {
        match self.0.get_mut(id) {
            Some(next) => *next = n + 1,
            None => drop(self.0.insert(id.to_owned(), n + 1)),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let lines = text.lines().map(|line| {
            let (next, id) = line.split_once(' ')?;
            Some((id.to_owned(), next.parse().ok()?))
        });
        lines.collect::<Option<_>>().map(Self)
    }

    fn text(&self) -> String {
        let lines = self.0.iter().map(|(id, next)| format!("{next} {id}\n"));
        lines.collect()
    }
}

/// The file of the positions.
#[derive(Debug)]
pub struct Noted {
    path: PathBuf,
    written: Positions,
}

impl Noted {
    /// Reads what is noted in `path`; nothing, where there is no such file.
    ///
    /// # Errors
    /// It cannot be read, or is something else.
    pub fn read(path: &str) -> Result<Self, Error> {
        let written = match fs::read_to_string(path) {
            Ok(text) => Positions::parse(&text).ok_or_else(|| Error::File {
                path: path.to_owned(),
                reason: "is no file of positions: allowed: NUMBER ID, a line each".to_owned(),
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Positions::default(),
            Err(error) => return Err(Error::os("read", path)(error)),
        };
        Ok(Self {
            path: PathBuf::from(path),
            written,
        })
    }

    /// What is noted.
    #[must_use]
    pub fn positions(&self) -> &Positions {
        &self.written
    }

    /// Notes `positions`, as a whole or not at all.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&mut self, positions: &Positions) -> Result<(), Error> {
        if *positions == self.written {
            return Ok(());
        }
        let new = self.path.with_extension("new");
        let write = |path: &Path| fs::write(path, positions.text());
        write(&new)
            .and_then(|()| fs::rename(&new, &self.path))
            .map_err(Error::os("write", &self.path.display().to_string()))?;
        self.written = positions.clone();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn outlives_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("arrived");
        let path = path.to_str().unwrap();
        let mut noted = Noted::read(path).unwrap();
        let mut positions = noted.positions().clone();
        assert_eq!(positions.next("services.web"), 0);
        positions.pass("services.web", 7);
        positions.pass("onboot.000-a b", 0);
        noted.write(&positions).unwrap();
        let noted = Noted::read(path).unwrap();
        assert_eq!(noted.positions(), &positions);
        assert_eq!(noted.positions().next("services.web"), 8);
        fs::write(path, "rubbish").unwrap();
        assert!(Noted::read(path).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text: String) {
            if let Some(positions) = Positions::parse(&text) {
                prop_assert_eq!(Positions::parse(&positions.text()), Some(positions));
            }
        }
    }
}
