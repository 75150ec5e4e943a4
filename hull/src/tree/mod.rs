//! The virtual root filesystem.
