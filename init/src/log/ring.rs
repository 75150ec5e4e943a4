//! The lines that the log process keeps: bounded for each container, so that
//! one that floods drives out only its own, and bounded in all.

use std::collections::VecDeque;

use hullkit_bundle::control::Stream;

/// The most bytes that are kept of one container, in [`cost`]s of its lines.
pub(super) const PER_CONTAINER: usize = 128 * 1024;

/// The most bytes that are kept of all containers.
pub(super) const IN_ALL: usize = 1024 * 1024;

/// Lines that a file on a disk has not got yet are kept until there are so
/// many times as many bytes of their container.
const HELD: usize = 4;

/// … and so many times as many of all containers.
const HELD_IN_ALL: usize = 2;

/// A line that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Counts all lines of all containers, from 1.
    pub(super) number: u64,
    /// Counts all lines of its container, from 0.
    pub(super) ordinal: u64,
    /// When it was read, in milliseconds since the Unix epoch.
    pub(super) time_ms: u64,
    /// The container's place in the process's list.
    pub(super) source: usize,
    /// Where it was written.
    pub(super) stream: Stream,
    /// Its bytes, without the newline.
    pub(super) text: Box<[u8]>,
}

/// What a line takes in memory: its bytes and about what is kept around them.
fn cost(line: &Line) -> usize {
    line.text.len() + size_of::<Line>()
}

/// The lines of one container.
#[derive(Debug, Default)]
struct Own {
    lines: VecDeque<Line>,
    bytes: usize,
    count: u64,
    /// The ordinal of the first line that is held for a file.
    held: Option<u64>,
}

impl Own {
    /// Whether its oldest line is not held.
    fn first_is_free(&self) -> bool {
        let first = self.lines.front();
        first.is_some_and(|line| self.held.is_none_or(|held| line.ordinal < held))
    }

    fn drop_first(&mut self) {
        if let Some(line) = self.lines.pop_front() {
            self.bytes -= cost(&line);
        }
    }
}

/// The lines of all containers.
#[derive(Debug)]
pub(super) struct Ring {
    per_container: usize,
    in_all: usize,
    own: Vec<Own>,
    next: u64,
}

impl Ring {
    pub(super) fn new(per_container: usize, in_all: usize) -> Self {
        Self {
            per_container,
            in_all,
            own: Vec::new(),
            next: 1,
        }
    }

    /// Keeps a line, and drops old ones for it.
    pub(super) fn push(&mut self, time_ms: u64, source: usize, stream: Stream, text: &[u8]) {
        self.make_place(source);
        if let Some(own) = self.own.get_mut(source) {
            let line = Line {
                number: self.next,
                ordinal: own.count,
                time_ms,
                source,
                stream,
                text: text.into(),
            };
            self.next += 1;
            own.count += 1;
            own.bytes += cost(&line);
            own.lines.push_back(line);
        }
        self.shrink(source);
    }

    /// Drops what is too much, of `source` and of all.
    fn shrink(&mut self, source: usize) {
        if let Some(own) = self.own.get_mut(source) {
            while own.bytes > self.per_container && own.first_is_free()
                || own.bytes > HELD * self.per_container
            {
                own.drop_first();
            }
        }
        loop {
            let bytes = self.own.iter().map(|own| own.bytes).sum::<usize>();
            let whichever = bytes > HELD_IN_ALL * self.in_all;
            // From whoever has most: a quiet container keeps what it said.
            let candidates = self.own.iter_mut();
            let largest = candidates
                .filter(|own| whichever || own.first_is_free())
                .max_by_key(|own| own.bytes);
            match largest {
                Some(largest) if bytes > self.in_all => largest.drop_first(),
                _ => return,
            }
        }
    }

    /// Holds the lines of a container from the ordinal `first` on, for a file
    /// that is to have them; lets those before it go.
    pub(super) fn hold(&mut self, source: usize, first: u64) {
        self.make_place(source);
        if let Some(own) = self.own.get_mut(source) {
            own.held = Some(first);
        }
        self.shrink(source);
    }

    /// Whether there is more of a container than there would be without a file.
    pub(super) fn is_behind(&self, source: usize) -> bool {
        let own = self.own.get(source);
        own.is_some_and(|own| own.bytes > self.per_container)
    }

