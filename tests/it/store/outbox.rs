//! What a channel was told: in order, exactly one end, through crashes, folding, dead letters and retries.
//! Rows go through the same verbs as the deliver loop calls around a send.

use std::sync::Arc;

use seatwatch::engine::backoff::Answer;
use seatwatch::engine::event::{Event, EventKind, Severity};
use seatwatch::engine::outcome::{Alert, AlertKey, Episode, Outcome, State};
use seatwatch::engine::time::{Span, Time};
use seatwatch::store::{
    Due, EpisodeFilter, Finish, OutboxFilter, OutboxSize, OutboxState, Retention, Store, StoreError, Then,
};

use super::{World, at, commit_events, event, notification};

fn ids(due: &[Due]) -> Vec<&str> {
    due.iter().map(|d| d.id.as_str()).collect()
}

fn due(store: &Store, now: Time) -> Vec<Due> {
    store.due(vec!["mail".to_owned(), "hook".to_owned()], now, 10).wait().unwrap()
}

fn finish(store: &Store, id: &str, n: u32, answer: Answer, then: Then, now: Time) {
    let note = if answer == Answer::Sent { "" } else { "503" }.to_owned();
    let end = Finish { ended_at: now, answer, status: Some(503), note, accepted: vec![], then };
    store.finish_attempt(id, n, end).wait().unwrap();
}

fn state(store: &Store, id: &str) -> OutboxState {
    store.reader().unwrap().notification(id).unwrap().0.state
}

#[test]
fn an_end_waits_for_its_beginning_on_the_same_channel_only() {
    let world = World::new();
    let store = world.open();
    let (fired, ended) = (event("alice", 1, 1, EventKind::Fired), event("alice", 2, 1, EventKind::Ended));
    let other = event("bob", 1, 1, EventKind::Fired);
    let rows = vec![
        notification("a", "mail", &[&fired]),
        notification("b", "mail", &[&ended]),
        notification("c", "hook", &[&ended]),
        notification("d", "mail", &[&other]),
    ];
    commit_events(&store, &[&fired, &ended, &other], rows.clone());
    commit_events(&store, &[&fired, &ended, &other], rows);
    assert_eq!(ids(&due(&store, at(1))), ["ntf_a", "ntf_d", "ntf_c"], "once each, though committed twice");
    let n = store.begin_attempt("ntf_a", "run-1", at(1)).wait().unwrap();
    assert_eq!(ids(&due(&store, at(1))), ["ntf_d", "ntf_c"], "not while it is under way");
    assert!(matches!(store.begin_attempt("ntf_a", "run-1", at(1)).wait(), Err(StoreError::Refused(_))));
    finish(&store, "ntf_a", n, Answer::Retry, Then::At(at(5)), at(2));
    assert_eq!(ids(&due(&store, at(2))), ["ntf_d", "ntf_c"]);
    assert_eq!(ids(&due(&store, at(5))), ["ntf_a", "ntf_d", "ntf_c"]);
    let n = store.begin_attempt("ntf_a", "run-1", at(5)).wait().unwrap();
    assert_eq!(n, 2);
    finish(&store, "ntf_a", n, Answer::Sent, Then::Sent, at(5));
    assert_eq!(ids(&due(&store, at(5))), ["ntf_b", "ntf_d", "ntf_c"]);
    let (row, attempts) = store.reader().unwrap().notification("ntf_a").unwrap();
    assert_eq!((row.state, row.attempts, row.told), (OutboxState::Sent, 2, true));
    assert_eq!(
        attempts.iter().map(|a| a.outcome.as_deref()).collect::<Vec<_>>(),
        [Some("retry"), Some("sent")]
    );
}

