//! Shell patterns, as far as module lists and module aliases use them.

/// Whether `text` is one that `pattern` stands for. `*` is any run of
/// characters (`/` too), `?` any one, `[a-z]` one of a set, `[!a-z]` one that
/// is not; a `[` that is not closed stands for itself (`fnmatch(3)` without
/// flags).
///
/// Takes time in proportion to the product of both lengths at worst.
#[must_use]
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where to go on when the last `*` has to take one character more.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p + 1, t));
            p += 1;
        } else if let Some(next) = pattern.get(p).and_then(|_| one(pattern, p, text[t])) {
            p = next;
            t += 1;
        } else if let Some((after, taken)) = star {
            star = Some((after, taken + 1));
            p = after;
            t = taken + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

/// Matches `byte` against the single-character pattern at `p`; gives where the
/// pattern goes on.
fn one(pattern: &[u8], p: usize, byte: u8) -> Option<usize> {
    match pattern[p] {
        b'?' => Some(p + 1),
        b'[' => match set(&pattern[p + 1..], byte) {
            Some((true, length)) => Some(p + 1 + length),
            Some((false, _)) => None,
            None => (byte == b'[').then_some(p + 1),
        },
        literal => (literal == byte).then_some(p + 1),
    }
}

/// Whether `byte` is in the set that begins after its `[`, and the set's length
/// with its `]`; none if it is not closed.
fn set(rest: &[u8], byte: u8) -> Option<(bool, usize)> {
    let negated = matches!(rest.first(), Some(b'!' | b'^'));
    let begin = usize::from(negated);
    // A `]` that comes first is a member.
    let end = begin + 1 + rest.get(begin + 1..)?.iter().position(|&b| b == b']')?;
    let members = &rest[begin..end];
    let mut found = false;
    let mut i = 0;
    while i < members.len() {
        if i + 2 < members.len() && members[i + 1] == b'-' {
            found |= (members[i]..=members[i + 2]).contains(&byte);
            i += 3;
        } else {
            found |= members[i] == byte;
            i += 1;
        }
    }
    Some((found != negated, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("a*b*c", "a--b-b-c", true),
            ("a*b*c", "a--b-b-", false),
            ("virtio:d00000001v*", "virtio:d00000001v00001AF4", true),
            ("usb:v0951p1[6-7A]*", "usb:v0951p1A0", true),
            ("usb:v0951p1[6-7A]*", "usb:v0951p180", false),
            ("[!a]x", "bx", true),
            ("[!a]x", "ax", false),
            ("[]]", "]", true),
            ("a[", "a[", true),
            ("a[b", "a[b", true),
            ("?", "", false),
            ("?b", "ab", true),
            ("[a-]", "-", true),
            ("kernel/fs/*.ko", "kernel/fs/nls/x.ko", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_literal_matches_itself_only(text in "[a-z:0-9]{0,12}", other in "[a-z:0-9]{0,12}") {
            assert!(matches(&text, &text));
            assert_eq!(matches(&text, &other), text == other);
        }

        #[test]
        fn a_star_takes_what_was_cut_out(text in "[a-z]{1,20}", from in 0usize..20, to in 0usize..20) {
            let (from, to) = (from.min(text.len()), to.min(text.len()));
            if from <= to {
                let pattern = format!("{}*{}", &text[..from], &text[to..]);
                assert!(matches(&pattern, &text));
            }
        }

        #[test]
        fn any_pattern_is_survived(pattern in "[]!*?a-c\\[-]{0,12}", text in "[a-c\\]\\[-]{0,12}") {
            let _ = matches(&pattern, &text);
        }
    }
}
