//! The default seccomp profile, which knows an entry's capabilities.
