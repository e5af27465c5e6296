//! Any text as a condition.
//!
//! Neighbours: `fuzz/` feeds it what it thinks up, `mod` what was kept. A part of its own as each grammar is. A
//! mistake points into the text; a condition that compiles is printed so that it reads back as the same condition,
//! which says the same of any subject.

use seatwatch::engine::lang::{self, LangError, Program, Signal, Truth};
use seatwatch::engine::rule::Per;

/// What subjects may show, `NaN` being no value.
const VALUES: [f64; 7] = [f64::NAN, 0.0, 1.0, 2.5, 100_000.0, 600_000.0, -1.0];

pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for per in [Per::User, Per::Group, Per::Source] {
        match lang::compile(text, per) {
            Ok(program) => sound(&program, per),
            Err(errors) => {
                assert!(!errors.is_empty());
                errors.iter().for_each(|error| in_place(error, text));
            }
        }
    }
}

fn in_place(error: &LangError, text: &str) {
    let (start, end) = (error.span.start, error.span.end);
    assert!(start <= end && end <= text.len(), "{error:?}");
    assert!(text.is_char_boundary(start) && text.is_char_boundary(end), "{error:?}");
    let shown = error.render(text);
    assert!(shown.len() < 8192, "{} bytes", shown.len());
    assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "{shown:?}");
}

fn sound(program: &Program, per: Per) {
    let canonical = program.canonical();
    if canonical.len() > lang::LONGEST {
        return;
    }
    let again = lang::compile(&canonical, per).unwrap_or_else(|errors| panic!("{canonical}: {errors:?}"));
    assert_eq!(again.canonical(), canonical);
    assert_eq!(again.signals(), program.signals(), "{canonical}");
    assert_eq!(verdicts(program), verdicts(&again), "{canonical}");
}

/// Each signal shows its own run of the values, so that they meet in many ways.
fn verdicts(program: &Program) -> [Truth; 64] {
    let mut out = [Truth::default(); 64];
    let place = |wanted: &Signal| program.signals().iter().position(|signal| signal == wanted);
    let mut fill = |signal: &Signal, column: &mut [f64]| {
        let step = place(signal).expect("only signals that are named are asked for") * 2 + 1;
        for (row, value) in column.iter_mut().enumerate() {
            *value = VALUES[(row * step + row / 7) % VALUES.len()];
        }
    };
    program.evaluate(64, &mut fill, &mut out);
    out
}
