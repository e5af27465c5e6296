//! How much time passed between two polls, whatever the wall clock was told in between.
//!
//! Neighbours: `agent/clock` reads the clocks, `collect` asks; every duration and window is a sum of what this
//! says. A part of its own because it is the one place where a jump of the wall clock is told from time that passed.

use super::time::{Span, Time};

/// Wall clock and boot time may drift apart by this much between two polls before it is called a jump.
pub const TOLERANCE: Span = Span::from_secs(5);

/// A wall clock before this (2026-01-01) was never set: this program did not exist then.
pub const EARLIEST: Time = Time::from_millis(1_767_225_600_000);

/// What the clocks show at one moment.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ClockReading {
    pub wall: Time,
    /// Since the host was started, time asleep included.
    pub boot: Span,
    /// Names the start of the host that `boot` counts from; empty where the system does not tell.
    pub boot_id: String,
}

impl ClockReading {
    /// What the clocks showed, or will, when the wall clock is at `at`: a poll that comes late is compared by its
    /// instant, not by when it ran.
    #[must_use]
    pub fn at(&self, at: Time) -> Self {
        Self { wall: at, boot: self.boot - self.wall.since(at), boot_id: self.boot_id.clone() }
    }

    /// Whether somebody has set the wall clock since the host was started without a battery.
    pub fn is_set(&self) -> bool {
        self.wall >= EARLIEST
    }
}

/// The time from one poll to the next, and how far the wall clock jumped between them, if it did. Both readings are
/// those of the poll's instants ([`ClockReading::at`]). Never negative. Over a restart of the host only the wall
/// clock counts.
pub fn elapsed(before: &ClockReading, after: &ClockReading) -> (Span, Option<Span>) {
    let by_wall = after.wall.since(before.wall);
    if before.boot_id != after.boot_id {
        return (by_wall.max(Span::ZERO), (by_wall < Span::ZERO).then_some(by_wall));
    }
    let by_boot = after.boot - before.boot;
    let jump = by_wall - by_boot;
    if jump.millis().saturating_abs() > TOLERANCE.millis() {
        (by_boot.max(Span::ZERO), Some(jump))
    } else {
        (by_wall.max(Span::ZERO), None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(wall: i64, boot: i64, boot_id: &str) -> ClockReading {
        let wall = EARLIEST + Span::from_secs(wall);
        ClockReading { wall, boot: Span::from_secs(boot), boot_id: boot_id.to_owned() }
    }

    /// Seconds by the wall and by boot time between two polls; then seconds elapsed and jumped.
    #[track_caller]
    fn check(wall: i64, boot: i64, expect: i64, jump: Option<i64>) {
        let found = elapsed(&reading(1000, 500, "a"), &reading(1000 + wall, 500 + boot, "a"));
        assert_eq!(found, (Span::from_secs(expect), jump.map(Span::from_secs)), "{wall} {boot}");
    }

    #[test]
    fn time_that_passed_is_told_from_a_clock_that_was_set() {
        check(300, 300, 300, None);
        check(300, 304, 300, None);
        check(300, 305, 300, None);
        check(300, 306, 306, Some(-6));
        check(3_900, 300, 300, Some(3_600));
        check(315_360_300, 300, 300, Some(315_360_000));
        check(-3_300, 300, 300, Some(-3_600));
        check(28_800, 28_800, 28_800, None);
        check(-3, 1, 0, None);
    }

    #[test]
    fn after_a_restart_of_the_host_the_wall_clock_counts() {
        let before = reading(1000, 500, "a");
        assert_eq!(elapsed(&before, &reading(1600, 20, "b")), (Span::from_secs(600), None));
        assert_eq!(elapsed(&before, &reading(400, 20, "b")), (Span::ZERO, Some(Span::from_secs(-600))));
        assert_eq!(elapsed(&before, &reading(1000, 20, "b")), (Span::ZERO, None));
    }

    #[test]
    fn a_late_poll_is_no_jump() {
        let first = reading(300, 300, "a");
        let late = reading(608, 608, "a").at(EARLIEST + Span::from_secs(600));
        assert_eq!(elapsed(&first, &late), (Span::from_secs(300), None));
    }

    #[test]
    fn a_clock_that_was_never_set_is_seen() {
        assert!(!ClockReading { wall: Time::from_millis(5_000), ..ClockReading::default() }.is_set());
        assert!(reading(0, 0, "").is_set());
    }

    #[test]
    fn absurd_readings_do_not_panic() {
        let ends = [i64::MIN, -1, 0, i64::MAX];
        let all = ends.iter().flat_map(|w| ends.iter().map(move |b| (*w, *b)));
        let readings: Vec<_> = all
            .map(|(w, b)| ClockReading {
                wall: Time::from_millis(w),
                boot: Span::from_millis(b),
                ..ClockReading::default()
            })
            .collect();
        for before in &readings {
            for after in &readings {
                assert!(elapsed(before, &after.at(before.wall)).0 >= Span::ZERO);
            }
        }
    }
}
