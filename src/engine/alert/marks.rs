//! Which of the last polls counted, for `for = "3 of 5 polls"`: one bit a poll.
//!
//! Neighbours: `alert` asks at each step. A part of its own because shifting by poll numbers has corners (polls
//! that were never judged, a number seen twice) that the table of states should not have to show.

use super::Verdict;
use crate::engine::outcome::{Alert, State};
use crate::engine::rule::{Hold, Policy};

/// Takes this poll into the marks. A poll without a step, or of unknown verdict, has its place and no mark.
///
/// Breaches are marked in every state: "3 of the last 5 polls" does not ask what state they were in. Clears are
/// marked only while an episode is open, because an episode is not ended by calm that came before it.
pub(super) fn take(alert: &mut Alert, verdict: Verdict, seq: u64, policy: &Policy) {
    let passed = seq.saturating_sub(alert.marks_seq);
    let open = matches!(alert.state, State::Firing | State::Recovering);
    alert.marks = shifted(alert.marks, passed, policy.hold, verdict == Verdict::Breach);
    alert.clear_marks =
        shifted(alert.clear_marks, passed, policy.clear_hold, open && verdict == Verdict::Clear);
    // Nothing marked needs no number, so that quiet alerts stay equal and unwritten.
    alert.marks_seq = if alert.marks | alert.clear_marks == 0 { 0 } else { seq };
}

fn shifted(marks: u64, passed: u64, hold: Hold, mark: bool) -> u64 {
    let Hold::Polls { of, .. } = hold else {
        return 0;
    };
    let shifted = u32::try_from(passed).ok().and_then(|by| marks.checked_shl(by)).unwrap_or(0);
    (shifted | u64::from(mark)) & mask(of)
}

/// How many of the last `of` polls are marked.
pub(super) fn count(marks: u64, of: u8) -> u32 {
    (marks & mask(of)).count_ones()
}

fn mask(of: u8) -> u64 {
    if of >= 64 { u64::MAX } else { (1 << of) - 1 }
}
