//! Random schedules, read a second time minute by minute by a matcher that knows nothing of leaps.
//!
//! Neighbours: `mod` has the examples. A part of its own because the naive matcher must share nothing with what it checks
//! but the offset of a zone at an instant.

use std::collections::BTreeSet;

use chrono::{Datelike, Timelike};
use proptest::prelude::*;

use super::*;

/// One value, range or list as crontab(5) writes it, without names, by which a naive matcher goes as well.
#[derive(Debug, Clone)]
struct Field {
    text: String,
    star: bool,
    values: BTreeSet<u32>,
}

fn field(low: u32, high: u32) -> impl Strategy<Value = Field> {
    let item = (low..=high, low..=high, 1..=7_u32, 0..4_u8).prop_map(move |(a, b, step, shape)| {
        let (a, b) = (a.min(b), a.max(b));
        match shape {
            0 => (format!("{a}"), (a..=a).step_by(1)),
            1 => (format!("{a}-{b}"), (a..=b).step_by(1)),
            2 => (format!("{a}-{b}/{step}"), (a..=b).step_by(step as usize)),
            _ => (format!("*/{step}"), (low..=high).step_by(step as usize)),
        }
    });
    let list = prop::collection::vec(item, 1..3).prop_map(|items| {
        let text = items.iter().map(|(text, _)| text.as_str()).collect::<Vec<_>>().join(",");
        Field { star: text.contains('*'), text, values: items.into_iter().flat_map(|(_, all)| all).collect() }
    });
    let star = Just(Field { text: "*".to_owned(), star: true, values: (low..=high).collect() });
    prop_oneof![star, list]
}

/// Whether the naive matcher runs at this local time.
fn matches(fields: &[Field], at: NaiveDateTime) -> bool {
    let [minute, hour, day, month, weekday] = fields else { panic!("five fields") };
    let on_day = day.values.contains(&at.day());
    let of_week = at.weekday().num_days_from_sunday();
    let on_weekday = weekday.values.iter().any(|value| value % 7 == of_week);
    let days = if day.star || weekday.star { on_day && on_weekday } else { on_day || on_weekday };
    days && minute.values.contains(&at.minute())
        && hour.values.contains(&at.hour())
        && month.values.contains(&at.month())
}

/// Minute by minute along UTC: what the wall clock shows decides. A wall clock that leaps over matching times runs
/// at once, one that shows a time for the second time does not run again, unless the hours are `*`.
fn naive(fields: &[Field], zone: Tz, from: Time, until: Time) -> Vec<Time> {
    let every_hour =
        fields[1].values.len() == 24 || fields[1].text.split(',').all(|item| item.starts_with('*'));
    let mut found = Vec::new();
    let mut latest = zone::local(zone, from - Span::from_days(2));
    let mut at = from - Span::from_days(2);
    while at < until {
        at = at + Span::from_mins(1);
        let now = zone::local(zone, at);
        let run = if every_hour {
            matches(fields, now)
        } else {
            // Every minute the clock passed for the first time; usually one.
            let passed = std::iter::successors(Some(latest + TimeDelta::minutes(1)), |l| {
                Some(*l + TimeDelta::minutes(1))
            });
            passed.take_while(|minute| *minute <= now).any(|minute| matches(fields, minute))
        };
        latest = latest.max(now);
        if run && at > from && at <= until {
            found.push(at);
        }
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn a_naive_matcher_finds_the_same_instants(
        fields in (field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 7)),
        which in any::<prop::sample::Index>(),
        before in 0_i64..(36 * 60),
    ) {
        let fields = [fields.0, fields.1, fields.2, fields.3, fields.4];
        let text = fields.iter().map(|field| field.text.as_str()).collect::<Vec<_>>().join(" ");
        let days = days_of_change();
        let (zone, change) = days[which.index(days.len())];
        let (from, until) = (change - Span::from_mins(before), change + Span::from_hours(36));
        if let Ok(schedule) = Schedule::parse(&text, zone) {
            prop_assert_eq!(between(&schedule, from, until), naive(&fields, zone, from, until), "{} {}", text, zone);
        }
    }

    #[test]
    fn hours_that_are_alike_are_stepped_as_the_crate_does(
        fields in (field(0, 59), field(0, 59)),
        hour in prop::sample::select(vec!["*", "0-23", "*/1"]),
        from in 0_i64..4_134_000_000_000,
        late in 0_i64..200_000,
    ) {
        let text = format!("{} {} {hour} * 1-12 0-7", fields.0.text, fields.1.text);
        if let Ok(schedule) = Schedule::parse(&text, Tz::Australia__Lord_Howe) {
            let by_the_crate = Schedule { alike: Vec::new(), grain: Span::ZERO, ..schedule.clone() };
            let (from, now) = (Time::from_millis(from), Time::from_millis(from + late));
            prop_assert_eq!(schedule.alike.len(), fields.0.values.len() * fields.1.values.len());
            prop_assert_eq!(schedule.instants(from, 70), by_the_crate.instants(from, 70), "{}", text);
            prop_assert_eq!(schedule.due(Some(from), now), by_the_crate.due(Some(from), now), "{}", text);
        }
    }

    #[test]
    fn whatever_the_text_nothing_panics(text in "[-0-9*,/@ A-Za-z?#\\t\u{0}\u{e9}\u{4e2d}]{0,40}", any in "\\PC{0,30}") {
        for text in [&text, &any] {
            match Schedule::parse(text, Tz::Europe__Berlin) {
                Ok(schedule) => prop_assert!(schedule.next_after(Time::default()).is_some()),
                Err(error) => prop_assert!(text.get(error.span.clone()).is_some(), "{:?}", error),
            }
        }
    }

    #[test]
    fn crontab_shaped_text_never_panics(items in prop::collection::vec("[*0-9]{1,3}|[0-7]-[0-7]|\\*/[0-9]{1,2}|Sun|sat-mon|Jan", 4..8)) {
        let text = items.join(" ");
        if let Ok(schedule) = Schedule::parse(&text, Tz::Pacific__Apia) {
            let instants = schedule.instants(time("2011-12-29T00:00:00Z"), 20);
            prop_assert!(instants.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", instants);
        }
    }
}
