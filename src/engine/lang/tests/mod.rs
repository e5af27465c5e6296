//! The language at its boundary: text in, verdicts or mistakes out.

mod naive;

use super::*;
use crate::engine::time::Span;

/// The verdict with every signal's column filled by `value`.
fn verdict(text: &str, value: &dyn Fn(&Signal) -> f64) -> Truth {
    let program = compile(text, Per::User).unwrap_or_else(|e| panic!("{}", e[0].render(text)));
    let mut out = [Truth::Unknown];
    program.evaluate(1, &mut |signal, column| column.fill(value(signal)), &mut out);
    out[0]
}

#[track_caller]
fn check(text: &str, online: f64, expect: Truth) {
    assert_eq!(verdict(text, &|_| online), expect, "{text} with {online}");
}

#[test]
fn conditions_have_three_answers() {
    check("online > 2", 3.0, Truth::True);
    check("online > 2", 2.0, Truth::False);
    check("online > 2", f64::NAN, Truth::Unknown);
    check("online != 2", f64::NAN, Truth::Unknown);
    check("online > 2 and 1 > 2", f64::NAN, Truth::False);
    check("1 > 2 and online > 2", f64::NAN, Truth::False);
    check("online > 2 and 1 < 2", f64::NAN, Truth::Unknown);
    check("online > 2 or 1 < 2", f64::NAN, Truth::True);
    check("1 < 2 or online > 2", f64::NAN, Truth::True);
    check("not (online > 2 or 1 > 2)", f64::NAN, Truth::Unknown);
    check("(online > 1) == (online > 2)", 2.0, Truth::False);
}

#[test]
fn precedence_is_that_of_the_contract() {
    check("1 + 2 * 3 == 7 and -2 < 1 and 10m == 600s", 0.0, Truth::True);
    check("not online > 2", 3.0, Truth::False);
    check("not not online > 2", 3.0, Truth::True);
    check("1 > 2 and 1 > 2 or 1 < 2", 0.0, Truth::True);
    check("1 < 2 or 1 < 2 and 1 > 2", 0.0, Truth::True);
    check("not 1 > 2 and 1 > 2", 0.0, Truth::False);
    check("8 - 4 - 2 == 2 and 8 / 4 / 2 == 1 and 2 - -2 == 4 and --2 == 2", 0.0, Truth::True);
}

#[test]
fn what_is_not_finite_has_no_value() {
    check("1 / (online - 3) > 0", 3.0, Truth::Unknown);
    check("0 / (online - 3) == 0", 3.0, Truth::Unknown);
    let huge = format!("1{}", "0".repeat(300));
    check(&format!("{huge} * {huge} > 1"), 0.0, Truth::Unknown);
}

#[test]
fn a_window_has_a_length_and_a_longest_one() {
    let accepted = |text: &str| compile(text, Per::User).is_ok();
    assert!(accepted("peak(1ms) > 1") && accepted("peak(90d) > 1") && accepted("time_over(2, 90d) > 1h"));
    assert!(!accepted("peak(0s) > 1") && !accepted("peak(91d) > 1") && !accepted("peak(2160h1ms) > 1"));
    assert!(!accepted("time_over(2, 0s) > 1h") && !accepted("time_over(2, 7776000001ms) > 1h"));
}

#[test]
fn durations_stay_whole_milliseconds() {
    check("3 * 10m / 2 == 15m and 1h / 15m == 4 and 1h - 90m == -30m", 0.0, Truth::True);
    check("10ms / 4 == 3ms and 1ms * 0.4 == 0s", 0.0, Truth::True);
    check("1d == 24h and 1500ms == 1ms * 1500", 0.0, Truth::True);
}

#[test]
fn signals_are_distinct_with_their_arguments() {
    let text = "peak(1h) > limit and peak(60m) > 1 and peak(2h) > mean(1h) or time_over(2, 1d) > 3h";
    let program = compile(text, Per::User).expect(text);
    let (h, d) = (Span::from_hours(1), Span::from_days(1));
    let peak = Signal::Peak;
    let expect = [peak(h), Signal::Limit, peak(h.times(2)), Signal::Mean(h), Signal::TimeOver(2, d)];
    assert_eq!(program.signals(), expect);
    assert!(program.names_limit());
    let printed: Vec<String> = program.signals().iter().map(Signal::to_string).collect();
    assert_eq!(printed.join(" "), "peak(1h) limit peak(2h) mean(1h) time_over(2, 1d)");
}

#[track_caller]
fn check_canonical(text: &str, expect: &str) {
    let program = compile(text, Per::User).unwrap_or_else(|e| panic!("{}", e[0].render(text)));
    assert_eq!(program.canonical(), expect);
}

#[test]
fn spelling_does_not_change_a_condition() {
    check_canonical("  online>limit ", "online > limit");
    check_canonical("((online) > (limit))", "online > limit");
    check_canonical("not(online>2.0)", "not online > 2");
    check_canonical(
        "(not online > 2) and (online < 9 or offline_time >= 60m)",
        "not online > 2 and (online < 9 or offline_time >= 1h)",
    );
    check_canonical("usual(0.950) > peers( 1 ) + usual(0)", "usual(0.95) > peers(1) + usual(0)");
    check_canonical("1-(2-3)<(4-5)-6", "1 - (2 - 3) < 4 - 5 - 6");
}

