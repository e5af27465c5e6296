//! Fake neighbours on the loopback, for tests of more than one module.

pub(crate) mod http;
pub(crate) mod smtp;
