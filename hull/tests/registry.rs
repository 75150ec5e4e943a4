//! Registries: the real one of the distribution project (Debian's
//! `docker-registry`), and one that does everything wrong.

#![allow(missing_docs, unreachable_pub, reason = "a test")]

#[path = "registry/hostile.rs"]
mod hostile;
#[path = "registry/pinned.rs"]
mod pinned;
#[path = "registry/real.rs"]
mod real;
#[path = "registry/scene.rs"]
mod scene;
#[path = "registry/server.rs"]
mod server;
