//! The log's account of what happened: a line for each event, once it is committed.
//!
//! Neighbours: `collect` and `tend` commit events and have them told here. A part of its own so that whoever has only
//! the journal of the host can follow every episode, and so that both loops tell it alike.

use arcstr::ArcStr;

use crate::engine::event::Event;
use crate::engine::outcome::Outcome;

/// Lines of one commit; the store has the rest.
const MOST: usize = 100;

struct Line {
    kind: String,
    rule: ArcStr,
    source: Option<ArcStr>,
    subject: String,
    severity: String,
    episode: ArcStr,
}

/// What an outcome is going to have happened.
pub(super) struct Story {
    lines: Vec<Line>,
    more: usize,
}

impl Story {
    pub(super) fn of(outcome: &Outcome) -> Self {
        let lines: Vec<Line> = outcome.events.iter().take(MOST).map(|event| line(event)).collect();
        Self { more: outcome.events.len() - lines.len(), lines }
    }

    /// To be called when the transaction has committed.
    pub(super) fn tell(self) {
        for Line { kind, rule, source, subject, severity, episode } in self.lines {
            let (rule, source, episode) = (rule.as_str(), source.as_deref(), episode.as_str());
            tracing::info!(rule, source, subject, severity, episode, "{kind}");
        }
        if self.more > 0 {
            tracing::info!(more = self.more, "further events; see `seatwatch alerts list`");
        }
    }
}

fn line(event: &Event) -> Line {
    Line {
        kind: format!("{:?}", event.kind).to_ascii_lowercase(),
        rule: event.rule.clone(),
        source: event.source.clone(),
        subject: event.subject.name.clone(),
        severity: format!("{:?}", event.severity).to_ascii_lowercase(),
        episode: event.episode.clone(),
    }
}
