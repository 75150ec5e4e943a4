//! Work on all processors, its results in the order of what was worked on.

use std::num::NonZero;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// The variable that says how many threads work.
const THREADS: &str = "HULL_THREADS";

/// How many threads work: `HULL_THREADS`, else as many as there are processors
/// to run on.
#[must_use]
pub fn threads() -> usize {
    static COUNT: LazyLock<usize> = LazyLock::new(|| {
        let asked = std::env::var(THREADS).ok().and_then(|n| n.parse().ok());
        asked
            .or_else(|| thread::available_parallelism().ok())
            .map_or(1, NonZero::get)
    });
    *COUNT
}

/// Calls `work` on each of `items`, on [`threads`] threads; the results have
/// the items' order.
pub fn map<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut done = Vec::new();
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(n) else {
                return done;
            };
            done.push((n, work(item)));
        }
    };
    let mut results: Vec<(usize, R)> = thread::scope(|scope| {
        let others: Vec<_> = (1..threads().min(items.len()))
            .map(|_| scope.spawn(worker))
            .collect();
        let mut results = worker();
        for other in others {
            match other.join() {
                Ok(more) => results.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        results
    });
    results.sort_by_key(|(n, _)| *n);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn results_have_the_order_of_the_items() {
        let items: Vec<u32> = (0..1000).collect();
        let squares = super::map(&items, |n| n * n);
        assert!(squares.iter().zip(&items).all(|(s, n)| *s == n * n));
        assert!(super::map(&[0; 0], |n: &u32| *n).is_empty());
    }
}
