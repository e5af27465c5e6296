//! A reading added to those that decide about an alert.
//!
//! Neighbours: `judge` adds one at each poll, moves add what they tell of. A part of its own because tens of thousands of
//! alerts may wait at the same time: those whose readings came in the same replies, poll after poll, keep them together.

use super::TRAIL;
use crate::engine::event::EventReading;
use crate::engine::outcome::Alert;
use crate::engine::request_id::RequestId;
use crate::engine::shared::Shared;
use crate::engine::trail::Trail;

/// Adds a reading to those that decide, with the `RequestId` of the reply that stated it. Only while a stretch is
/// under way (`since` is set); a poll that is seen twice counts once.
pub fn push_trail(alert: &mut Alert, reading: EventReading, request_id: Option<&RequestId>) {
    if alert.since.is_none() || alert.trail.last().is_some_and(|last| last.at >= reading.at) {
        return;
    }
    alert.trail.change(|list| push(list, reading));
    if let Some(id) = request_id
        && !alert.trail_requests.iter().rev().any(|known| known == id)
    {
        push(&mut alert.trail_requests, id.clone());
    }
}

/// The first stays, then the last ones.
fn push<T>(list: &mut Vec<T>, item: T) {
    if list.len() >= TRAIL {
        list.remove(1);
    } else {
        // Not twice as much: thousands of alerts stay as long as their shortest hold lets them.
        list.reserve_exact(1);
    }
    list.push(item);
}

/// What was added last, to an alert with a stretch under way.
#[derive(Debug, Default)]
pub(in crate::engine) struct Pushed {
    before: (Trail, Shared<RequestId>),
    added: Option<(EventReading, Option<RequestId>)>,
    after: (Trail, Shared<RequestId>),
}

impl Pushed {
    /// As [`push_trail`]; alerts that are given the same one after the other, and had the same, share it.
    pub(in crate::engine) fn push(
        &mut self,
        alert: &mut Alert,
        reading: EventReading,
        request_id: Option<&RequestId>,
    ) {
        let added = Some((reading, request_id.cloned()));
        let same = (&self.before.0, &self.before.1) == (&alert.trail, &alert.trail_requests);
        if !same || added != self.added || alert.since.is_none() {
            let before = (alert.trail.clone(), alert.trail_requests.clone());
            push_trail(alert, reading, request_id);
            if alert.since.is_some() {
                let after = (alert.trail.clone(), alert.trail_requests.clone());
                *self = Self { before, added, after };
            }
            return;
        }
        (alert.trail, alert.trail_requests) = self.after.clone();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::engine::outcome::Stamp;
    use crate::engine::reading::Reading;
    use crate::engine::time::{Span, Time};

    /// Two alerts whose readings come in the same replies, in turn, have one list of each.
    #[test]
    fn alerts_in_step_keep_one_list() {
        let mut alerts = vec![Alert { since: Some(Stamp::default()), ..Alert::default() }; 2];
        let mut pushed = Pushed::default();
        for minute in 0..30 {
            let at = Time::default() + Span::from_mins(minute);
            let id = RequestId::from(format!("reply-{minute}"));
            for alert in &mut alerts {
                pushed.push(alert, EventReading::new(at, Reading::online(3), Some(at)), Some(&id));
            }
        }
        let lists = || alerts.iter().map(|alert| alert.trail_requests.as_ptr());
        assert_eq!(alerts[0].trail_requests.len(), TRAIL);
        assert!(lists().all(|list| Some(list) == lists().next()), "{:?}", lists().collect::<Vec<_>>());
        assert!(alerts[0].trail.is_shared_with(&alerts[1].trail));
    }

    proptest! {
        #[test]
        fn what_is_shared_is_what_each_would_have(
            steps in prop::collection::vec((0_usize..4, 0_i64..3, 0_u32..2, 0_u8..3), 0..200)
        ) {
            let since = Some(Stamp::default());
            let mut alone = vec![Alert { since, ..Alert::default() }; 4];
            alone[3].since = None;
            let (mut together, mut pushed, mut at) = (alone.clone(), Pushed::default(), Time::default());
            for (index, passed, count, id) in steps {
                at = at + Span::from_mins(passed);
                let id = (id > 0).then(|| RequestId::from(format!("{id}-{}", at.millis())));
                let reading = EventReading::new(at, Reading::online(count), Some(at));
                push_trail(&mut alone[index], reading, id.as_ref());
                pushed.push(&mut together[index], reading, id.as_ref());
                prop_assert_eq!(&alone, &together);
            }
        }
    }
}
