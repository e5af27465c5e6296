//! Plans and folds as stories: rows in, rows out.

use proptest::prelude::*;

use super::*;
use crate::engine::event::{Severity, Subject, SubjectKind};
use crate::engine::time::{Span, Time};

/// `shared:fired:a` is the rule, the kind and the episode.
fn event(text: &str) -> Event {
    let parts: Vec<&str> = text.split(':').collect();
    let kind = match parts[1] {
        "fired" => EventKind::Fired,
        "reminded" => EventKind::Reminded,
        "changed" => EventKind::Changed,
        _ => EventKind::Ended,
    };
    Event {
        id: text.to_owned(),
        kind,
        episode: parts[2].into(),
        at: Time::default(),
        rule: parts[0].into(),
        rule_version: "".into(),
        severity: Severity::High,
        source: None,
        subject: Subject { kind: SubjectKind::User, name: "alice".to_owned() },
        value: None,
        limit: None,
        since: Time::default(),
        fired_at: None,
        ended_at: None,
        reason: None,
        reminder: 0,
        readings: Default::default(),
        blind: Span::ZERO,
        request_ids: Default::default(),
        clients: None,
        when: None,
        signals: Vec::new(),
        detail: None,
        users: Vec::new().into(),
        by: None,
        note: None,
        finding: None,
    }
}

/// As an outcome has them.
fn shared(events: impl IntoIterator<Item = Event>) -> Vec<Arc<Event>> {
    events.into_iter().map(Arc::new).collect()
}

fn show(notice: &Notice) -> String {
    let events: Vec<&str> = notice.events.iter().map(|event| event.id.as_str()).collect();
    format!("{} {:?} {}", notice.channel, notice.kind, events.join(" "))
}

#[track_caller]
fn check_plan(events: &str, expect: &[&str]) {
    let events = shared(events.split_whitespace().map(event));
    let channels = |event: &Event| match event.rule.as_str() {
        "both" => vec!["mail".to_owned(), "hook".to_owned(), "mail".to_owned()],
        "none" => Vec::new(),
        _ => vec!["mail".to_owned()],
    };
    let notices: Vec<String> = plan(&events, &channels).iter().map(show).collect();
    assert_eq!(notices, expect);
}

#[test]
fn events_of_one_rule_and_kind_travel_together() {
    check_plan("", &[]);
    check_plan("none:fired:a", &[]);
    check_plan(
        "x:fired:a y:fired:b x:fired:c x:ended:d",
        &[
            "mail Alert(Fired) x:fired:a x:fired:c",
            "mail Alert(Fired) y:fired:b",
            "mail Alert(Ended) x:ended:d",
        ],
    );
    check_plan(
        "1:fired:a 2:fired:b 3:fired:c 4:fired:d 5:fired:e",
        &[
            "mail Alert(Fired) 1:fired:a",
            "mail Alert(Fired) 2:fired:b",
            "mail Alert(Fired) 3:fired:c",
            "mail Alert(Fired) 4:fired:d",
            "mail Alert(Fired) 5:fired:e",
        ],
    );
    check_plan("both:fired:a", &["mail Alert(Fired) both:fired:a", "hook Alert(Fired) both:fired:a"]);
    check_plan(
        "1:fired:a 2:fired:b 3:fired:c 4:fired:d 5:fired:e 5:ended:f both:fired:g",
        &[
            "mail Digest 1:fired:a 2:fired:b 3:fired:c 4:fired:d 5:fired:e 5:ended:f both:fired:g",
            "hook Alert(Fired) both:fired:g",
        ],
    );
}

#[test]
fn the_same_events_for_the_same_channel_are_the_same_notification() {
    let plan_for =
        |channel: &str| plan(&shared([event("x:fired:a")]), &|_| vec![channel.to_owned()]).remove(0).id;
    assert_eq!(plan_for("mail"), plan_for("mail"));
    assert_ne!(plan_for("mail"), plan_for("hook"));
    assert_ne!(Notice::test("mail", "1").id, Notice::test("mail", "2").id);
    let all = ["x:fired:a", "y:fired:b", "x:reminded:a"].map(event);
    assert_eq!(Notice::new("mail", NoticeKind::Digest, shared(all)).episodes(), ["a", "b"]);
}

/// `x:fired:a,x:fired:b` is a row; `!` before it: attempted; `~`: not due.
fn row(text: &str) -> Row {
    let (attempted, due) = (text.starts_with('!'), !text.starts_with('~'));
    let text = text.trim_start_matches(['!', '~']);
    let events = shared(text.split(',').filter(|t| *t != "test").map(event));
    Row {
        id: text.to_owned(),
        episodes: distinct(events.iter().map(|e| e.episode.as_str())),
        events,
        attempted,
        due,
    }
}

fn rows(text: &str) -> Vec<Row> {
    text.split_whitespace().map(row).collect()
}

#[track_caller]
fn check_fold(text: &str, expect: &[&str]) {
    let folds: Vec<String> = fold("mail", &rows(text))
        .iter()
        .map(|fold| format!("{} <- {}", show(&fold.notice), fold.superseded.join(" ")))
        .collect();
    assert_eq!(folds, expect, "{text}");
}