#[test]
fn a_dead_beginning_takes_its_end_along_and_a_retry_brings_it_back() {
    let world = World::new();
    let store = world.open();
    let (fired, ended) = (event("alice", 1, 1, EventKind::Fired), event("alice", 2, 1, EventKind::Ended));
    commit_events(&store, &[&fired], vec![notification("a", "mail", &[&fired])]);
    let n = store.begin_attempt("ntf_a", "run", at(1)).wait().unwrap();
    finish(&store, "ntf_a", n, Answer::Rejected, Then::Dead, at(1));
    let rows = vec![notification("b", "mail", &[&ended]), notification("c", "hook", &[&ended])];
    commit_events(&store, &[&ended], rows);
    assert_eq!(state(&store, "ntf_b"), OutboxState::Superseded);
    assert_eq!(state(&store, "ntf_c"), OutboxState::Pending, "another channel has its own story");
    store.retry("ntf_a", at(9)).wait().unwrap();
    assert_eq!(
        (state(&store, "ntf_a"), state(&store, "ntf_b")),
        (OutboxState::Pending, OutboxState::Pending)
    );
    assert_eq!(ids(&due(&store, at(9))), ["ntf_a", "ntf_c"]);
    store.drop_notification("ntf_a", at(9)).wait().unwrap();
    assert_eq!(
        (state(&store, "ntf_a"), state(&store, "ntf_b")),
        (OutboxState::Dead, OutboxState::Superseded)
    );
    assert!(matches!(store.retry("ntf_b", at(9)).wait(), Err(StoreError::Refused(_))));
}

#[test]
fn a_retried_fold_does_not_wake_what_it_stands_for() {
    let world = World::new();
    let store = world.open();
    let (fired, ended) = (event("alice", 1, 1, EventKind::Fired), event("alice", 2, 1, EventKind::Ended));
    let rows = vec![notification("a", "mail", &[&fired]), notification("b", "mail", &[&ended])];
    commit_events(&store, &[&fired, &ended], rows);
    let old = || vec!["ntf_a".to_owned(), "ntf_b".to_owned()];
    let fold = || notification("c", "mail", &[&fired, &ended]);
    assert!(store.supersede(old(), vec![fold()]).wait().unwrap());
    let n = store.begin_attempt("ntf_c", "run", at(1)).wait().unwrap();
    finish(&store, "ntf_c", n, Answer::Rejected, Then::Dead, at(1));
    store.retry("ntf_c", at(9)).wait().unwrap();
    assert_eq!(ids(&due(&store, at(9))), ["ntf_c"]);
    assert_eq!(["ntf_a", "ntf_b"].map(|id| state(&store, id)), [OutboxState::Superseded; 2]);
    assert!(!store.supersede(vec![], vec![fold()]).wait().unwrap(), "it is there already");
}

#[test]
fn what_arrives_although_it_was_dropped_is_told_to_its_end() {
    let world = World::new();
    let store = world.open();
    let (fired, ended) = (event("alice", 1, 1, EventKind::Fired), event("alice", 2, 1, EventKind::Ended));
    commit_events(&store, &[&fired], vec![notification("a", "mail", &[&fired])]);
    let n = store.begin_attempt("ntf_a", "run", at(1)).wait().unwrap();
    store.drop_notification("ntf_a", at(2)).wait().unwrap();
    commit_events(&store, &[&ended], vec![notification("b", "mail", &[&ended])]);
    assert_eq!(state(&store, "ntf_b"), OutboxState::Superseded);
    finish(&store, "ntf_a", n, Answer::Sent, Then::Sent, at(3));
    assert_eq!(state(&store, "ntf_a"), OutboxState::Sent);
    assert_eq!(ids(&due(&store, at(3))), ["ntf_b"]);
}

#[test]
fn what_nobody_could_render_is_listed_and_never_sent() {
    let world = World::new();
    let store = world.open();
    let fired = event("alice", 1, 1, EventKind::Fired);
    let mut row = notification("a", "mail", &[&fired]);
    row.payload.clear();
    commit_events(&store, &[&fired], vec![row]);
    assert_eq!(state(&store, "ntf_a"), OutboxState::Dead);
    assert!(matches!(store.retry("ntf_a", at(9)).wait(), Err(StoreError::Refused(_))));
    assert!(due(&store, at(9)).is_empty());
}

