//! What `[defaults]` may say for all rules, and a rule for itself: how long, how grave, whom to tell.
//!
//! Neighbours: `rules` reads a rule's own words here and falls back on those of the table. A part of its own because
//! both are read by the same lines, and so cannot come to mean different things.

use super::fleet::limit;
use super::form::Form;
use super::names::Names;
use super::section::Section;
use crate::engine::event::Severity;
use crate::engine::rule::{AbsentMeans, Hold, Mode, OnLeave};
use crate::engine::time::Span;

/// The longest `for`, `repeat` or `max_gap`.
const LONGEST: Span = Span::from_days(400);

/// Only what is written.
#[derive(Clone, Debug, Default)]
pub(super) struct Defaults {
    pub(super) limit: Option<u32>,
    pub(super) hold: Option<Hold>,
    pub(super) clear_hold: Option<Hold>,
    pub(super) severity: Option<Severity>,
    pub(super) notify: Option<Vec<String>>,
    pub(super) repeat: Option<Span>,
    pub(super) max_gap: Option<Span>,
    pub(super) absent: Option<AbsentMeans>,
    pub(super) on_leave: Option<OnLeave>,
    pub(super) mode: Option<Mode>,
}

impl Defaults {
    pub(super) fn read(section: &mut Section<'_>, channels: &Names) -> Self {
        let severities = [
            ("info", Severity::Info),
            ("low", Severity::Low),
            ("medium", Severity::Medium),
            ("high", Severity::High),
            ("critical", Severity::Critical),
        ];
        let means =
            [("hold", AbsentMeans::Hold), ("zero", AbsentMeans::Zero), ("breach", AbsentMeans::Breach)];
        Self {
            limit: limit(section),
            hold: hold(section, "for"),
            clear_hold: hold(section, "clear_for"),
            severity: section.choice("severity", &severities),
            notify: notify(section, channels),
            repeat: section.duration_in("repeat", Span::from_mins(1)..=LONGEST),
            max_gap: section.duration_in("max_gap", Span::from_secs(1)..=LONGEST),
            absent: section.choice("absent", &means),
            on_leave: section.choice("on_leave", &[("hold", OnLeave::Hold), ("end", OnLeave::End)]),
            mode: section.choice("mode", &[("live", Mode::Live), ("shadow", Mode::Shadow)]),
        }
    }

    /// These, and where they say nothing, those.
    pub(super) fn or(self, those: &Self) -> Self {
        Self {
            limit: self.limit.or(those.limit),
            hold: self.hold.or(those.hold),
            clear_hold: self.clear_hold.or(those.clear_hold),
            severity: self.severity.or(those.severity),
            notify: self.notify.or_else(|| those.notify.clone()),
            repeat: self.repeat.or(those.repeat),
            max_gap: self.max_gap.or(those.max_gap),
            absent: self.absent.or(those.absent),
            on_leave: self.on_leave.or(those.on_leave),
            mode: self.mode.or(those.mode),
        }
    }
}

/// `10m`, or `3 of 5 polls`.
fn hold(section: &mut Section<'_>, key: &'static str) -> Option<Hold> {
    section.value(key, || Form::Hold);
    let text = section.peek_string(key).unwrap_or_default();
    let words: Vec<&str> = text.split_whitespace().collect();
    let [n, "of", of, "polls"] = words[..] else {
        return section.duration_in(key, Span::ZERO..=LONGEST).map(Hold::For);
    };
    match (n.parse::<u8>(), of.parse::<u8>()) {
        (Ok(n), Ok(of)) if (1..=of).contains(&n) && of <= 64 => Some(Hold::Polls { n, of }),
        _ => {
            let hint = "write \"n of m polls\" with n from 1 to m and m up to 64, as in \"3 of 5 polls\"";
            section.error_at(key, &format!("{text:?} cannot be met or counted"), Some(hint));
            None
        }
    }
}

fn notify(section: &mut Section<'_>, channels: &Names) -> Option<Vec<String>> {
    section.value("notify", || Form::Texts)?;
    let names = section.strings("notify");
    if names.is_empty() && section.is_empty_list("notify") {
        section.warning_at("notify", "tells nobody", Some("name a channel, or use mode = \"shadow\""));
    }
    Some(channels.check_all(section, "notify", names))
}
