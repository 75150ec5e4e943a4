//! The event loop of PID 1.

use crate::boot::Booted;
use crate::plan::Plan;
use crate::supervise::End;

/// Runs the plan to the machine's end.
#[must_use]
pub fn run(_booted: Booted, _plan: Plan) -> End {
    End::Poweroff
}
