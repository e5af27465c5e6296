//! Any text as a rules file.
//!
//! Neighbours: `fuzz/` feeds it what it thinks up, `mod` what was kept. A part of its own as each grammar is. Every
//! mistake and warning points at a line and column that the file has, and is drawn without a character that acts.

use std::path::Path;

use seatwatch::config::{Config, Problem, Problems};
use seatwatch::engine::time::Time;

/// 2026-11-22, a Sunday.
const NOW: Time = Time::from_millis(1_795_305_600_000);

pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // Nothing is where it names files.
    let problems = match Config::parse(text, "rules.toml", Path::new("/nonexistent"), NOW) {
        Ok(config) => {
            assert!(config.rules.iter().all(|rule| !rule.name.is_empty()));
            assert!(config.sources.iter().all(|source| source.users.len() <= text.len()));
            Problems { errors: Vec::new(), warnings: config.warnings }
        }
        Err(problems) => {
            assert!(!problems.errors.is_empty());
            problems
        }
    };
    let lines: Vec<&str> = text.split('\n').collect();
    problems.errors.iter().chain(&problems.warnings).for_each(|problem| in_place(problem, &lines));
    let drawn = problems.draw(false);
    assert!(drawn.chars().all(|c| c == '\n' || !c.is_control()), "{drawn:?}");
}

fn in_place(problem: &Problem, lines: &[&str]) {
    assert!(!problem.message.is_empty());
    if problem.file != "rules.toml" {
        return;
    }
    let Some(line) = problem.line.checked_sub(1).and_then(|line| lines.get(line)) else {
        panic!("line {} of {}: {problem}", problem.line, lines.len());
    };
    let columns = 1..=line.chars().count() + 1;
    assert!(columns.contains(&problem.column), "column {} of {line:?}: {problem}", problem.column);
}
