//! Signals that look back: peak, changes, time over a number, low, mean.
//!
//! Neighbours: `known` keeps the last value, `log` the stretches before it, `tally` their sums. The known readings are a step function over
//! (now − d, now]: a value holds to the next known reading, at most `gap`, and what is not held is blind. A part of its
//! own because the five share one walk, and most slots need none.

use std::iter;

use super::known::{Known, NONE};
use super::log::Log;
use super::stretch::{Piece, Stretch};
use super::tally::Part;
use crate::engine::lang::{Bounds, Line, ROUNDING, Signal};

/// What the known part of a window holds; spans in milliseconds.
#[derive(Clone, Copy)]
struct Seen {
    /// Of [`Window::ends`]; or more.
    peak: u32,
    low: u32,
    changes: u64,
    over: i64,
    known: i64,
    /// Sum of value × time.
    area: i128,
    /// The value that the window leaves behind as it moves on; None where it is blind there.
    leaves: Option<u32>,
    /// For so long it leaves nothing else behind.
    until: i64,
}

/// No value before the first reading, while blind, and where too much was to be kept of the window.
pub(super) fn line(known: &Known, slot: usize, signal: &Signal, gap: i64) -> Line {
    let held = known.held(slot, gap).zip(known.since.get(slot)).zip(signal.window());
    let Some(((now, since), span)) = held else { return Line::brief(f64::NAN) };
    let (since, span, clock) = (since.millis(), span.millis(), known.now);
    let above = if let Signal::TimeOver(above, _) = signal { *above } else { 0 };
    if since <= clock - span {
        return known.sure(slot, Line::still(settled(signal, now, span, above)));
    }
    let last = Stretch { since, until: clock, value: now };
    let ends = matches!(signal, Signal::Peak(_) | Signal::Low(_));
    let window = Window { start: clock - span, gap, above, ends };
    let line = match walk(known, &known.logs[slot], &last, &window) {
        Ok(seen) => seen.line(signal, now, span, above),
        Err(cut) => Line::nothing_for((cut - window.start) as f64),
    };
    known.sure(slot, line)
}

/// One value fills the window.
fn settled(signal: &Signal, now: u32, span: i64, above: u32) -> f64 {
    if matches!(signal, Signal::TimeOver(..)) && now > above {
        span as f64
    } else if matches!(signal, Signal::TimeOver(..) | Signal::Changes(_)) {
        0.0
    } else {
        f64::from(now)
    }
}

/// What is looked for.
struct Window {
    start: i64,
    gap: i64,
    above: u32,
    /// Whether the lowest and the highest value must be those of this window, and not only enclose them.
    ends: bool,
}

/// Ends whatever came before it.
const END: &[Piece] = &[Piece::EMPTY];

/// From the newest stretch back to the one that stands at the start; what is added up is taken at once. Err where the log
/// was cut within the window, with when.
fn walk(known: &Known, log: &Log, last: &Stretch, window: &Window) -> Result<Seen, i64> {
    let (peak, low) = (last.value, last.value);
    let mut seen = Seen { peak, low, changes: 0, over: 0, known: 0, area: 0, leaves: None, until: 0 };
    let Window { start, gap, above, .. } = *window;
    seen.take(last, last.until, start, above);
    let mut next = *last;
    seen.take_all([log.fresh_in(&mut None)], &mut next, window);
    // Most windows end before what lies elsewhere in memory.
    let Some(older) = log.older().filter(|_| next.since > start) else { return Ok(seen) };
    if older.cut > start {
        return Err(older.cut);
    }
    let (mut at, tally) = (older.len(), older.tally(next.since, next.since - start));
    if let Some(part) = tally.and_then(|tally| tally.from(start, gap, &known.kept)) {
        (at, next) = (part.at, Stretch { since: part.since, until: part.since, value: older.value(part.at) });
        seen.take_part(&part, known.kept.overs.binary_search(&above).ok(), window.ends);
        (seen.leaves, seen.until) = (None, next.since - start);
    }
    seen.take_all(older.before(at), &mut next, window);
    Ok(seen)
}

impl Seen {
    /// The lowest and the highest value are looked up where they are the `ends` that is asked for.
    fn take_part(&mut self, part: &Part<'_>, over: Option<usize>, ends: bool) {
        let Part { before, total, .. } = part;
        let ends = if ends { part.ends() } else { part.wide_ends() };
        (self.peak, self.low) = (self.peak.max(ends.peak), self.low.min(ends.low));
        self.changes += total.changes - before.changes;
        self.known += total.known - before.known;
        self.area += total.area - before.area;
        self.over += over.map_or(0, |over| part.over(over));
    }

