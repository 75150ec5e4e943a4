//! The YAML: read, checked, typed.
