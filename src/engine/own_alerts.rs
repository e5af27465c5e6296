//! Own alerts on the common road: an opinion about a source, a channel or the agent in, a step and an event out.
//!
//! Neighbours: `own` has the rules and opinions, `judge` applies them to sources, the agent to channels and itself. A
//! part of its own because all three must step, tell and list users in the same way.

use super::alert::{self, Facts, Happening, Moment, Step, Verdict};
use super::event::Event;
use super::outcome::{Alert, AlertKey, State};
use super::own::{Opinion, Own, POLICY, names_added};

/// The version of reserved rules: they change with the program only.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Steps the alert of reserved rule `own` for the subject of `key`. `channels` are those that *fired* goes to.
pub fn take(
    before: &Alert,
    own: Own,
    key: &AlertKey,
    opinion: &Opinion,
    moment: &Moment,
    install: &str,
    channels: &[String],
) -> (Alert, Option<(Event, Vec<String>)>) {
    let mut after = before.clone();
    if opinion.verdict == Verdict::Breach && after.state == State::Ok {
        after.since = opinion.since;
    }
    let step = alert::step(&mut after, opinion.verdict, moment, &POLICY);
    let grown = after.state == State::Firing
        && after.episode.as_ref().is_some_and(|episode| names_added(&episode.users, &opinion.users));
    let happening = match step {
        Some(step @ (Step::Fired | Step::Ended(_))) => Happening::from(step),
        None if grown => Happening::Changed,
        None => return (after, None),
    };
    let told = told(before, channels);
    let facts = Facts {
        install,
        key,
        rule_version: VERSION,
        severity: own.rule().severity,
        when: None,
        limit: None,
        channels,
        clients: None,
        detail: opinion.detail.as_deref(),
        users: &opinion.users,
    };
    let event = alert::build_event(&mut after, happening, moment.at, &facts);
    (after, Some((event, told)))
}

/// Who is told of an event: those who were told that the episode began, or for a new one `channels`.
pub fn told(before: &Alert, channels: &[String]) -> Vec<String> {
    match &before.episode {
        Some(episode) if episode.ended_at.is_none() => episode.channels.clone(),
        Some(_) | None => channels.to_vec(),
    }
}
