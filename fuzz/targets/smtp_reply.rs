//! See `tests/it/fuzz/smtp_reply.rs`.
#![no_main]

#[path = "../../tests/it/fuzz/smtp_reply.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::check(data));
