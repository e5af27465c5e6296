//! What `check` doubts: each doubt at its place, and nothing said of rules that mean something.
//!
//! Neighbours: `lint` and `engine::lang` find the doubts. A part of its own because they are many small rows.

use super::{BASE, check, parse, problems};

/// The warnings of a rule with these lines; columns are of the condition's own text.
#[track_caller]
fn doubts(lines: &str, expect: &[&str]) {
    let told = problems(&format!("[[rule]]\nname = \"x\"\n{lines}\n"));
    let told: Vec<&str> = told.lines().map(|line| line.split("rule \"x\".").last().unwrap()).collect();
    assert_eq!(told, expect, "{lines}");
}

/// One condition and the places of what is certain in it, as `never@column..` or `always@column`.
#[track_caller]
fn certain(when: &str, per: &str, expect: &str) {
    let limit = if when.contains("limit") { "limit = 2\n" } else { "" };
    let absent = if per == "user" { "" } else { "absent = 'zero'\n" };
    let told =
        problems(&format!("[[rule]]\nname = \"x\"\nper = \"{per}\"\nwhen = '{when}'\n{absent}{limit}"));
    let short = |line: &str| {
        let column: usize = line.split([':', ' ']).nth(2).unwrap().parse().unwrap();
        let how = ["can never hold: the rule", "always holds: it fires", "part never", "part always"];
        let how = how.iter().position(|how| line.contains(how)).unwrap_or_else(|| panic!("{line}"));
        format!("{}@{}", ["never", "always", "part never", "part always"][how], column - 9)
    };
    let told: Vec<String> = told.lines().map(short).collect();
    assert_eq!(told.join(", "), expect, "{when}");
}

#[test]
fn conditions_that_are_certain_are_told() {
    for (when, expect) in [
        ("online < 0", "never@0"),
        ("online >= 0", "always@0"),
        ("0 > online", "never@0"),
        ("online > 5 and online < 3", "never@0"),
        ("online > 2 and online < 3", "never@0"),
        ("online > 2 and online < 4", ""),
        ("online == 2.5", "never@0"),
        ("mean(1h) > 2 and mean(1h) < 3", ""),
        ("online > 5 or online < 6", "always@0"),
        ("online > 5 or online < 5", ""),
        ("1 > 2", "never@0"),
        ("2 * 3 == 6", "always@0"),
        ("online > 2 and 1 < 2", "part always@15"),
        ("online > 2 or peak(1h) < 0", "part never@14"),
        ("online > 2 and (peak(1h) > 3 or low(1h) < 0)", "part never@32"),
        ("online > 2 and limit < 0", "never@15"),
        ("not (online >= 0)", "never@0"),
        ("time_over(2, 7d) > 8d", "never@0"),
        ("time_over(2, 7d) > 7d", "never@0"),
        ("time_over(2, 7d) >= 7d", ""),
        ("time_over(2, 7d) > 2 * 4d", "never@0"),
        ("online_time > 1h and online_time < 30m", "never@0"),
        ("online > limit and online < limit", "never@0"),
        ("online > limit and limit > online", "never@0"),
        ("online > limit and limit < online", ""),
        ("online > limit or limit >= online", "always@0"),
        ("online == online", "always@0"),
        ("online + 1 > 0", "always@0"),
        ("online + 1 > 1", ""),
        ("-online > 0", "never@0"),
        ("online - previous > 2 and online - previous < 1", "never@0"),
        ("online - previous > 2 and previous - online < 1", ""),
        ("online / previous > 2", ""),
        ("online > 2 * usual(0.95)", ""),
        ("online > 200000", "never@0"),
        ("online / 0 > 3", "never@0"),
        ("not (online / 0 > 3)", "never@0"),
        ("online > 2 or online / (2 - 2) > 3", "part never@14"),
        ("online / previous > 3", ""),
        ("online / 2 >= 0", "always@0"),
        ("online - 200001 < previous", "always@0"),
        ("online + 200001 < previous", "never@0"),
        ("previous < online + 200001", "always@0"),
        ("online + 100000 < previous", "never@0"),
        ("online - 100000 == previous", ""),
        ("online / -2 > 0", "never@0"),
        ("1 / online > 0", ""),
        ("1 / (online + 1) > 1", "never@0"),
        ("10 / (online - 3) > 20", ""),
        ("online_time / 2 < 0s", "never@0"),
        ("online_time / 1h < 0", "never@0"),
        ("online_time * 0.4 >= 0s", "always@0"),
        ("(online - 5) * (online - 5) > -1", ""),
        ("(online + 2) * (limit + 1) < 2", "never@0"),
    ] {
        certain(when, "user", expect);
    }
}

