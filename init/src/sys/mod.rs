//! System calls that no crate wraps in safe types, a file per family. All of
//! the crate's `unsafe` is here.
#![allow(unsafe_code)]

pub mod block;
pub mod clone;
pub mod datagram;
mod early;
pub mod environment;
pub mod fd;
#[cfg(test)]
pub mod fnmatch;
pub mod input;
pub mod listen;
pub mod pidfd;
pub mod rebirth;
pub mod rtc;
pub mod signals;
pub mod spawn;
pub mod wait;
pub mod watchdog;
