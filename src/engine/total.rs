//! The sum of a poll's readings against the total that the vendor states for the whole instance.
//!
//! Neighbours: the agent asks for the total after a poll of a source with a roster and logs what is said here. A part of
//! its own because it is the one place that says how far two numbers taken a moment apart may differ.

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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn counts_that_move_between_the_questions_are_not() {
        check(&[(1010, 1000), (1005, 1000), (992, 1000)], "...");
        check(&[(5, 4), (3, 4), (5, 4), (3, 4)], "....");
        check(&[(0, 0), (1, 0), (1, 0), (1, 0)], "...!");
    }
}
