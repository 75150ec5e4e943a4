//! PID 1's own life: what it leaves for the next one, and how that begins.
//!
//! 1. While it lives, the event loop keeps a [`snapshot`] of its state in
//!    memory that outlives the program (`memfd_create(2)`), as [`record`]s.
//! 2. When it fails (a panic, a fault), or is asked to (`hullctl reexec`),
//!    [`crate::sys::rebirth`] executes the program again, with nothing but
//!    that memory, its descriptors and its children. This takes no allocation
//!    and no lock: what failed may have left both in any state.
//! 3. The next life reads the [`state`] and goes on: the same processes, the
//!    same pipes, the same sockets.
//!
//! `docs/supervision.md`, "PID 1 itself", tells it to people.

pub mod cause;
pub mod inherited;
pub mod record;
pub mod snapshot;
pub mod state;