#[test]
fn recipients_once_accepted_stay_accepted() {
    let world = World::new();
    let store = world.open();
    let fired = event("alice", 1, 1, EventKind::Fired);
    commit_events(&store, &[&fired], vec![notification("a", "mail", &[&fired])]);
    for accepted in [vec!["a@x.test"], vec![], vec!["a@x.test", "b@x.test"]] {
        let n = store.begin_attempt("ntf_a", "run", at(1)).wait().unwrap();
        let accepted = accepted.into_iter().map(str::to_owned).collect();
        let (answer, note, then) = (Answer::Retry, "stopped".to_owned(), Then::At(at(1)));
        let end = Finish { ended_at: at(1), answer, status: None, note, accepted, then };
        store.finish_attempt("ntf_a", n, end).wait().unwrap();
        assert!(due(&store, at(1))[0].accepted.contains(&"a@x.test".to_owned()));
    }
    assert_eq!(due(&store, at(1))[0].accepted, ["a@x.test", "b@x.test"]);
}

#[test]
fn three_crashes_within_a_send_give_it_up() {
    let world = World::new();
    let store = world.open();
    let fired = event("alice", 1, 1, EventKind::Fired);
    commit_events(&store, &[&fired], vec![notification("a", "mail", &[&fired])]);
    for (run, dead) in [("r1", false), ("r2", false), ("r3", true)] {
        store.begin_attempt("ntf_a", run, at(1)).wait().unwrap();
        assert!(store.crashed(run, at(1)).wait().unwrap().is_empty(), "its own attempts are under way");
        assert_eq!(store.crashed("next", at(1)).wait().unwrap(), [("ntf_a".to_owned(), dead)]);
    }
    assert_eq!(state(&store, "ntf_a"), OutboxState::Dead);
}

#[test]
fn only_what_was_never_attempted_is_folded() {
    let world = World::new();
    let store = world.open();
    let (fired, ended) = (event("alice", 1, 1, EventKind::Fired), event("alice", 2, 1, EventKind::Ended));
    let rows = vec![notification("a", "mail", &[&fired]), notification("b", "mail", &[&ended])];
    commit_events(&store, &[&fired, &ended], rows);
    assert_eq!(ids(&store.unfinished("mail", 10).wait().unwrap()), ["ntf_a", "ntf_b"]);
    let old = || vec!["ntf_a".to_owned(), "ntf_b".to_owned()];
    let folded = |id| notification(id, "mail", &[&fired, &ended]);
    let n = store.begin_attempt("ntf_a", "run", at(1)).wait().unwrap();
    assert!(!store.supersede(old(), vec![folded("c")]).wait().unwrap());
    finish(&store, "ntf_a", n, Answer::Sent, Then::Sent, at(1));
    assert_eq!(state(&store, "ntf_b"), OutboxState::Pending);

    let (fired, ended) = (event("bob", 1, 1, EventKind::Fired), event("bob", 2, 1, EventKind::Ended));
    let rows = vec![notification("d", "mail", &[&fired]), notification("e", "mail", &[&ended])];
    commit_events(&store, &[&fired, &ended], rows);
    let old = vec!["ntf_d".to_owned(), "ntf_e".to_owned()];
    assert!(store.supersede(old, vec![notification("f", "mail", &[&fired, &ended])]).wait().unwrap());
    assert_eq!(ids(&due(&store, at(2))), ["ntf_b", "ntf_f"]);
    assert_eq!(state(&store, "ntf_d"), OutboxState::Superseded);
}

#[test]
fn whoever_is_told_after_all_is_told_the_end_beside_others() {
    let world = World::new();
    let store = world.open();
    let of = |user: &str| (event(user, 1, 1, EventKind::Fired), event(user, 2, 1, EventKind::Ended));
    let ((fired_a, ended_a), (fired_b, ended_b)) = (of("alice"), of("bob"));
    let rows = vec![notification("a", "mail", &[&fired_a]), notification("b", "mail", &[&fired_b])];
    commit_events(&store, &[&fired_a, &fired_b], rows);
    store.drop_notification("ntf_a", at(1)).wait().unwrap();
    store.drop_notification("ntf_b", at(1)).wait().unwrap();
    commit_events(&store, &[&ended_a, &ended_b], vec![notification("e", "mail", &[&ended_a, &ended_b])]);
    assert_eq!(state(&store, "ntf_e"), OutboxState::Superseded);
    store.retry("ntf_b", at(2)).wait().unwrap();
    assert_eq!(["ntf_b", "ntf_e"].map(|id| state(&store, id)), [OutboxState::Pending; 2]);
    assert_eq!(store.unheard("ntf_e").wait().unwrap(), std::slice::from_ref(&ended_a.id));
}

