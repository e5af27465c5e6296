//! The steps that lie between a rule and an alert, each asked on its own, each with a sentence that says what is there.
//!
//! Neighbours: `why_not` walks them in order, `past` has the polls. A part of its own because a step must say what would
//! have to be different, in the words of the rules file.

use chrono_tz::Tz;
use serde::Serialize;

use super::past::{self, Past, Question};
use super::subject::Meant;
use super::{coverage, local, print, rules, when};
use crate::config::Source;
use crate::engine::alert::Verdict;
use crate::engine::event::SubjectKind;
use crate::engine::fleet::Fleet;
use crate::engine::lang::{Part, Signal, Worth};
use crate::engine::outcome::{Quarantined, State};
use crate::engine::reading::{Kind, PollOutcome};
use crate::engine::rule::{AbsentMeans, Hold, Rule};
use crate::engine::time::{Span, Time};
use crate::engine::trial::Round;
use crate::engine::verdict::Judged;

/// One step.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Step {
    pub(super) step: &'static str,
    pub(super) ok: bool,
    pub(super) says: String,
}

/// The steps that were asked, in order.
#[derive(Default)]
pub(super) struct Chain {
    pub(super) steps: Vec<Step>,
}

impl Chain {
    pub(super) fn holds(&mut self, step: &'static str, says: String) {
        self.steps.push(Step { step, ok: true, says });
    }

    pub(super) fn fails(&mut self, step: &'static str, says: String) {
        self.steps.push(Step { step, ok: false, says });
    }

    /// The first that fails.
    pub(super) fn failed(&self) -> Option<&'static str> {
        self.steps.iter().find(|step| !step.ok).map(|step| step.step)
    }
}

/// Whether the source asks about the user.
pub(super) fn user(
    chain: &mut Chain,
    source: &Source,
    held: Option<&Quarantined>,
    meant: &Meant,
    zone: Tz,
) -> bool {
    if meant.subject.kind != SubjectKind::User {
        return true;
    }
    let user = &meant.subject.name;
    let shown = local::name(user);
    if !source.users.contains(user) {
        chain.fails(
            "user",
            format!("{} does not ask about {shown}: its list of users has no such name", source.name),
        );
        return false;
    }
    if let Some(held) = held {
        let (since, retry) = (when::local(zone, held.since), when::local(zone, held.retry_at));
        chain.fails(
            "user",
            format!("the vendor refuses the name {shown} since {since}; it is asked again at {retry}"),
        );
        return false;
    }
    chain.holds("user", format!("{} asks about {shown}", source.name));
    true
}

/// Whether the rule's scope covers the subject, and what decides.
pub(super) fn scope(chain: &mut Chain, fleet: &Fleet, rule: &Rule, source: &Source, meant: &Meant) -> bool {
    let (name, scope) = (&meant.subject.name, &rule.scope);
    let covered = match meant.subject.kind {
        SubjectKind::User => {
            let groups: Vec<String> =
                fleet.groups_of(&source.name, name).map(|group| group.name.clone()).collect();
            if let Some(glob) = scope.except.iter().find(|glob| glob.is_match(name)) {
                chain.fails(
                    "scope",
                    format!("except = {:?} leaves {} out", glob.glob().glob(), local::name(name)),
                );
                return false;
            }
            let covers = scope.covers_user(name, &groups);
            if !covers && !scope.groups.is_empty() {
                let of = if groups.is_empty() { "no group".to_owned() } else { groups.join(", ") };
                let (is, whom) = (local::name(name), coverage::scope(rule));
                chain.fails("scope", format!("the rule watches {whom}; {is} is in {}", local::name(&of)));
                return false;
            }
            covers
        }
        SubjectKind::Group => scope.groups.is_empty() || scope.groups.contains(name),
        SubjectKind::Source | SubjectKind::Channel | SubjectKind::Agent => true,
    };
    let whom = coverage::scope(rule);
    match covered {
        true => chain.holds("scope", format!("the rule watches {whom}")),
        false => chain.fails("scope", format!("the rule watches {whom}")),
    }
    covered
}

/// The poll at that time, if it told the rule something of the subject.
pub(super) fn told_of<'p>(
    chain: &mut Chain,
    question: &Question<'_>,
    past: Option<&'p Past>,
    at: Time,
) -> Option<&'p Round> {
    let zone = question.config.agent.timezone;
    let name = local::name(&question.subject.name);
    let mut fail = |says: String| {
        chain.fails("poll", says);
        None
    };
    let Some(past) = past else { return fail(format!("{} was never polled", question.source.name)) };
    let Some(last) = past.last.as_ref().filter(|last| at.since(last.at) <= question.max_gap()) else {
        let before = question.reader.last_poll(&question.source.name).ok().flatten();
        let before = before.filter(|before| before.at <= at);
        let before = before.map(|before| format!("; the last one was at {}", when::local(zone, before.at)));
        return fail(format!("there is no poll near that time{}", before.unwrap_or_default()));
    };
    let when = when::local(zone, last.at);
    if last.outcome == PollOutcome::Failed {
        let why =
            last.fault.as_ref().map(|fault| format!(": {} ({})", print::name(&fault.told()), fault.code));
        return fail(format!("the poll of {when} failed{}", why.unwrap_or_default()));
    }
    let Some(round) = past.followed.rounds.last().filter(|round| round.at == last.at) else {
        return fail(format!("the poll of {when} knows no {name}"));
    };
    let look = &round.look;
    if look.judged == Judged::LeftScope {
        return fail(format!("the poll of {when} did not ask about {name}"));
    }
    if let (Some(none), false) = (past::no_total(look), look.tells) {
        return fail(format!(
            "the poll of {when} told nothing of {name}: {none}; `absent = \"zero\"` counts names that are gone as nobody"
        ));
    }
    if !look.tells && !look.absent_breach {
        return fail(match look.reading.kind() {
            Kind::Absent if question.rule.absent == AbsentMeans::Hold => format!(
                "the poll of {when} did not find {name}; with `absent = \"hold\"` that tells the rule nothing"
            ),
            Kind::Failed => format!("the poll of {when} could not tell of {name}: its reading failed"),
            Kind::NotPolled => format!("the poll of {when} did not ask about {name}"),
            Kind::Absent | Kind::Online(_) => format!("the poll of {when} told the rule nothing of {name}"),
        });
    }
    chain.holds("poll", format!("the poll of {when} told of {name}: {}", past::said(look)));
    Some(round)
}

