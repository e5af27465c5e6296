//! See `tests/it/fuzz/api_reply.rs`.
#![no_main]

#[path = "../../tests/it/fuzz/api_reply.rs"]
#[expect(dead_code, reason = "the body has two targets")]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::check_xml(data));