#[test]
fn an_end_alone_is_not_retried_where_its_beginning_is_given_up() {
    let world = World::new();
    let store = world.open();
    let (fired, ended) = (event("alice", 1, 1, EventKind::Fired), event("alice", 2, 1, EventKind::Ended));
    let rows = vec![notification("a", "mail", &[&fired]), notification("b", "mail", &[&ended])];
    commit_events(&store, &[&fired, &ended], rows);
    assert_eq!(store.give_up_channels_but(vec![], "channel removed", at(1)).wait().unwrap(), 1);
    assert_eq!(
        (state(&store, "ntf_a"), state(&store, "ntf_b")),
        (OutboxState::Dead, OutboxState::Superseded)
    );
    store.drop_notification("ntf_b", at(2)).wait().unwrap_err();
    store.retry("ntf_a", at(3)).wait().unwrap();
    assert_eq!(state(&store, "ntf_b"), OutboxState::Pending, "its beginning goes again");
    store.drop_notification("ntf_b", at(4)).wait().unwrap();
    store.drop_notification("ntf_a", at(4)).wait().unwrap();
    assert!(matches!(store.retry("ntf_b", at(5)).wait(), Err(StoreError::Refused(_))));
    assert_eq!(state(&store, "ntf_b"), OutboxState::Dead);
}

#[test]
fn what_waits_for_some_recipients_holds_back_the_others_alone() {
    let world = World::new();
    let store = world.open();
    let (fired, ended) = (event("alice", 1, 1, EventKind::Fired), event("alice", 2, 1, EventKind::Ended));
    let rows = vec![notification("a", "mail", &[&fired]), notification("b", "mail", &[&ended])];
    commit_events(&store, &[&fired, &ended], rows);
    let took = |id: &str, n, answer, then, who: &[&str]| {
        let accepted = who.iter().map(ToString::to_string).collect();
        let end = Finish { ended_at: at(1), answer, status: None, note: String::new(), accepted, then };
        store.finish_attempt(id, n, end).wait().unwrap();
    };
    let free = |now| -> Vec<(String, Option<Vec<String>>)> {
        due(&store, at(now)).into_iter().map(|row| (row.id, row.only)).collect()
    };
    let begin = |id: &str| store.begin_attempt(id, "run", at(1)).wait().unwrap();
    took("ntf_a", begin("ntf_a"), Answer::Retry, Then::At(at(60)), &["lead"]);
    assert_eq!(
        free(2),
        [("ntf_b".to_owned(), Some(vec!["lead".to_owned()]))],
        "to whom the beginning was told"
    );
    assert_eq!(store.next_due("mail").wait().unwrap(), Some(at(1)));
    took("ntf_b", begin("ntf_b"), Answer::Sent, Then::At(at(1)), &["lead"]);
    assert_eq!(free(2), [], "the other waits for the beginning");
    assert_eq!(store.next_due("mail").wait().unwrap(), Some(at(60)));
    took("ntf_a", begin("ntf_a"), Answer::Sent, Then::Sent, &["lead", "soc"]);
    assert_eq!(free(2), [("ntf_b".to_owned(), None)]);
    assert_eq!(due(&store, at(2))[0].accepted, ["lead"]);
}

#[test]
fn a_channel_that_works_again_gets_what_waits_and_one_failure_wakes_nothing() {
    let world = World::new();
    let store = world.open();
    let events: Vec<_> = ["alice", "bob", "carol"].map(|user| event(user, 1, 1, EventKind::Fired)).into();
    let rows =
        ["a", "b", "c"].iter().zip(&events).map(|(id, event)| notification(id, "mail", &[event])).collect();
    commit_events(&store, &events.iter().collect::<Vec<_>>(), rows);
    let fail = |id: &str| {
        let n = store.begin_attempt(id, "run", at(1)).wait().unwrap();
        finish(&store, id, n, Answer::Retry, Then::At(at(3000)), at(1));
    };
    fail("ntf_a");
    store.wake_channel("mail", at(2)).wait().unwrap();
    assert_eq!(ids(&due(&store, at(2))), ["ntf_b", "ntf_c"], "it may be its own fault");
    fail("ntf_b");
    store.wake_channel("mail", at(2)).wait().unwrap();
    assert_eq!(ids(&due(&store, at(2))), ["ntf_a", "ntf_c"], "the oldest first");
    assert_eq!(ids(&due(&store, at(3))), ["ntf_a", "ntf_b", "ntf_c"]);
}

