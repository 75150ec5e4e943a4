//! The builder of Hullkit: YAML and OCI images in, a bootable system out.
//!
//! Data flows one way: [`spec`] reads the YAML, [`source`] and [`store`] find
//! the images it names, [`compose`] makes each entry's `config.json`,
//! [`assemble`] lays everything out in one [`tree`], and [`output`] writes the
//! tree in the formats that were asked for. [`run`] boots the result.

pub mod arch;
pub mod assemble;
pub mod atomic;
pub mod cache;
pub mod cli;
pub mod compose;
pub mod deb;
pub mod digest;
pub mod export;
pub mod layer;
pub mod lock;
pub mod output;
pub mod parallel;
pub mod pkg;
pub mod reference;
pub mod registry;
pub mod run;
pub mod seccomp;
pub mod signature;
pub mod source;
pub mod spec;
pub mod store;
pub mod system;
pub mod tree;
