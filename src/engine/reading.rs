//! What a poll says: one reading per user, and how the whole poll went.
//!
//! Neighbours: `source` makes a [`Fetched`], the agent turns it into a [`Poll`], signals and store take the
//! poll. A part of its own because the four kinds of reading must never be collapsed into numbers by anybody.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::request_id::RequestId;
use super::time::{Span, Time};

/// The most clients one reading may state; anything above is a broken reply and the reading is *failed*.
pub const MOST_ONLINE: u32 = 100_000;

/// What one poll says of one user. Packed into 32 bits because columns hold one for each of up to a million users.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Reading(u32);

/// The four kinds of a [`Reading`], to match on. Missing is never zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// So many clients online.
    Online(u32),
    /// A good reply without the name.
    Absent,
    /// Asked, and no usable answer.
    Failed,
    /// No poll asked (not in the source's list, or quarantined).
    NotPolled,
}

impl Reading {
    pub const ABSENT: Self = Self(u32::MAX);
    pub const FAILED: Self = Self(u32::MAX - 1);
    pub const NOT_POLLED: Self = Self(u32::MAX - 2);

    /// `count` clients online; group totals use it too, so the only bound is that of the packing.
    pub const fn online(count: u32) -> Self {
        Self(if count > u32::MAX - 3 { u32::MAX - 3 } else { count })
    }

    pub const fn kind(self) -> Kind {
        match self {
            Self::ABSENT => Kind::Absent,
            Self::FAILED => Kind::Failed,
            Self::NOT_POLLED => Kind::NotPolled,
            Self(count) => Kind::Online(count),
        }
    }

    /// The number of clients, where it is known.
    pub const fn count(self) -> Option<u32> {
        match self.kind() {
            Kind::Online(count) => Some(count),
            Kind::Absent | Kind::Failed | Kind::NotPolled => None,
        }
    }

    /// All of it, as it lies in columns.
    pub(super) const fn packed(self) -> u32 {
        self.0
    }

    /// What [`Self::packed`] said.
    pub(super) const fn of_packed(packed: u32) -> Self {
        Self(packed)
    }

    /// What [`Self::word`] and [`Self::count`] say, read back.
    pub(super) fn of_word(word: &str, count: Option<u32>) -> Option<Self> {
        match word {
            "online" => count.map(Self::online),
            "absent" => Some(Self::ABSENT),
            "failed" => Some(Self::FAILED),
            "not-polled" => Some(Self::NOT_POLLED),
            _ => None,
        }
    }

    /// The word of SHAPES for it.
    pub const fn word(self) -> &'static str {
        match self.kind() {
            Kind::Online(_) => "online",
            Kind::Absent => "absent",
            Kind::Failed => "failed",
            Kind::NotPolled => "not-polled",
        }
    }
}

impl Default for Reading {
    fn default() -> Self {
        Self::NOT_POLLED
    }
}

impl std::fmt::Debug for Reading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.kind() {
            Kind::Online(count) => write!(f, "{count}"),
            Kind::Absent => f.write_str("-"),
            Kind::Failed => f.write_str("_"),
            Kind::NotPolled => f.write_str("~"),
        }
    }
}

/// One request's answer: when it came and the vendor's id for it, for evidence.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Batch {
    pub fetched_at: Time,
    pub request_id: Option<RequestId>,
}

/// No batch answered for this user.
pub const NO_BATCH: u32 = u32::MAX;

/// Which answer stated each of a column of readings: runs, because one answer states many in a row.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AnswerOf(Vec<Run>);

#[derive(Clone, PartialEq, Eq, Debug)]
struct Run {
    places: Range<u32>,
    batch: u32,
}

impl AnswerOf {
    /// The answer `batch` stated those at `places`, none of which another one stated.
    pub fn put(&mut self, places: Range<u32>, batch: u32) {
        if places.is_empty() {
            return;
        }
        let after = self.0.last().is_none_or(|last| last.places.end <= places.start);
        let at =
            if after { self.0.len() } else { self.0.partition_point(|run| run.places.end <= places.start) };
        let before = self.0[..at].last_mut();
        match before.filter(|run| (run.places.end, run.batch) == (places.start, batch)) {
            Some(run) => run.places.end = places.end,
            None => self.0.insert(at, Run { places, batch }),
        }
    }

    /// The answer that stated the one at `place`.
    pub fn get(&self, place: u32) -> Option<u32> {
        let at = self.0.partition_point(|run| run.places.end <= place);
        self.0.get(at).filter(|run| run.places.contains(&place)).map(|run| run.batch)
    }