/// Whether the poll lies in the rule's hours.
pub(super) fn hours(chain: &mut Chain, rule: &Rule, round: &Round, zone: Tz) -> bool {
    let Some(calendar) = &rule.during else { return true };
    let until = calendar.next_change(round.at).map(|at| format!(" until {}", when::local(zone, at)));
    let until = until.unwrap_or_default();
    let inside = calendar.contains(round.at);
    let name = calendar.name();
    if inside {
        chain.holds("during", format!("it is {name}{until}"));
    } else {
        chain.fails("during", format!("it is not {name}{until}, and nothing is a breach"));
    }
    inside
}

/// Whether the condition is met; else the comparison that is not.
pub(super) fn condition(chain: &mut Chain, question: &Question<'_>, round: &Round) -> bool {
    let look = &round.look;
    let limit = look.limit.as_ref().map(|limit| format!("; the limit is set by {}", question.set_by(limit)));
    let limit = limit.unwrap_or_default();
    if look.absent_breach {
        chain.holds("condition", "absent, which is a breach by `absent = \"breach\"`".to_owned());
        return true;
    }
    if look.judged == Judged::Inside(Verdict::Breach) {
        chain.holds("condition", format!("{}{limit}", past::values(look)));
        return true;
    }
    let deciding: Vec<String> = look.when.iter().filter(|part| part.decides).map(past::shown).collect();
    let why = missing(question, round).map(|why| format!("; {why}")).unwrap_or_default();
    let says = format!("{} ({}){limit}{why}", deciding.join(" and "), past::values(look));
    chain.fails("condition", says);
    false
}

/// Why a signal of the condition has no value, where it needs more than this poll.
fn missing(question: &Question<'_>, round: &Round) -> Option<String> {
    let nothing = |signal: &&Signal| {
        let none = |part: &Part| matches!(part.worth, Worth::Number(None) | Worth::Duration(None));
        let text = signal.to_string();
        round.look.when.iter().any(|part| part.text == text && none(part))
    };
    let signal = question.rule.when.signals().iter().find(nothing)?;
    let needs = match signal {
        Signal::Usual(_) => "the readings of the same hour in two of the past four weeks",
        Signal::Low(_) | Signal::Mean(_) => "nine tenths of its window read",
        Signal::Previous => "a reading before this one",
        // The step before tells of the others: they have a value with every reading.
        Signal::Online | Signal::Limit | Signal::OnlineTime | Signal::OfflineTime | Signal::AbsentTime => {
            return None;
        }
        Signal::Peak(_) | Signal::Changes(_) | Signal::TimeOver(..) | Signal::Peers(_) => return None,
        Signal::Total | Signal::UsersOnline | Signal::Members | Signal::SilentTime => return None,
        Signal::FailedShare | Signal::Known | Signal::Enabled => return None,
    };
    let first = question.reader.load_source(&question.source.name).ok()?.memory.first_at?;
    let from = first + signal.earliest(question.source.interval);
    let zone = question.config.agent.timezone;
    let since = if from > round.at {
        format!(
            "the first poll was at {}, so it has none before {}",
            when::local(zone, first),
            when::local(zone, from)
        )
    } else {
        "this subject has not enough of them".to_owned()
    };
    Some(format!("{signal} needs {needs}: {since}"))
}

/// Whether the breach has held for as long as `for` asks.
pub(super) fn holding(chain: &mut Chain, rule: &Rule, round: &Round, past: Option<&Past>, zone: Tz) -> bool {
    let alert = &round.look.alert;
    let asked = rules::hold(rule.policy.hold);
    if alert.state != State::Pending {
        let says = match rule.policy.hold {
            Hold::For(Span::ZERO) => "a breach counts at once".to_owned(),
            Hold::For(_) | Hold::Polls { .. } => format!("the breach held for {asked}"),
        };
        chain.holds("for", says);
        return true;
    }
    let holes = past.is_some_and(|past| {
        past.followed.holes.iter().any(|(_, until)| alert.held_since.is_some_and(|since| since.at == *until))
    });
    let says = match (rule.policy.hold, alert.held_since) {
        (Hold::Polls { n, of }, _) => {
            let marks = if of >= 64 { alert.marks } else { alert.marks & ((1 << of) - 1) };
            format!("{} of the last {of} polls were a breach, {n} are asked for", marks.count_ones())
        }
        (Hold::For(length), Some(since)) => {
            let held = round.at.since(since.at);
            let hole = if holes { ", when a hole in the readings ended and the time began anew" } else { "" };
            format!(
                "a breach since {}{hole}, for {}; {asked} are asked for, {} are missing",
                when::local(zone, since.at),
                when::length(held),
                when::length(length - held)
            )
        }
        (Hold::For(_), None) => format!("a breach, and not yet for {asked}"),
    };
    chain.fails("for", says);
    false
}
