//! The core against a simulated machine. [`world`] plays the shell and checks
//! the rules after each step; [`histories`] makes it live through random and
//! through all short histories; [`cases`] are the ones that people ask about.

mod cases;
mod histories;
mod world;
