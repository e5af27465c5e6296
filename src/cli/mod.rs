//! stub to be replaced by its owner

pub mod emulate;
