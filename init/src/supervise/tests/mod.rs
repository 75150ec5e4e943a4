//! The core against a simulated machine. [`world`] plays the shell and checks
//! the rules after each step; [`histories`] makes it live through random and
//! through all short histories; [`truth`] is what follows from what services do, and
//! [`sabotage`] breaks each rule and sees it found. [`cases`] are the ones that
//! people ask about.

mod cases;
mod histories;
mod sabotage;
mod truth;
mod world;
