//! See `tests/it/fuzz/schedule.rs`.
#![no_main]

#[path = "../../tests/it/fuzz/schedule.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::check(data));
