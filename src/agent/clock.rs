//! The clocks of the host.
//!
//! Neighbours: the loops take one `now` per pass from here and hand it on; `engine::elapsed` makes sense of two
//! readings. A part of its own because it is the only place that reads a clock: everybody else is given the time.

use std::time::SystemTime;

use rustix::time::{ClockId, clock_gettime};

use crate::engine::elapsed::ClockReading;
use crate::engine::time::{Span, Time};

/// Counts while the host sleeps, too; where there is no such clock, the one that does not.
#[cfg(target_os = "linux")]
const BOOT: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const BOOT: ClockId = ClockId::Monotonic;

/// The wall clock.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
pub fn now() -> Time {
    Time::from_utc(SystemTime::now().into())
}

/// Since the host was started, time asleep included.
pub fn boot_time() -> Span {
    let shown = clock_gettime(BOOT);
    Span::from_secs(shown.tv_sec) + Span::from_millis(shown.tv_nsec / 1_000_000)
}

/// Names this start of the host (`random(4)`); empty where the system does not tell.
pub fn boot_id() -> String {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim().to_owned()
}

/// All clocks at once.
pub fn read() -> ClockReading {
    ClockReading { wall: now(), boot: boot_time(), boot_id: boot_id() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clocks_run_together() {
        let (before, after) = (read(), read());
        let (passed, jump) = crate::engine::elapsed::elapsed(&before, &after);
        assert!(before.is_set(), "the clock of this host shows {}", before.wall);
        assert!(passed < Span::from_mins(10), "{passed}");
        assert_eq!(jump, None);
        assert_eq!(before.boot_id, after.boot_id);
    }
}
