//! Odd names in replies: told once a day, with what to do.
//!
//! Neighbours: a source notes them, the agent logs the line. A part of its own because a reply that is odd is odd at
//! every poll, and a warning with every poll is read by nobody.

use super::message::clean;
use super::reading::Odd;
use super::time::{Span, Time};

const PAUSE: Span = Span::from_days(1);
/// Characters of a name that are shown.
const SHOWN: usize = 100;

/// When a source's odd names were last told of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OddNames {
    told: Option<Time>,
}

impl OddNames {
    /// The line to log at `now`, if it is time for one. `extra` counts the names nobody asked for.
    pub fn line(&mut self, odd: &[Odd], extra: u32, now: Time) -> Option<String> {
        let fresh = |told: Time| (Span::ZERO..PAUSE).contains(&now.since(told));
        if odd.is_empty() || self.told.is_some_and(fresh) {
            return None;
        }
        self.told = Some(now);
        let name = |name: &str| format!("{:?}", clean(name, SHOWN));
        let mut parts: Vec<String> = odd
            .iter()
            .map(|odd| match odd {
                Odd::Extra(came) => format!("nobody asked for {}", name(came)),
                Odd::OtherCase { asked, came } => format!(
                    "{} was asked for and {} came: names are compared byte for byte, so write it as the vendor does",
                    name(asked),
                    name(came)
                ),
                Odd::Twice(twice) => format!("{} came twice with different counts, neither is believed", name(twice)),
            })
            .collect();
        let shown = odd.iter().filter(|odd| !matches!(odd, Odd::Twice(_))).count();
        let more = (extra as usize).saturating_sub(shown);
        if more > 0 {
            parts.push(format!("{more} more that nobody asked for"));
        }
        Some(parts.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_names_are_told_once_a_day_with_a_hint() {
        let odd = [
            Odd::Extra("eve\n".to_owned()),
            Odd::OtherCase { asked: "alice".to_owned(), came: "Alice".to_owned() },
            Odd::Twice("bob".to_owned()),
        ];
        let at = |hours: i64| Time::from_millis(1_795_392_000_000) + Span::from_hours(hours);
        let mut names = OddNames::default();
        assert_eq!(names.line(&[], 0, at(0)), None);
        let line = names.line(&odd, 9, at(1)).unwrap();
        for words in
            [r#"for "eve\\n""#, "\"alice\" was asked for and \"Alice\" came", "\"bob\" came twice", "7 more"]
        {
            assert!(line.contains(words), "{words} in {line}");
        }
        assert_eq!(names.line(&odd[..1], 1, at(1)), None, "the day is not over");
        let line = OddNames::default().line(&odd[..2], 2, at(1)).unwrap();
        assert!(!line.contains("more"), "all of them are named: {line}");
        let line = OddNames::default().line(&odd[2..], 0, at(1)).unwrap();
        assert!(!line.contains("more"), "nobody else came: {line}");
        assert_eq!(names.line(&odd, 9, at(24)), None);
        assert!(names.line(&odd, 9, at(25)).is_some());
        assert!(names.line(&odd, 9, at(2)).is_some(), "a clock that was set back silences nothing");
    }
}
