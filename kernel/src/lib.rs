//! Makes the parts of a Hullkit kernel image out of what a distribution's
//! kernel package holds: the file `kernel`, which a boot loader or QEMU takes,
//! and the tree `kernel.tar`, which lands in the system image
//! (`lib/modules/RELEASE/…`).
//!
//! Nothing here reads a package or writes an image; that is `hull kernel
//! import`. One way leads through the crate:
//!
//! 1. [`PackageFiles`] takes the files that matter out of any package.
//! 2. [`Selection`] says which modules are wanted ([`select`]); what they need
//!    comes along ([`graph`]).
//! 3. [`PackageFiles::into_kernel`] unpacks the modules, cuts off what
//!    [`Options`] say is not needed, packs them again, makes the indexes that `modprobe` and Hullkit's init
//!    read ([`index`]), and gives a [`Kernel`].

pub mod btf;
mod compression;
mod error;
pub mod glob;
pub mod graph;
mod image;
pub mod index;
mod kernel;
pub mod modinfo;
mod package;
pub mod select;
pub mod signature;

pub use btf::Btf;
pub use compression::ModuleCompression;
pub use error::Error;
pub use image::Machine;
pub use kernel::{File, Kernel, Options};
pub use package::PackageFiles;
pub use select::Selection;
pub use signature::Signatures;
