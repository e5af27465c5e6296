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

/// How a signal is made of the arguments it takes.
pub(super) enum Make {
    Plain(Signal),
    Window(fn(Span) -> Signal),
    Over(fn(u32, Span) -> Signal),
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
        }
    }
}

const fn shape(name: &'static str, make: Make, gives: Type) -> Shape {
    Shape { name, make, gives, user: true, group: true, instead: "" }
}

const fn of_users(name: &'static str, signal: Signal, gives: Type, instead: &'static str) -> Shape {
    Shape { name, make: Make::Plain(signal), gives, user: true, group: false, instead }
}

const fn of_groups(name: &'static str, signal: Signal, gives: Type, instead: &'static str) -> Shape {
    Shape { name, make: Make::Plain(signal), gives, user: false, group: true, instead }
}

const USER_ONLY: &str = "it is of users: leave `per` out";
const GROUP_ONLY: &str = "it needs `per = \"group\"` or `per = \"source\"`";

/// Every name, in the order in which they are documented.
pub(super) static SHAPES: [Shape; 18] = [
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

/// Names that are reserved and refused: they need what this version does not keep.
pub(super) const NOT_YET: [&str; 2] = ["usual", "peers"];

impl Signal {
    /// How far back it looks, where it takes a window.
    pub const fn window(self) -> Option<Span> {
        match self {
            Self::Peak(d) | Self::Changes(d) | Self::TimeOver(_, d) | Self::Low(d) | Self::Mean(d) => Some(d),
            Self::Online | Self::Limit | Self::Previous | Self::OnlineTime | Self::OfflineTime => None,
            Self::AbsentTime | Self::Total | Self::UsersOnline | Self::Members => None,
            Self::SilentTime | Self::FailedShare | Self::Known | Self::Enabled => None,
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
