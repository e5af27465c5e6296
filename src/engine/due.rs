//! When a rule must look at a user again: never before that, however many polls come.
//!
//! Neighbours: `verdict` asks at each poll and says how long what it saw is sure to last; `plan` keeps one for each rule
//! of users. A part of its own because passing over a user must be as good as looking: whatever may have changed
//! by something else than time and the user's own reading has to come through [`Due::all`] or [`Due::soon`].

use super::time::Span;
use super::verdict::Judged;

/// Seconds of the source's clock: looking a moment early does no harm. Never, until the reading turns.
const NEVER: u32 = u32::MAX;

/// Slots compared at a time.
const CHUNK: usize = 64;

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Due {
    /// Every user is looked at at the next poll.
    all: bool,
    /// So are these.
    soon: Vec<u32>,
    /// Of these, ascending, what was seen at the last poll is taken once more if it lasts.
    again: Vec<(u32, Judged)>,
    /// By slot, as far as any was ever due.
    at: Vec<u32>,
    /// None of them is due before this.
    earliest: u32,
}

impl Due {
    /// A rule that has not looked at anybody.
    pub(super) const fn new() -> Self {
        Self { all: true, soon: Vec::new(), again: Vec::new(), at: Vec::new(), earliest: NEVER }
    }

    /// Something changed that concerns everybody.
    pub(super) fn all(&mut self) {
        self.all = true;
        self.again.clear();
    }

    /// Whether everybody is due; then nobody is any more.
    pub(super) fn take_all(&mut self) -> bool {
        let all = std::mem::replace(&mut self.all, false);
        if all {
            self.soon.clear();
            self.again.clear();
            self.at.fill(NEVER);
            self.earliest = NEVER;
        }
        all
    }

    pub(super) fn soon(&mut self, slot: u32) {
        self.soon.push(slot);
    }

    /// The verdict is wanted at the next poll as well. To be called in the order of slots. Whoever will look at all
    /// users wants none.
    pub(super) fn again(&mut self, slot: u32, judged: Judged) {
        if !self.all {
            self.again.push((slot, judged));
        }
    }

    /// The verdicts that are wanted once more, of all but those in `due`, which is ascending.
    pub(super) fn take_again(&mut self, due: &[u32]) -> Vec<(u32, Judged)> {
        let mut again = std::mem::take(&mut self.again);
        again.retain(|(slot, _)| due.binary_search(slot).is_err());
        again
    }

    #[cfg(test)]
    pub(super) const fn wanted_again(&self) -> usize {
        self.again.len()
    }

    /// Adds those who are due at `clock`, in any order; they are not due any more.
    pub(super) fn take(&mut self, clock: Span, due: &mut Vec<u32>) {
        due.append(&mut self.soon);
        let now = seconds(clock.millis() as f64);
        if now < self.earliest {
            return;
        }
        // Without branches, many at a time.
        let least_of = |chunk: &[u32]| chunk.iter().fold(NEVER, |least, at| least.min(*at));
        let (mut first, mut earliest) = (0, NEVER);
        for chunk in self.at.chunks_mut(CHUNK) {
            let mut least = least_of(chunk);
            if least <= now {
                for (slot, at) in (first..).zip(&mut *chunk).filter(|(_, at)| **at <= now) {
                    *at = NEVER;
                    due.push(slot);
                }
                least = least_of(chunk);
            }
            earliest = earliest.min(least);
            first += CHUNK as u32;
        }
        self.earliest = earliest;
    }

    /// What was seen of the slot at `clock` lasts for less than `lasts` milliseconds.
    pub(super) fn after(&mut self, slot: u32, clock: Span, lasts: f64) {
        let at = if lasts.is_finite() { seconds(clock.millis() as f64 + lasts) } else { NEVER };
        self.put(slot, |_| at);
    }

    /// The slot is looked at by that clock at the latest.
    pub(super) fn by(&mut self, slot: u32, clock: Span) {
        let at = seconds(clock.millis() as f64);
        self.put(slot, |before| before.min(at));
    }

    fn put(&mut self, slot: u32, at: impl Fn(u32) -> u32) {
        let slot = slot as usize;
        if slot >= self.at.len() {
            if at(NEVER) == NEVER {
                return;
            }
            self.at.resize(slot + 1, NEVER);
        }
        self.at[slot] = at(self.at[slot]);
        self.earliest = self.earliest.min(self.at[slot]);
    }
}

/// Whole seconds, rounded down; later than all of them is never.
fn seconds(millis: f64) -> u32 {
    (millis / 1000.0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_come_when_they_are_due_and_once() {
        let mut due = Due::new();
        let clock = Span::from_secs;
        let at = |due: &mut Due, secs| {
            let mut found: Vec<u32> = Vec::new();
            due.take(clock(secs), &mut found);
            found
        };
        assert!(due.take_all() && !due.take_all());
        due.after(3, clock(10), f64::INFINITY);
        due.after(200, clock(10), 0.0);
        due.after(70, clock(10), 5_900.0);
        due.after(71, clock(10), 1e30);
        due.soon(9);
        due.again(4, Judged::LeftScope);
        due.again(9, Judged::LeftScope);
        assert_eq!(at(&mut due, 10), [9, 200]);
        assert_eq!(due.take_again(&[9, 200]), [(4, Judged::LeftScope)]);
        assert!(due.take_again(&[]).is_empty());
        assert!(at(&mut due, 14).is_empty());
        assert_eq!(at(&mut due, 15), [70], "rather early than late");
        assert!(at(&mut due, 1_000_000_000).is_empty());
        due.after(70, clock(15), 1.0);
        due.by(70, clock(30));
        due.after(5, clock(15), 20_000.0);
        due.by(5, clock(25));
        assert_eq!(at(&mut due, 25), [5, 70], "as early as anybody wants");
        due.after(70, clock(25), 1.0);
        due.all();
        assert!(due.take_all());
        assert!(at(&mut due, 99).is_empty());
    }
}
