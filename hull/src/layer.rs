//! Image layers: tar streams in and out of a tree.
