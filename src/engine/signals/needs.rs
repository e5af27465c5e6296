//! What the rules of a source ask of its signals, so that nothing else is kept.
//!
//! Neighbours: `judge` collects needs from programs; columns and windows are laid out by them. A part of its own
//! because a checkpoint is only good for needs that its own cover.

use std::collections::BTreeSet;

use super::log::Room;
use crate::engine::lang::Signal;
use crate::engine::time::Span;

/// Whether a name missing from a good reply is nothing known (the last value holds) or nobody online.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Track {
    #[default]
    AbsentHeld,
    AbsentZero,
}

/// Signals with the track and the `max_gap` of the rules that name them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Needs(BTreeSet<(Signal, Track, Span)>);

/// What one track has to keep.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Kept {
    /// The longest window; zero for none.
    pub(super) horizon: Span,
    /// The smallest `max_gap`: shorter gaps mean nothing to anybody.
    pub(super) least_gap: Span,
    /// The gaps after which `online_time` and `offline_time` start over, one column each.
    pub(super) run_gaps: Vec<Span>,
    /// The numbers that times above are asked of, ascending.
    pub(super) overs: Vec<u32>,
    pub(super) room: Room,
}

impl Default for Kept {
    /// The last value alone.
    fn default() -> Self {
        Self {
            horizon: Span::ZERO,
            least_gap: Span::MAX,
            run_gaps: Vec::new(),
            overs: Vec::new(),
            room: Room::default(),
        }
    }
}

impl Needs {
    pub fn add(&mut self, signal: Signal, track: Track, max_gap: Span) {
        self.0.insert((signal, track, max_gap));
    }

    /// What users must keep for [`Totals`](super::Totals) with the needs `groups` to be added up.
    pub fn add_members(&mut self, groups: &Self) {
        for (track, max_gap) in groups.views() {
            self.add(Signal::Online, track, max_gap);
        }
    }

    pub fn add_all(&mut self, more: &Self) {
        self.0.extend(more.0.iter().copied());
    }

    /// How far back known readings matter, with what a value holds; None where any of them may. How long something has
    /// been so has no bound, and a change is one however long the hole before it.
    pub fn reach(&self) -> Option<Span> {
        let far = |(signal, _, max_gap): &(Signal, Track, Span)| {
            let unbounded = matches!(
                signal,
                Signal::OnlineTime
                    | Signal::OfflineTime
                    | Signal::AbsentTime
                    | Signal::SilentTime
                    | Signal::Changes(_)
            );
            (!unbounded).then(|| signal.window().unwrap_or_default() + *max_gap)
        };
        self.0.iter().map(far).try_fold(Span::ZERO, |reach, far| Some(reach.max(far?)))
    }

    /// Distinct ways to read members.
    pub(super) fn views(&self) -> Vec<(Track, Span)> {
        let views: BTreeSet<(Track, Span)> = self.0.iter().map(|(_, track, gap)| (*track, *gap)).collect();
        views.into_iter().collect()
    }

    /// The needs of one view, for the signals of its totals: a total is known or not, there is no absent total.
    pub(super) fn of_view(&self, track: Track, max_gap: Span) -> Self {
        let of_view = self.0.iter().filter(|(_, t, gap)| (*t, *gap) == (track, max_gap));
        Self(of_view.map(|(signal, ..)| (*signal, Track::AbsentHeld, max_gap)).collect())
    }

    pub(super) fn of(&self, track: Track) -> Option<Kept> {
        let asked = || self.0.iter().filter(|(_, t, _)| *t == track);
        let least_gap = asked().map(|(.., gap)| *gap).min()?;
        let times = |signal: &Signal| matches!(signal, Signal::OnlineTime | Signal::OfflineTime);
        let run_gaps: BTreeSet<Span> = asked().filter(|(s, ..)| times(s)).map(|(.., gap)| *gap).collect();
        let over = |(signal, ..): &(Signal, Track, Span)| {
            if let Signal::TimeOver(above, _) = signal { Some(*above) } else { None }
        };
        let overs: BTreeSet<u32> = asked().filter_map(over).collect();
        Some(Kept {
            horizon: asked().filter_map(|(signal, ..)| signal.window()).max().unwrap_or_default(),
            least_gap,
            run_gaps: run_gaps.into_iter().collect(),
            overs: overs.into_iter().collect(),
            room: Room::default(),
        })
    }

    /// The gaps for `absent_time`, if it is asked for.
    pub(super) fn absence(&self) -> Option<Vec<Span>> {
        let asked = self.0.iter().filter(|(signal, ..)| *signal == Signal::AbsentTime);
        let gaps: BTreeSet<Span> = asked.map(|(.., gap)| *gap).collect();
        (!gaps.is_empty()).then(|| gaps.into_iter().collect())
    }
}
