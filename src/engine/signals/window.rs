//! Signals that look back: peak, changes, time over a number, low, mean.
//!
//! Neighbours: `known` keeps the stretches. The known readings are a step function over (now − d, now]: a value
//! holds to the next known reading, at most `gap`, and what is not held is blind. A part of its own because the
//! five share one walk, and most slots need none.

use super::known::{Known, Stretch};
use crate::engine::lang::{Line, Signal};

/// What the known part of a window holds; spans in milliseconds.
struct Seen {
    peak: u32,
    low: u32,
    changes: u32,
    over: i64,
    known: i64,
    /// Sum of value × time.
    area: i128,
    /// The value that the window leaves behind as it moves on; None where it is blind there.
    leaves: Option<u32>,
    /// For so long it leaves nothing else behind.
    until: i64,
}

/// No value before the first reading and while blind.
pub(super) fn line(known: &Known, slot: usize, signal: &Signal, gap: i64) -> Line {
    let held = known.held(slot, gap).zip(known.since.get(slot)).zip(signal.window());
    let Some(((now, since), span)) = held else { return Line::brief(f64::NAN) };
    let (since, span, clock) = (*since, span.millis(), known.now);
    let above = if let Signal::TimeOver(above, _) = signal { *above } else { 0 };
    let line = if since <= clock - span {
        Line::still(settled(signal, now, span, above))
    } else {
        let last = Stretch { since, until: clock, value: now };
        let seen = walk(known, slot, &last, clock - span, gap, above);
        seen.line(signal, now, span, above)
    };
    Line { lasts: line.lasts.min(known.lasts(slot)), ..line }
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

/// From the newest stretch back to the one that stands at `start`.
fn walk(known: &Known, slot: usize, last: &Stretch, start: i64, gap: i64, above: u32) -> Seen {
    let (peak, low) = (last.value, last.value);
    let mut seen = Seen { peak, low, changes: 0, over: 0, known: 0, area: 0, leaves: None, until: 0 };
    seen.take(last, last.until, start, above);
    let mut next = *last;
    for stretch in known.logs[slot].iter().flat_map(|log| log.iter().rev()) {
        if next.since <= start {
            break;
        }
        seen.changes += u32::from(stretch.value != next.value);
        let end = next.since.min(stretch.until.saturating_add(gap));
        if end > start {
            seen.take(stretch, end, start, above);
        }
        next = *stretch;
    }
    seen
}

impl Seen {
    fn take(&mut self, stretch: &Stretch, end: i64, start: i64, above: u32) {
        let length = end - stretch.since.max(start);
        self.peak = self.peak.max(stretch.value);
        self.low = self.low.min(stretch.value);
        self.known += length;
        self.area += i128::from(stretch.value) * i128::from(length);
        if stretch.value > above {
            self.over += length;
        }
        // The oldest is taken last.
        (self.leaves, self.until) = match stretch.since > start {
            true => (None, stretch.since - start),
            false => (Some(stretch.value), end - start),
        };
    }

    /// As long as nothing is read, the window gains of the value `now` what it leaves behind of another.
    fn line(&self, signal: &Signal, now: u32, span: i64, above: u32) -> Line {
        let until = self.until as f64;
        let still_while = |same: bool, value: f64| Line {
            lasts: if same { f64::INFINITY } else { until },
            ..Line::still(value)
        };
        if matches!(signal, Signal::Peak(_)) {
            return still_while(self.peak == now, f64::from(self.peak));
        }
        if matches!(signal, Signal::Changes(_)) {
            return still_while(self.changes == 0, f64::from(self.changes));
        }
        if matches!(signal, Signal::TimeOver(..)) {
            let gains = i32::from(now > above) - i32::from(self.leaves.is_some_and(|value| value > above));
            let none = self.over == 0 && now <= above;
            return Line { slope: f64::from(gains), ..still_while(none, self.over as f64) };
        }
        match self.missing(span) {
            Some(missing) => Line { lasts: missing.min(until), ..Line::still(f64::NAN) },
            None if matches!(signal, Signal::Low(_)) => still_while(self.low == now, f64::from(self.low)),
            None => self.mean(now, until),
        }
    }

    /// How long until enough of the window is known, where too little is: nine tenths, in whole milliseconds.
    fn missing(&self, span: i64) -> Option<f64> {
        let missing = i128::from(span) * 9 - i128::from(self.known) * 10;
        let grows = self.leaves.is_none();
        (missing > 0).then(|| if grows { missing as f64 / 10.0 } else { f64::INFINITY })
    }

    fn mean(&self, now: u32, until: f64) -> Line {
        let value = self.area as f64 / self.known as f64;
        match self.leaves {
            _ if self.peak == self.low => Line::still(value),
            Some(leaves) => {
                let slope = (f64::from(now) - f64::from(leaves)) / self.known as f64;
                Line { value, slope, lasts: until }
            }
            // While more and more of the window is known it is no straight line.
            None => Line::brief(value),
        }
    }
}
