//! Ten thousand random histories, told by the engine and by an independent slow model: the same events, event by event.
//!
//! Neighbours: `slow` is the model, `timeline` makes the histories, `play` has the engine tell them live, started again
//! in between, from a database, and fed with the polls that were kept; `again` sets a backtest beside what was told live. A part of its own because nobody thinks of the
//! history that breaks. The seed is printed; `MODEL_SEED=… cargo test --test sim histories` plays that run again, and
//! `MODEL_TIMELINES=10000` plays as many as `tests/run` does.

mod again;
mod play;
mod slow;
mod timeline;

use std::fmt::Write as _;

use play::{Way, fed_again, play};
use seatwatch::store::StoredPoll;
use slow::{Event, Past, Slow};
use timeline::{After, GROUPS, OWN_LIMITS, Timeline, USERS};

use crate::{asked, proven};

/// `tests/run` asks for 10,000, optimised.
const TIMELINES: u64 = 300;
/// One in so many is told by way of a real database, too.
const STORED: u64 = 40;
/// One in so many is of weeks, for `usual`.
const WEEKS: u64 = 10;
/// Threads that share them.
const THREADS: u64 = 2;

fn by_model(timeline: &Timeline) -> Vec<Event> {
    let mut slow = Slow {
        names: USERS.to_vec(),
        own_limits: OWN_LIMITS.to_vec(),
        groups: GROUPS(),
        rules: timeline.rules[0].clone(),
        ..Slow::default()
    };
    let (mut at, mut clock, mut roster) = (timeline.start, 0, None);
    for (n, moment) in timeline.moments.iter().enumerate() {
        at += moment.passed + moment.jump;
        clock += if n == 0 { 0 } else { moment.passed };
        roster = moment.roster.clone().or(roster);
        slow.past.push(Past { at, clock, said: moment.said.clone(), roster: roster.clone() });
        slow.judge();
        match &moment.after {
            After::Nothing | After::Restart { .. } => {}
            After::Reload(which) => slow.reload(timeline.rules[*which].clone(), at + 20_000),
            After::Close { rule, user, rearm } => slow.close(rule, USERS[*user], *rearm, at + 10_000),
        }
    }
    slow.events.sort_by(|a, b| (&a.rule, &a.subject, a.step_no).cmp(&(&b.rule, &b.subject, b.step_no)));
    slow.events
}

/// Where two tellings part, in words; empty where they do not.
fn difference(expect: &[Event], found: &[Event]) -> String {
    let at = expect.iter().zip(found).take_while(|(a, b)| a == b).count();
    match (expect.get(at), found.get(at)) {
        (None, None) => String::new(),
        (a, b) => format!("event {at}:\n  model  {a:?}\n  engine {b:?}"),
    }
}

/// What is wrong with the timeline of a seed; also how many events it has, and how many episodes a backtest told again.
fn check(seed: u64, weeks: bool, stored: bool) -> Result<(usize, usize), String> {
    let timeline = Timeline::new(seed, weeks);
    let expect = by_model(&timeline);
    let mut told: Vec<(&str, Vec<Event>)> = Vec::new();
    let (live, polls) = play(&timeline, Way::Live);
    told.push(("live", live));
    told.push(("restarted", play(&timeline, Way::Restarted).0));
    let kept: Vec<StoredPoll> = if stored {
        let (events, polls) = play(&timeline, Way::Stored);
        told.push(("stored", events));
        polls
    } else {
        polls
    };
    told.push(("fed again", fed_again(&timeline, &kept)));
    let mut wrong = String::new();
    for (way, found) in told {
        let difference = difference(&expect, &found);
        if !difference.is_empty() {
            let _ = writeln!(wrong, "{way}, {difference}");
        }
    }
    let compared = again::compare(&timeline).unwrap_or_else(|different| {
        wrong += &different;
        0
    });
    if wrong.is_empty() {
        return Ok((expect.len(), compared));
    }
    let mut shown = format!("timeline {seed} (weeks: {weeks})\n{wrong}rules {:#?}\n", timeline.rules);
    let mut at = 0;
    for moment in &timeline.moments {
        at += moment.passed + moment.jump;
        let _ = writeln!(
            shown,
            "{:>7} min {:?} {:?} {:?}",
            at / 60_000,
            moment.said,
            moment.roster,
            moment.after
        );
    }
    Err(shown)
}

#[test]
fn histories_are_told_as_the_slow_model_tells_them() {
    let seed = asked("MODEL_SEED").unwrap_or_else(|| rand::random::<u64>() >> 16);
    let timelines = asked("MODEL_TIMELINES").unwrap_or(TIMELINES);
    println!("seed {seed}");
    let share = |thread: u64| {
        let mut sums = (0, 0);
        for n in (0..timelines).filter(|n| n % THREADS == thread) {
            // Weeks and databases meet now and then.
            let (events, episodes) = check(seed + n, n % WEEKS == 3, n % STORED == n / STORED % STORED)
                .unwrap_or_else(|wrong| panic!("MODEL_SEED={seed}, {wrong}"));
            sums = (sums.0 + events, sums.1 + episodes);
        }
        sums
    };
    let (events, episodes): (usize, usize) = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || share(thread))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|wrong| std::panic::resume_unwind(wrong)))
            .fold((0, 0), |sums, (events, episodes)| (sums.0 + events, sums.1 + episodes))
    });
    let few = events as u64 <= timelines || episodes as u64 <= timelines / 4;
    assert!(
        !few || timelines < TIMELINES,
        "histories in which nothing happens prove nothing: {events}, {episodes}"
    );
    let line = format!(
        "timelines compared with the slow model: {timelines}, seed {seed} ({events} events; {episodes} episodes played again)"
    );
    proven("model", &line);
}