const WRONG_FOR_USERS: &[&str] = &[
    "",
    "   ",
    "online",
    "online >",
    "> 3",
    "online > limitt",
    "Online > 3",
    "on_line_time > 3m",
    "xyzzy > 1",
    "lo(1h) > 1",
    "lov(1h) > 1",
    "lxv(1h) > 1",
    "offline_tmie > 3m",
    "of_line_tmi > 3m",
    "1 < online < 5",
    "online > 10m",
    "online_time > 10",
    "5 < online_time",
    "online_time + 1 > 2m",
    "online and limit",
    "not online",
    "-(online > 1) > 2",
    "(online > 1) + 1 > 2",
    "(online > 1) > (online > 2)",
    "10m * 10m > 1",
    "1 / 10m > 1",
    "online > \"two\"",
    "online = 2",
    "online && 1",
    "online > 2 AND limit > 1",
    "limit > 1 Or Not online > 2",
    "online > 1 || !(online > 2)",
    "online ≥ 3",
    "（online＞2）",
    "用户在线 > 3 and online > bad",
    "online > 1.5h",
    "online_time > 1.5h",
    "online > 50%",
    "online > 3x",
    "online > 1.2.3",
    "online > 5.",
    "online_time > 99999999999999999999d",
    "online_time > 50000d",
    "peak > 3",
    "peak() > 3",
    "peak(3) > 3",
    "peak(online) > 3",
    "peak(1h, 2h) > 3",
    "peak(-1h) > 3",
    "peak(0s) > 3",
    "peak(91d) > 3",
    "online(1h) > 3",
    "time_over(1h) > 3m",
    "time_over(1.5, 1h) > 3m",
    "time_over(1h, 2) > 3m",
    "mean(1h > 3",
    "(online > 3",
    "online > 3)",
    "online > 3 online < 5",
    "online > 3 not online < 5",
    "online @ 3",
    "online > not 3",
    "total > 3",
    "users_online > 3",
    "usual > 1",
    "usual(95) < online",
    "usual(0.1234567) < online",
    "usual(50%) < online",
    "peers(1.5) < online",
    "peers(-0.5) < online",
    "peers(200) < online",
    "peers(1h) < online",
    "peers(0.5, 1h) < online",
    "usual(0.5) > 10m",
    "known > 1",
    "enabled + 1 > 2",
    "true",
    "online > 3\u{202e}",
    "online > 3\u{ad}\u{200b}",
    "online > 3\u{2028}",
    "a > 1 and b > 2 and online > 3m and c",
    "online > 3\nand limitt > 2\nor online < 3m",
];

const WRONG_FOR_SOURCES: &[&str] = &[
    "online > peers(0.5)",
    "usual(0.5) > 1",
    "online > limit",
    "absent_time > 3m",
    "total > limit",
    "users > 3",
];

/// A mistake far to the right in a long condition: the line is cut, and the caret still stands under the mistake.
#[track_caller]
fn check_cut(before: &str, mistake: &str, after: &str) {
    let text = format!("{before}{mistake}{after}");
    let shown = compile(&text, Per::User).expect_err(&text)[0].render(&text);
    let lines: Vec<&str> = shown.lines().collect();
    let caret = lines.iter().position(|line| line.trim_start_matches([' ', '|']).starts_with('^')).unwrap();
    let columns = |text: &str| unicode_width::UnicodeWidthStr::width(text);
    let at = columns(&lines[caret][..lines[caret].find('^').unwrap()]);
    let above = lines[caret - 1];
    let start = above.char_indices().map(|(at, _)| at).find(|start| columns(&above[..*start]) == at).unwrap();
    assert!(above[start..].starts_with(mistake), "{shown}");
    assert_eq!(lines[caret].matches('^').count(), mistake.len(), "{shown}");
    assert!(columns(above) <= 102, "sixty before, forty from the mistake on, and where it is cut: {shown}");
}

#[test]
fn a_caret_stands_under_its_mistake_however_the_line_is_cut() {
    let long = "online > 1 and ".repeat(12);
    check_cut("", "limitt", " > 2");
    check_cut("online > 1 and ", "limitt", " > 2");
    check_cut(&long, "limitt", " > 2");
    check_cut(&long, "limitt", &format!(" > 2 and {}online > 2", &long));
    check_cut("", "limitt", &format!(" > 2 and {}online > 2", &long));
    check_cut(&"online  >\t1 and ".repeat(9), "limitt", " > 2");
}

/// Every mistake above with its carets and hints, as an operator sees it.
#[test]
fn mistakes_show_their_place_and_the_way_out() {
    let mut shown = String::new();
    for (per, texts) in [(Per::User, WRONG_FOR_USERS), (Per::Source, WRONG_FOR_SOURCES)] {
        for text in texts {
            let errors = compile(text, per).expect_err(text);
            for error in errors {
                shown.push_str(&error.render(text));
                shown.push('\n');
            }
            shown.push_str("----\n");
        }
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn conditions_have_limits() {
    let message = |text: &str| compile(text, Per::User).expect_err("too much")[0].message.clone();
    assert_eq!(
        message(&format!("{}online > 2", " ".repeat(LONGEST))),
        "the condition has 4106 bytes, 4096 is the most"
    );
    let nested = |n: usize| format!("{}online{} > 2", "(".repeat(n), ")".repeat(n));
    assert!(compile(&nested(DEEPEST), Per::User).is_ok());
    assert_eq!(message(&nested(DEEPEST + 1)), "nested more than 64 deep");
    assert_eq!(message(&format!("{}online > 2", "not ".repeat(DEEPEST + 1))), "nested more than 64 deep");
    assert_eq!(message(&format!("{}online > 2", "-".repeat(LONGEST - 20))), "nested more than 64 deep");
    let long = format!("online > 2{}", " or online > 3".repeat(290));
    assert!(compile(&long, Per::User).is_ok(), "length alone is no nesting");
    let far = format!("{}limitt > 2", "online > 2 or ".repeat(200));
    let shown = compile(&far, Per::User).expect_err("a wrong name")[0].render(&far);
    assert!(shown.lines().all(|line| line.chars().count() < 160), "{shown}");
}
