//! The integration tests, one binary; modules in reading order. `tests/run` runs them, with the neighbours that
//! they need; each fake neighbour is a socket on loopback.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

mod agent;
mod canaries;
mod channels;
mod client;
mod commands;
mod commands_act;
mod credentials;
mod delivery;
mod dist;
mod docs;
mod emulator;
mod evidence;
mod faults;
mod fuzz;
mod hardship;
mod injection;
mod letters;
mod lifecycle;
mod load;
mod mail;
mod network;
mod played;
mod process;
mod reloads;
mod restarts;
mod roster;
mod sdk;
mod semantics;
mod signals;
mod store;
mod support;
mod tidy;
mod upgrade;
mod usual;
mod webhook;
mod world;
