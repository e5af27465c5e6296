//! Signals against a naive computation.
