//! What conditions can name: every signal with its arguments, its type and where it makes sense.
//!
//! Neighbours: `check` looks names up here, `signals` computes the values. To add a signal: a variant, a row of
//! [`SHAPES`], an arm of [`Signal::write`], and the arm in `signals` the compiler asks for. A part of its own
//! because language and computation must mean the same thing by a name.

use std::fmt;

use crate::engine::rule::Per;
use crate::engine::time::Span;

/// A value derived from readings, with its arguments. Durations are whole milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Signal {
    Online,
    Limit,
    Previous,
    OnlineTime,
    OfflineTime,
    AbsentTime,
    Peak(Span),
    Changes(Span),
    /// How long it was above a number, over a span.
    TimeOver(u32, Span),
    Low(Span),
    Mean(Span),
    /// What this user had at this hour of the past weeks.
    Usual(Quantile),
    /// What the rule's users have now.
    Peers(Quantile),
    Total,
    UsersOnline,
    Members,
    SilentTime,
    FailedShare,
    /// On the instance's roster.
    Known,
    /// Enabled there.
    Enabled,
}

/// A share from 0 to 1, exact to six decimals. The quantile of a list is its lowest value that this share of the list
/// does not exceed; of 0 the lowest, of 1 the highest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Quantile(u32);

impl Quantile {
    const WHOLE: u32 = 1_000_000;

    /// None for what is not from 0 to 1 or has more than six decimals.
    pub fn new(share: f64) -> Option<Self> {
        let parts = (share * f64::from(Self::WHOLE)).round();
        let exact = (0.0..=1.0).contains(&share) && parts / f64::from(Self::WHOLE) == share;
        exact.then_some(Self(parts as u32))
    }

    /// How much of `whole` the quantile's value and all below it must be; at least 1, so that it is one that is there.
    pub fn of(self, whole: u64) -> u64 {
        let share = (u128::from(whole) * u128::from(self.0)).div_ceil(u128::from(Self::WHOLE));
        u64::try_from(share).unwrap_or(u64::MAX).max(1)
    }
}

impl fmt::Display for Quantile {
    /// As a condition writes it: `0.95`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", f64::from(self.0) / f64::from(Self::WHOLE))
    }
}

/// The three types of the language.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Type {
    Number,
    Duration,
    Boolean,
}

impl Type {
    /// As a sentence says it.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Number => "a number",
            Self::Duration => "a duration",
            Self::Boolean => "a condition",
        }
    }
}

/// The longest window, for memory's sake.
pub(super) const LONGEST_WINDOW: Span = Span::from_days(90);

/// The same hour of two weeks, with the oldest one's begin.
pub const USUAL_NEEDS: Span = Span::from_days(14);

/// How a signal is made of the arguments it takes.
pub(super) enum Make {
    Plain(Signal),
    Window(fn(Span) -> Signal),
    Over(fn(u32, Span) -> Signal),
    Share(fn(Quantile) -> Signal),
}

/// A name of the language.
pub(super) struct Shape {
    pub(super) name: &'static str,
    pub(super) make: Make,
    pub(super) gives: Type,
    user: bool,
    group: bool,
    /// What to write where it makes no sense.
    pub(super) instead: &'static str,
}

impl Shape {
    /// Groups and sources have the same signals.
    pub(super) fn allowed(&self, per: Per) -> bool {
        match per {
            Per::User => self.user,
            Per::Group | Per::Source => self.group,
        }
    }

    /// How it is written, for hints.
    pub(super) fn example(&self) -> String {
        match self.make {
            Make::Plain(_) => self.name.to_owned(),
            Make::Window(_) => format!("{}(1h)", self.name),
            Make::Over(_) => format!("{}(2, 1h)", self.name),
            Make::Share(_) => format!("{}(0.95)", self.name),
        }
    }
}

const fn shape(name: &'static str, make: Make, gives: Type) -> Shape {
    Shape { name, make, gives, user: true, group: true, instead: "" }
}

const fn of_users(name: &'static str, signal: Signal, gives: Type, instead: &'static str) -> Shape {
    Shape { name, make: Make::Plain(signal), gives, user: true, group: false, instead }
}

const fn share_of_users(name: &'static str, make: fn(Quantile) -> Signal) -> Shape {
    Shape { name, make: Make::Share(make), gives: Type::Number, user: true, group: false, instead: USER_ONLY }
}

const fn of_groups(name: &'static str, signal: Signal, gives: Type, instead: &'static str) -> Shape {
    Shape { name, make: Make::Plain(signal), gives, user: false, group: true, instead }
}

const USER_ONLY: &str = "it is of users: leave `per` out";
const GROUP_ONLY: &str = "it needs `per = \"group\"` or `per = \"source\"`";

