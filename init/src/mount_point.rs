//! Files that something can be bound to.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use crate::Error;

/// Makes an empty file and the folders above it. A file that is there stays as
/// it is.
///
/// # Errors
/// A folder or the file cannot be made.
pub(crate) fn make_file(path: &Path) -> Result<(), Error> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(Error::path("make folder", folder))?;
    }
    match fs::File::create_new(path) {
        Err(e) if e.kind() != ErrorKind::AlreadyExists => Err(Error::path("make", path)(e)),
        _ => Ok(()),
    }
}