#[test]
fn fired_and_ended_become_one() {
    check_fold("x:fired:a x:ended:a", &["mail FiredAndEnded x:fired:a x:ended:a <- x:fired:a x:ended:a"]);
    check_fold("x:fired:a x:ended:b", &[]);
    check_fold("x:fired:a x:reminded:a x:changed:a", &[]);
    check_fold("x:reminded:a x:ended:a", &[]);
    check_fold("!x:fired:a x:ended:a", &[]);
    check_fold("x:fired:a ~x:ended:a", &[]);
    check_fold(
        "x:fired:a y:fired:c x:reminded:a x:ended:a",
        &["mail FiredAndEnded x:fired:a x:reminded:a x:ended:a <- x:fired:a x:reminded:a x:ended:a"],
    );
    check_fold(
        "x:fired:a,x:fired:b x:ended:a",
        &["mail Digest x:fired:a x:fired:b x:ended:a <- x:fired:a,x:fired:b x:ended:a"],
    );
    check_fold(
        "x:fired:a,x:fired:b x:ended:a x:ended:b",
        &[
            "mail FiredAndEnded x:fired:a x:fired:b x:ended:a x:ended:b <- x:fired:a,x:fired:b x:ended:a x:ended:b",
        ],
    );
}

#[test]
fn many_become_a_digest_oldest_first() {
    check_fold("1:fired:a 2:fired:b 3:fired:c 4:fired:d 5:fired:e", &[]);
    check_fold(
        "1:fired:a 2:fired:b test 3:fired:c !9:fired:z 4:fired:d 5:fired:e 9:ended:z 6:fired:f",
        &["mail Digest 1:fired:a 2:fired:b 3:fired:c 4:fired:d 5:fired:e 6:fired:f <- \
           1:fired:a 2:fired:b 3:fired:c 4:fired:d 5:fired:e 6:fired:f"],
    );
    check_fold("!1:fired:a 1:ended:a,2:fired:b 2:ended:b 3:fired:c", &[]);
}

#[test]
fn ends_that_nobody_is_to_hear_are_parted_from_the_rest() {
    let parted = |text: &str| {
        let row = row(text);
        let unheard: Vec<String> = row
            .events
            .iter()
            .filter(|event| event.episode.ends_with('a'))
            .map(|event| event.id.clone())
            .collect();
        part("mail", &row, &unheard).map(|[goes, stays]| (show(&goes), show(&stays)))
    };
    let ends = |who: &str| format!("mail Alert(Ended) x:ended:{who}");
    assert_eq!(parted("x:ended:a,x:ended:b"), Some((ends("b"), ends("a"))));
    assert_eq!(parted("x:ended:a"), None, "the store silences those whole");
    assert_eq!(parted("!x:ended:a,x:ended:b"), None, "it was attempted");
    assert_eq!(parted("x:ended:a,x:fired:b"), Some(("mail Alert(Fired) x:fired:b".to_owned(), ends("a"))));
    assert_eq!(parted("x:reminded:a,x:fired:b"), None, "only ends are not to be heard");
}

proptest! {
    /// Whatever waits, folding loses no event, doubles none, touches nothing attempted, reorders no episode, and
    /// what it makes waits for nobody.
    #[test]
    fn folds_keep_every_event_in_its_order(
        shape in prop::collection::vec((0_u8..4, prop::collection::vec(0_usize..6, 1..4)), 0..14)
    ) {
        let kinds = ["fired", "reminded", "changed", "ended"];
        let (mut told, mut rows) = ([0_usize; 6], Vec::new());
        for (flag, episodes) in shape {
            let mut texts = Vec::new();
            for episode in episodes {
                if let Some(kind) = kinds.get(told[episode]) {
                    texts.push(format!("{}:{kind}:{episode}", episode % 2));
                    told[episode] += 1;
                }
            }
            if !texts.is_empty() {
                let mark = ["!", "~", "", ""][usize::from(flag)];
                rows.push(row(&format!("{mark}{}", texts.join(","))));
            }
        }
        let folds = fold("mail", &rows);
        let gone: Vec<&String> = folds.iter().flat_map(|fold| &fold.superseded).collect();
        prop_assert!(rows.iter().all(|row| !(row.attempted && gone.contains(&&row.id))));
        let left: Vec<&Row> = rows.iter().filter(|row| !gone.contains(&&row.id)).collect();
        let after = left.iter().flat_map(|row| &row.events).chain(folds.iter().flat_map(|f| &f.notice.events));
        for episode in 0..6 {
            let step = |e: &Event| kinds.iter().position(|kind| e.id.contains(&format!(":{kind}:")));
            prop_assert!(after.clone().filter(|e| e.episode == episode.to_string()).is_sorted_by_key(|e| step(e)));
        }
        let mut ids: Vec<&str> = left.iter().flat_map(|row| &row.events).map(|e| e.id.as_str()).collect();
        ids.extend(folds.iter().flat_map(|fold| &fold.notice.events).map(|e| e.id.as_str()));
        let mut expect: Vec<&str> = rows.iter().flat_map(|row| &row.events).map(|e| e.id.as_str()).collect();
        ids.sort_unstable();
        expect.sort_unstable();
        prop_assert_eq!(ids, expect);
        for fold in &folds {
            let order = |e: &Arc<Event>| rows.iter().flat_map(|row| &row.events).position(|other| other.id == e.id);
            prop_assert!(fold.notice.events.is_sorted_by_key(order));
            let first = rows.iter().position(|row| fold.superseded.contains(&row.id)).unwrap_or(0);
            let episodes: BTreeSet<String> = fold.notice.episodes().into_iter().collect();
            let waits = |row: &&Row| row.attempted && row.episodes.iter().any(|e| episodes.contains(e));
            prop_assert!(!rows[..first].iter().any(|row| waits(&row)));
        }
    }
}
