//! The integration tests, one binary; modules in reading order.
mod emulator;
mod lifecycle;
mod mail;
mod support;
mod webhook;
