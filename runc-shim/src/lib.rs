//! Hullkit's OCI runtime as a library; the program `runc-shim` is its command
//! line.
//!
//! `config.json` is read once into checked values ([`spec`]); a plan, a list of
//! steps, is made of them without touching the system ([`plan`]); one process
//! is born into its namespaces and its cgroup ([`cgroup`]) and carries the
//! plan out ([`exec`]); what is known of a container is kept in a file
//! ([`state`]). `docs/runtime.md` tells the whole story.

pub mod cgroup;
pub mod cli;
pub mod error;
pub mod exec;
pub mod netdev;
pub mod plan;
pub mod resctrl;
pub mod seccomp;
pub mod spec;
pub mod state;
pub mod sys;
