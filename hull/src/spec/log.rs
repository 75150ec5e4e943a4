//! `log`: where an entry's log is kept on a disk.

use hullkit_bundle::supervision::LogFile;

use super::node::{Kind, Node, quoted};
use super::read::Reader;
use super::text;
use super::types::LogFields;

/// The least that a file may grow to, in bytes: some of the longest lines.
const LEAST_SIZE: u64 = 64 << 10;
/// The most, in bytes.
const MOST_SIZE: u64 = 1 << 40;
/// The most files.
const MOST_FILES: u32 = 1000;

/// `log` of an entry: `none`, or a map.
pub(super) fn of_entry(r: &mut Reader, node: &Node, field: &str) -> Option<LogFields> {
    if matches!(node.kind, Kind::Text(_)) {
        let off = r.word(node, field, &[("none", ())]);
        return off.map(|()| LogFields {
            off: true,
            ..LogFields::default()
        });
    }
    fields(r, node, field, path)
}

/// `log` of a file's top, where `path` is a folder.
pub(super) fn of_all(r: &mut Reader, node: &Node, field: &str) -> Option<LogFields> {
    fields(r, node, field, folder)
}

fn fields(
    r: &mut Reader,
    node: &Node,
    field: &str,
    path: fn(&str) -> Result<String, String>,
) -> Option<LogFields> {
    let fields = r.fields(node, field, &["maxFiles", "maxSize", "path"])?;
    Some(LogFields {
        off: false,
        path: fields.read(r, "path", |r, n, f| r.parsed(n, f, path)),
        max_size: fields.read(r, "maxSize", max_size),
        max_files: fields.read(r, "maxFiles", max_files),
    })
}

/// An absolute path without a way back; one that ends with `/` is a folder.
fn path(text: &str) -> Result<String, String> {
    let inner = text.strip_prefix('/').map(|rest| {
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        rest.split('/').all(|part| !matches!(part, "" | "." | ".."))
    });
    let printable = !text.chars().any(char::is_control);
    if inner == Some(true) && printable && text.len() < LogFile::LONGEST_PATH {
        return Ok(text.to_owned());
    }
    Err(format!(
        "found {}, allowed: a path that begins with /, without . and .., shorter than {} bytes; \
         one that ends with / is a folder",
        quoted(text),
        LogFile::LONGEST_PATH
    ))
}

fn folder(text: &str) -> Result<String, String> {
    let path = path(text)?;
    if path.ends_with('/') {
        return Ok(path);
    }
    Err(format!(
        "found {}, allowed here: a folder, \"{path}/\"; an entry's file has its own name there",
        quoted(text)
    ))
}

fn max_size(r: &mut Reader, node: &Node, field: &str) -> Option<u64> {
    let size = match node.kind {
        Kind::Int(n) => u64::try_from(n).ok(),
        _ => Some(r.parsed(node, field, text::size)?.value),
    };
    if let Some(size) = size.filter(|size| (LEAST_SIZE..=MOST_SIZE).contains(size)) {
        return Some(size);
    }
    let message = format!("found {}, allowed: from 64K to 1024G", node.describe());
    r.problem(node.line, field, message);
    None
}

fn max_files(r: &mut Reader, node: &Node, field: &str) -> Option<u32> {
    let count = r.integer::<u32>(node, field)?;
    if (1..=MOST_FILES).contains(&count) {
        return Some(count);
    }
    let message = format!("found {count}, allowed: a whole number from 1 to {MOST_FILES}");
    r.problem(node.line, field, message);
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_forward() {
        for good in ["/log", "/var/persist/log/web.log", "/var/log/"] {
            assert_eq!(path(good), Ok(good.to_owned()));
        }
        for wrong in ["", "/", "log", "/a/../b", "/a//b", "/./a", "/a\nb", "//"] {
            assert!(path(wrong).is_err(), "{wrong:?}");
        }
        assert!(path(&format!("/{}", "x".repeat(LogFile::LONGEST_PATH))).is_err());
        assert!(folder("/var/log").unwrap_err().contains("\"/var/log/\""));
        assert_eq!(folder("/var/log/"), Ok("/var/log/".to_owned()));
    }
}
