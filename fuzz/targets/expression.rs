//! See `tests/it/fuzz/expression.rs`.
#![no_main]

#[path = "../../tests/it/fuzz/expression.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::check(data));
