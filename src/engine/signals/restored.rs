//! A checkpoint read back: signals and totals as they were, for the same needs or fewer.
//!
//! Neighbours: `checkpoint` wrote the bytes and says how they lie. A part of its own because these bytes come from a disk:
//! whatever is damaged, or of another version, must be refused without asking for much memory.

use sha2::{Digest, Sha256};

use super::absence::{Absence, NEVER};
use super::checkpoint::{GROUPS, USERS, shown};
use super::clocks::{Clock, Clocks};
use super::groups::View;
use super::known::{Before, Known, NONE, NOW};
use super::log::{Log, Room};
use super::needs::Kept;
use super::older::WHOLE;
use super::stretch::{Piece, Stretch};
use super::{Needs, Signals, Totals, Track};
use crate::engine::leb;
use crate::engine::reading::Reading;
use crate::engine::time::Span;

impl Signals {
    /// None for bytes that are not a whole checkpoint of this version, or whose needs do not cover `needs`: then
    /// history has to be read.
    pub fn decode(bytes: &[u8], needs: &Needs) -> Option<Self> {
        let mut from = Reader::open(bytes, USERS)?;
        let signals = from.signals(needs)?;
        from.0.is_empty().then_some(signals)
    }
}

impl Totals {
    /// As [`Signals::decode`]; also None if the groups are others, or in another order.
    pub fn decode(bytes: &[u8], needs: &Needs, groups: &[String]) -> Option<Self> {
        let mut from = Reader::open(bytes, GROUPS)?;
        let names = from.list(|from| from.list(|from| u8::try_from(from.number()?).ok()))?;
        if !names.iter().map(Vec::as_slice).eq(groups.iter().map(String::as_bytes)) {
            return None;
        }
        let clock = from.span()?;
        let usable = match from.number()? {
            0 => None,
            n => Some(clock - Span::from_millis(i64::try_from(n - 1).ok()?)),
        };
        let members = from.list(|from| u32::try_from(from.number()?).ok())?;
        let failed_share = from.list(|from| from.number().map(f64::from_bits))?;
        let mut views = from.list(|from| {
            let track = if from.flag()? { Track::AbsentZero } else { Track::AbsentHeld };
            let max_gap = from.span()?;
            let users_online = from.list(|from| from.number().map(f64::from_bits))?;
            // A view nobody asks for any more is read over.
            let totals = from.signals(&needs.of_view(track, max_gap))?;
            Some(View { track, max_gap, totals, users_online })
        })?;
        let asked = needs.views();
        views.retain(|view| asked.contains(&(view.track, view.max_gap)));
        let whole = from.0.is_empty() && views.len() == asked.len();
        whole.then_some(Self { views, members, failed_share, clock, usable })
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn open(bytes: &'a [u8], tag: &[u8]) -> Option<Self> {
        let (content, sum) = bytes.split_at_checked(bytes.len().checked_sub(8)?)?;
        let rest = content.strip_prefix(tag)?;
        (Sha256::digest(content)[..8] == *sum).then_some(Self(rest))
    }

    fn number(&mut self) -> Option<u64> {
        leb::take(&mut self.0)
    }

    fn flag(&mut self) -> Option<bool> {
        match self.number()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn span(&mut self) -> Option<Span> {
        Some(Span::from_millis(i64::try_from(self.number()?).ok()?))
    }

    fn value(&mut self) -> Option<u32> {
        match self.number()? {
            0 => Some(NONE),
            n => u32::try_from(n - 1).ok(),
        }
    }

    fn ago(&mut self, now: i64) -> Option<i64> {
        now.checked_sub(i64::try_from(self.number()?).ok()?)
    }

    fn since(&mut self, now: i64, base: u64) -> Option<i64> {
        match self.number()?.checked_sub(base)? {
            0 => Some(NOW),
            n => now.checked_sub(i64::try_from(n - 1).ok()?),
        }
    }

    /// Every item takes a byte at least, so a wrong length cannot ask for much memory.
    fn list<T>(&mut self, item: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let len = self.number()?;
        self.items(len, item)
    }

    fn items<T>(&mut self, len: u64, mut item: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let len = usize::try_from(len).ok().filter(|len| *len <= self.0.len())?;
        let mut items = Vec::with_capacity(len);
        for _ in 0..len {
            items.push(item(self)?);
        }
        Some(items)
    }

    /// `len` items that were written as runs.
    fn runs<T: Copy>(&mut self, len: usize, mut item: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let mut items = Vec::with_capacity(len);
        while items.len() < len {
            let more = usize::try_from(self.number()?).ok().filter(|more| *more < len - items.len())?;
            let one = item(self)?;
            items.resize(items.len() + more + 1, one);
        }
        Some(items)
    }

    /// A distance in `unit`.
    fn measured(&mut self, unit: i64) -> Option<i64> {
        i64::try_from(self.number()?).ok()?.checked_mul(unit)
    }

    fn signals(&mut self, needs: &Needs) -> Option<Signals> {
        let clock = self.span()?;
        let now = clock.millis();
        let seq = self.number()?;
        let readings = self.list(|from| match from.number()? {
            0 => Some(Reading::ABSENT),
            1 => Some(Reading::FAILED),
            2 => Some(Reading::NOT_POLLED),
            n => Some(Reading::online(u32::try_from(n - 3).ok()?)),
        })?;
        let len = readings.len();
        let wanted = |track| needs.of(track).unwrap_or_default();
        let known = |from: &mut Self, track| {
            let last: Vec<u32> = shown(readings.iter().copied(), track).collect();
            from.known(now, &last, &wanted(track))
        };
        let held = known(self, Track::AbsentHeld)?;
        let zero = if self.flag()? { Some(known(self, Track::AbsentZero)?) } else { None };
        let absence = if self.flag()? { Some(self.absence(now, len)?) } else { None };
        let held = held.fitted(wanted(Track::AbsentHeld))?;
        let zero = match needs.of(Track::AbsentZero) {
            Some(kept) => Some(zero?.fitted(kept)?),
            None => None,
        };
        let absence = match needs.absence() {
            Some(gaps) => Some(absence?.fitted(gaps)?),
            None => None,
        };
        Some(Signals { clock, seq, now: readings.into_iter().collect(), held, zero, absence })
    }

    /// `shown` is what the last poll says of each slot, `wanted` what it is read for.
    fn known(&mut self, now: i64, shown: &[u32], wanted: &Kept) -> Option<Known> {
        let len = shown.len();
        let (horizon, least_gap) = (self.span()?, self.span()?);
        let run_gaps = self.list(Self::span)?;
        let mut known =
            Known::new(Kept { horizon, least_gap, run_gaps, overs: Vec::new(), room: Room::default() });
        (known.now, known.then, known.first) = (now, self.ago(now)?, i64::MIN);
        let unit = i64::try_from(self.number()?).ok()?;
        let others = self.runs(len, |from| u32::try_from(from.number()?).ok())?;
        known.value = others.iter().zip(shown).map(|(other, shown)| shown.wrapping_add(*other)).collect();
        known.clock = self.runs(len, |from| from.since(now, 0))?.into_iter().collect();
        known.before = self.list(|from| {
            let first = u32::try_from(from.number()?).ok()?;
            Some(Before {
                first,
                end: first.checked_add(u32::try_from(from.number()?).ok()?)?,
                value: from.value()?,
                clock: from.ago(now)?,
            })
        })?;
        let clock = |from: &mut Self| now.checked_sub(from.measured(unit)?);
        known.since = self.list(|from| clock(from).map(Clock::from))?;
        known.runs = self.list(|from| from.list(clock))?;
        let mut ends =
            known.since.iter().zip(known.value.iter()).map(|(since, value)| (since.millis(), value));
        known.logs = self.list(|from| {
            let (since, value) = ends.next()?;
            from.log(now, unit, Stretch { since, until: now, value }, wanted)
        })?;
        drop(ends);
        known.pieces = known.logs.iter().map(Log::len).sum();
        let windows = if horizon > Span::ZERO { len } else { 0 };
        let sizes = [known.since.len() == windows, known.logs.len() == windows];
        let ordered = known.before.iter().all(|one| one.first < one.end)
            && known.before.is_sorted_by(|one, next| one.end <= next.first);
        let runs = known.runs.len() == known.kept.run_gaps.len() && known.runs.iter().all(|r| r.len() == len);
        (runs && ordered && sizes == [true; 2]).then_some(known)
    }

    /// What came before the stretch `last`.
    fn log(&mut self, now: i64, unit: i64, last: Stretch, kept: &Kept) -> Option<Log> {
        let number = self.number()?;
        let log = self.items(number / 2, |from| {
            let length = u32::try_from(from.measured(unit)?).ok()?;
            Some(Piece { length, value: from.value()? })
        })?;
        let cut = if number % 2 == 1 { self.ago(now)? } else { WHOLE };
        Log::of(log, cut, &last, kept)
    }

    fn absence(&mut self, now: i64, len: usize) -> Option<Absence> {
        let maybe = |from: &mut Self| match from.0.first() {
            Some(0) => from.number().map(|_| NEVER),
            _ => from.since(now, 1),
        };
        let gaps = self.list(Self::span)?;
        let good = self.runs(len, maybe)?.into_iter().collect();
        let column = |_| Some(self.runs(len, maybe)?.into_iter().collect());
        let since = gaps.iter().map(column).collect::<Option<Vec<Clocks>>>()?;
        // What lay before is not asked for again: the next poll comes after `now`.
        Some(Absence { gaps, now, then: now, good, since })
    }
}

impl Known {
    /// The same for other needs, if what was kept covers them.
    fn fitted(mut self, kept: Kept) -> Option<Self> {
        let windows = kept.horizon > Span::ZERO;
        let short = kept.horizon > self.kept.horizon || (windows && kept.least_gap < self.kept.least_gap);
        if short {
            return None;
        }
        self.runs = columns(&self.kept.run_gaps, &self.runs, &kept.run_gaps)?;
        if !windows {
            (self.since, self.logs, self.pieces) = (Vec::new(), Vec::new(), 0);
        }
        self.kept = kept;
        Some(self)
    }
}

impl Absence {
    fn fitted(mut self, gaps: Vec<Span>) -> Option<Self> {
        self.since = columns(&self.gaps, &self.since, &gaps)?;
        self.gaps = gaps;
        Some(self)
    }
}

/// The columns for `wanted` gaps out of those there are.
fn columns<T: Clone>(gaps: &[Span], columns: &[T], wanted: &[Span]) -> Option<Vec<T>> {
    let column = |gap: &Span| Some(columns[gaps.iter().position(|g| g == gap)?].clone());
    wanted.iter().map(column).collect()
}
