//! LinuxKit's rules beyond its recorded results (`oracle.rs`), and ours.

mod rules {
    mod linuxkit;
    mod logged;
    mod ours;
    mod refused;
    mod scene;
    mod watched;
}
