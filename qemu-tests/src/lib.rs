//! Boots real images in QEMU and asks them questions.
//!
//! A [`case::Case`] is YAML and a function. The [`suite`] puts the YAML of
//! many cases into one image where it can, has the real `hull` build it
//! ([`image`]), boots it with a time limit ([`guest`]) and runs each case's
//! function as a test of its own. A function asks the guest through the
//! [`agent`], a program in the image, over a virtio-serial port; it reads the
//! kernel log's `hullkit:` lines as [`event`]s, which the serial [`console`]
//! collects with their times; and it speaks to QEMU itself over [`qmp`].
//!
//! [`bench`] measures the same images in virtual time.
//!
//! Nothing here waits without a deadline, and no guest outlives its
//! [`guest::Guest`].

pub mod agent;
pub mod bench;
pub mod case;
pub mod console;
pub mod cpio;
pub mod disk;
pub mod event;
pub mod guest;
pub mod image;
pub mod places;
pub mod qemu;
pub mod qmp;
pub mod resp;
pub mod soak;
pub mod suite;
mod watched;
