//! What came of one rule in a backtest: its episodes, set against what was raised while the agent ran and what was concluded.
//!
//! Neighbours: `backtest` plays the versions, `backtested` prints this. A part of its own because each number is of one
//! version and of the sources that it has, and what nobody can know is none of them.

use std::ops::Range;
use std::sync::Arc;

use super::Failure;
use super::backtest::{Played, Version};
use super::backtested::{Against, Missing, ToldRule};
use crate::engine::backtest::Episode;
use crate::engine::backtest::compare::{Concluded, Difference, Findings, Fired};
use crate::engine::backtest::report::{Coverage, Report};
use crate::engine::event::EndReason;
use crate::engine::lang::Signal;
use crate::engine::rule::Rule;
use crate::engine::time::{Span, Time};
use crate::store::{EpisodeFilter, EpisodeRow, Reader};

/// What was raised of the rule's subjects while the agent ran: episodes that fired or went on in the time, or shortly before.
pub(super) fn live(
    reader: &Reader,
    rule: &Rule,
    from: Time,
    until: Time,
) -> Result<Vec<EpisodeRow>, Failure> {
    let filter = EpisodeFilter {
        all: true,
        rule: Some(rule.name.clone()),
        since: Some(from - Span::from_days(1)),
        ..EpisodeFilter::default()
    };
    let mut all = reader.episodes(&filter)?;
    all.retain(|row| row.since.is_some_and(|at| at < until));
    Ok(all)
}

pub(super) fn told(
    rule: &Arc<Rule>,
    versions: &[Version<'_>],
    played: &Played,
    live: &[EpisodeRow],
    within: Range<Time>,
) -> ToldRule {
    let last = versions.len() - 1;
    let has = |version: usize| versions[version].rules.iter().find(|one| one.name == rule.name);
    let missing = match (has(0), has(last)) {
        (None, _) => Some(Missing::File),
        (_, None) => Some(Missing::Against),
        (Some(_), Some(_)) => None,
    };
    // A rule that one of two files lacks is told as the other has it.
    let of = if missing == Some(Missing::Against) { 0 } else { last };
    let shown = has(of).unwrap_or(rule);
    let of_rule = |version: usize| -> Vec<Episode> {
        played.episodes[version].iter().filter(|episode| episode.rule == rule.name).cloned().collect()
    };
    let episodes = of_rule(of);
    let concluded: Vec<Concluded> = live.iter().filter_map(concluded).collect();
    let (against, before) = match last {
        0 => (Against::Live, live.iter().filter_map(raised_live).collect()),
        _ => (Against::File, of_rule(0)),
    };
    let here = |name: &str| {
        shown.scope.covers_source(name) && versions[of].config.sources.iter().any(|one| one.name == name)
    };
    let coverage: Vec<&Coverage> = played.coverage.iter().filter(|one| here(&one.source)).collect();
    let kept = |fired: Fired<'_>| {
        let source = coverage.iter().find(|one| one.source == fired.source);
        let usual = shown.signals().iter().any(|signal| matches!(signal, Signal::Usual(_)));
        source.is_none_or(|one| one.tells(fired.since, fired.at, reach(shown), usual))
    };
    ToldRule {
        when: shown.when_text.clone(),
        limit: shown.limit.filter(|_| shown.when.names_limit()),
        hold: super::rules::hold(shown.policy.hold),
        report: Report::of(&rule.name, &shown.version, &episodes, &within, &coverage),
        findings: Findings::of(&episodes, &concluded, &within, kept),
        against,
        difference: missing.is_none().then(|| Difference::between(&before, &episodes, &within, kept)),
        missing,
    }
}

/// How far back from a breach the rule looks.
fn reach(rule: &Rule) -> Span {
    rule.signals().into_iter().filter_map(Signal::window).max().unwrap_or_default()
}

fn concluded(row: &EpisodeRow) -> Option<Concluded> {
    Some(Concluded {
        episode: row.episode.clone()?,
        source: row.source.clone()?,
        subject: row.subject.clone(),
        since: row.since?,
        fired_at: row.fired_at?,
        ended_at: row.ended_at,
        finding: row.finding?,
    })
}

fn raised_live(row: &EpisodeRow) -> Option<Episode> {
    Some(Episode {
        rule: row.rule.clone(),
        source: row.source.clone()?,
        subject: row.subject.clone(),
        since: row.since?,
        fired_at: row.fired_at?,
        ended_at: row.ended_at,
        seen_at: row.ended_at.or(row.fired_at)?,
        reason: row.reason.or(row.ended_at.map(|_| EndReason::Cleared)),
        peak: row.value.and_then(|value| value.peak),
        limit: row.limit.clone(),
        blind: row.blind,
    })
}
