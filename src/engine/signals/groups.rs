//! Signals of groups and sources: totals over members, and how the polls themselves went.
//!
//! Neighbours: the users' [`Signals`] give members' values, `judge` says who is a member. Windows over totals are
//! ordinary signals whose readings are totals. A part of its own because a total is only known if every member is.

use std::ops::Range;

use super::{Needs, Signals, Track};
use crate::engine::lang::Signal;
use crate::engine::reading::{Kind, Reading};
use crate::engine::time::Span;

/// The signals of the groups of one source (or of the source itself, as one group of all its users), by index.
#[derive(Clone, Debug)]
pub struct Totals {
    pub(super) views: Vec<View>,
    pub(super) members: Vec<u32>,
    /// Failed among the asked members; NaN where nobody was asked.
    pub(super) failed_share: Vec<f64>,
    pub(super) clock: Span,
    /// The clock at the last usable poll, or at the first poll.
    pub(super) usable: Option<Span>,
}

/// Totals as rules with this track and this `max_gap` see them.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) track: Track,
    pub(super) max_gap: Span,
    pub(super) totals: Signals,
    /// NaN where a member is unknown.
    pub(super) users_online: Vec<f64>,
}

impl Totals {
    pub fn new(needs: &Needs) -> Self {
        let view = |(track, max_gap)| {
            let totals = Signals::new(&needs.of_view(track, max_gap));
            View { track, max_gap, totals, users_online: Vec::new() }
        };
        let views = needs.views().into_iter().map(view).collect();
        Self { views, members: Vec::new(), failed_share: Vec::new(), clock: Span::ZERO, usable: None }
    }

    /// Adds up a poll that `users` has just observed; `members` are slots, one list per group. `usable` is
    /// whether the source's poll was (a failed one was not). A member without a known reading counts with the last
    /// one for `max_gap`; after that, where it never had one, and where no member has any answer at this poll, the
    /// total is unknown. Whom nobody asked about does not count.
    pub fn observe(&mut self, users: &Signals, members: &[Vec<u32>], usable: bool) {
        self.clock = users.clock();
        if usable || self.usable.is_none() {
            self.usable = Some(self.clock);
        }
        self.members.clear();
        self.members.extend(members.iter().map(|slots| u32::try_from(slots.len()).unwrap_or(u32::MAX)));
        let asked: Vec<Asked> = members.iter().map(|slots| Asked::count(users, slots)).collect();
        self.failed_share.clear();
        self.failed_share.extend(asked.iter().map(Asked::failed_share));
        for view in &mut self.views {
            let sums = members.iter().zip(&asked).map(|(slots, asked)| {
                let answered = asked.answered > 0 || slots.is_empty();
                answered.then(|| view.sum(users, slots)).flatten()
            });
            let sums: Vec<Option<Sum>> = sums.collect();
            let readings: Vec<Reading> =
                sums.iter().map(|sum| sum.as_ref().map_or(Reading::FAILED, Sum::reading)).collect();
            let online = |sum: &Option<Sum>| sum.as_ref().map_or(f64::NAN, |sum| f64::from(sum.online));
            view.users_online.clear();
            view.users_online.extend(sums.iter().map(online));
            view.totals.observe(&readings, self.clock, users.seq());
        }
    }

    /// As [`Signals::fill`], for group indices.
    pub fn fill(&self, signal: &Signal, track: Track, max_gap: Span, groups: Range<u32>, out: &mut [f64]) {
        let view = self.views.iter().find(|view| (view.track, view.max_gap) == (track, max_gap));
        let groups_at = groups.start as usize..;
        let column = |out: &mut [f64], value: &dyn Fn(usize) -> Option<f64>| {
            for (group, out) in groups_at.zip(out.iter_mut()) {
                *out = value(group).unwrap_or(f64::NAN);
            }
        };
        match *signal {
            Signal::Total | Signal::Previous | Signal::OnlineTime | Signal::OfflineTime => {
                let signal = if *signal == Signal::Total { Signal::Online } else { *signal };
                fill_view(view, &signal, groups, out);
            }
            Signal::Peak(_)
            | Signal::Changes(_)
            | Signal::TimeOver(..)
            | Signal::Low(_)
            | Signal::Mean(_) => {
                fill_view(view, signal, groups, out);
            }
            Signal::UsersOnline => column(out, &|group| view?.users_online.get(group).copied()),
            Signal::Members => column(out, &|group| self.members.get(group).copied().map(f64::from)),
            Signal::FailedShare => column(out, &|group| self.failed_share.get(group).copied()),
            Signal::SilentTime => {
                out.fill(self.usable.map_or(f64::NAN, |usable| (self.clock - usable).millis() as f64));
            }
            Signal::Online
            | Signal::Limit
            | Signal::AbsentTime
            | Signal::Known
            | Signal::Enabled
            | Signal::Usual(_)
            | Signal::Peers(_) => {
                out.fill(f64::NAN);
            }
        }
    }

