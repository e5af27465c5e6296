//! Fake neighbours on the loopback, for tests of more than one module.
//! Neighbours: the test modules beside it. A part of its own so that none of them carries its own servers.

pub(crate) mod authority;
pub(crate) mod hostile;
pub(crate) mod http;
pub(crate) mod metadata;
pub(crate) mod sdk;
pub(crate) mod smtp;