#[test]
fn what_stands_for_rows_is_sent_in_their_turn() {
    let world = World::new();
    let store = world.open();
    let of = |user: &str| (event(user, 1, 1, EventKind::Fired), event(user, 2, 1, EventKind::Ended));
    let ((fired_a, ended_a), (fired_b, ended_b)) = (of("alice"), of("bob"));
    commit_events(&store, &[&fired_a], vec![notification("a", "mail", &[&fired_a])]);
    let rows = vec![notification("m", "mail", &[&ended_a, &fired_b]), notification("z", "mail", &[&ended_b])];
    commit_events(&store, &[&ended_a, &fired_b, &ended_b], rows);
    store.drop_notification("ntf_a", at(1)).wait().unwrap();
    assert_eq!(store.unheard("ntf_m").wait().unwrap(), std::slice::from_ref(&ended_a.id));
    let (goes, stays) = (notification("g", "mail", &[&fired_b]), notification("s", "mail", &[&ended_a]));
    let parted =
        || store.supersede(vec!["ntf_m".to_owned()], vec![goes.clone(), stays.clone()]).wait().unwrap();
    assert!(parted());
    assert!(!parted(), "it is parted already");
    assert_eq!(["ntf_m", "ntf_s"].map(|id| state(&store, id)), [OutboxState::Superseded; 2]);
    assert_eq!(ids(&due(&store, at(2))), ["ntf_g"], "the end of bob waits for his beginning");
    let n = store.begin_attempt("ntf_g", "run", at(2)).wait().unwrap();
    finish(&store, "ntf_g", n, Answer::Sent, Then::Sent, at(2));
    assert_eq!(ids(&due(&store, at(2))), ["ntf_z"]);
    store.retry("ntf_a", at(3)).wait().unwrap();
    assert_eq!(state(&store, "ntf_s"), OutboxState::Pending, "alice is told after all");
    assert!(store.reader().unwrap().check().unwrap().is_ok());
}

#[test]
fn a_disabled_channel_holds_its_rows_and_a_clock_set_back_holds_nothing_long() {
    let world = World::new();
    let store = world.open();
    let (fired, later) = (event("alice", 1, 1, EventKind::Fired), event("bob", 1, 1, EventKind::Fired));
    commit_events(&store, &[&fired], vec![notification("a", "mail", &[&fired])]);
    let n = store.begin_attempt("ntf_a", "run", at(1)).wait().unwrap();
    finish(&store, "ntf_a", n, Answer::Gone, Then::Wait, at(1));
    commit_events(&store, &[&later], vec![notification("b", "mail", &[&later])]);
    assert!(due(&store, at(100)).is_empty());
    assert_eq!(state(&store, "ntf_b"), OutboxState::Waiting);
    let health = store.channel_health().wait().unwrap().remove(0);
    assert_eq!((health.answer, health.disabled, health.failing), (Answer::Gone, true, 1));
    store.enable_channel("mail", at(200)).wait().unwrap();
    assert_eq!(due(&store, at(200)).len(), 2);
    assert!(due(&store, at(50)).is_empty());
    assert_eq!(store.next_due("mail").wait().unwrap(), Some(at(110)), "an hour after the time it is now");
    let size = store.outbox_size().wait().unwrap();
    assert_eq!((size.rows, size.bytes, size.is_over(OutboxSize::MOST)), (2, 24, false));
}

