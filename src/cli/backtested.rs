//! What a backtest found, as text and as JSON.
//!
//! Neighbours: `backtest` gathers it. A part of its own because other programs read the JSON, and people decide by the
//! text: it says what is unknown before it says what was found.

use std::fmt::Write as _;

use chrono_tz::Tz;
use serde::Serialize;

use super::{local, print, when};
use crate::engine::backtest::Episode;
use crate::engine::backtest::compare::{Difference, Findings, Precision};
use crate::engine::backtest::report::{Coverage, Gap, Polled, Report, Unknown};
use crate::engine::message::text::wrap;
use crate::engine::time::{Span, Time};

/// Episodes listed by `--diff`, gaps, and missed ones, each.
const MOST_LISTED: usize = 20;

/// Sources and users named in a line.
const MOST_NAMED: usize = 5;

/// Columns of a line, and where what is said of a rule begins in it.
const LINE: usize = 98;
const BEGINS: usize = 14;

/// `rules backtest --json`.
#[derive(Serialize)]
pub(super) struct Told {
    pub(super) from: Time,
    pub(super) until: Time,
    pub(super) coverage: Vec<Coverage>,
    pub(super) rules: Vec<ToldRule>,
    /// Whether episodes that come and go are listed.
    #[serde(skip)]
    pub(super) listed: bool,
}

/// What the episodes are compared with.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Against {
    /// What the rule raised while the agent ran, whether or not anybody was told.
    Live,
    /// The rule as the file has it.
    File,
}

/// Which of two files has no rule of the name.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Missing {
    File,
    Against,
}

#[derive(Serialize)]
pub(super) struct ToldRule {
    pub(super) when: String,
    pub(super) limit: Option<u32>,
    #[serde(rename = "for")]
    pub(super) hold: String,
    #[serde(flatten)]
    pub(super) report: Report,
    pub(super) findings: Findings,
    pub(super) against: Against,
    /// Where one of the files that are compared lacks it.
    pub(super) missing: Option<Missing>,
    /// None for a rule that one of the files lacks: there is nothing to compare it with.
    pub(super) difference: Option<Difference>,
}

pub(super) fn text(told: &Told, zone: Tz) -> String {
    let mut text = format!(
        "from {} to {}; nothing is sent\n",
        when::local(zone, told.from),
        when::local(zone, told.until)
    );
    if told.coverage.is_empty() {
        text += "unknown: there are no readings of any source that these rules cover\n";
    }
    for coverage in &told.coverage {
        text += &covered(coverage, told, zone);
    }
    for rule in &told.rules {
        text.push('\n');
        text += &of_rule(rule, told, zone);
    }
    text
}

fn covered(coverage: &Coverage, told: &Told, zone: Tz) -> String {
    let source = print::name(&coverage.source);
    if coverage.usable == 0 {
        return format!("{source}: unknown, for there is no reading in this time\n");
    }
    let whole = told.until.since(told.from);
    let percent = coverage.polled.millis() as f64 / whole.millis().max(1) as f64 * 100.0;
    let mut text = format!(
        "{source}: polled for {} of {} ({percent:.1} %), by {}",
        when::length(coverage.polled),
        when::length(whole),
        print::count(count(coverage.polls), "poll")
    );
    let failed = coverage.polls - coverage.usable;
    if failed > 0 {
        let _ = write!(text, ", {failed} of them failed");
    }
    if coverage.partial > 0 {
        let _ = write!(text, ", {} of them without some users", coverage.partial);
    }
    let _ =
        write!(text, "; the schedule as it is now, every {}, has {}", coverage.interval, coverage.scheduled);
    text = wrap(&text, LINE).join("\n  ") + "\n";
    if !coverage.gaps.is_empty() {
        let length = |gap: &Gap| gap.until.since(gap.from);
        let longest = coverage.gaps.iter().max_by_key(|gap| length(gap));
        let longest = longest.map_or_else(String::new, |gap| {
            format!(", the longest {} from {}", when::length(length(gap)), when::local(zone, gap.from))
        });
        let _ = writeln!(
            text,
            "  blind {} in {}{longest}: what happened there is unknown",
            when::length(coverage.blind),
            print::count(coverage.gaps.len(), "gap")
        );
    }
    if coverage.unknown_users > 0 {
        let known = |one: &Unknown| match one.known {
            Span::ZERO => format!("{} (never known)", print::name(&one.user)),
            known => format!("{} (known for {})", print::name(&one.user), when::length(known)),
        };
        let users = print::count(coverage.unknown_users, "user");
        let named = named(coverage.unknown.iter().map(known), coverage.unknown_users);
        indented(&mut text, "", &format!("unknown for most of the time: {users}: {named}"));
    }
    if let Some(until) = coverage.usual_unknown_until {
        let until = when::local(zone, until);
        let says = format!(
            "`usual` unknown up to {until}: readings of the four weeks before are no longer kept, so a rule that asks for \
             it cannot be told before"
        );
        indented(&mut text, "", &says);
    }
    text
}

