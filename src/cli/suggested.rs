//! What `rules suggest` found, as text: the table of candidates, the exceptions to paste, whom to look at first.
//!
//! Neighbours: `suggest` gathers it. A part of its own because people paste what it prints into their rules file.

use std::fmt::Write as _;

use chrono_tz::Tz;

use super::suggest::{Candidate, Told};
use super::{local, print, rules, when};
use crate::engine::rule::Rule;
use crate::engine::time::Span;

/// Users that are listed.
const MOST_LISTED: usize = 20;

pub(super) fn text(told: &Told, rule: &Rule, zone: Tz) -> String {
    let mut text = format!(
        "{}, {}, by readings from {} to {}, polled for {}; nothing is sent or changed\n{}\n",
        print::name(&told.rule),
        print::count(told.users, "user"),
        when::local(zone, told.from),
        when::local(zone, told.until),
        when::length(Span::from_millis(told.polled_ms)),
        left_out(told)
    );
    let own = (rule.limit, rules::hold(rule.policy.hold));
    let mark = |candidate: &Candidate| {
        let mut marks = Vec::new();
        if (Some(candidate.limit), &candidate.hold) == (own.0, &own.1) {
            marks.push("as it is");
        }
        if told.suggested.as_ref() == Some(candidate) {
            marks.push("suggested");
        }
        marks.join(", ")
    };
    let quiet = |candidate: &&Candidate| candidate.users > 0 || !mark(candidate).is_empty();
    let rows: Vec<Vec<String>> = told
        .candidates
        .iter()
        .filter(quiet)
        .map(|one| {
            let per_week =
                |count: Option<f64>| count.map_or_else(|| "-".to_owned(), |count| format!("{count:.1}"));
            vec![
                one.limit.to_string(),
                one.hold.clone(),
                per_week(one.episodes_per_week),
                one.users.to_string(),
                per_week(one.others_per_week),
                mark(one),
            ]
        })
        .collect();
    text += &print::table(&["limit", "for", "episodes a week", "users", "of others", ""], &rows);
    if rises(&told.candidates) {
        text += "A higher limit can raise more episodes: one that goes on is clear of it in between, ends, and fires again.\n";
    }
    match &told.suggested {
        Some(found) => {
            let _ = writeln!(
                text,
                "\nThe smallest limit with at most one episode a week per 100 users, for {}: {}.{}",
                found.hold,
                found.limit,
                others(told)
            );
        }
        None => {
            text += "\nNo limit up to 8 has at most one episode a week per 100 users: look at the users below first.\n";
        }
    }
    text += &exceptions(told);
    text += &shared(told);
    text
}

/// Who is not in the figures below, or not judged by them.
fn left_out(told: &Told) -> String {
    let mut text = String::new();
    for short in &told.left_out {
        let (source, polled) = (local::name(&short.source), when::length(short.polled));
        let _ =
            writeln!(text, "{source} is left out: it was polled for {polled}, and two weeks are the least.");
    }
    if told.never_read > 0 {
        let users = print::count(told.never_read, "user");
        let _ = writeln!(text, "Left out: {users} of whom no count is known in this time.");
    }
    if told.hardly_online > 0 {
        let users = print::count(told.hardly_online, "user");
        let _ = writeln!(
            text,
            "Not judged: {users} online for less than a tenth of two weeks; no more is known of what is usual."
        );
    }
    text
}

/// Whether a limit raises more than a lower one with the same hold.
fn rises(candidates: &[Candidate]) -> bool {
    candidates.iter().any(|one| {
        let higher = |other: &&Candidate| other.hold == one.hold && other.limit > one.limit;
        candidates.iter().filter(higher).any(|other| other.episodes_per_week > one.episodes_per_week)
    })
}

/// Whom the suggestion leaves out.
fn others(told: &Told) -> String {
    match told.always_shared.len() {
        0 => String::new(),
        n => format!(
            "\nEpisodes of the {} named at the end do not count for that.",
            print::count(n, "account")
        ),
    }
}

/// Ready to be pasted, but for what only people know.
fn exceptions(told: &Told) -> String {
    let mut text = String::new();
    if told.exceptions.is_empty() {
        return text;
    }
    let _ = writeln!(
        text,
        "\n{} whose normal is above the limit, and no more than that of the others; if that is right, paste:\n",
        print::count(told.exceptions.len(), "user")
    );
    for one in told.exceptions.iter().take(MOST_LISTED) {
        let quoted = |name: &str| toml::Value::String(name.to_owned()).to_string();
        let _ = writeln!(
            text,
            "[[exception]]\nuser = {}\nsource = {}\nlimit = {}\nreason = \"usually {} clients\"\nowner = \"…\"\nexpires = {}\n",
            quoted(&one.user),
            quoted(&one.source),
            one.habit.mostly,
            one.habit.usual,
            (told.until + Span::from_days(90)).to_utc().date_naive()
        );
    }
    if told.exceptions.len() > MOST_LISTED {
        let _ = writeln!(text, "and {} more", told.exceptions.len() - MOST_LISTED);
    }
    text
}

fn shared(told: &Told) -> String {
    if told.always_shared.is_empty() {
        return String::new();
    }
    let mut text = "\nLook at these before you allow them anything: most of the time they are online they have more clients \
                    than nine\nin ten of the others, so they may have been shared from their first day:\n"
        .to_owned();
    for one in told.always_shared.iter().take(MOST_LISTED) {
        let _ = writeln!(
            text,
            "  {}/{}: usually {}, mostly up to {}, over {} online; limit {}, the others {}",
            local::name(&one.source),
            local::name(&one.user),
            one.habit.usual,
            one.habit.mostly,
            when::length(one.habit.online),
            one.limit,
            print::or_dash(one.others)
        );
    }
    if told.always_shared.len() > MOST_LISTED {
        let _ = writeln!(text, "  and {} more", told.always_shared.len() - MOST_LISTED);
    }
    text
}