    /// What lies before `next`, in pieces, as far as the window reaches.
    fn take_all<const PARTS: usize>(
        &mut self,
        pieces: [&[Piece]; PARTS],
        next: &mut Stretch,
        window: &Window,
    ) {
        // Where the processor can keep them.
        let (mut seen, mut after) = (*self, *next);
        // Of the value [`NONE`] it is no stretch, but blind time.
        let mut one = Stretch { since: after.since, until: after.since, value: NONE };
        // What ends the last stretch is one more piece.
        'all: for pieces in iter::once(&END).chain(&pieces).rev() {
            for piece in pieces.iter().rev() {
                let reached = one.since <= window.start;
                if piece.value != one.value || reached {
                    if one.value != NONE {
                        seen.take_older(&one, &after, window);
                        after = one;
                        if reached {
                            break 'all;
                        }
                    }
                    one = Stretch { since: one.since, until: one.since, value: piece.value };
                }
                one.since -= piece.span();
            }
        }
        (*self, *next) = (seen, after);
    }

    #[inline]
    fn take_older(&mut self, stretch: &Stretch, next: &Stretch, window: &Window) {
        self.changes += u64::from(stretch.value != next.value);
        let end = next.since.min(stretch.until.saturating_add(window.gap));
        if end > window.start {
            self.take(stretch, end, window.start, window.above);
        }
    }

    #[inline]
    fn take(&mut self, stretch: &Stretch, end: i64, start: i64, above: u32) {
        let length = end - stretch.since.max(start);
        self.peak = self.peak.max(stretch.value);
        self.low = self.low.min(stretch.value);
        self.known += length;
        self.area += i128::from(stretch.value) * i128::from(length);
        self.over += if stretch.value > above { length } else { 0 };
        // The oldest is taken last.
        (self.leaves, self.until) = match stretch.since > start {
            true => (None, stretch.since - start),
            false => (Some(stretch.value), end - start),
        };
    }

    /// As long as nothing is read, the window gains of the value `now` what it leaves behind of another.
    fn line(&self, signal: &Signal, now: u32, span: i64, above: u32) -> Line {
        let steps = |value: u32| self.steps(f64::from(value), f64::from(now));
        if matches!(signal, Signal::Peak(_)) {
            return steps(self.peak);
        }
        if matches!(signal, Signal::Changes(_)) {
            return self.steps(self.changes as f64, 0.0);
        }
        if matches!(signal, Signal::TimeOver(..)) {
            let gains = i32::from(now > above) - i32::from(self.leaves.is_some_and(|value| value > above));
            let to = if now > above { span } else { 0 };
            let steps = self.steps(self.over as f64, to as f64);
            return Line { slope: f64::from(gains), bounds: steps.bounds.moving(1.0), ..steps };
        }
        match self.missing(span) {
            Some(missing) => Line::nothing_for(missing),
            None if matches!(signal, Signal::Low(_)) => steps(self.low),
            None => self.mean(now),
        }
    }

    /// On its way to what it will be when the value there is now fills the window.
    fn steps(&self, value: f64, to: f64) -> Line {
        let lasts = if value == to { f64::INFINITY } else { self.until as f64 };
        Line { lasts, bounds: Bounds::between(value, to), ..Line::still(value) }
    }

    /// How long at least until enough of the window is known, where too little is: nine tenths, in whole milliseconds.
    fn missing(&self, span: i64) -> Option<f64> {
        let missing = i128::from(span) * 9 - i128::from(self.known) * 10;
        // Only where it leaves blind time behind, more of it is known.
        let wait = if self.leaves.is_some() { self.until } else { 0 };
        (missing > 0).then(|| wait as f64 + missing as f64 / 10.0)
    }

    /// It moves towards `now`, and nowhere beyond what the window holds.
    fn mean(&self, now: u32) -> Line {
        let known = self.known as f64;
        let (value, now) = (self.area as f64 / known, f64::from(now));
        let (low, peak) = (f64::from(self.low), f64::from(self.peak));
        if self.peak == self.low {
            return Line::still(value);
        }
        let (slope, lasts) = match self.leaves {
            Some(leaves) => ((now - f64::from(leaves)) / known, self.until as f64),
            // While more and more of the window is known it is no straight line.
            None => (0.0, 0.0),
        };
        let least = if now == peak { value - ROUNDING * value } else { low };
        let most = if now == low { value + ROUNDING * value } else { peak };
        let drift = (now - low).max(peak - now) / known;
        Line { value, slope, lasts, bounds: Bounds::between(least, most).moving(drift) }
    }
}