#[test]
fn conditions_that_go_against_the_order_of_signals_are_told() {
    for (when, expect) in [
        // Windows end with the present reading, and a user is one of its peers.
        ("online > peak(1h)", "never@0"),
        ("peak(1h) >= online", "always@0"),
        ("online >= peak(1h)", ""),
        ("online - peak(1h) > 0", "never@0"),
        ("online > previous and previous > peak(1h)", "never@0"),
        ("previous > peak(1h)", ""),
        ("online < low(1h)", "never@0"),
        ("low(1h) > mean(1h)", "never@0"),
        ("mean(1h) > peak(1h)", "never@0"),
        ("mean(1h) > mean(2h)", ""),
        ("mean(2h) > peak(1h)", ""),
        ("low(2h) > low(1h)", "never@0"),
        ("low(1h) > low(2h)", ""),
        ("peak(1h) > 3 and peak(2h) < 3", "never@0"),
        ("peak(2h) > 3 and peak(1h) < 3", ""),
        ("low(1h) > 3 and mean(1h) < 3.5", "never@0"),
        ("low(1h) >= 3 and mean(1h) < 3.5", ""),
        ("low(1h) > 3 and mean(1h) < 3", "never@0"),
        ("low(1h) > 3 and mean(1h) < 4 and peak(1h) < 5", "never@0"),
        ("low(1h) > 3 and mean(1h) < 4.5 and peak(1h) < 6", ""),
        ("online > peers(1)", "never@0"),
        ("online > peers(0.99)", ""),
        ("online < peers(0)", "never@0"),
        ("peers(0.9) < peers(0.5)", "never@0"),
        ("usual(0.9) < usual(0.5)", "never@0"),
        ("online > usual(0.9) and usual(0.9) > peers(0.5) and peers(0.5) > online", "never@0"),
        ("online > 3 and offline_time > 1h", "never@0"),
        ("online == 0 and online_time > 1h", "never@0"),
        ("online == 0 and offline_time > 1h", ""),
        ("online == 0 and offline_time == 0s", ""),
        ("online > 0 and offline_time == 0s", ""),
        ("online > 0 and online_time > 1h", ""),
        ("peak(1h) == 0 and online_time > 0s", "never@0"),
        ("peak(1h) == 0 and online_time == 0s", ""),
        ("low(1h) > 0 and offline_time > 0s", "never@0"),
        ("low(1h) == 0 and offline_time > 0s", ""),
        ("offline_time > 1h and peak(2h) > 3", ""),
        ("time_over(3, 1h) > 30m and time_over(2, 1h) < 30m", "never@0"),
        ("time_over(2, 1h) > 30m and time_over(3, 1h) < 30m", ""),
        ("time_over(100000, 1h) > 0s", "never@0"),
        ("mean(1h) > 100000", "never@0"),
        ("previous >= 100000", ""),
        // BASE is polled every 5 minutes.
        ("changes(1h) >= 13", "never@0"),
        ("changes(1h) >= 12", ""),
        ("changes(6m) > 2", "never@0"),
        ("changes(6m) > 1", ""),
        // The limit of everybody is 2.
        ("limit > 0 and online > limit", ""),
        ("online > limit and online < 2", "never@0"),
        ("online > limit and online > 5", ""),
        ("(online > 1) == (online > 1)", "always@0"),
        ("(online > 1) != (online > 2)", ""),
    ] {
        certain(when, "user", expect);
    }
}

#[test]
fn conditions_of_sources_that_are_certain_are_told() {
    certain("failed_share > 1", "source", "never@0");
    certain("failed_share * 100 > 200", "source", "never@0");
    certain("failed_share > 0.5", "source", "");
    certain("total > 5 and users_online > 6", "source", "");
    certain("total < 5 and users_online > 6", "source", "never@0");
    certain("users_online > members", "source", "never@0");
    certain("mean(1h) > 100000 and time_over(200000, 1h) > 0s", "source", "");
    certain("total > peak(1h) or changes(1h) > 20", "source", "never@0");
}

#[test]
fn roster_signals_that_contradict_themselves_are_told() {
    let text = BASE.replace("users = [\"alice\", \"bob\"]", "roster = true");
    let rule = "[[rule]]\nname = \"x\"\nwhen = \"enabled and not enabled\"\n";
    let warnings = parse(&format!("{text}{rule}")).unwrap().warnings;
    let told: Vec<(usize, &str)> = warnings.iter().map(|w| (w.column, w.message.as_str())).collect();
    assert_eq!(told, [(9, "can never hold: the rule never fires")]);
    let missing = format!("{text}{rule}absent = \"breach\"");
    assert_eq!(parse(&missing).unwrap().warnings, [], "it fires for names that are missing");
}

