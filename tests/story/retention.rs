//! What is too old goes, a slice at a time, and nothing else does.
