//! What a service's failure means beyond itself: no further start, or the end
//! of the machine.

use hullkit_bundle::supervision::Measure;

use super::{Entry, State, Why};
use crate::supervise::action::End;
use crate::supervise::time::Time;

impl Entry {
    /// Remembers a start, where there is a limit to them.
    pub(super) fn count_start(&mut self, now: Time) {
        let burst = self.spec.supervision.start_limit.burst;
        if burst > 0 {
            if self.starts.len() >= usize::try_from(burst).unwrap_or(usize::MAX) {
                self.starts.pop_front();
            }
            self.starts.push_back(now);
        }
    }

    /// Whether it has used up its starts.
    pub(super) fn is_start_limited(&self, now: Time) -> bool {
        let limit = &self.spec.supervision.start_limit;
        let all = u32::try_from(self.starts.len()).is_ok_and(|starts| starts >= limit.burst);
        let first = self.starts.front();
        limit.burst > 0 && all && first.is_some_and(|first| now.since(*first) <= limit.interval)
    }

    /// Puts what is known of a failure into the one line for people.
    pub(super) fn explain(&mut self, limited: bool) {
        if self.error.is_none() {
            self.error = self.watch.take_said();
        }
        if limited {
            let limit = &self.spec.supervision.start_limit;
            let (burst, ms) = (limit.burst, limit.interval);
            let before = self.error.take();
            let before = before.map_or_else(String::new, |error| format!("{error}; "));
            self.error = Some(format!(
                "{before}started {burst} times within {ms} ms, which is its limit"
            ));
        }
    }

    /// Asks for the machine's end, where `measure` is that.
    pub(super) fn demand_if_wanted(&mut self, measure: Measure) {
        let asked = matches!(
            self.state,
            State::Stopping {
                why: Why::Asked,
                ..
            }
        );
        if self.wanted && !asked {
            self.demand = match measure {
                Measure::Reboot => Some(End::Reboot),
                Measure::Poweroff => Some(End::Poweroff),
                Measure::None | Measure::Restart | Measure::Stop => self.demand,
            };
        }
    }

    /// The final failure of a critical entry reboots the machine.
    pub(super) fn demand_if_critical(&mut self) {
        if self.spec.supervision.critical && self.state == State::Failed {
            self.demand.get_or_insert(End::Reboot);
        }
    }
}