/// A rule about totals says what becomes of those whom replies leave out.
#[test]
fn totals_that_one_user_can_take_away_are_told() {
    let told = "when: one user whom good replies leave out keeps the total from having a value";
    doubts("per = 'source'\nwhen = 'total > 180'", &[told]);
    doubts("per = 'group'\nwhen = 'peak(1h) > 5'", &[told]);
    doubts("per = 'source'\nwhen = 'total > 180'\nabsent = 'zero'", &[]);
    doubts("per = 'source'\nwhen = 'total > 180'\nabsent = 'hold'", &[]);
    doubts("per = 'source'\nwhen = 'failed_share > 0.5 or silent_time > 1h'", &[]);
    doubts("when = 'online > 180'", &[]);
}

#[test]
fn what_ends_an_alert_fits_to_what_begins_it() {
    let both = |when: &str, clear: &str, expect: &[&str]| {
        let ends = format!("when = \"{when}\"\nclear_when = \"{clear}\"");
        doubts(&format!("per = \"source\"\nabsent = \"zero\"\n{ends}"), expect);
    };
    both("total > 180", "total <= 150", &[]);
    both("total > 180", "total <= 180", &[]);
    both(
        "total > 180",
        "total <= 200",
        &["clear_when: holds together with `when` where total is 181; `when` counts there"],
    );
    let never = "clear_when: never holds without `when`: alerts never end by themselves";
    both("total > 180", "total > 200", &[never]);
    both("total > 180 or members > 3", "total > 200", &[never]);
    both("total > 180", "total < 0", &["clear_when: can never hold: alerts never end by themselves"]);
    both(
        "total > 180",
        "total >= 0",
        &["clear_when: always holds: alerts end as soon as `when` does not hold"],
    );
    both("total > 180", "users_online < 3", &[]);
    both("total > 180 and members > 3", "total < 200", &[]);
    both(
        "offline_time > 10m",
        "offline_time < 15m",
        &["clear_when: holds together with `when` where offline_time is just over 10m; `when` counts there"],
    );
    doubts(
        "limit = 2\nwhen = \"online > limit\"\nclear_when = \"limit <= online\"",
        &["clear_when: holds together with `when` where online is 3 and limit is 2; `when` counts there"],
    );
    doubts("limit = 2\nwhen = \"online > limit\"\nclear_when = \"online <= limit\"", &[]);
    let never = "clear_when: never holds without `when`: alerts never end by themselves";
    doubts("limit = 2\nwhen = \"online > limit\"\nclear_when = \"online > 2\"", &[never]);
    doubts("limit = 2\nwhen = \"online > limit\"\nclear_when = \"online < 2\"", &[]);
    let one_more = "[[group]]\nname = \"g\"\nusers = [\"alice\"]\nlimit = 4";
    doubts(
        &format!(
            "limit = 2\nwhen = \"online > limit\"\nclear_when = \"online > 2 and online < 5\"\n{one_more}"
        ),
        &["clear_when: holds together with `when` where online is 3 and limit is 2; `when` counts there"],
    );
    // Outside of the calendar `clear_when` counts alone.
    doubts(
        "when = \"online == 0\"\nclear_when = \"online == 0\"\nduring = \"o\"\n\
         [[calendar]]\nname = \"o\"\nhours = [\"09:00-18:00\"]",
        &[],
    );
}

