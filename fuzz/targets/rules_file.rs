//! See `tests/it/fuzz/rules_file.rs`.
#![no_main]

#[path = "../../tests/it/fuzz/rules_file.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::check(data));
