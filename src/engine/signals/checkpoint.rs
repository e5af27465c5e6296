//! Signals and totals to bytes and back, exactly, so that a restart need not read all history.
//!
//! Layout: a tag, a version, numbers as LEB128 (clocks as distances before the last poll, so that most take a byte
//! or two), eight bytes of SHA-256. Neighbours: the store keeps the bytes. A part of its own because bytes of
//! another version, of other needs or of a damaged page must give nothing rather than something wrong.

use sha2::{Digest, Sha256};

use super::absence::{Absence, NEVER};
use super::groups::View;
use super::known::{Before, Known, NONE, NOW};
use super::log::{Log, Stretch, WHOLE};
use super::needs::Kept;
use super::{Needs, Signals, Totals, Track};
use crate::engine::reading::{Kind, Reading};
use crate::engine::time::Span;

const USERS: &[u8] = b"seatwatch signals 3\n";
const GROUPS: &[u8] = b"seatwatch totals 3\n";

impl Signals {
    /// Everything [`Signals::decode`] needs to go on as if it had never stopped.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer(USERS.to_vec());
        out.signals(self);
        out.sealed()
    }

    /// None for bytes that are not a whole checkpoint of this version, or whose needs do not cover `needs`: then
    /// history has to be read.
    pub fn decode(bytes: &[u8], needs: &Needs) -> Option<Self> {
        let mut from = Reader::open(bytes, USERS)?;
        let signals = from.signals(needs)?;
        from.0.is_empty().then_some(signals)
    }
}

impl Totals {
    /// `groups` are the names the indices stand for; they are kept to be compared.
    pub fn encode(&self, groups: &[String]) -> Vec<u8> {
        let mut out = Writer(GROUPS.to_vec());
        out.list(groups, |out, name| out.list(name.as_bytes(), |out, byte| out.number(u64::from(*byte))));
        out.span(self.clock);
        out.number(self.usable.map_or(0, |usable| 1 + positive(self.clock - usable)));
        out.list(&self.members, |out, count| out.number(u64::from(*count)));
        out.list(&self.failed_share, |out, share| out.number(share.to_bits()));
        out.list(&self.views, |out, view| {
            out.number(u64::from(view.track == Track::AbsentZero));
            out.span(view.max_gap);
            out.list(&view.users_online, |out, count| out.number(count.to_bits()));
            out.signals(&view.totals);
        });
        out.sealed()
    }

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

/// Clocks never run ahead of the last poll's.
fn positive(span: Span) -> u64 {
    u64::try_from(span.millis()).unwrap_or(0)
}

struct Writer(Vec<u8>);

impl Writer {
    fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn span(&mut self, span: Span) {
        self.number(positive(span));
    }

    fn list<T>(&mut self, items: &[T], mut item: impl FnMut(&mut Self, &T)) {
        self.number(items.len() as u64);
        for one in items {
            item(self, one);
        }
    }

    /// A clock as its distance before `now`.
    fn ago(&mut self, now: i64, clock: i64) {
        self.number(u64::try_from(now - clock).unwrap_or(0));
    }

    /// The same, or that it is so at `now`; numbers below `base` mean something else.
    fn since(&mut self, now: i64, clock: i64, base: u64) {
        match clock {
            NOW => self.number(base),
            clock => self.number(base + 1 + u64::try_from(now - clock).unwrap_or(0)),
        }
    }

    fn signals(&mut self, signals: &Signals) {
        let now = signals.clock.millis();
        self.span(signals.clock);
        self.number(signals.seq);
        self.list(&signals.now, |out, reading| {
            out.number(match reading.kind() {
                Kind::Absent => 0,
                Kind::Failed => 1,
                Kind::NotPolled => 2,
                Kind::Online(count) => 3 + u64::from(count),
            });
        });
        self.known(&signals.held, now);
        self.number(u64::from(signals.zero.is_some()));
        if let Some(zero) = &signals.zero {
            self.known(zero, now);
        }
        self.number(u64::from(signals.absence.is_some()));
        if let Some(absence) = &signals.absence {
            self.list(&absence.gaps, |out, gap| out.span(*gap));
            let maybe = |out: &mut Self, clock: &i64| match *clock {
                NEVER => out.number(0),
                clock => out.since(now, clock, 1),
            };
            self.list(&absence.good, maybe);
            self.list(&absence.since, |out, since| out.list(since, maybe));
        }
    }

    fn known(&mut self, known: &Known, now: i64) {
        self.span(known.kept.horizon);
        self.span(known.kept.least_gap);
        self.list(&known.kept.run_gaps, |out, gap| out.span(*gap));
        self.ago(now, known.then);
        self.list(&known.value, |out, value| out.value(*value));
        self.list(&known.clock, |out, clock| out.since(now, *clock, 0));
        self.list(&known.before, |out, before| {
            out.number(u64::from(before.slot));
            out.value(before.value);
            out.ago(now, before.clock);
        });
        self.list(&known.since, |out, since| out.ago(now, *since));
        self.list(&known.runs, |out, run| out.list(run, |out, since| out.ago(now, *since)));
        self.list(&known.logs, |out, log| {
            let log = log.as_deref();
            out.number(log.map_or(0, Log::len) as u64);
            for stretch in log.into_iter().flat_map(Log::stretches) {
                out.ago(now, stretch.since);
                out.ago(now, stretch.until);
                out.value(stretch.value);
            }
            // Only of logs that have one, so that the others stay short.
            if let Some(log) = log {
                match log.cut() {
                    WHOLE => out.number(0),
                    cut => out.since(now, cut, 0),
                }
            }
        });
    }

