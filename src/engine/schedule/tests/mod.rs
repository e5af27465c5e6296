//! Schedules against wall clocks with gaps and folds, bad text, late runs and set clocks.
//!
//! Neighbours: `mod`, `crontab` and `due`, all three at their boundary; `naive` has random schedules. A file of its own for its length.

mod naive;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::*;

const ZONES: [Tz; 12] = [
    Tz::America__New_York,
    Tz::Europe__Berlin,
    Tz::Australia__Lord_Howe,
    Tz::Australia__Sydney,
    Tz::America__Sao_Paulo,
    Tz::Africa__Cairo,
    Tz::Asia__Shanghai,
    Tz::Asia__Tehran,
    Tz::Pacific__Apia,
    Tz::America__St_Johns,
    Tz::Europe__Dublin,
    Tz::Asia__Kolkata,
];

fn time(text: &str) -> Time {
    text.parse().unwrap()
}

fn schedule(text: &str, zone: Tz) -> Schedule {
    Schedule::parse(text, zone).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn between(schedule: &Schedule, from: Time, until: Time) -> Vec<Time> {
    let all = std::iter::successors(schedule.next_after(from), |at| schedule.next_after(*at));
    all.take_while(|at| *at <= until).collect()
}

/// A day's changes of the offset; where a zone has none in the year, an ordinary day, so that it is tested as well.
fn changes(zone: Tz, year: i32) -> Vec<Time> {
    let mut from = time(&format!("{year}-01-01T00:00:00Z"));
    let until = time(&format!("{}-01-01T00:00:00Z", year + 1));
    let mut found = Vec::new();
    while let Some(at) = zone::next_change(zone, from, until) {
        found.push(at);
        from = at;
    }
    if found.is_empty() { vec![from + Span::from_days(100)] } else { found }
}

/// All days of change: two years, so that zones that gave up summer time are seen with it, and Apia's lost day.
fn days_of_change() -> Vec<(Tz, Time)> {
    let years = [2011, 2018, 2026];
    let all = ZONES.iter().flat_map(|zone| years.iter().map(move |year| (*zone, *year)));
    all.flat_map(|(zone, year)| changes(zone, year).into_iter().map(move |at| (zone, at))).collect()
}

#[test]
fn every_five_minutes_means_every_instant_once() {
    let days = days_of_change();
    assert!(days.len() > 50, "{} days", days.len());
    for (zone, change) in days {
        for text in ["*/5 * * * *", "0 */5 */1 * * *", "*/5 0-23 * * *"] {
            // Newfoundland used to set its clocks at a minute past midnight.
            let change = change - Span::from_millis(change.millis() % 300_000);
            let (from, until) = (change - Span::from_days(2), change + Span::from_days(2));
            let expect: Vec<Time> =
                (1..).map(|n| from + Span::from_mins(5).times(n)).take(2 * 2 * 288).collect();
            assert_eq!(between(&schedule(text, zone), from, until), expect, "{text} {zone} {change}");
        }
    }
}

#[test]
fn half_past_two_comes_once_a_day() {
    for (zone, change) in days_of_change() {
        let (from, until) = (change - Span::from_days(4), change + Span::from_days(4));
        let found = between(&schedule("30 2 * * *", zone), from, until);
        // The calendar's days, not the wall clock's: a day that a zone skipped has its half past two as well.
        let first = zone::local(zone, from).date();
        let expect: BTreeSet<Time> = (0..=9)
            .map(|day| zone::first(zone, (first + TimeDelta::days(day)).and_hms_opt(2, 30, 0).unwrap()))
            .filter(|at| *at > from && *at <= until)
            .collect();
        assert_eq!(found, expect.into_iter().collect::<Vec<_>>(), "{zone} {change}");
        assert!((7..=9).contains(&found.len()), "{zone} {change}: {found:?}");
        for pair in found.windows(2) {
            let gap = pair[1].since(pair[0]);
            let usual = Span::from_hours(22)..=Span::from_hours(26);
            let lost_day = zone == Tz::Pacific__Apia && change.to_string().starts_with("2011-12-30");
            assert!(usual.contains(&gap) || lost_day, "{zone} {pair:?}");
        }
    }
}

/// Instants after `from`, local or with `Z`; `expect` shows the time of day in UTC.
#[track_caller]
fn check(text: &str, zone: Tz, from: &str, expect: &str) {
    let count = expect.split(' ').count();
    let found: Vec<String> =
        schedule(text, zone).instants(time(from), count).iter().map(Time::to_string).collect();
    let found: Vec<&str> = found.iter().map(|at| at.strip_suffix('Z').unwrap()).collect();
    assert_eq!(found.join(" "), expect, "{text} {zone}");
}

#[test]
fn crontab_is_read_as_crontab_means_it() {
    let day = "2026-11-22T00:00:00Z"; // a Sunday
    check("*/5 * * * *", Tz::UTC, day, "2026-11-22T00:05:00 2026-11-22T00:10:00");
    check("30 */5 * * * *", Tz::UTC, day, "2026-11-22T00:00:30 2026-11-22T00:05:30");
    check("0 11 * * *", Tz::Asia__Shanghai, day, "2026-11-22T03:00:00 2026-11-23T03:00:00");
    check("@hourly", Tz::UTC, day, "2026-11-22T01:00:00 2026-11-22T02:00:00");
    check("@daily", Tz::UTC, day, "2026-11-23T00:00:00");
    check(" @weekly ", Tz::UTC, day, "2026-11-29T00:00:00");
    check("@monthly", Tz::UTC, day, "2026-12-01T00:00:00");
    check("0 9 * * 0", Tz::UTC, day, "2026-11-22T09:00:00 2026-11-29T09:00:00");
    check("0 9 * * 7", Tz::UTC, day, "2026-11-22T09:00:00 2026-11-29T09:00:00");
    check("0 9 * * 1", Tz::UTC, day, "2026-11-23T09:00:00");
    check("0 9 * * Sat-Sun", Tz::UTC, day, "2026-11-22T09:00:00 2026-11-28T09:00:00");
    check("0 9 * * 5-7", Tz::UTC, day, "2026-11-22T09:00:00 2026-11-27T09:00:00 2026-11-28T09:00:00");
    check("0 9 * * fri-MON", Tz::UTC, day, "2026-11-22T09:00:00 2026-11-23T09:00:00 2026-11-27T09:00:00");
    check("0 9 * * 7-1", Tz::UTC, day, "2026-11-22T09:00:00 2026-11-23T09:00:00 2026-11-29T09:00:00");
    check("0 9 * * 0-7", Tz::UTC, day, "2026-11-22T09:00:00 2026-11-23T09:00:00 2026-11-24T09:00:00");
    check("0 9 * * 7-7", Tz::UTC, day, "2026-11-22T09:00:00 2026-11-29T09:00:00");
    check("0 9 * * Monday,wed", Tz::UTC, day, "2026-11-23T09:00:00 2026-11-25T09:00:00");
    check("0 9 * * Mon-Fri/2", Tz::UTC, day, "2026-11-23T09:00:00 2026-11-25T09:00:00 2026-11-27T09:00:00");
    check("0 9 * * */3", Tz::UTC, day, "2026-11-22T09:00:00 2026-11-25T09:00:00 2026-11-28T09:00:00");
    check("0 9 * * 3/2", Tz::UTC, day, "2026-11-25T09:00:00 2026-11-27T09:00:00 2026-12-02T09:00:00");
    check("0 0 1 Feb-mar *", Tz::UTC, day, "2027-02-01T00:00:00 2027-03-01T00:00:00 2028-02-01T00:00:00");
    check("20/20 3 * * *", Tz::UTC, day, "2026-11-22T03:20:00 2026-11-22T03:40:00 2026-11-23T03:20:00");
    check("05 03 * * *", Tz::UTC, day, "2026-11-22T03:05:00");
    check("0 0 29 2 *", Tz::UTC, day, "2028-02-29T00:00:00 2032-02-29T00:00:00");
    // Both day fields restricted: either. One with `*`: both.
    check(
        "0 0 13 * 5",
        Tz::UTC,
        day,
        "2026-11-27T00:00:00 2026-12-04T00:00:00 2026-12-11T00:00:00 2026-12-13T00:00:00",
    );
    check("0 0 */13 * 5", Tz::UTC, day, "2026-11-27T00:00:00 2027-01-01T00:00:00");
    check("0 0 30 2 Mon", Tz::UTC, day, "2027-02-01T00:00:00 2027-02-08T00:00:00");
}

#[test]
fn gaps_and_folds_are_passed_as_promised() {
    let (ny, berlin, howe) = (Tz::America__New_York, Tz::Europe__Berlin, Tz::Australia__Lord_Howe);
    // Spring in Berlin: 02:00 is 03:00 at 01:00Z.
    check("30 2 * * *", berlin, "2026-03-28T12:00:00Z", "2026-03-29T01:00:00 2026-03-30T00:30:00");
    check(
        "0,30 2,3 * * *",
        berlin,
        "2026-03-28T12:00:00Z",
        "2026-03-29T01:00:00 2026-03-29T01:30:00 2026-03-30T00:00:00",
    );
    check("30 */2 * * *", berlin, "2026-03-28T23:00:00Z", "2026-03-28T23:30:00 2026-03-29T02:30:00");
    // Autumn: 03:00 is 02:00 again at 01:00Z.
    check("30 2 * * *", berlin, "2026-10-24T12:00:00Z", "2026-10-25T00:30:00 2026-10-26T01:30:00");
    check("30 2 * * *", berlin, "2026-10-25T01:10:00Z", "2026-10-26T01:30:00");
    check(
        "30 * * * *",
        berlin,
        "2026-10-25T00:00:00Z",
        "2026-10-25T00:30:00 2026-10-25T01:30:00 2026-10-25T02:30:00",
    );
    check(
        "0 0-23 * * *",
        ny,
        "2026-11-01T04:30:00Z",
        "2026-11-01T05:00:00 2026-11-01T06:00:00 2026-11-01T07:00:00",
    );
    // Half an hour of summer time: 02:00 is 01:30 again at 15:00Z.
    check(
        "45 * * * *",
        howe,
        "2026-04-04T14:00:00Z",
        "2026-04-04T14:45:00 2026-04-04T15:15:00 2026-04-04T16:15:00",
    );
    check("45 1 * * *", howe, "2026-04-04T14:00:00Z", "2026-04-04T14:45:00 2026-04-05T15:15:00");
    // A midnight that does not exist, and a day that does not.
    check("@daily", Tz::Africa__Cairo, "2026-04-23T12:00:00Z", "2026-04-23T22:00:00 2026-04-24T21:00:00");
    check(
        "30 2 * * *",
        Tz::Pacific__Apia,
        "2011-12-29T20:00:00Z",
        "2011-12-30T10:00:00 2011-12-30T12:30:00 2011-12-31T12:30:00",
    );
}

#[test]
fn the_interval_is_the_smallest_distance_in_a_week() {
    let interval = |text, from| schedule(text, Tz::Europe__Berlin).interval(time(from)).to_string();
    let (autumn, winter) = ("2026-10-24T00:00:00Z", "2026-11-22T00:00:00Z");
    assert_eq!(interval("*/5 * * * *", winter), "5m");
    assert_eq!(interval("*/7 * * * *", winter), "4m");
    assert_eq!(interval("*/2 * * * * *", winter), "2s");
    assert_eq!(interval("0,2 0 3 * * *", winter), "2s");
    assert_eq!(interval("0 9,18 * * *", winter), "9h");
    assert_eq!(interval("@daily", winter), "1d");
    // The week ends with an instant, from Monday to Monday at midnight; what comes after it is another week.
    let monday = "2026-11-22T23:00:00Z";
    assert_eq!(interval("0 0 * * 0,1,3", monday), "1d");
    assert_eq!(interval("0 0 * * 1,3,5", monday), "2d");
    assert_eq!(interval("0 0 * * 1,2,5", monday), "3d");
    assert_eq!(interval("0 0 * * 1", monday), "7d");
    assert_eq!(interval("0 0 1 * *", monday), "31d");
    assert_eq!(interval("@daily", "2026-03-27T00:00:00Z"), "23h");
    assert_eq!(interval("30 2 * * *", autumn), "1d");
    assert_eq!(interval("@weekly", winter), "7d");
    assert_eq!(interval("@monthly", winter), "31d");
    assert_eq!(interval("0 9 1-2 * *", winter), "1d");
    assert_eq!(interval("@daily", "2100-12-31T12:00:00Z"), "7d");
}

#[test]
fn schedules_are_the_same_with_the_same_text_and_zone() {
    let (text, zone) = ("*/5 * * * *", Tz::Europe__Berlin);
    assert_eq!(schedule(text, zone).text(), text);
    assert_eq!(schedule(text, zone), schedule(text, zone));
    assert_ne!(schedule(text, zone), schedule(text, Tz::Asia__Shanghai));
    assert_ne!(schedule(text, zone), schedule("*/6 * * * *", zone));
}

#[test]
fn mistakes_are_told_with_a_place_and_a_way_out() {
    let texts = [
        "",
        "   ",
        "*/5",
        "* * * *",
        "0 0 * * * * 2027",
        "1 2 3 4 5 6 7 8",
        "@yearly",
        "@reboot",
        "@every 5m",
        "@Daily",
        "@midnight",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * 32 * *",
        "* * * 13 *",
        "* * * * 8",
        "? * * * *",
        "* * L * *",
        "* * 15W * *",
        "* * * * 5#2",
        "* * * * 5L",
        "*/0 * * * *",
        "*/90 * * * *",
        "*/x * * * *",
        "*/ * * * *",
        "1,,2 * * * *",
        ", * * * *",
        "5- * * * *",
        "-5 * * * *",
        "0 22-3 * * *",
        "0 23-0 * * *",
        "+5 * * * *",
        "1.5 * * * *",
        "* * * * Funday",
        "* * * Juny *",
        "* * * * * *",
        "*/1 * * * * *",
        "0,1 * * * * *",
        "0,59 * * * * *",
        "0 0 30 2 *",
        "0 0 31 4,6,9,11 *",
        "0 0 29 2-1 *",
        "*\u{202e}/5 * * * *",
        "＊ * * * *",
        "99999999999999 * * * *",
        "*/5* * * * *",
        "** * * * *",
        "Mon * * * *",
        "0\n* * * * *",
    ];
    let mut table = String::new();
    for text in texts {
        let error = Schedule::parse(text, Tz::UTC).expect_err(text);
        let shown = text.escape_debug();
        let place = text.get(error.span.clone()).map(str::escape_debug);
        let place = place.unwrap_or_else(|| panic!("{text}: {:?} is no place in it", error.span));
        writeln!(table, "{shown}\n    at {:?} `{place}`: {error}", error.span).unwrap();
        writeln!(table, "    hint: {}", error.hint.expect("every mistake has a way out")).unwrap();
    }
    insta::assert_snapshot!(table);
}

/// The schedule in UTC; when the last run's instant was, what the clock shows, and what is to be done.
#[track_caller]
fn check_due(text: &str, last_at: &str, now: &str, expect: &str) {
    let at = |text: &str| time(&format!("2026-11-22T{text}Z"));
    let last_at = (last_at != "-").then(|| at(last_at));
    let found = match schedule(text, Tz::UTC).due(last_at, at(now)) {
        Due::Wait(until) => format!("wait until {}", until.unwrap()),
        Due::Run(run) => format!("{:?} {} late {} missed {}", run.cause, run.at, run.late, run.missed),
    };
    assert_eq!(found.replace("2026-11-22T", ""), expect, "{text} {last_at:?} {now}");
}

#[test]
fn a_run_stands_for_the_latest_instant() {
    let five = "*/5 * * * *";
    check_due(five, "-", "10:02:11", "First 10:02:11Z late 0s missed 0");
    check_due(five, "10:00:00", "10:00:00", "wait until 10:05:00Z");
    check_due(five, "10:00:00", "10:04:59.999", "wait until 10:05:00Z");
    check_due(five, "10:00:00", "10:05:00", "Instant 10:05:00Z late 0s missed 0");
    check_due(five, "10:00:00", "10:05:08", "Instant 10:05:00Z late 8s missed 0");
    check_due(five, "10:02:11", "10:05:00", "Instant 10:05:00Z late 0s missed 0");
    // A run longer than the interval: the instants in it are counted, never run twice or at once.
    check_due(five, "10:00:00", "10:10:00", "Instant 10:10:00Z late 0s missed 1");
    check_due(five, "10:00:00", "10:17:30", "Instant 10:15:00Z late 150s missed 2");
    // Eight hours asleep: one run, nothing replayed.
    check_due(five, "01:00:00", "09:02:00", "Instant 09:00:00Z late 2m missed 95");
    check_due("30 2 * * *", "01:00:00", "20:00:00", "Instant 02:30:00Z late 1050m missed 0");
}

#[test]
fn a_clock_that_was_set_costs_one_run_at_most() {
    let five = "*/5 * * * *";
    // Forward by an hour, and by ten years: one run.
    check_due(five, "10:00:00", "11:01:00", "Instant 11:00:00Z late 1m missed 11");
    let far = time("2036-11-22T10:01:00Z");
    let due = schedule(five, Tz::UTC).due(Some(time("2026-11-22T10:00:00Z")), far);
    let at = time("2036-11-22T10:00:00Z");
    assert_eq!(
        due,
        Due::Run(Run { at, late: Span::from_mins(1), missed: MOST_MISSED, cause: Cause::Instant })
    );
    // Back by seconds: the instant is not run again. Back by more: no hour without a poll.
    check_due(five, "10:00:00", "09:59:57", "wait until 10:05:00Z");
    check_due(five, "10:00:00", "09:55:00", "wait until 10:05:00Z");
    check_due(five, "10:00:00", "09:54:59", "ClockBack 09:54:59Z late 0s missed 0");
    check_due(five, "10:00:00", "09:00:03", "ClockBack 09:00:03Z late 0s missed 0");
    check_due(five, "09:00:03", "09:00:03", "wait until 09:05:00Z");
    // Set right again: one run, not twelve.
    check_due(five, "09:05:00", "10:06:00", "Instant 10:05:00Z late 1m missed 11");
    check_due("30 2 * * *", "02:30:00", "01:40:00", "wait until 2026-11-23T02:30:00Z");
}

#[test]
fn the_ends_of_time_are_quiet() {
    let every = schedule("*/5 * * * *", Tz::Asia__Tehran);
    assert_eq!(every.next_after(Time::from_millis(i64::MAX)), None);
    assert_eq!(every.next_after(time("2101-01-01T00:00:00Z")), None);
    assert!(every.next_after(Time::from_millis(i64::MIN)).is_some());
    assert_eq!(every.due(Some(Time::from_millis(i64::MAX)), Time::from_millis(i64::MAX)), Due::Wait(None));
    let _ = every.due(Some(Time::from_millis(i64::MIN)), Time::from_millis(i64::MAX));
    let _ = every.interval(Time::from_millis(i64::MIN));
}
