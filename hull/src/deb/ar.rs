//! The `ar` archive that a package is (`ar(5)`, `deb(5)`).

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::{Compression, Error};

/// A member of the `ar` archive that a package is.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) name: String,
    /// Offset of its contents in the file.
    pub(super) start: u64,
    /// Length of its contents in bytes.
    pub(super) size: u64,
    pub(super) compression: Compression,
}

/// The two members that count.
pub(super) struct Members {
    pub(super) control: Member,
    pub(super) data: Member,
}

/// `ar(5)`: the archive's magic.
pub(super) const AR_MAGIC: &[u8; 8] = b"!<arch>\n";
/// `ar(5)`: length of a member's header.
const AR_HEADER: usize = 60;
/// More members than any package has.
const MAX_MEMBERS: usize = 64;

impl Members {
    /// Walks the `ar` archive: `debian-binary`, `control.tar*`, `data.tar*`, in
    /// this order; names that begin with `_` are to be skipped (`deb(5)`).
    pub(super) fn find(path: &Path, file: &mut (impl Read + Seek)) -> Result<Self, Error> {
        let not_deb = |reason: String| Error::NotDeb {
            path: path.to_owned(),
            reason,
        };
        let read_error = |source| Error::Read {
            path: path.to_owned(),
            what: "the file".to_owned(),
            source,
        };
        let length = file.seek(SeekFrom::End(0)).map_err(read_error)?;
        file.rewind().map_err(read_error)?;
        let mut magic = Vec::new();
        file.take(8).read_to_end(&mut magic).map_err(read_error)?;
        if magic != AR_MAGIC {
            return Err(not_deb("it is no ar archive".to_owned()));
        }
        let mut control: Option<Member> = None;
        let mut at = 8;
        for index in 0..MAX_MEMBERS {
            if at >= length {
                break;
            }
            let mut header = [0; AR_HEADER];
            file.seek(SeekFrom::Start(at)).map_err(read_error)?;
            file.read_exact(&mut header).map_err(read_error)?;
            let (name, size) = ar_header(&header).map_err(&not_deb)?;
            let start = at + AR_HEADER as u64;
            if size > length - start {
                return Err(not_deb(format!("{name} is cut short")));
            }
            // Members begin at even offsets.
            at = start + size + size % 2;
            match (index, &name) {
                (0, name) => check_version(file, name, size).map_err(&not_deb)?,
                (_, name) if name.starts_with('_') => {}
                (_, name) if control.is_none() => {
                    control =
                        Some(Member::new("control.tar", name, start, size).map_err(&not_deb)?);
                }
                (_, name) => {
                    let data = Member::new("data.tar", name, start, size).map_err(&not_deb)?;
                    let control = control.ok_or_else(|| not_deb("no control.tar".to_owned()))?;
                    return Ok(Self { control, data });
                }
            }
        }
        Err(not_deb("control.tar or data.tar is missing".to_owned()))
    }
}

impl Member {
    /// The member `base` with its compression from `name`.
    fn new(base: &str, name: &str, start: u64, size: u64) -> Result<Self, String> {
        let suffix = name
            .strip_prefix(base)
            .ok_or_else(|| format!("`{name}` stands where {base} should"))?;
        let compression = Compression::from_suffix(suffix)
            .ok_or_else(|| format!("{name}: compression other than gz, xz and zst"))?;
        Ok(Self {
            name: name.to_owned(),
            start,
            size,
            compression,
        })
    }
}

/// Name and size out of a member's header.
fn ar_header(header: &[u8; AR_HEADER]) -> Result<(String, u64), String> {
    let bad = || "a broken ar header".to_owned();
    if &header[58..] != b"`\n" {
        return Err(bad());
    }
    let field = |range: std::ops::Range<usize>| std::str::from_utf8(&header[range]).ok();
    let name = field(0..16).ok_or_else(bad)?.trim_end();
    let size = field(48..58).ok_or_else(bad)?.trim_end();
    let size = size.parse().map_err(|_| bad())?;
    // System V's ar ends a name with a slash.
    Ok((name.strip_suffix('/').unwrap_or(name).to_owned(), size))
}

/// Checks the first member, whose contents `file` stands at.
fn check_version(file: &mut impl Read, name: &str, size: u64) -> Result<(), String> {
    if name != "debian-binary" {
        return Err(format!("`{name}` stands where debian-binary should"));
    }
    let mut text = Vec::new();
    let read = file.take(size.min(64)).read_to_end(&mut text);
    read.map_err(|e| format!("debian-binary: {e}"))?;
    match text.starts_with(b"2.") {
        true => Ok(()),
        false => Err(format!(
            "format {}",
            String::from_utf8_lossy(&text).trim_end()
        )),
    }
}