    /// A value, or [`NONE`] as 0.
    fn value(&mut self, value: u32) {
        self.number(u64::from(value.wrapping_add(1)));
    }

    fn sealed(mut self) -> Vec<u8> {
        let sum = Sha256::digest(&self.0);
        self.0.extend_from_slice(&sum[..8]);
        self.0
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
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
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
    fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let len = usize::try_from(self.number()?).ok().filter(|len| *len <= self.0.len())?;
        let mut items = Vec::with_capacity(len);
        for _ in 0..len {
            items.push(item(self)?);
        }
        Some(items)
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
        let held = self.known(now, len, &wanted(Track::AbsentHeld))?;
        let zero = if self.flag()? { Some(self.known(now, len, &wanted(Track::AbsentZero))?) } else { None };
        let absence = if self.flag()? { Some(self.absence(now)?) } else { None };
        let held = held.fitted(wanted(Track::AbsentHeld))?;
        let zero = match needs.of(Track::AbsentZero) {
            Some(kept) => Some(zero?.fitted(kept)?),
            None => None,
        };
        let absence = match needs.absence() {
            Some(gaps) => Some(absence.filter(|a| a.good.len() == len)?.fitted(gaps)?),
            None => None,
        };
        Some(Signals { clock, seq, now: readings, held, zero, absence })
    }

    /// `wanted` is what it is read for.
    fn known(&mut self, now: i64, len: usize, wanted: &Kept) -> Option<Known> {
        let (horizon, least_gap) = (self.span()?, self.span()?);
        let run_gaps = self.list(Self::span)?;
        let mut known = Known::new(Kept { horizon, least_gap, run_gaps, overs: Vec::new() });
        (known.now, known.then) = (now, self.ago(now)?);
        known.value = self.list(Self::value)?;
        known.clock = self.list(|from| from.since(now, 0))?;
        known.before = self.list(|from| {
            Some(Before {
                slot: u32::try_from(from.number()?).ok()?,
                value: from.value()?,
                clock: from.ago(now)?,
            })
        })?;
        known.since = self.list(|from| from.ago(now))?;
        known.runs = self.list(|from| from.list(|from| from.ago(now)))?;
        let mut ends = known.since.iter().zip(&known.value).map(|(since, value)| (*since, *value));
        known.logs = self.list(|from| {
            let (since, value) = ends.next()?;
            from.log(now, Stretch { since, until: now, value }, wanted)
        })?;
        known.stretches = known.logs.iter().flatten().map(|log| log.len()).sum();
        let windows = if horizon > Span::ZERO { len } else { 0 };
        let sizes = [known.value.len() == len, known.clock.len() == len, known.since.len() == windows];
        let more = [known.logs.len() == windows, known.before.is_sorted_by_key(|before| before.slot)];
        let runs = known.runs.len() == known.kept.run_gaps.len() && known.runs.iter().all(|r| r.len() == len);
        (runs && sizes.iter().chain(&more).all(|fits| *fits)).then_some(known)
    }

    /// What came before the stretch `last`.
    fn log(&mut self, now: i64, last: Stretch, kept: &Kept) -> Option<Option<Box<Log>>> {
        let log = self.list(|from| {
            let (since, until) = (from.ago(now)?, from.ago(now)?);
            Some(Stretch { since, until, value: from.value()? })
        })?;
        if log.is_empty() {
            return Some(None);
        }
        let cut = match self.number()? {
            0 => WHOLE,
            ago => now.checked_sub(i64::try_from(ago - 1).ok()?)?,
        };
        let ends = log.iter().skip(1).chain([&last]);
        let ordered =
            log.iter().zip(ends).all(|(one, next)| one.since <= one.until && one.until <= next.since);
        ordered.then(|| Some(Box::new(Log::of(log, cut, &last, kept))))
    }

    fn absence(&mut self, now: i64) -> Option<Absence> {
        let maybe = |from: &mut Self| match from.0.first() {
            Some(0) => from.number().map(|_| NEVER),
            _ => from.since(now, 1),
        };
        let gaps = self.list(Self::span)?;
        let good = self.list(maybe)?;
        let since = self.list(|from| from.list(maybe))?;
        let fits = since.len() == gaps.len() && since.iter().all(|column| column.len() == good.len());
        // What lay before is not asked for again: the next poll comes after `now`.
        fits.then_some(Absence { gaps, now, then: now, good, since })
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
        self.runs = columns(&self.kept.run_gaps, self.runs, &kept.run_gaps)?;
        if !windows {
            (self.since, self.logs, self.stretches) = (Vec::new(), Vec::new(), 0);
        }
        self.kept = kept;
        Some(self)
    }
}

impl Absence {
    fn fitted(mut self, gaps: Vec<Span>) -> Option<Self> {
        self.since = columns(&self.gaps, self.since, &gaps)?;
        self.gaps = gaps;
        Some(self)
    }
}

/// The columns for `wanted` gaps out of those there are.
fn columns(gaps: &[Span], columns: Vec<Vec<i64>>, wanted: &[Span]) -> Option<Vec<Vec<i64>>> {
    let column = |gap: &Span| Some(columns[gaps.iter().position(|g| g == gap)?].clone());
    wanted.iter().map(column).collect()
}
