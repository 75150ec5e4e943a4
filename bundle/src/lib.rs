//! What the builder (`hull`) and the guest (`init`) must agree on, and nothing
//! else: where things lie in a system image ([`layout`]), how a root on a disk
//! is found ([`root`]), what a bundle says beside its OCI `config.json`
//! ([`runtime`], [`supervision`]), how a client talks to PID 1 ([`control`]),
//! and how a moment is written in all of it ([`time`]).

pub mod control;
pub mod layout;
pub mod root;
pub mod runtime;
pub mod socket;
pub mod supervision;
pub mod time;

pub use runtime::RuntimeConfig;
pub use supervision::Supervision;
