//! Where an entry's log is kept: the entry's word, its label's, the file's.

use std::collections::BTreeMap;

use hullkit_bundle::layout;
use hullkit_bundle::supervision::LogFile;

use super::Composed;
use crate::spec::{Entry, LogFields, Problem, Spec};

/// A file's size where nothing is said, in bytes.
const MAX_SIZE: u64 = 10 << 20;
/// How many files there are where nothing is said.
const MAX_FILES: u32 = 5;

/// The file of `entry`; or the field, and what is wrong.
pub(super) fn file(
    spec: &Spec,
    entry: &Entry,
    label: Option<&LogFields>,
) -> Result<Option<LogFile>, (&'static str, String)> {
    let none = LogFields::default();
    let yaml = entry.supervise.log.as_ref();
    let (y, l) = (yaml.unwrap_or(&none), label.unwrap_or(&none));
    let all = spec.log.as_ref().unwrap_or(&none);
    if y.off || (yaml.is_none() && l.off) {
        return Ok(None);
    }
    let Some(path) = y.path.as_ref().or(l.path.as_ref()).or(all.path.as_ref()) else {
        return match yaml.or(label) {
            None => Ok(None),
            Some(_) => Err((
                "log",
                "says not where, allowed: path: /FOLDER/FILE or /FOLDER/".to_owned(),
            )),
        };
    };
    let mut path = path.value.clone();
    if path.ends_with('/') {
        path += &layout::container_id(entry.section, &entry.bundle_name());
        path += ".log";
    }
    if path.len() > LogFile::LONGEST_PATH {
        let message = format!("{path} is longer than {} bytes", LogFile::LONGEST_PATH);
        return Err(("log.path", message));
    }
    Ok(Some(LogFile {
        path,
        max_size: (y.max_size.or(l.max_size).or(all.max_size)).unwrap_or(MAX_SIZE),
        max_files: (y.max_files.or(l.max_files).or(all.max_files)).unwrap_or(MAX_FILES),
    }))
}

/// Files that two entries would write, the earlier ones of a log among them.
pub(super) fn clashes(spec: &Spec, composed: &[Composed]) -> Vec<Problem> {
    let mut files: BTreeMap<&str, &Entry> = BTreeMap::new();
    let mut problems = Vec::new();
    for (entry, composed) in spec.entries().zip(composed) {
        let Some(log) = &composed.runtime.supervision.log else {
            continue;
        };
        let first = files.iter().find(|(path, _)| clash(path, &log.path));
        if let Some((_, first)) = first {
            problems.push(Problem {
                place: entry.place.clone(),
                field: "log.path".to_owned(),
                message: format!(
                    "{} is a file of the log of \"{}\", at {}",
                    log.path, first.name, first.place
                ),
            });
        }
        files.insert(&log.path, entry);
    }
    problems
}

/// Whether one is the other, or the other with a number.
fn clash(a: &str, b: &str) -> bool {
    let numbered = |long: &str, short: &str| {
        let rest = long.strip_prefix(short).and_then(|r| r.strip_prefix('.'));
        rest.is_some_and(|n| !n.is_empty() && n.bytes().all(|byte| byte.is_ascii_digit()))
    };
    a == b || numbered(a, b) || numbered(b, a)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn earlier_files_count() {
        assert!(clash("/a/web.log", "/a/web.log"));
        assert!(clash("/a/web.log.1", "/a/web.log"));
        assert!(clash("/a/web.log", "/a/web.log.23"));
        assert!(!clash("/a/web.log", "/a/web.log.old"));
        assert!(!clash("/a/web.log", "/b/web.log"));
    }
}