    /// The same of a column in which each is at another place, still ascending.
    pub(super) fn moved(&self, to: impl Fn(u32) -> Option<u32>) -> Self {
        let mut moved = Self::default();
        for run in &self.0 {
            run.places.clone().filter_map(&to).for_each(|place| moved.put(place..place + 1, run.batch));
        }
        moved
    }
}

/// An answer for each, or [`NO_BATCH`].
impl FromIterator<u32> for AnswerOf {
    fn from_iter<T: IntoIterator<Item = u32>>(batches: T) -> Self {
        let mut all = Self::default();
        for (place, batch) in (0..).zip(batches).filter(|(_, batch)| *batch != NO_BATCH) {
            all.put(place..place + 1, batch);
        }
        all
    }
}

impl From<Vec<u32>> for AnswerOf {
    fn from(batches: Vec<u32>) -> Self {
        batches.into_iter().collect()
    }
}

/// Why requests failed, by what an operator or the agent does about it (the vendor's codes are sorted into these
/// by `aliyun`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FaultClass {
    /// No answer, or one that cannot be used: tried again.
    Transport,
    /// The vendor's own trouble: tried again.
    Server,
    /// Too many requests: tried again, slower.
    Throttled,
    /// Our clock and the vendor's differ.
    Clock,
    /// The request itself is refused: instance, region, parameter.
    Request,
    /// The vendor's account cannot use the product.
    Account,
    /// The key may not do this.
    Permission,
    /// The key is refused.
    Credentials,
}

/// One failure, fit to be shown: redacted, one line.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Fault {
    pub class: FaultClass,
    /// The vendor's code, or a short word of ours (`timeout`, `tls`, `dns`, `connect`, `malformed`, …).
    pub code: String,
    /// What happened, in the words of whoever said so.
    pub message: String,
    /// What to do about just this, in English, where more is known than the class tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

impl Fault {
    /// All of it on one line, for logs and commands.
    pub fn told(&self) -> String {
        match &self.advice {
            Some(advice) => format!("{}: {advice}", self.message),
            None => self.message.clone(),
        }
    }
}

/// Something odd about a name in a good reply; it spoils nothing but what it says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Odd {
    /// Nobody asked for it.
    Extra(String),
    /// Nobody asked for it, but for one that differs in case alone.
    OtherCase { asked: String, came: String },
    /// Twice, with different counts: neither is believed.
    Twice(String),
}

/// What a source's fetch brought back; `readings` and `batch_of` run parallel to the names that were asked for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Fetched {
    pub readings: Vec<Reading>,
    /// For each name the index into `batches`.
    pub batch_of: AnswerOf,
    pub batches: Vec<Batch>,
    /// Indices of names that the vendor refuses as such; their reading is *not polled*.
    pub refused: Vec<u32>,
    /// Names in replies that nobody asked for.
    pub extra: u32,
    /// What was odd about names, the first few.
    pub odd: Vec<Odd>,
    pub requests: u32,
    /// The gravest failure, if any request failed for good.
    pub fault: Option<Fault>,
    /// The vendor's clock minus ours, where a reply's `Date` told it.
    pub skew: Option<Span>,
}

/// How a poll went as a whole.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PollOutcome {
    /// Every asked name is online or absent.
    Complete,
    /// Some failed.
    Partial,
    /// Nothing is known.
    Failed,
}

impl PollOutcome {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Partial => "partial",
            Self::Failed => "failed",
        }
    }
}

/// One pass over a source's users at one instant. `readings` and `batch_of` are indexed by *slot*: the number a
/// name got when its source first listed it, which it keeps for ever.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Poll {
    pub source: String,
    /// Counts the source's polls from 1, without gaps.
    pub seq: u64,
    /// The scheduled instant (a run later than the next instant takes its start).
    pub at: Time,
    /// Since the poll before, by `at`, or by boot time over a clock jump; never negative, zero for the first.
    pub elapsed: Span,
    /// How far the wall clock jumped since the poll before, if by more than 5 s.
    pub jump: Option<Span>,
    /// Nothing once it was judged: what was new in them is the outcome's.
    pub readings: Vec<Reading>,
    pub batch_of: AnswerOf,
    pub batches: Vec<Batch>,
    pub requests: u32,
    /// How long fetching took.
    pub took: Span,
    pub fault: Option<Fault>,
    pub skew: Option<Span>,
}

/// What all readings of a poll come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tally {
    pub outcome: PollOutcome,
    /// How many names it asked about.
    pub asked: u32,
    /// The clients of all of them, where every one is known: only then can the sum be compared with a total.
    pub clients: Option<u64>,
}

