//! Hullkit's PID 1, its log process and its control client.
//!
//! What PID 1 does, in order, is [`pid1`]. The kernel's side of the machine is
//! made by [`boot`]; the bundles of the image become a [`plan`]; the pure core
//! [`supervise`] decides what happens to them and the [`event_loop`] carries it
//! out, with [`bundle_setup`] around each container, [`notify`] for what services
//! say of themselves and [`control`] for [`hullctl`]; [`shutdown`] ends the
//! machine. [`log`] and [`probe`] are processes of their own.

pub mod boot;
pub mod bundle_setup;
pub mod cmdline;
pub mod console;
pub mod control;
pub mod disks;
pub mod error;
mod escape;
pub mod event_loop;
pub mod hand_over;
pub mod hullctl;
pub mod klog;
pub mod last_resort;
pub mod life;
pub mod log;
pub mod modules;
mod mount_point;
pub mod net;
pub mod notify;
pub mod pid1;
pub mod plan;
pub mod probe;
pub mod ready;
pub mod shutdown;
pub mod supervise;
pub mod sys;
pub mod uevent;

pub use error::Error;