/// Every name, in the order in which they are documented.
pub(super) static SHAPES: [Shape; 20] = [
    of_users("online", Signal::Online, Type::Number, "write `total`"),
    of_users("limit", Signal::Limit, Type::Number, "limits are of users: write the number itself"),
    shape("previous", Make::Plain(Signal::Previous), Type::Number),
    shape("online_time", Make::Plain(Signal::OnlineTime), Type::Duration),
    shape("offline_time", Make::Plain(Signal::OfflineTime), Type::Duration),
    of_users("absent_time", Signal::AbsentTime, Type::Duration, "write `silent_time`"),
    shape("peak", Make::Window(Signal::Peak), Type::Number),
    shape("changes", Make::Window(Signal::Changes), Type::Number),
    shape("time_over", Make::Over(Signal::TimeOver), Type::Duration),
    shape("low", Make::Window(Signal::Low), Type::Number),
    shape("mean", Make::Window(Signal::Mean), Type::Number),
    share_of_users("usual", Signal::Usual),
    share_of_users("peers", Signal::Peers),
    of_groups(
        "total",
        Signal::Total,
        Type::Number,
        "write `online`, or set `per = \"group\"` or `\"source\"`",
    ),
    of_groups("users_online", Signal::UsersOnline, Type::Number, GROUP_ONLY),
    of_groups("members", Signal::Members, Type::Number, GROUP_ONLY),
    of_groups("silent_time", Signal::SilentTime, Type::Duration, GROUP_ONLY),
    of_groups("failed_share", Signal::FailedShare, Type::Number, GROUP_ONLY),
    of_users("known", Signal::Known, Type::Boolean, USER_ONLY),
    of_users("enabled", Signal::Enabled, Type::Boolean, USER_ONLY),
];

impl Signal {
    /// The type of its value.
    pub fn gives(self) -> Type {
        match self {
            Self::Known | Self::Enabled => Type::Boolean,
            Self::OnlineTime | Self::OfflineTime | Self::AbsentTime => Type::Duration,
            Self::TimeOver(..) | Self::SilentTime => Type::Duration,
            Self::Online | Self::Limit | Self::Previous | Self::Peak(_) | Self::Changes(_) => Type::Number,
            Self::Low(_) | Self::Mean(_) | Self::Usual(_) | Self::Peers(_) | Self::Total => Type::Number,
            Self::UsersOnline | Self::Members | Self::FailedShare => Type::Number,
        }
    }

    /// How far back it looks, where it takes a window.
    pub const fn window(self) -> Option<Span> {
        match self {
            Self::Peak(d) | Self::Changes(d) | Self::TimeOver(_, d) | Self::Low(d) | Self::Mean(d) => Some(d),
            Self::Online | Self::Limit | Self::Previous | Self::OnlineTime | Self::OfflineTime => None,
            Self::AbsentTime | Self::Total | Self::UsersOnline | Self::Members => None,
            Self::SilentTime | Self::FailedShare | Self::Known | Self::Enabled => None,
            Self::Usual(_) | Self::Peers(_) => None,
        }
    }

    /// How long after the first reading it has a value at the earliest, with polls so far apart. What are lower bounds
    /// while a window is not full have one at once.
    pub const fn earliest(self, interval: Span) -> Span {
        match self {
            Self::Low(d) | Self::Mean(d) => {
                let (known, poll) = (d.millis().saturating_mul(9), interval.millis().saturating_mul(10));
                let polls = if poll > 0 { (known + poll - 1) / poll } else { 0 };
                interval.times(polls)
            }
            Self::Usual(_) => USUAL_NEEDS,
            Self::Previous => interval,
            Self::Online | Self::Limit | Self::OnlineTime | Self::OfflineTime | Self::AbsentTime => {
                Span::ZERO
            }
            Self::Peak(_) | Self::Changes(_) | Self::TimeOver(..) | Self::Peers(_) | Self::Total => {
                Span::ZERO
            }
            Self::UsersOnline | Self::Members | Self::SilentTime | Self::FailedShare => Span::ZERO,
            Self::Known | Self::Enabled => Span::ZERO,
        }
    }

    fn write(self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Online => f.write_str("online"),
            Self::Limit => f.write_str("limit"),
            Self::Previous => f.write_str("previous"),
            Self::OnlineTime => f.write_str("online_time"),
            Self::OfflineTime => f.write_str("offline_time"),
            Self::AbsentTime => f.write_str("absent_time"),
            Self::Peak(d) => write!(f, "peak({d})"),
            Self::Changes(d) => write!(f, "changes({d})"),
            Self::TimeOver(n, d) => write!(f, "time_over({n}, {d})"),
            Self::Low(d) => write!(f, "low({d})"),
            Self::Mean(d) => write!(f, "mean({d})"),
            Self::Usual(q) => write!(f, "usual({q})"),
            Self::Peers(q) => write!(f, "peers({q})"),
            Self::Total => f.write_str("total"),
            Self::UsersOnline => f.write_str("users_online"),
            Self::Members => f.write_str("members"),
            Self::SilentTime => f.write_str("silent_time"),
            Self::FailedShare => f.write_str("failed_share"),
            Self::Known => f.write_str("known"),
            Self::Enabled => f.write_str("enabled"),
        }
    }
}

impl fmt::Display for Signal {
    /// As a condition writes it: `peak(1h)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f)
    }
}
