//! Spec and images become one tree.
