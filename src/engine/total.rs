//! The sum of a poll's readings against the total that the vendor states for the whole instance.
//!
//! Neighbours: the agent asks for the total after a poll of a source with a roster and logs what is said here. A part of
//! its own because it is the one place that says how far two numbers taken a moment apart may differ.

use super::reading::{Poll, PollOutcome};

/// Polls in a row that must differ, to the same side.
pub const POLLS: u32 = 3;

/// How many polls in a row differed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TotalCheck {
    polls: u32,
    above: bool,
}

/// What is worth telling, once each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TotalNews {
    Differs,
    Agrees,
}

impl TotalCheck {
    /// Compares a poll's sum with the total. Counts move between the two questions, so one hundredth is nothing, and
    /// only a difference that stays on its side through [`POLLS`] polls is told.
    pub fn compare(&mut self, sum: u64, total: u64) -> Option<TotalNews> {
        let before = *self;
        if sum.abs_diff(total) <= total / 100 {
            *self = Self::default();
            return (before.polls >= POLLS).then_some(TotalNews::Agrees);
        }
        let above = sum > total;
        let polls = if before.above == above { before.polls.saturating_add(1) } else { 1 };
        *self = Self { polls, above };
        (polls == POLLS).then_some(TotalNews::Differs)
    }
}

/// The clients of all users of a poll, where every user is known: only then can it be compared.
pub fn sum(poll: &Poll) -> Option<u64> {
    let whole = poll.outcome() == PollOutcome::Complete && poll.fault.is_none();
    whole.then(|| poll.readings.iter().filter_map(|reading| reading.count()).map(u64::from).sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::reading::{Fault, FaultClass, Reading};
    use crate::engine::time::{Span, Time};

    /// Sums and totals of polls in a row; `!` is told to differ, `=` to agree again, `.` nothing.
    #[track_caller]
    fn check(polls: &[(u64, u64)], expect: &str) {
        let mut check = TotalCheck::default();
        let told: String = polls
            .iter()
            .map(|(sum, total)| match check.compare(*sum, *total) {
                Some(TotalNews::Differs) => '!',
                Some(TotalNews::Agrees) => '=',
                None => '.',
            })
            .collect();
        assert_eq!(told, expect, "{polls:?}");
    }

    #[test]
    fn three_polls_on_one_side_are_told_once() {
        check(&[(3, 4), (3, 4), (3, 4), (3, 4), (4, 4), (4, 4)], "..!.=.");
        check(&[(3, 4), (3, 4), (4, 4), (3, 4)], "....");
    }

    #[test]
    fn only_whole_polls_have_a_sum() {
        let of = |readings: &[Reading], fault: Option<Fault>| {
            sum(&Poll {
                source: "shanghai".to_owned(),
                seq: 1,
                at: Time::default(),
                elapsed: Span::ZERO,
                jump: None,
                readings: readings.to_vec(),
                batch_of: vec![0; readings.len()].into(),
                batches: Vec::new(),
                requests: 1,
                took: Span::ZERO,
                fault,
                skew: None,
            })
        };
        let (three, four) = (Reading::online(3), Reading::online(4));
        assert_eq!(of(&[three, four, Reading::ABSENT, Reading::NOT_POLLED], None), Some(7));
        assert_eq!(of(&[three, Reading::FAILED], None), None);
        assert_eq!(of(&[Reading::FAILED], None), None);
        let fault = Fault {
            class: FaultClass::Transport,
            code: "timeout".to_owned(),
            message: String::new(),
            advice: None,
        };
        assert_eq!(of(&[three, four], Some(fault)), None, "somebody may not have been asked");
    }

    #[test]
    fn counts_that_move_between_the_questions_are_not() {
        check(&[(1010, 1000), (1005, 1000), (992, 1000)], "...");
        check(&[(5, 4), (3, 4), (5, 4), (3, 4)], "....");
        check(&[(0, 0), (1, 0), (1, 0), (1, 0)], "...!");
    }
}
