//! Signals and totals to bytes and back, exactly, so that a restart need not read all history.
//!
//! Layout: a tag, a version, numbers as LEB128 (clocks as distances before the last poll in the largest unit that fits
//! all, so that most take a byte), what is alike as runs, eight bytes of SHA-256. Neighbours: the store keeps the bytes,
//! `restored` reads them. A part of its own because a million users should take a few bytes each.

use sha2::{Digest, Sha256};

use super::absence::NEVER;
use super::known::{Known, NONE, NOW};
use super::log::Log;
use super::older::WHOLE;
use super::{Signals, Totals, Track, count_on};
use crate::engine::leb;
use crate::engine::reading::{Kind, Reading};
use crate::engine::time::Span;

pub(super) const USERS: &[u8] = b"seatwatch signals 5\n";
pub(super) const GROUPS: &[u8] = b"seatwatch totals 5\n";

impl Signals {
    /// Gives `to` everything [`Signals::decode`] needs to go on as if it had never stopped, piece by piece.
    pub fn encode(&self, to: &mut dyn FnMut(&[u8])) {
        Writer::sealed(to, USERS, |out| out.signals(self));
    }

    /// Of what [`Self::encode`] gives, in bytes.
    pub fn encoded_length(&self) -> u64 {
        Writer::length(USERS, |out| out.signals(self))
    }
}

impl Totals {
    /// `groups` are the names the indices stand for; they are kept to be compared.
    pub fn encode(&self, groups: &[String], to: &mut dyn FnMut(&[u8])) {
        Writer::sealed(to, GROUPS, |out| self.write(groups, out));
    }

    fn write(&self, groups: &[String], out: &mut Writer<'_>) {
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
    }
}

/// Clocks never run ahead of the last poll's.
fn positive(span: Span) -> u64 {
    u64::try_from(span.millis()).unwrap_or(0)
}

/// So many bytes are handed on at once: those of a million users are never all there.
const PIECE: usize = 1 << 16;

struct Writer<'a> {
    to: &'a mut dyn FnMut(&[u8]),
    piece: Vec<u8>,
    /// None where only the length is asked.
    sum: Option<Sha256>,
}

/// Bytes of the sum at the end.
const SEAL: usize = 8;

impl Writer<'_> {
    fn sealed(to: &mut dyn FnMut(&[u8]), tag: &[u8], write: impl FnOnce(&mut Writer<'_>)) {
        let mut out = Writer { to, piece: tag.to_vec(), sum: Some(Sha256::new()) };
        write(&mut out);
        out.hand_on();
        if let Writer { to, sum: Some(sum), .. } = out {
            to(&sum.finalize()[..SEAL]);
        }
    }

    /// Of what [`Self::sealed`] gives, in bytes.
    fn length(tag: &[u8], write: impl FnOnce(&mut Writer<'_>)) -> u64 {
        let mut length = SEAL as u64;
        let to = &mut |piece: &[u8]| length += piece.len() as u64;
        let mut out = Writer { to, piece: tag.to_vec(), sum: None };
        write(&mut out);
        out.hand_on();
        length
    }

    fn hand_on(&mut self) {
        if let Some(sum) = &mut self.sum {
            sum.update(&self.piece);
        }
        (self.to)(&self.piece);
        self.piece.clear();
    }

    fn number(&mut self, value: u64) {
        leb::put(&mut self.piece, value);
        if self.piece.len() >= PIECE {
            self.hand_on();
        }
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

    /// Of a column in which most are like their neighbours; its length is known from elsewhere.
    fn runs<T: PartialEq>(
        &mut self,
        items: impl IntoIterator<Item = T>,
        mut item: impl FnMut(&mut Self, &T),
    ) {
        let mut items = items.into_iter().peekable();
        while let Some(one) = items.next() {
            let mut more = 0;
            while items.next_if_eq(&one).is_some() {
                more += 1;
            }
            self.number(more);
            item(self, &one);
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
        self.number(signals.now.len() as u64);
        for reading in signals.now.iter() {
            self.number(match reading.kind() {
                Kind::Absent => 0,
                Kind::Failed => 1,
                Kind::NotPolled => 2,
                Kind::Online(count) => 3 + u64::from(count),
            });
        }
        self.known(&signals.held, now, shown(signals.now.iter(), Track::AbsentHeld));
        self.number(u64::from(signals.zero.is_some()));
        if let Some(zero) = &signals.zero {
            self.known(zero, now, shown(signals.now.iter(), Track::AbsentZero));
        }
        self.number(u64::from(signals.absence.is_some()));
        if let Some(absence) = &signals.absence {
            self.list(&absence.gaps, |out, gap| out.span(*gap));
            let maybe = |out: &mut Self, clock: &i64| match *clock {
                NEVER => out.number(0),
                clock => out.since(now, clock, 1),
            };
            self.runs(absence.good.iter(), maybe);
            absence.since.iter().for_each(|since| self.runs(since.iter(), maybe));
        }
    }

    /// `shown` is what the last poll says of each slot, or [`NONE`]: the last value is nearly always that.
    fn known(&mut self, known: &Known, now: i64, shown: impl Iterator<Item = u32>) {
        let unit = unit(known, now);
        let clock = |out: &mut Self, clock: &i64| out.number(positive(Span::from_millis(now - clock)) / unit);
        self.span(known.kept.horizon);
        self.span(known.kept.least_gap);
        self.list(&known.kept.run_gaps, |out, gap| out.span(*gap));
        self.ago(now, known.then);
        self.number(unit);
        let others = known.value.iter().zip(shown).map(|(value, shown)| value.wrapping_sub(shown));
        self.runs(others, |out, value| out.number(u64::from(*value)));
        self.runs(known.clock.iter(), |out, clock| out.since(now, *clock, 0));
        self.list(&known.before, |out, before| {
            out.number(u64::from(before.first));
            out.number(u64::from(before.end - before.first));
            out.value(before.value);
            out.ago(now, before.clock);
        });
        self.list(&known.since, |out, since| clock(out, &since.millis()));
        self.list(&known.runs, |out, run| out.list(run, clock));
        self.list(&known.logs, |out, log| {
            // An odd number says that the log was cut.
            out.number(log.len() as u64 * 2 + u64::from(log.cut() != WHOLE));
            for piece in log.pieces() {
                out.number(u64::from(piece.length) / unit);
                out.value(piece.value);
            }
            if log.cut() != WHOLE {
                out.ago(now, log.cut());
            }
        });
    }

    /// A value, or [`NONE`] as 0.
    fn value(&mut self, value: u32) {
        self.number(u64::from(value.wrapping_add(1)));
    }
}

/// What a poll says of each slot on a track, or [`NONE`].
pub(super) fn shown(readings: impl Iterator<Item = Reading>, track: Track) -> impl Iterator<Item = u32> {
    readings.map(move |reading| count_on(reading, track).unwrap_or(NONE))
}

/// The largest number of milliseconds that measures every distance between the clocks of stretches: that of polls.
fn unit(known: &Known, now: i64) -> u64 {
    let clocks = known.since.iter().map(|since| since.millis()).chain(known.runs.iter().flatten().copied());
    let clocks = clocks.map(|clock| now.abs_diff(clock));
    let logs = known.logs.iter().flat_map(Log::pieces).map(|piece| u64::from(piece.length));
    // Nearly always the unit so far measures the next as well.
    let common = |unit: u64, length: u64| {
        let (mut one, mut other) = (length, unit);
        while other != 0 {
            (one, other) = (other, one % other);
        }
        one
    };
    clocks.chain(logs).fold(0, common).max(1)
}