impl Poll {
    /// Of a poll that has its readings still.
    pub fn tally(&self) -> Tally {
        let (mut asked, mut failed, mut clients) = (0, 0, 0);
        // Without branches, because there are many.
        for reading in &self.readings {
            asked += u32::from(*reading != Reading::NOT_POLLED);
            failed += u32::from(*reading == Reading::FAILED);
            clients += u64::from(reading.count().unwrap_or(0));
        }
        let outcome = match (asked > failed, failed > 0) {
            // A poll that asked nobody is complete: it knows all there is to know.
            (known, false) if self.fault.is_none() || known => PollOutcome::Complete,
            (true, true) => PollOutcome::Partial,
            (false, _) | (true, false) => PollOutcome::Failed,
        };
        let whole = outcome == PollOutcome::Complete && self.fault.is_none();
        Tally { outcome, asked, clients: whole.then_some(clients) }
    }

    /// The answer that stated this slot's reading.
    pub fn batch(&self, slot: u32) -> Option<&Batch> {
        let batch = self.batch_of.get(slot)?;
        self.batches.get(batch as usize)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn answers_are_a_column(
            lengths in prop::collection::vec((0_u32..5, prop::option::of(0_u32..3)), 0..20),
            order in prop::collection::vec(any::<u64>(), 20),
        ) {
            let (mut column, mut runs) = (Vec::new(), Vec::new());
            for ((length, batch), order) in lengths.into_iter().zip(order) {
                let start = column.len() as u32;
                column.extend((0..length).map(|_| batch.unwrap_or(NO_BATCH)));
                runs.extend(batch.map(|batch| (order, start..start + length, batch)));
            }
            // As replies come: in any order.
            runs.sort_by_key(|run| run.0);
            let mut answers = AnswerOf::default();
            runs.into_iter().for_each(|(_, places, batch)| answers.put(places, batch));
            let spread = answers.moved(|place| Some(2 * place + 1));
            for (place, batch) in (0..).zip(column.iter().copied().chain([NO_BATCH])) {
                let expect = (batch != NO_BATCH).then_some(batch);
                prop_assert_eq!(answers.get(place), expect);
                prop_assert_eq!((spread.get(2 * place), spread.get(2 * place + 1)), (None, expect));
            }
            prop_assert_eq!(AnswerOf::from(column.clone()).get(0), answers.get(0));
        }
    }

    #[track_caller]
    fn check(readings: &[Reading], fault: bool, outcome: PollOutcome, asked: u32, clients: Option<u64>) {
        let fault = fault.then(|| Fault {
            class: FaultClass::Transport,
            code: "timeout".to_owned(),
            message: "no answer".to_owned(),
            advice: None,
        });
        let poll = Poll {
            source: "shanghai".to_owned(),
            seq: 1,
            at: Time::default(),
            elapsed: Span::ZERO,
            jump: None,
            readings: readings.to_vec(),
            batch_of: vec![NO_BATCH; readings.len()].into(),
            batches: Vec::new(),
            requests: 1,
            took: Span::ZERO,
            fault,
            skew: None,
        };
        let expect = Tally { outcome, asked, clients };
        assert_eq!(poll.tally(), expect, "{readings:?} {:?}", poll.fault);
    }

    #[test]
    fn a_poll_is_complete_partial_or_failed_by_what_it_knows() {
        let (known, absent, three) = (Reading::online(0), Reading::ABSENT, Reading::online(3));
        let (failed, not_polled) = (Reading::FAILED, Reading::NOT_POLLED);
        check(&[known, absent, not_polled], false, PollOutcome::Complete, 2, Some(0));
        check(&[three, three, absent, not_polled], false, PollOutcome::Complete, 3, Some(6));
        check(&[absent], false, PollOutcome::Complete, 1, Some(0));
        check(&[three, failed], true, PollOutcome::Partial, 2, None);
        check(&[three, failed], false, PollOutcome::Partial, 2, None);
        check(&[failed, not_polled], true, PollOutcome::Failed, 1, None);
        check(&[failed], false, PollOutcome::Failed, 1, None);
        // What one try could not do, another did; but somebody may not have been asked.
        check(&[three], true, PollOutcome::Complete, 1, None);
        // Nobody is asked about: it knows all there is to know, unless even that went wrong.
        check(&[], false, PollOutcome::Complete, 0, Some(0));
        check(&[not_polled], false, PollOutcome::Complete, 0, Some(0));
        check(&[], true, PollOutcome::Failed, 0, None);
        check(&[not_polled], true, PollOutcome::Failed, 0, None);
    }
}
