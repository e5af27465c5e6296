//! Points in time and lengths of time, as the whole program keeps them.
//!
//! Neighbours: everything. A part of its own so that there is one type for each of the two ideas: the store
//! keeps whole UTC milliseconds, and nobody else converts.

use std::fmt;
use std::num::NonZeroU64;
use std::ops::{Add, Sub};
use std::str::FromStr;

use chrono::{DateTime, SecondsFormat, TimeZone, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What sets times before 1970 below those after it.
const SIGN: u64 = 1 << 63;

/// A point in time: whole milliseconds since 1970-01-01T00:00:00Z. Prints and serialises as RFC 3339 with `Z`.
/// Kept so that an `Option` of it is no larger; ordered as the milliseconds are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(NonZeroU64);

/// A length of time in whole milliseconds. Prints as the rules file writes it (`10m`), serialises as a number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Span(i64);

impl Time {
    /// The earliest there is, 292 million years ago, stands for what would be a millisecond before it.
    pub const fn from_millis(millis: i64) -> Self {
        match NonZeroU64::new(millis.cast_unsigned() ^ SIGN) {
            Some(kept) => Self(kept),
            None => Self(NonZeroU64::MIN),
        }
    }

    pub const fn millis(self) -> i64 {
        (self.0.get() ^ SIGN).cast_signed()
    }

    /// Whole seconds since 1970, rounded towards the past.
    pub const fn seconds(self) -> i64 {
        self.millis().div_euclid(1000)
    }

    pub fn from_utc(at: DateTime<Utc>) -> Self {
        Self::from_millis(at.timestamp_millis())
    }

    /// The same instant for chrono. Instants outside chrono's range (years ±262,000) become its nearest end.
    pub fn to_utc(self) -> DateTime<Utc> {
        let ends = (DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC);
        let millis = self.millis();
        Utc.timestamp_millis_opt(millis).single().unwrap_or(if millis < 0 { ends.0 } else { ends.1 })
    }

    /// The time from `earlier` to this; negative if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Span {
        Span(self.millis().saturating_sub(earlier.millis()))
    }
}

impl Default for Time {
    fn default() -> Self {
        Self::from_millis(0)
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Time").field(&self.millis()).finish()
    }
}

impl Span {
    pub const ZERO: Self = Self(0);
    pub const MAX: Self = Self(i64::MAX);

    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    pub const fn from_mins(mins: i64) -> Self {
        Self::from_secs(mins.saturating_mul(60))
    }

    pub const fn from_hours(hours: i64) -> Self {
        Self::from_mins(hours.saturating_mul(60))
    }

    pub const fn from_days(days: i64) -> Self {
        Self::from_hours(days.saturating_mul(24))
    }

    pub const fn millis(self) -> i64 {
        self.0
    }

    pub const fn times(self, n: i64) -> Self {
        Self(self.0.saturating_mul(n))
    }

    /// The units that a rules file may write, largest first.
    pub fn units() -> impl Iterator<Item = &'static str> {
        UNITS.iter().map(|(name, _)| *name)
    }

    /// For timers; a negative span is zero.
    pub const fn to_std(self) -> std::time::Duration {
        std::time::Duration::from_millis(if self.0 < 0 { 0 } else { self.0.unsigned_abs() })
    }

    pub fn from_std(length: std::time::Duration) -> Self {
        Self(i64::try_from(length.as_millis()).unwrap_or(i64::MAX))
    }
}

impl Add<Span> for Time {
    type Output = Self;
    fn add(self, span: Span) -> Self {
        Self::from_millis(self.millis().saturating_add(span.0))
    }
}

impl Sub<Span> for Time {
    type Output = Self;
    fn sub(self, span: Span) -> Self {
        Self::from_millis(self.millis().saturating_sub(span.0))
    }
}

impl Add for Span {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Span {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = if self.millis() % 1000 == 0 { SecondsFormat::Secs } else { SecondsFormat::Millis };
        f.write_str(&self.to_utc().to_rfc3339_opts(format, true))
    }
}

/// Why a text is not a time or a length of time; says what would be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    #[error("not a time: write it as 2026-11-22T03:05:00Z")]
    Time,
    #[error("not a duration: write a whole number and one of ms, s, m, h, d, as in 90s, 10m, 4h, 7d")]
    Span,
    #[error("the duration is too long")]
    TooLong,
}

impl FromStr for Time {
    type Err = TimeError;
    /// RFC 3339, with any offset.
    fn from_str(text: &str) -> Result<Self, TimeError> {
        let at = DateTime::parse_from_rfc3339(text).map_err(|_| TimeError::Time)?;
        Ok(Self::from_utc(at.to_utc()))
    }
}

const UNITS: [(&str, i64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl FromStr for Span {
    type Err = TimeError;
    /// `90s`, `10m`, `4h`, `7d`, `500ms`: one whole number, one unit.
    fn from_str(text: &str) -> Result<Self, TimeError> {
        let split = text.find(|c: char| !c.is_ascii_digit()).ok_or(TimeError::Span)?;
        let (digits, unit) = text.split_at(split);
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit).ok_or(TimeError::Span)?;
        if digits.is_empty() {
            return Err(TimeError::Span);
        }
        let count: i64 = digits.parse().map_err(|_| TimeError::TooLong)?;
        count.checked_mul(*factor).map(Self).ok_or(TimeError::TooLong)
    }
}

impl fmt::Display for Span {
    /// The largest unit that divides it: `10m`, not `600s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        let unit = UNITS.iter().find(|(_, factor)| self.0 % factor == 0);
        let (name, factor) = unit.unwrap_or(&("ms", 1));
        write!(f, "{}{name}", self.0 / factor)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_i64(self.0)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        i64::deserialize(from).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Result<&str, TimeError>) {
        assert_eq!(text.parse::<Span>().map(|s| s.to_string()), expect.map(String::from), "{text}");
    }

    #[test]
    fn durations_are_a_number_and_a_unit() {
        check("90s", Ok("90s"));
        check("600s", Ok("10m"));
        check("7d", Ok("7d"));
        check("1500ms", Ok("1500ms"));
        check("0s", Ok("0s"));
        check("10", Err(TimeError::Span));
        check("m", Err(TimeError::Span));
        check("-5m", Err(TimeError::Span));
        check("1h30m", Err(TimeError::Span));
        check("99999999999999999d", Err(TimeError::TooLong));
    }

    #[test]
    fn timers_wait_for_no_negative_time() {
        let std = |millis| Span::from_millis(millis).to_std().as_millis();
        assert_eq!((std(1500), std(0), std(-1), std(i64::MIN)), (1500, 0, 0, 0));
    }

    #[test]
    fn instants_beyond_the_calendar_are_its_ends() {
        let utc = |millis| Time::from_millis(millis).to_utc();
        assert_eq!(utc(-1).timestamp_millis(), -1);
        assert_eq!((utc(i64::MIN), utc(i64::MAX)), (DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC));
    }

    #[test]
    fn times_print_as_they_are_read() {
        for text in ["2026-11-22T03:05:00Z", "1970-01-01T00:00:00.001Z", "2026-12-31T23:59:59Z"] {
            assert_eq!(text.parse::<Time>().map(|t| t.to_string()), Ok(text.to_owned()));
        }
        assert_eq!("2026-11-22".parse::<Time>(), Err(TimeError::Time));
        assert!("2026-06-30T23:59:60Z".parse::<Time>().is_ok(), "a leap second is read, not refused");
    }
}
