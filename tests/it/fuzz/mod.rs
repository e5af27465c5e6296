//! What the fuzzers found worth keeping, played again: every input of `fuzz/corpus`, through the same bodies.
//!
//! Neighbours: a body per grammar beside this file, `fuzz/targets` for libFuzzer. A part of its own so that what was found
//! once stays mended without a fuzzer, and so that a body cannot break without a test that says so.

mod api_reply;
mod expression;
mod rules_file;
mod schedule;
mod smtp_reply;
mod webhook_reply;

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;
use std::time::{Duration, Instant};

type Body = fn(&[u8]);

const TARGETS: [(&str, Body); 7] = [
    ("api_reply_json", api_reply::check_json),
    ("api_reply_xml", api_reply::check_xml),
    ("rules_file", rules_file::check),
    ("expression", expression::check),
    ("schedule", schedule::check),
    ("smtp_reply", smtp_reply::check),
    ("webhook_reply", webhook_reply::check),
];

/// One input may take this long, on a busy machine and without optimisation; the fuzzer allows one second.
const LONGEST: Duration = Duration::from_secs(20);

#[test]
fn the_corpus_is_played_again() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut inputs, mut bytes) = (0, 0);
    for (name, body) in TARGETS {
        let folder = root.join("fuzz/corpus").join(name);
        let files = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        let mut of_target = 0;
        for file in files {
            let path = file.unwrap().path();
            let data = fs::read(&path).unwrap();
            let began = Instant::now();
            assert!(catch_unwind(|| body(&data)).is_ok(), "{name} breaks on {}", path.display());
            assert!(began.elapsed() < LONGEST, "{name} takes {:?} for {}", began.elapsed(), path.display());
            of_target += 1;
            bytes += data.len();
        }
        assert!(of_target > 5, "{name} has {of_target} inputs");
        inputs += of_target;
    }
    assert!(inputs <= 400 && bytes <= 1 << 20, "{inputs} inputs of {bytes} bytes: minimise them");
    fs::create_dir_all(root.join("target/proven")).unwrap();
    let text = format!("corpus: {inputs} inputs for {} fuzz targets played again\n", TARGETS.len());
    fs::write(root.join("target/proven/corpus"), text).unwrap();
}

#[test]
fn every_target_of_the_fuzzer_has_a_body_and_a_corpus() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest: toml::Table = fs::read_to_string(root.join("fuzz/Cargo.toml")).unwrap().parse().unwrap();
    let bins = manifest["bin"].as_array().unwrap();
    let named: Vec<&str> = bins.iter().map(|bin| bin["name"].as_str().unwrap()).collect();
    assert_eq!(named, TARGETS.map(|(name, _)| name));
    for bin in bins {
        let text = fs::read_to_string(root.join("fuzz").join(bin["path"].as_str().unwrap())).unwrap();
        assert!(text.contains("../../tests/it/fuzz/") && text.contains("body::check"), "{bin}");
    }
    for name in named {
        for page in ["README.md", "README.zh-CN.md"] {
            let text = fs::read_to_string(root.join(page)).unwrap();
            assert!(text.contains(&format!("`{name}`")), "{page} does not name {name}");
        }
    }
}
