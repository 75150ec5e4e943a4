//! How long to wait before the next restart.

use hullkit_bundle::supervision::Backoff as Policy;

/// No delay is shorter than this, in milliseconds, whatever the policy says: a
/// service that dies at once must not keep the machine busy.
const FLOOR: u64 = 20;

/// How far an entry has backed off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Backoff {
    /// Restarts since it last ran for `reset`.
    restarts: u32,
}

/// The wait before a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Delay {
    /// In milliseconds.
    pub ms: u64,
    /// Whether it cannot grow any further: the entry fails again and again.
    pub exhausted: bool,
}

impl Backoff {
    /// That of an entry after so many restarts.
    pub(super) const fn after(restarts: u32) -> Self {
        Self { restarts }
    }

    /// What [`Self::after`] takes.
    pub(super) const fn restarts(self) -> u32 {
        self.restarts
    }

    /// The wait after a run of `ran_ms` milliseconds.
    pub(super) fn next(&mut self, policy: &Policy, ran_ms: u64) -> Delay {
        if ran_ms >= policy.reset {
            self.restarts = 0;
        }
        let max = policy.max.max(FLOOR);
        let mut ms = policy.initial.max(FLOOR).min(max);
        // Exact and bounded: it ends when the cap is reached, and a factor
        // that does not grow is not worth counting.
        for _ in 0..self.restarts {
            let grown = u128::from(ms) * u128::from(policy.factor_percent.max(100)) / 100;
            let grown = u64::try_from(grown).unwrap_or(u64::MAX).min(max);
            if grown == ms {
                break;
            }
            ms = grown;
        }
        let exhausted = self.restarts > 0 && ms == max;
        self.restarts = self.restarts.saturating_add(1);
        Delay { ms, exhausted }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn delays(policy: Policy, runs: &[u64]) -> Vec<u64> {
        let mut backoff = Backoff::default();
        runs.iter()
            .map(|&ran| backoff.next(&policy, ran).ms)
            .collect()
    }

    #[test]
    fn of_200_ms_doubled_up_to_30_s_where_nothing_is_said() {
        assert_eq!(
            delays(Policy::default(), &[0; 10]),
            [
                200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000
            ]
        );
    }

    #[test]
    fn doubles_up_to_its_cap() {
        let policy = Policy {
            initial: 200,
            max: 1000,
            ..Policy::default()
        };
        assert_eq!(delays(policy, &[0; 5]), [200, 400, 800, 1000, 1000]);
    }

    #[test]
    fn begins_again_after_a_healthy_run() {
        let policy = Policy::default();
        let reset = policy.reset;
        assert_eq!(
            delays(policy, &[0, 0, reset - 1, reset, 0]),
            [200, 400, 800, 200, 400]
        );
    }

    #[test]
    fn is_exhausted_at_the_cap_only() {
        let policy = Policy {
            initial: 500,
            max: 1000,
            ..Policy::default()
        };
        let mut backoff = Backoff::default();
        let exhausted: Vec<bool> = (0..3).map(|_| backoff.next(&policy, 0).exhausted).collect();
        assert_eq!(exhausted, [false, true, true]);
    }

    #[test]
    fn zero_does_not_spin() {
        let policy = Policy {
            initial: 0,
            max: 0,
            factor_percent: 0,
            reset: u64::MAX,
        };
        assert_eq!(delays(policy, &[0, 0]), [FLOOR, FLOOR]);
    }

    proptest! {
        #[test]
        fn never_above_the_cap_and_never_shrinking(
            initial: u64, max: u64, factor_percent: u32, n in 1usize..40,
        ) {
            let policy = Policy { initial, max, factor_percent, reset: u64::MAX };
            let delays = delays(policy, &vec![0; n]);
            prop_assert!(delays.iter().all(|&ms| ms <= max.max(FLOOR)));
            prop_assert!(delays.is_sorted());
        }
    }
}