    /// The lines of a container from the ordinal `first` on.
    pub(super) fn lines_from(&self, source: usize, first: u64) -> impl Iterator<Item = &Line> {
        let own = self.own.get(source);
        let at = own.map_or(0, |own| own.lines.partition_point(|l| l.ordinal < first));
        own.into_iter().flat_map(move |own| own.lines.range(at..))
    }

    fn make_place(&mut self, source: usize) {
        while self.own.len() <= source {
            self.own.push(Own::default());
        }
    }

    /// Says which ordinal the first line of a container has.
    pub(super) fn begin(&mut self, source: usize, ordinal: u64) {
        self.make_place(source);
        if let Some(own) = self.own.get_mut(source) {
            own.count = ordinal;
        }
    }

    /// How many lines of a container there have been.
    pub(super) fn count(&self, source: usize) -> u64 {
        self.own.get(source).map_or(0, |own| own.count)
    }

    /// The ordinal of a container's oldest line, or of its next one.
    pub(super) fn first_ordinal(&self, source: usize) -> u64 {
        let first = self.own.get(source).and_then(|own| own.lines.front());
        first.map_or_else(|| self.count(source), |line| line.ordinal)
    }

    /// All lines, in the order that they were read in.
    pub(super) fn all(&self) -> impl Iterator<Item = &Line> {
        let mut lines: Vec<&Line> = self.own.iter().flat_map(|own| &own.lines).collect();
        lines.sort_unstable_by_key(|line| line.number);
        lines.into_iter()
    }

    /// The last lines, at most `count`, that a container wrote to its standard
    /// error from the ordinal `since` on.
    pub(super) fn last_words(&self, source: usize, since: u64, count: usize) -> Vec<&Line> {
        let lines = self.own.get(source).into_iter().flat_map(|own| &own.lines);
        let mut words: Vec<&Line> = lines
            .rev()
            .take_while(|line| line.ordinal >= since)
            .filter(|line| line.stream == Stream::Stderr && !line.text.is_empty())
            .take(count)
            .collect();
        words.reverse();
        words
    }

    /// The first line numbered at least `from`, of one of `wanted`.
    pub(super) fn next_line(&self, from: u64, wanted: impl Fn(usize) -> bool) -> Option<&Line> {
        let own = self
            .own
            .iter()
            .enumerate()
            .filter(|(source, _)| wanted(*source));
        own.filter_map(|(_, own)| {
            let at = own.lines.partition_point(|line| line.number < from);
            own.lines.get(at)
        })
        .min_by_key(|line| line.number)
    }