#[test]
fn spans_are_held_against_the_schedule() {
    // BASE is polled every 5 minutes.
    let rule = |more: &str| format!("when = \"online > 1\"\n{more}");
    let short = |key: &str, rest: &str| format!("{key}: 4m is shorter than the 5m between polls{rest}");
    for key in ["for", "clear_for", "repeat"] {
        doubts(&rule(&format!("{key} = \"4m\"")), &[&short(key, "")]);
        doubts(&rule(&format!("{key} = \"5m\"")), &[]);
    }
    doubts(&rule("max_gap = \"4m\""), &[&short("max_gap", ": every reading is a hole")]);
    doubts(&rule("max_gap = \"5m\""), &[]);
    doubts(&rule("for = \"1 of 5 polls\""), &["for: 1 of 5 polls is met at once"]);
    doubts(&rule("for = \"2 of 5 polls\""), &[]);
    doubts(
        "when = \"online > 1 and peak(1m) > 2\"",
        &["when: peak(1m) looks back less than the 5m between polls"],
    );
    doubts("when = \"peak(5m) > 2\"", &[]);
    check(
        "[[rule]]\nname = \"x\"\nwhen = \"online > 1 and peak(1m) > 2\"",
        "warning 3:24 rule \"x\".when: peak(1m) looks back less than the 5m between polls",
    );
    for (kept, expect) in [
        ("13d", Some("usual(0.9) has no value: it needs two weeks of readings, and they are kept for 13d")),
        ("14d", Some("usual(0.9) compares fewer than four weeks: readings are kept for 14d")),
        ("28d", Some("usual(0.9) compares fewer than four weeks: readings are kept for 28d")),
        ("29d", None),
    ] {
        let text = BASE.replace("[agent]\n", &format!("[agent]\nretention = {{ readings = \"{kept}\" }}\n"));
        let rule = "[[rule]]\nname = \"x\"\nwhen = \"online > usual(0.9)\"";
        let warnings = parse(&format!("{text}{rule}")).unwrap().warnings;
        let told: Vec<&str> = warnings.iter().map(|warning| warning.message.as_str()).collect();
        assert_eq!(told, expect.as_slice(), "{kept}");
    }
}

#[test]
fn what_makes_a_condition_certain_is_the_hint() {
    let hint = |when: &str, expect: &str| {
        let rule = format!("{BASE}[[rule]]\nname = \"x\"\nwhen = \"{when}\"");
        let warnings = parse(&rule).unwrap().warnings;
        let hints: Vec<&str> = warnings.iter().filter_map(|warning| warning.hint.as_deref()).collect();
        assert_eq!(hints, [expect], "{when}");
    };
    hint("online / 0 > 3", "a division by zero has no value");
    hint("online > peak(1h)", "online is never above peak(1h), which counts it");
    hint("online > peers(1)", "online is never above peers(1), which counts it");
    hint("changes(1h) >= 13", "changes(1h) is from 0 to 12");
    hint("time_over(2, 90m) > 2h", "time_over(2, 90m) is from 0s to 90m");
}

#[test]
fn peers_calendars_and_exceptions_that_do_nothing_are_told() {
    doubts("when = \"online > peers(0.9)\"", &[]);
    doubts(
        "when = \"online > peers(0.9)\"\nusers = [\"alice\"]",
        &["when: peers(0.9) compares with the rule's users, and \"one\" has one"],
    );
    let closed = "[[calendar]]\nname = \"always\"\n[[calendar]]\nname = \"never\"\noutside = \"always\"\n";
    doubts(
        &format!("when = \"online > 1\"\nduring = \"never\"\n{closed}"),
        &["during: the calendar \"never\" never opens: the rule never fires"],
    );
    doubts("when = \"online > 1\"\nduring = \"always\"\n[[calendar]]\nname = \"always\"", &[]);
    let hours = |hours: &str| {
        format!("when = \"online > 1\"\nduring = \"c\"\n[[calendar]]\nname = \"c\"\nhours = [\"{hours}\"]")
    };
    doubts(
        &hours("09:01-09:04"),
        &["during: no poll comes while the calendar \"c\" is open: the rule never fires"],
    );
    doubts(
        &hours("09:01-09:05"),
        &["during: no poll comes while the calendar \"c\" is open: the rule never fires"],
    );
    doubts(&hours("09:05-09:06"), &[]);
    doubts("when = \"online > 1\"\nlimit = 2", &["limit: is not used: no condition names `limit`"]);
    doubts("when = \"online > 3\"\nclear_when = \"online < limit\"\nlimit = 2", &[]);
    doubts("when = \"online > 3\"\n[defaults]\nlimit = 2", &[]);
    doubts(
        "when = \"online > 1\"\nexcept = [\"alice\", \"carol-*\"]",
        &["except: \"carol-*\" matches no user of the rule's sources"],
    );
    let exception = |limit: u32, more: &str| {
        format!(
            "[[rule]]\nname = \"x\"\nwhen = \"online > limit\"\nlimit = 2\n[[exception]]\nuser = \"alice\"\n\
             limit = {limit}\nreason = \"r\"\nowner = \"o\"\nexpires = 2027-01-01\n{more}"
        )
    };
    check(&exception(3, ""), "");
    check(&exception(2, ""), "warning 7:9 exception[0].limit: changes nothing: 2 is the limit without it");
    let group = "[[group]]\nname = \"g\"\nusers = [\"alice\"]\nlimit = 1";
    check(&exception(2, group), "");
    check(&exception(1, group), "warning 7:9 exception[0].limit: changes nothing: 1 is the limit without it");
}
