//! Signals that look back: peak, changes, time over a number, low, mean.
//!
//! Neighbours: `known` keeps the stretches. The known readings are a step function over (now − d, now]: a value
//! holds to the next known reading, at most `gap`, and what is not held is blind. A part of its own because the
//! five share one walk, and most slots need none.

use super::known::{Known, Stretch};
use crate::engine::lang::Signal;

/// What the known part of a window holds; spans in milliseconds.
struct Seen {
    peak: u32,
    low: u32,
    changes: u32,
    over: i64,
    known: i64,
    /// Sum of value × time.
    area: i128,
}

/// No value before the first reading and while blind.
pub(super) fn value(known: &Known, slot: usize, signal: &Signal, gap: i64) -> Option<f64> {
    let (span, clock) = (signal.window()?.millis(), known.now);
    let now = known.held(slot, gap)?;
    let since = *known.since.get(slot)?;
    let above = if let Signal::TimeOver(above, _) = signal { *above } else { 0 };
    let seen = if since <= clock - span {
        let over = if now > above { span } else { 0 };
        let area = i128::from(now) * i128::from(span);
        Seen { peak: now, low: now, changes: 0, over, known: span, area }
    } else {
        let last = Stretch { since, until: clock, value: now };
        walk(known, slot, &last, clock - span, gap, above)
    };
    // Nine tenths of the window, in whole milliseconds.
    let enough = i128::from(seen.known) * 10 >= i128::from(span) * 9;
    match signal {
        Signal::Peak(_) => Some(f64::from(seen.peak)),
        Signal::Changes(_) => Some(f64::from(seen.changes)),
        Signal::TimeOver(..) => Some(seen.over as f64),
        Signal::Low(_) => enough.then(|| f64::from(seen.low)),
        Signal::Mean(_) => enough.then(|| seen.area as f64 / seen.known as f64),
        Signal::Online | Signal::Limit | Signal::Previous | Signal::OnlineTime | Signal::OfflineTime => None,
        Signal::AbsentTime | Signal::Total | Signal::UsersOnline | Signal::Members => None,
        Signal::SilentTime | Signal::FailedShare | Signal::Known | Signal::Enabled => None,
        Signal::Usual(_) | Signal::Peers(_) => None,
    }
}

/// From the newest stretch back to the one that stands at `start`.
fn walk(known: &Known, slot: usize, last: &Stretch, start: i64, gap: i64, above: u32) -> Seen {
    let mut seen = Seen { peak: last.value, low: last.value, changes: 0, over: 0, known: 0, area: 0 };
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
    }
}
