//! Two weeks of history for the demo: polls of the made-up people, judged and committed as live ones are.
//!
//! Neighbours: the demo's `run`; the emulator's population says who was online when. A part of its own because it is
//! the one place that writes polls nobody made.

use std::sync::Arc;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::stage::Cast;
use crate::cli::{Failure, print};
use crate::engine::fleet::Fleet;
use crate::engine::judge::judge;
use crate::engine::message::Language;
use crate::engine::names::Names;
use crate::engine::reading::{Batch, Fetched, Reading};
use crate::engine::time::{Span, Time};
use crate::engine::watch::{Remembered, Setup, Watch, When};
use crate::store::Store;

const DAYS: i64 = 14;
const EVERY: Span = Span::from_mins(5);

/// Fills `store` with polls every five minutes from two weeks before `now`. No rule looks at them: nothing fires for
/// the past.
pub(super) async fn write(store: &Store, cast: &Cast, now: Time) -> Result<(), Failure> {
    let setup = Setup {
        install: store.install_id().to_owned(),
        source: "demo".to_owned(),
        interval: EVERY,
        zone: cast.zone,
        fleet: Arc::new(Fleet::default()),
        rules: Vec::new(),
        elsewhere: Vec::new(),
        users: Arc::new(Names::new(&cast.users)),
        roster: false,
        language: Language::En,
        own_notify: Vec::new().into(),
    };
    let mut watch = Watch::new(Arc::new(setup), Remembered::default());
    let polls = Span::from_days(DAYS).millis() / EVERY.millis();
    let progress = ProgressBar::with_draw_target(u64::try_from(polls).ok(), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("two weeks of history {wide_bar} {percent} %") {
        progress.set_style(style);
    }
    let newest = Time::from_millis(now.millis() / EVERY.millis() * EVERY.millis()) - EVERY;
    for n in (0..polls).rev() {
        let at = newest - EVERY.times(n);
        let asked = watch.asked(at);
        let poll =
            watch.poll(fetched(cast, at), &asked, When { at, elapsed: EVERY, jump: None, took: Span::ZERO });
        let outcome = judge(&mut watch, poll, at);
        store.commit(outcome).await?;
        watch.names_saved();
        progress.inc(1);
    }
    progress.finish_and_clear();
    let readings = polls * i64::try_from(cast.users.len()).unwrap_or(0);
    print::line(&format!("two weeks of history: {polls} polls, {readings} readings"));
    Ok(())
}

/// What a poll at `at` would have brought. The planted users were quiet.
fn fetched(cast: &Cast, at: Time) -> Fetched {
    let count = |user: &String| cast.population.count(user, at).unwrap_or(1);
    let readings: Vec<Reading> = cast.users.iter().map(|user| Reading::online(count(user))).collect();
    Fetched {
        batch_of: vec![0; readings.len()].into(),
        readings,
        batches: vec![Batch { fetched_at: at, request_id: None }],
        requests: 1,
        ..Fetched::default()
    }
}