/// The first of them, and how many more there are of so many.
fn named(each: impl Iterator<Item = String>, of: usize) -> String {
    let mut all: Vec<String> = each.take(MOST_NAMED).collect();
    if of > all.len() {
        all.push(format!("and {} more (--json)", of - all.len()));
    }
    all.join(", ")
}

/// What something says, below each other where it is long.
fn indented(text: &mut String, what: &str, says: &str) {
    let column = if what.is_empty() { 2 } else { BEGINS };
    let mut what = format!("  {what:<11} ");
    what.truncate(column);
    for line in wrap(says, LINE - column) {
        let _ = writeln!(text, "{what:column$}{line}");
        what.clear();
    }
}

fn count(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

fn of_rule(rule: &ToldRule, told: &Told, zone: Tz) -> String {
    let report = &rule.report;
    let limit = rule.limit.map_or_else(String::new, |limit| format!(", limit {limit}"));
    let mut text =
        format!("{}: {}{limit}, {}\n", print::name(&report.rule), print::name(&rule.when), hold(&rule.hold));
    let mut line = |what: &str, says: String| indented(&mut text, what, &says);
    match rule.missing {
        Some(Missing::File) => line("missing", "the rules file has no such rule".to_owned()),
        Some(Missing::Against) => {
            line(
                "missing",
                "the file it is compared with has no such rule; below as the rules file has it".to_owned(),
            );
        }
        None => {}
    }
    let Some(episodes) = report.episodes else {
        line("episodes", "unknown".to_owned());
        return text;
    };
    let open = if report.open > 0 { format!(", {} of them going on", report.open) } else { String::new() };
    line("episodes", format!("{episodes}{open}{}", unknown(report)));
    if episodes > 0 {
        line("subjects", report.subjects.to_string());
        line("per week", format!("{}; at most {}", rate(report), report.most_in_a_week));
        let median = report.median_length.map(when::length).unwrap_or_default();
        let longest = report
            .longest
            .as_ref()
            .map(|one| format!(", the longest {}: {}", when::length(one.length()), shown(one, zone)));
        line("length", format!("median {median}{}", longest.unwrap_or_default()));
        let top = report.top.iter().map(|busy| {
            format!(
                "{} {} ({})",
                local::subject(Some(&busy.source), &busy.subject),
                busy.episodes,
                when::length(busy.firing)
            )
        });
        line("most", top.collect::<Vec<_>>().join(", "));
    }
    line("findings", findings(&rule.findings));
    if rule.findings.precision.is_none() {
        line(" ", "`alerts close EPISODE --finding …` judges one".to_owned());
    }
    missed(&rule.findings, zone).into_iter().for_each(|says| line("would miss", says));
    let Some(difference) = &rule.difference else { return text };
    line("compared", compared(rule.against, difference, told.listed));
    if told.listed {
        for (sign, list) in [("+", &difference.more), ("-", &difference.fewer)] {
            for episode in list.iter().take(MOST_LISTED) {
                let _ = writeln!(text, "    {sign} {}", shown(episode, zone));
            }
            if list.len() > MOST_LISTED {
                let _ = writeln!(text, "    {sign} and {} more; --json lists all", list.len() - MOST_LISTED);
            }
        }
    }
    text
}

/// The confirmed ones that the rule does not raise, a line each.
fn missed(findings: &Findings, zone: Tz) -> Vec<String> {
    let each = findings.missed.iter().take(MOST_LISTED).map(|missed| {
        format!(
            "{} from {}, {} ({})",
            local::subject(Some(&missed.source), &missed.subject),
            when::local(zone, missed.since),
            local::word(&missed.finding),
            local::short(&missed.episode)
        )
    });
    let mut lines: Vec<String> = each.collect();
    if findings.missed.len() > MOST_LISTED {
        lines.push(format!("and {} more; --json lists all", findings.missed.len() - MOST_LISTED));
    }
    lines
}

/// Of whom the rule's episodes say nothing.
fn unknown(report: &Report) -> String {
    let mut unknown = Vec::new();
    if !report.unknown_sources.is_empty() {
        let sources = report.unknown_sources.iter().map(|source| print::name(source));
        unknown.push(format!("in {}", named(sources, report.unknown_sources.len())));
    }
    if report.unknown_users > 0 {
        unknown.push(format!("for {}", print::count(report.unknown_users, "user")));
    }
    if unknown.is_empty() { String::new() } else { format!("; unknown {}", unknown.join(" and ")) }
}

/// Episodes a week, and what makes it: the time polled, of each source where they differ.
fn rate(report: &Report) -> String {
    let length = |one: &Polled| when::length(one.polled);
    let mut polled = report.polled.iter();
    let even = polled.next().filter(|first| polled.all(|one| length(one) == length(first)));
    match (report.per_week, even) {
        (Some(rate), Some(all)) => format!("{rate:.1}, by the {} that were polled", length(all)),
        (None, Some(all)) => format!("- (polled for {}, less than a day)", length(all)),
        (rate, None) => {
            let each = report.polled.iter().map(|one| {
                format!("{} in the {} of {}", one.episodes, length(one), print::name(&one.source))
            });
            let each = named(each, report.polled.len());
            match rate {
                Some(rate) => format!("{rate:.1}, by {each} that were polled"),
                None => format!("- ({each} that were polled, less than a day)"),
            }
        }
    }
}

fn compared(against: Against, difference: &Difference, listed: bool) -> String {
    let than = match against {
        Against::Live => "what it raised while the agent ran",
        Against::File => "the rule as it is",
    };
    let Difference { same, same_as, split, .. } = difference;
    let (more, fewer) = (difference.more.len(), difference.fewer.len());
    let same = match (same == same_as, split) {
        (true, 0) => format!("{same} the same"),
        (false, 0) => format!("{same} are there as {same_as}"),
        (_, split) => format!(
            "{same} are there as {same_as}, since {split} of them would be clear in between, end, and fire again"
        ),
    };
    let unknown = match difference.unknown {
        0 => String::new(),
        n => format!(", {n} unknown: their readings are not kept"),
    };
    let hint = if listed || more + fewer == 0 { "" } else { "; --diff lists them" };
    format!("with {than}: +{more} -{fewer}, {same}{unknown}{hint}")
}

fn hold(hold: &str) -> String {
    if hold == "at once" { hold.to_owned() } else { format!("for {hold}") }
}

fn shown(episode: &Episode, zone: Tz) -> String {
    let until =
        episode.ended_at.map_or_else(|| "going on".to_owned(), |at| format!("to {}", when::local(zone, at)));
    let peak = episode.peak.map_or_else(String::new, |peak| format!(", peak {peak}"));
    let blind = if episode.blind > Span::ZERO {
        format!(", blind {}", when::length(episode.blind))
    } else {
        String::new()
    };
    let subject = local::subject(Some(&episode.source), &episode.subject);
    format!("{subject} from {} {until}{peak}{blind}", when::local(zone, episode.fired_at))
}

fn findings(findings: &Findings) -> String {
    let mut counts = format!(
        "of those judged, {} confirmed and {} refuted would be raised again; {} not judged",
        findings.confirmed,
        findings.refuted,
        print::count(findings.unjudged, "episode")
    );
    if findings.unknown > 0 {
        let _ = write!(counts, "; {} of those judged unknown: their readings are not kept", findings.unknown);
    }
    let percent = |share: f64| (share * 100.0).round();
    match findings.precision {
        Some(Precision { share, low, high, n }) => format!(
            "precision {} % (n = {n}, 95 % interval {} to {} %): {counts}",
            percent(share),
            percent(low),
            percent(high)
        ),
        None => format!("precision unknown: {counts}"),
    }
}