    /// As [`Signals::cut`], of any group.
    pub fn is_cut(&self) -> bool {
        self.views.iter().any(|view| view.totals.cut().is_some())
    }

    /// The clock at which the total was last known, before the last poll.
    pub fn known_before(&self, group: u32, track: Track, max_gap: Span) -> Option<Span> {
        let view = self.views.iter().find(|view| (view.track, view.max_gap) == (track, max_gap))?;
        view.totals.known_before(group, Track::AbsentHeld)
    }

    /// How many of a group's members, by slot, keep its total from having a value; None where it has one.
    pub fn missing(
        &self,
        users: &Signals,
        group: u32,
        slots: &[u32],
        track: Track,
        max_gap: Span,
    ) -> Option<usize> {
        let view = self.views.iter().find(|view| (view.track, view.max_gap) == (track, max_gap))?;
        view.totals.reading(group).count().is_none().then(|| view.missing(users, slots))
    }

    /// As [`Signals::stood`], of totals.
    pub fn stood(
        &self,
        group: u32,
        track: Track,
        max_gap: Span,
        window: Span,
    ) -> impl Iterator<Item = (Span, u32)> {
        let view = self.views.iter().find(|view| (view.track, view.max_gap) == (track, max_gap));
        view.into_iter().flat_map(move |view| view.totals.stood(group, Track::AbsentHeld, window))
    }

    /// The total at the last poll observed, where it is known.
    pub fn total(&self, group: u32, track: Track, max_gap: Span) -> Option<u32> {
        let view = self.views.iter().find(|view| (view.track, view.max_gap) == (track, max_gap))?;
        view.totals.reading(group).count()
    }
}

fn fill_view(view: Option<&View>, signal: &Signal, groups: Range<u32>, out: &mut [f64]) {
    match view {
        Some(view) => view.totals.fill(signal, Track::AbsentHeld, view.max_gap, groups, out),
        None => out.fill(f64::NAN),
    }
}

struct Asked {
    answered: u32,
    failed: u32,
}

impl Asked {
    fn count(users: &Signals, slots: &[u32]) -> Self {
        let mut asked = Self { answered: 0, failed: 0 };
        for slot in slots {
            match users.reading(*slot).kind() {
                Kind::Online(_) | Kind::Absent => asked.answered += 1,
                Kind::Failed => asked.failed += 1,
                Kind::NotPolled => {}
            }
        }
        asked
    }

    fn failed_share(&self) -> f64 {
        f64::from(self.failed) / (f64::from(self.answered) + f64::from(self.failed))
    }
}

#[derive(Default)]
struct Sum {
    total: u64,
    online: u32,
}

impl Sum {
    fn reading(&self) -> Reading {
        Reading::online(u32::try_from(self.total).unwrap_or(u32::MAX))
    }
}

impl View {
    /// None if a member that counts is unknown.
    fn sum(&self, users: &Signals, slots: &[u32]) -> Option<Sum> {
        let mut sum = Sum::default();
        // Whom nobody asks about (a name the vendor refuses) cannot be waited for.
        for slot in slots.iter().filter(|slot| users.reading(**slot).kind() != Kind::NotPolled) {
            match self.held(users, *slot) {
                Some(count) => {
                    sum.total += u64::from(count);
                    sum.online += u32::from(count > 0);
                }
                None => return None,
            }
        }
        Some(sum)
    }

    /// What a member counts with: the last known value, not older than `max_gap`.
    fn held(&self, users: &Signals, slot: u32) -> Option<u32> {
        let last = users.last_on(slot, self.track);
        last.filter(|(_, clock)| users.clock() - *clock <= self.max_gap).map(|(count, _)| count)
    }

    /// How many members keep the total from having a value.
    fn missing(&self, users: &Signals, slots: &[u32]) -> usize {
        let answered = Asked::count(users, slots).answered > 0;
        let unknown = |slot: &&u32| !answered || self.held(users, **slot).is_none();
        let asked = slots.iter().filter(|slot| users.reading(**slot).kind() != Kind::NotPolled);
        asked.filter(unknown).count()
    }
}
