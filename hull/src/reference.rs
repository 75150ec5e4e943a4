//! Image references, as Docker expands them.
