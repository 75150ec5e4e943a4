//! A stream of bytes as lines.

/// The longest line, in bytes; a longer one is cut into several.
pub(super) const MAX_LINE: usize = 8 * 1024;

/// What came of a stream since its last newline.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    partial: Vec<u8>,
}

impl Splitter {
    /// What came since the last newline.
    pub(super) fn partial(&self) -> &[u8] {
        &self.partial
    }

    /// Takes the next bytes, and calls `line` with each line that they end.
    pub(super) fn feed(&mut self, bytes: &[u8], mut line: impl FnMut(&[u8])) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            let (text, ended) = match piece.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (piece, false),
            };
            self.add(text, &mut line);
            if ended {
                self.end_line(&mut line);
            }
        }
    }

    fn add(&mut self, mut text: &[u8], line: &mut impl FnMut(&[u8])) {
        loop {
            let room = MAX_LINE - self.partial.len();
            let Some((now, later)) = text.split_at_checked(room) else {
                self.partial.extend_from_slice(text);
                return;
            };
            if later.is_empty() {
                self.partial.extend_from_slice(now);
                return;
            }
            self.partial.extend_from_slice(now);
            self.end_line(line);
            text = later;
        }
    }

    fn end_line(&mut self, line: &mut impl FnMut(&[u8])) {
        let text = self.partial.strip_suffix(b"\r").unwrap_or(&self.partial);
        line(text);
        // An idle stream keeps nothing.
        self.partial = Vec::new();
    }

    /// The stream has ended: so has its last line, if there is one.
    pub(super) fn end(&mut self, mut line: impl FnMut(&[u8])) {
        if !self.partial.is_empty() {
            self.end_line(&mut line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut splitter = Splitter::default();
        let mut lines = Vec::new();
        for piece in pieces {
            splitter.feed(piece, |line| lines.push(line.to_vec()));
        }
        splitter.end(|line| lines.push(line.to_vec()));
        lines
    }

    #[test]
    fn lines_in_pieces() {
        assert_eq!(
            lines(&[b"a\nb", b"c\r\n\nd"]),
            [&b"a"[..], b"bc", b"", b"d"]
        );
        assert_eq!(lines(&[b""]), [] as [&[u8]; 0]);
    }

    #[test]
    fn a_long_line_is_cut() {
        let long = vec![b'x'; 2 * MAX_LINE + 1];
        let lengths: Vec<usize> = lines(&[&long]).iter().map(Vec::len).collect();
        assert_eq!(lengths, [MAX_LINE, MAX_LINE, 1]);
        let exact = vec![b'x'; MAX_LINE];
        assert_eq!(lines(&[&exact, b"\n"]).len(), 1);
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(text in prop::collection::vec(0u8..14, 0..200), cuts: [u8; 3]) {
            let mut cuts: Vec<usize> = cuts.iter().map(|&c| usize::from(c) % (text.len() + 1)).collect();
            cuts.sort_unstable();
            let pieces = [&text[..cuts[0]], &text[cuts[0]..cuts[1]], &text[cuts[1]..cuts[2]], &text[cuts[2]..]];
            prop_assert_eq!(lines(&pieces), lines(&[&text]));
        }
    }
}
