//! Paths inside a tree: bytes, relative to its root, without `.` and `..`.

/// Why a name cannot be a path in a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It begins with `/`.
    #[error("an absolute path")]
    Absolute,
    /// It has a component `..`.
    #[error("a path with \"..\"")]
    Parent,
    /// It has a NUL byte.
    #[error("a path with a NUL byte")]
    Nul,
    /// A component is longer than 255 bytes, or the whole than 4095.
    #[error("a path that is too long")]
    TooLong,
}

/// The longest component that Linux's filesystems take (`NAME_MAX`).
const NAME_MAX: usize = 255;
/// The longest path that the kernel takes, without its NUL.
pub const PATH_MAX: usize = 4095;

/// The path `raw` as it stands in an archive: `./` in front, double slashes,
/// `.` components and a slash at the end are dropped; the root itself is
/// empty. A lone `/` also means the root.
///
/// # Errors
/// See [`PathError`].
pub fn relative(raw: &[u8]) -> Result<Vec<u8>, PathError> {
    if raw.starts_with(b"/") && raw.iter().any(|&b| b != b'/') {
        return Err(PathError::Absolute);
    }
    inside(raw)
}

/// Like [`relative`], but slashes at the front mean the tree's root.
///
/// # Errors
/// See [`PathError`].
pub fn inside(raw: &[u8]) -> Result<Vec<u8>, PathError> {
    let mut path = Vec::with_capacity(raw.len());
    for component in components(raw) {
        match component {
            b".." => return Err(PathError::Parent),
            c if c.contains(&0) => return Err(PathError::Nul),
            c if c.len() > NAME_MAX => return Err(PathError::TooLong),
            c => {
                if !path.is_empty() {
                    path.push(b'/');
                }
                path.extend_from_slice(c);
            }
        }
    }
    if path.len() > PATH_MAX {
        return Err(PathError::TooLong);
    }
    Ok(path)
}

/// The components of a path, without empty ones and `.`.
pub fn components(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|&b| b == b'/')
        .filter(|c| !c.is_empty() && *c != b".")
}

/// A cleaned path's folder and last component; `None` for the root.
#[must_use]
pub fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if path.is_empty() {
        return None;
    }
    Some(match path.iter().rposition(|&b| b == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (&[], path),
    })
}

/// `folder/name`, where an empty folder is the root.
#[must_use]
pub fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(folder.len() + 1 + name.len());
    path.extend_from_slice(folder);
    if !folder.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

/// A path for people: bytes that are not UTF-8 and control characters are
/// escaped.
#[must_use]
pub fn show(path: &[u8]) -> String {
    match std::str::from_utf8(path) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => path.escape_ascii().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archive_names_are_cleaned() {
        for (raw, clean) in [
            ("./a//b/./c/", "a/b/c"),
            ("./", ""),
            ("/", ""),
            ("", ""),
            ("a", "a"),
        ] {
            assert_eq!(relative(raw.as_bytes()).unwrap(), clean.as_bytes(), "{raw}");
        }
        assert_eq!(inside(b"//a/b").unwrap(), b"a/b");
    }

    #[test]
    fn hostile_names_are_refused() {
        assert_eq!(relative(b"/etc/passwd"), Err(PathError::Absolute));
        assert_eq!(relative(b"../x"), Err(PathError::Parent));
        assert_eq!(relative(b"a/../../x"), Err(PathError::Parent));
        assert_eq!(relative(b"a/.."), Err(PathError::Parent));
        assert_eq!(relative(b"a\0b"), Err(PathError::Nul));
        assert_eq!(relative(&[b'a'; 256]), Err(PathError::TooLong));
        assert_eq!(relative(&b"a/".repeat(2049)), Err(PathError::TooLong));
    }

    #[test]
    fn dots_in_names_are_names() {
        assert_eq!(relative(b"..a/...").unwrap(), b"..a/...");
    }
}
