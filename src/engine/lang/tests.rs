//! The language at its boundary: text in, verdicts or mistakes out.

use super::*;

#[track_caller]
fn check(text: &str, online: f64, expect: Truth) {
    let program = compile(text, Per::User).unwrap_or_else(|e| panic!("{}", e[0].render(text)));
    let mut out = [Truth::Unknown; 1];
    program.evaluate(1, &mut |_, column| column.fill(online), &mut out);
    assert_eq!(out[0], expect, "{text} with {online}");
}

#[test]
fn conditions_have_three_answers() {
    check("online > 2", 3.0, Truth::True);
    check("online > 2", 2.0, Truth::False);
    check("online > 2", f64::NAN, Truth::Unknown);
    check("online > 2 and 1 > 2", f64::NAN, Truth::False);
    check("online > 2 or 1 < 2", f64::NAN, Truth::True);
    check("not (online > 2 or 1 > 2)", f64::NAN, Truth::Unknown);
    check("1 / (online - 3) > 0", 3.0, Truth::Unknown);
    check("1 + 2 * 3 == 7 and -2 < 1 and 10m == 600s", 0.0, Truth::True);
    check("not online > 2", 3.0, Truth::False);
    check("3 * 10m / 2 == 15m", 0.0, Truth::True);
}