#[test]
fn episodes_outlive_their_alerts() {
    let world = World::new();
    let store = world.open();
    let (fired, ended) = (event("alice", 1, 1, EventKind::Fired), event("alice", 2, 1, EventKind::Ended));
    let key = AlertKey {
        rule: "shared-account".into(),
        source: Some("shanghai".into()),
        subject: fired.subject.clone(),
    };
    let episode = Episode {
        id: fired.episode.clone(),
        since: at(0),
        fired_at: at(1),
        ended_at: None,
        severity: Severity::High,
        limit: None,
        channels: vec![].into(),
        last_told: at(1),
        reminders: 0,
        acked_by: Some("ops".into()),
        acked_at: Some(at(1)),
        finding: None,
        note: None,
        detail: None,
        users: vec![].into(),
    };
    let alert =
        Alert { state: State::Recovering, step_no: 1, episode: Some(Box::new(episode)), ..Alert::default() };
    let outcome = |event, alert: &Alert| Outcome {
        now: at(1),
        alerts: vec![(key.clone(), Arc::new(alert.clone()))],
        events: vec![Arc::new(event)],
        ..Outcome::default()
    };
    store.commit(outcome(fired.clone(), &alert)).wait().unwrap();
    assert_eq!(store.load_alerts(Some("shanghai")).wait().unwrap(), [(key.clone(), alert)]);
    let reader = store.reader().unwrap();
    let open = reader.episodes(&EpisodeFilter::default()).unwrap();
    assert_eq!((open[0].state, open[0].acked_by.as_deref()), (State::Recovering, Some("ops")));

    let over = Alert { step_no: 2, ..Alert::default() };
    store.commit(outcome(ended.clone(), &over)).wait().unwrap();
    assert!(reader.episodes(&EpisodeFilter::default()).unwrap().is_empty());
    let filter =
        EpisodeFilter { all: true, user: Some("alice".to_owned()), since: Some(at(2)), ..Default::default() };
    let rows = reader.episodes(&filter).unwrap();
    assert_eq!(
        (rows[0].state, rows[0].ended_at, rows[0].acked_by.as_deref()),
        (State::Ok, Some(at(2)), Some("ops"))
    );
    assert_eq!(reader.episode_events(&fired.episode).unwrap(), [fired.clone(), ended]);
    assert_eq!(reader.episode(&fired.episode[..8]).unwrap().episode, Some(fired.episode.to_string()));
    assert!(matches!(reader.episode("ep_0"), Err(StoreError::NotFound { .. })));

    store.commit(Outcome { alerts: vec![(key, Arc::default())], ..Outcome::default() }).wait().unwrap();
    assert!(store.load_alerts(None).wait().unwrap().is_empty());
}

#[test]
fn a_prefix_that_fits_two_lists_both() {
    let world = World::new();
    let store = world.open();
    let events = ["a", "b"].map(|user| event(user, 1, 1, EventKind::Fired));
    commit_events(&store, &[&events[0], &events[1]], vec![]);
    let StoreError::Ambiguous { candidates, .. } = store.episode("ep_").wait().unwrap_err() else { panic!() };
    assert_eq!(candidates.len(), 2);
}

#[test]
fn pruned_events_leave_an_anchor_and_open_episodes_keep_theirs() {
    let world = World::new();
    let store = world.open();
    let alice =
        [1, 2].map(|n| event("alice", n, 1, if n == 1 { EventKind::Fired } else { EventKind::Ended }));
    let bob = event("bob", 1, 1, EventKind::Fired);
    let carol =
        [1, 2].map(|n| event("carol", n, 1, if n == 1 { EventKind::Fired } else { EventKind::Ended }));
    let all = [&alice[0], &carol[0], &bob, &alice[1], &carol[1]];
    commit_events(&store, &all, vec![notification("a", "mail", &[&alice[0]])]);
    let n = store.begin_attempt("ntf_a", "run", at(1)).wait().unwrap();
    finish(&store, "ntf_a", n, Answer::Sent, Then::Sent, at(1));
    let retention =
        Retention { events: Span::from_days(1), attempts: Span::from_days(1), ..Retention::default() };
    let later = at(0) + Span::from_days(2);
    while store.prune(later, retention, 1).wait().unwrap().more {}
    let reader = store.reader().unwrap();
    assert!(reader.check().unwrap().is_ok(), "{:?}", reader.check());
    assert_eq!(reader.stats().unwrap().events, 1);
    assert_eq!(reader.episodes(&EpisodeFilter { all: true, ..Default::default() }).unwrap().len(), 1);
    assert!(reader.outbox(&OutboxFilter { all: true, ..Default::default() }).unwrap().is_empty());
    commit_events(&store, &[&event("bob", 2, 1, EventKind::Ended)], vec![]);
    assert!(reader.check().unwrap().is_ok(), "{:?}", reader.check());
}

