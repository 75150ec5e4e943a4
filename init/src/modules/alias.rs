//! `modules.alias`: which modules say that they drive a device, or provide a
//! name (`fs-overlay`, `crypto-crc32c`).

use super::glob;

/// Names to look up at once: one pass through the file answers all of them.
///
/// The file has thousands of lines and each boot asks for some dozens of
/// names, once: sorted names and a binary search per line cost less than any
/// index of the file would cost to make.
#[derive(Debug, Default)]
pub struct Wanted(Vec<Vec<u8>>);

impl Wanted {
    /// Looks for `names`.
    pub fn new<T: AsRef<[u8]>>(names: impl IntoIterator<Item = T>) -> Self {
        let mut names: Vec<Vec<u8>> = names
            .into_iter()
            .map(|name| name.as_ref().iter().map(|b| glob::fold(*b)).collect())
            .collect();
        names.sort_unstable();
        names.dedup();
        Self(names)
    }

    /// Whether one of the names matches `pattern`.
    fn any(&self, pattern: &[u8]) -> bool {
        let mut buffer = [0; 64];
        let literal = folded(glob::literal(pattern), &mut buffer);
        let start = self.0.partition_point(|name| name.as_slice() < literal);
        let candidates = self.0.get(start..).unwrap_or_default().iter();
        candidates
            .take_while(|name| name.starts_with(literal))
            .any(|name| glob::matches(pattern, name))
    }
}

/// The beginning of `name` with `_` for `-`, in `buffer`: as much as fits.
fn folded<'a>(name: &[u8], buffer: &'a mut [u8; 64]) -> &'a [u8] {
    for (to, from) in buffer.iter_mut().zip(name) {
        *to = glob::fold(*from);
    }
    buffer.get(..name.len()).unwrap_or(buffer)
}

/// The modules that the lines `alias PATTERN MODULE` of `text` give for
/// `wanted`, in the file's order, each once.
#[must_use]
pub fn modules<'a>(text: &'a str, wanted: &Wanted) -> Vec<&'a str> {
    let mut found: Vec<&str> = Vec::new();
    if wanted.0.is_empty() {
        return found;
    }
    for line in text.split('\n') {
        let words = line.strip_prefix("alias ").and_then(|l| l.split_once(' '));
        if let Some((pattern, module)) = words
            && wanted.any(pattern.as_bytes())
            && !found.contains(&module)
        {
            found.push(module);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "\
# Aliases extracted from modules themselves.
alias virtio:d00000001v* virtio_net
alias virtio:d00000002v* virtio_blk
alias fs-overlay overlay
alias crypto-crc32c crc32c_generic
alias crypto-crc32c crc32c-intel
alias virtio:d0000000[12]v* both
alias broken
";

    #[test]
    fn names_are_found_in_the_files_order_and_once() {
        let wanted = Wanted::new(["virtio:d00000002v1", "virtio:d00000001v1"]);
        assert_eq!(modules(TEXT, &wanted), ["virtio_net", "virtio_blk", "both"]);
        let wanted = Wanted::new(["crypto_crc32c"]);
        assert_eq!(modules(TEXT, &wanted), ["crc32c_generic", "crc32c-intel"]);
        assert_eq!(modules(TEXT, &Wanted::new(["fs-overlay"])), ["overlay"]);
        assert_eq!(modules(TEXT, &Wanted::new(["fs-xfs"])), [""; 0]);
        assert_eq!(modules(TEXT, &Wanted::default()), [""; 0]);
    }

    proptest! {
        #[test]
        fn a_long_name_is_found(name in "[a-]{60,80}") {
            prop_assert!(Wanted::new([&name]).any(name.as_bytes()));
        }

        #[test]
        fn the_search_finds_what_trying_each_name_finds(
            pattern in "[ab*?-]{0,5}", names in prop::collection::vec("[ab_-]{0,5}", 0..6)
        ) {
            let each = names.iter().any(|n| glob::matches(pattern.as_bytes(), n.as_bytes()));
            prop_assert_eq!(Wanted::new(&names).any(pattern.as_bytes()), each);
        }
    }
}
