//! A package folder becomes an OCI image.