/// Everything that may be forgotten two days from the beginning is, in batches of one.
fn prune_all(store: &Store) {
    let retention =
        Retention { events: Span::from_days(1), attempts: Span::from_days(1), ..Retention::default() };
    while store.prune(at(0) + Span::from_days(2), retention, 1).wait().unwrap().more {}
}

#[test]
fn what_was_told_of_an_open_episode_is_known_to_its_end() {
    let world = World::new();
    let store = world.open();
    let users = ["alice", "bob"];
    let fired = users.map(|user| event(user, 1, 1, EventKind::Fired));
    let ended = users.map(|user| event(user, 2, 1, EventKind::Ended));
    // Alice's is given up. Bob's arrived by a digest; the first message of it is given up long afterwards.
    let rows = [("a", 0), ("x", 1), ("b", 1)];
    let rows = rows.map(|(id, n)| notification(id, "mail", &[&fired[n]])).to_vec();
    commit_events(&store, &[&fired[0], &fired[1]], rows);
    for (id, then, minute) in
        [("ntf_a", Then::Dead, 1), ("ntf_x", Then::Sent, 1), ("ntf_b", Then::Dead, 2 * 24 * 60 - 1)]
    {
        let n = store.begin_attempt(id, "run", at(minute)).wait().unwrap();
        let answer = if then == Then::Sent { Answer::Sent } else { Answer::Rejected };
        finish(&store, id, n, answer, then, at(minute));
    }
    prune_all(&store);
    let rows = [("c", 0), ("d", 1)].map(|(id, n)| notification(id, "mail", &[&ended[n]])).to_vec();
    commit_events(&store, &[&ended[0], &ended[1]], rows);
    assert_eq!(state(&store, "ntf_c"), OutboxState::Superseded, "nobody was told that it began");
    assert_eq!(state(&store, "ntf_d"), OutboxState::Pending, "its beginning was told");
    assert!(store.reader().unwrap().check().unwrap().is_ok());
}

/// A finding may come long after the end; who was told is asked for as long as the episode is listed.
#[test]
fn what_was_told_of_an_episode_is_known_as_long_as_it_is_listed() {
    let world = World::new();
    let store = world.open();
    let [fired, ended] =
        [(1, EventKind::Fired), (2, EventKind::Ended)].map(|(step, kind)| event("alice", step, 1, kind));
    commit_events(&store, &[&fired], vec![notification("a", "mail", &[&fired])]);
    let n = store.begin_attempt("ntf_a", "run", at(1)).wait().unwrap();
    finish(&store, "ntf_a", n, Answer::Sent, Then::Sent, at(1));
    let judged = Event { at: at(2 * 24 * 60 - 60), ..event("alice", 3, 1, EventKind::Closed) };
    commit_events(&store, &[&ended, &judged], vec![]);
    prune_all(&store);
    let listed =
        store.reader().unwrap().episodes(&EpisodeFilter { all: true, ..Default::default() }).unwrap();
    assert_eq!(listed.len(), 1);
    assert!(listed[0].notified, "{listed:#?}");
}

#[test]
fn an_end_that_waits_for_its_beginning_keeps_what_it_says() {
    let world = World::new();
    let store = world.open();
    let (fired, ended) = (event("alice", 1, 1, EventKind::Fired), event("alice", 2, 1, EventKind::Ended));
    commit_events(&store, &[&fired], vec![notification("a", "mail", &[&fired])]);
    store.drop_notification("ntf_a", at(1)).wait().unwrap();
    commit_events(&store, &[&ended], vec![notification("b", "mail", &[&ended])]);
    assert_eq!(state(&store, "ntf_b"), OutboxState::Superseded);
    let says = store.reader().unwrap().payload("ntf_b").unwrap();
    let retention = Retention { attempts: Span::from_days(1), ..Retention::default() };
    while store.prune(at(0) + Span::from_days(2), retention, 1).wait().unwrap().more {}
    store.retry("ntf_a", at(9)).wait().unwrap();
    assert_eq!([state(&store, "ntf_a"), state(&store, "ntf_b")], [OutboxState::Pending; 2]);
    assert_eq!(store.reader().unwrap().payload("ntf_b").unwrap(), says);
}
