//! The patterns of `modules.alias`, matched as `fnmatch(3)` does without
//! flags, except that `-` and `_` are the same, as everywhere in module names.

/// `-` and `_` are the same in the names of modules and in aliases.
#[must_use]
pub fn fold(byte: u8) -> u8 {
    if byte == b'-' { b'_' } else { byte }
}

/// The part of `pattern` before its first special character. What matches
/// the pattern begins with it.
#[must_use]
pub fn literal(pattern: &[u8]) -> &[u8] {
    let end = pattern
        .iter()
        .position(|b| matches!(b, b'*' | b'?' | b'[' | b'\\'));
    pattern
        .get(..end.unwrap_or(pattern.len()))
        .unwrap_or(pattern)
}

/// Whether `pattern` matches the whole of `text`.
///
/// Time is at most the product of their lengths, whatever they are.
#[must_use]
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut pattern, mut text) = (pattern, text);
    // Behind the last `*`, and the text that it has not eaten yet.
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        if let [b'*', rest @ ..] = pattern {
            retry = Some((rest, text));
            pattern = rest;
            continue;
        }
        let stepped = match text {
            [] if pattern.is_empty() => return true,
            [] => return false,
            [byte, rest @ ..] => one(pattern, *byte).map(|behind| (behind, rest)),
        };
        if let Some(next) = stepped {
            (pattern, text) = next;
            continue;
        }
        let Some((behind, [_, rest @ ..])) = retry else {
            return false;
        };
        retry = Some((behind, rest));
        (pattern, text) = (behind, rest);
    }
}

/// What is left of `pattern` when its first element (not `*`) matches `byte`.
fn one(pattern: &[u8], byte: u8) -> Option<&[u8]> {
    match pattern {
        [] => None,
        [b'?', rest @ ..] => Some(rest),
        [b'[', rest @ ..] => match bracket(rest, byte) {
            Some((matched, behind)) => matched.then_some(behind),
            // Never closed: an ordinary character.
            None => (byte == b'[').then_some(rest),
        },
        [b'\\', escaped, rest @ ..] => (fold(*escaped) == fold(byte)).then_some(rest),
        [literal, rest @ ..] => (fold(*literal) == fold(byte)).then_some(rest),
    }
}

/// Whether `byte` is in the bracket expression whose inside begins `inside`,
/// and what follows it; `None` where it is never closed.
fn bracket(inside: &[u8], byte: u8) -> Option<(bool, &[u8])> {
    let (negated, mut rest) = match inside {
        [b'!' | b'^', rest @ ..] => (true, rest),
        _ => (false, inside),
    };
    let mut matched = false;
    let mut first = true;
    loop {
        let (low, high);
        (low, high, rest) = match rest {
            [] => return None,
            [b']', behind @ ..] if !first => return Some((matched != negated, behind)),
            [low, b'-', high, behind @ ..] if *high != b']' => (*low, *high, behind),
            [low, behind @ ..] => (*low, *low, behind),
        };
        matched |= (low..=high).contains(&byte);
        first = false;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matching(pattern: &str, text: &str) -> bool {
        matches(pattern.as_bytes(), text.as_bytes())
    }

    #[test]
    fn device_aliases() {
        assert!(matching(
            "pci:v00001AF4d*sv*sd*bc*sc*i*",
            "pci:v00001AF4d00001000sv00001AF4sd00000001bc02sc00i00"
        ));
        assert!(!matching(
            "pci:v00001AF4d*sv*sd*bc*sc*i*",
            "pci:v00008086d00001000sv00001AF4sd00000001bc02sc00i00"
        ));
        assert!(matching("virtio:d00000001v*", "virtio:d00000001v00001AF4"));
        assert!(matching("acpi*:PNP0501:*", "acpi:PNP0501:"));
        assert!(matching(
            "of:N*T*Cvirtio,mmio",
            "of:NvirtioT(null)Cvirtio,mmio"
        ));
        assert!(matching(
            "usb:v*p*d*dc*dsc*dp*ic[0-3]isc*ip*in*",
            "usb:v1p2d3dc4dsc5dp6ic2isc1ip1in1"
        ));
    }

    #[test]
    fn dashes_are_underscores_outside_of_brackets() {
        assert!(matching("crypto-crc32c", "crypto_crc32c"));
        assert!(matching("a_b", "a-b"));
        assert!(!matching("[-]", "_"));
    }

    #[test]
    fn brackets() {
        assert!(matching("[!a]", "b") && matching("[^a]", "b"));
        assert!(!matching("[!a]", "a"));
        assert!(matching("[]a]", "]"));
        assert!(matching("[a-]", "-"));
        assert!(matching("[a", "[a"));
    }

    #[test]
    fn literal_part() {
        assert_eq!(literal(b"pci:v0*d"), b"pci:v0");
        assert_eq!(literal(b"fs-overlay"), b"fs-overlay");
        assert_eq!(literal(b"[ab]"), b"");
    }

    /// The definition, without a thought for time.
    fn reference(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern, text) {
            ([], []) => true,
            ([b'*', rest @ ..], _) => (0..=text.len()).any(|n| reference(rest, &text[n..])),
            (_, []) | ([], _) => false,
            (_, [byte, behind @ ..]) => {
                one(pattern, *byte).is_some_and(|rest| reference(rest, behind))
            }
        }
    }

    proptest! {
        #[test]
        fn as_the_definition_says(pattern in "[ab*?_-]{0,10}", text in "[ab_-]{0,12}") {
            prop_assert_eq!(
                matching(&pattern, &text),
                reference(pattern.as_bytes(), text.as_bytes())
            );
        }

        /// Against another program's opinion: the C library's.
        #[test]
        fn as_the_c_library_says(pattern in "[ab*?!^\\]\\[-]{0,8}", text in "[ab!]{0,8}") {
            prop_assert_eq!(
                matching(&pattern, &text),
                crate::sys::fnmatch::matches(&pattern, &text),
                "{} {}", pattern, text
            );
        }

        #[test]
        fn what_matches_begins_with_the_literal_part(
            pattern in "[ab]{0,3}[*?][ab*?]{0,3}", text in "[ab]{0,8}"
        ) {
            if matching(&pattern, &text) {
                prop_assert!(text.as_bytes().starts_with(literal(pattern.as_bytes())));
            }
        }
    }

    #[test]
    fn many_stars_end_in_time() {
        let pattern = "*a".repeat(2000);
        let text = "a".repeat(1999) + "b";
        assert!(!matching(&pattern, &text));
    }
}