    /// The number from which on there are `count` lines of `wanted`, or all
    /// that there are.
    pub(super) fn last(&self, count: usize, wanted: impl Fn(usize) -> bool) -> u64 {
        let own = self
            .own
            .iter()
            .enumerate()
            .filter(|(source, _)| wanted(*source));
        let mut numbers: Vec<u64> = own
            .flat_map(|(_, own)| own.lines.iter().rev().take(count))
            .map(|line| line.number)
            .collect();
        numbers.sort_unstable_by(|a, b| b.cmp(a));
        match count.checked_sub(1) {
            Some(at) => numbers
                .get(at)
                .or(numbers.last())
                .copied()
                .unwrap_or(self.next),
            None => self.next,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(line: &Line) -> &str {
        std::str::from_utf8(&line.text).unwrap()
    }

    fn all(ring: &Ring, wanted: impl Fn(usize) -> bool + Copy) -> Vec<String> {
        let mut from = 0;
        let mut lines = Vec::new();
        while let Some(line) = ring.next_line(from, wanted) {
            lines.push(text(line).to_owned());
            from = line.number + 1;
        }
        lines
    }

    #[test]
    fn lines_of_several_come_in_the_order_that_they_were_read_in() {
        let mut ring = Ring::new(1 << 20, 1 << 20);
        for (source, text) in [(0, "a"), (1, "b"), (0, "c"), (2, "d")] {
            ring.push(0, source, Stream::Stdout, text.as_bytes());
        }
        assert_eq!(all(&ring, |_| true), ["a", "b", "c", "d"]);
        assert_eq!(all(&ring, |source| source != 0), ["b", "d"]);
    }

    #[test]
    fn the_last_lines() {
        let mut ring = Ring::new(1 << 20, 1 << 20);
        for n in 0..10 {
            ring.push(0, n % 2, Stream::Stdout, n.to_string().as_bytes());
        }
        let last = |count, wanted: fn(usize) -> bool| {
            let from = ring.last(count, wanted);
            let mut lines = 0;
            let mut at = from;
            while let Some(line) = ring.next_line(at, wanted) {
                lines += 1;
                at = line.number + 1;
            }
            lines
        };
        assert_eq!(last(3, |_| true), 3);
        assert_eq!(last(3, |source| source == 1), 3);
        assert_eq!(last(100, |source| source == 1), 5);
        assert_eq!(last(0, |_| true), 0);
    }

    #[test]
    fn the_last_words_of_a_run() {
        let mut ring = Ring::new(1 << 20, 1 << 20);
        for (stream, text) in [
            (Stream::Stderr, "old"),
            (Stream::Stderr, "a"),
            (Stream::Stdout, "b"),
            (Stream::Stderr, "c"),
            (Stream::Stderr, ""),
            (Stream::Stderr, "d"),
        ] {
            ring.push(0, 0, stream, text.as_bytes());
        }
        let words = |since, count| {
            let words = ring.last_words(0, since, count);
            words.into_iter().map(text).collect::<Vec<_>>()
        };
        assert_eq!(words(1, 9), ["a", "c", "d"]);
        assert_eq!(words(1, 2), ["c", "d"]);
        assert!(words(6, 9).is_empty());
    }

    #[test]
    fn a_flood_drives_out_only_its_own() {
        let mut ring = Ring::new(4096, 1 << 20);
        ring.push(0, 0, Stream::Stdout, b"quiet");
        for _ in 0..1000 {
            ring.push(0, 1, Stream::Stdout, b"flood");
        }
        assert_eq!(all(&ring, |source| source == 0), ["quiet"]);
        let first = ring.next_line(0, |source| source == 1).unwrap();
        assert_eq!(
            first.ordinal + all(&ring, |source| source == 1).len() as u64,
            1000
        );
    }

    #[test]
    fn what_a_file_waits_for_stays_longer() {
        let mut ring = Ring::new(1000, 10_000);
        ring.hold(0, 0);
        let push = |ring: &mut Ring, count| {
            for _ in 0..count {
                ring.push(0, 0, Stream::Stdout, &[b'x'; 100 - size_of::<Line>()]);
            }
        };
        push(&mut ring, 30);
        assert!(ring.is_behind(0));
        assert_eq!(ring.first_ordinal(0), 0);
        ring.hold(0, 25);
        assert!(!ring.is_behind(0));
        assert_eq!(ring.first_ordinal(0), 20);
        assert_eq!(ring.lines_from(0, 25).count(), 5);
        // Not for ever.
        push(&mut ring, 100);
        assert_eq!(ring.first_ordinal(0), 130 - 40);
        assert_eq!(ring.lines_from(0, 25).next().unwrap().ordinal, 90);
        // Nor at the cost of all others.
        let mut ring = Ring::new(1000, 2000);
        for source in 0..5 {
            ring.hold(source, 0);
            ring.push(0, source, Stream::Stdout, &[b'x'; 900]);
        }
        let bytes: usize = ring.own.iter().map(|own| own.bytes).sum();
        assert!(bytes <= 4000, "{bytes}");
    }

    proptest! {
        #[test]
        fn never_above_its_bounds(lines in prop::collection::vec((0usize..5, 0usize..600), 0..300)) {
            let mut ring = Ring::new(2000, 5000);
            for (source, length) in lines {
                ring.push(0, source, Stream::Stderr, &vec![b'x'; length]);
                let own: Vec<usize> = ring.own.iter().map(|own| own.bytes).collect();
                prop_assert!(own.iter().all(|&bytes| bytes <= 2000));
                prop_assert!(own.iter().sum::<usize>() <= 5000);
                for own in &ring.own {
                    prop_assert_eq!(own.bytes, own.lines.iter().map(cost).sum::<usize>());
                }
            }
        }
    }
}
