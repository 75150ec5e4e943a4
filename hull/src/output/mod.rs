//! A tree becomes files to boot from.
