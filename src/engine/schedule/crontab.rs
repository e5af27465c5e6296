//! Crontab text, as people write it, rewritten into what the `cron` crate reads.
//!
//! Neighbours: `schedule` alone. A part of its own because the two differ in much: the crate wants seconds first,
//! counts Sunday as 1, refuses `Sat-Sun`, takes both day fields at once where crontab takes either, reads more
//! signs than crontab has, and says nothing of use about a mistake.

use std::ops::Range;

use super::ScheduleError;

/// What the crate is to parse.
pub(super) struct Rewritten {
    /// One expression; two where both day fields are restricted, which in crontab means either (crontab(5)).
    pub(super) expressions: Vec<String>,
    /// The hour field is `*` or `*/n`.
    pub(super) every_hour: bool,
    /// Where the seconds field stands.
    pub(super) seconds: Range<usize>,
}

/// A field of the text: what its values are called and how far they go.
struct Field {
    name: &'static str,
    values: Range<u32>,
    names: &'static [&'static str],
}

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const WEEKDAYS: [&str; 7] = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];

const FIELDS: [Field; 6] = [
    Field { name: "second", values: 0..60, names: &[] },
    Field { name: "minute", values: 0..60, names: &[] },
    Field { name: "hour", values: 0..24, names: &[] },
    Field { name: "day of the month", values: 1..32, names: &[] },
    Field { name: "month", values: 1..13, names: &MONTHS },
    Field { name: "weekday", values: 0..8, names: &WEEKDAYS },
];
const HOUR: usize = 2;
const DAY: usize = 3;
const WEEKDAY: usize = 5;

const SHORTHANDS: [(&str, &str); 4] =
    [("@hourly", "0 * * * *"), ("@daily", "0 0 * * *"), ("@weekly", "0 0 * * 0"), ("@monthly", "0 0 1 * *")];

/// A piece of the text and where it begins.
#[derive(Clone, Copy)]
struct Piece<'a> {
    text: &'a str,
    start: usize,
}

impl<'a> Piece<'a> {
    fn span(self) -> Range<usize> {
        self.start..self.start + self.text.len()
    }

    fn split(self, at: char) -> impl Iterator<Item = Self> + 'a {
        let whole = self;
        let mut start = whole.start;
        whole.text.split(at).map(move |text| {
            let piece = Self { text, start };
            start += text.len() + at.len_utf8();
            piece
        })
    }

    fn split_once(self, at: char) -> Option<(Self, Self)> {
        let (left, right) = self.text.split_once(at)?;
        let start = self.start + left.len() + at.len_utf8();
        Some((Self { text: left, start: self.start }, Self { text: right, start }))
    }

    fn refuse<T>(self, message: String, hint: impl Into<String>) -> Result<T, ScheduleError> {
        Err(ScheduleError { span: self.span(), message, hint: Some(hint.into()) })
    }
}

pub(super) fn rewrite(text: &str) -> Result<Rewritten, ScheduleError> {
    let whole = Piece { text, start: 0 };
    let mut pieces: Vec<Piece<'_>> =
        [' ', '\t'].iter().fold(vec![whole], |all, at| all.into_iter().flat_map(|p| p.split(*at)).collect());
    pieces.retain(|piece| !piece.text.is_empty());
    if let Some(first) = pieces.first().filter(|first| first.text.starts_with('@')) {
        return shorthand(*first, pieces.len() == 1);
    }
    match pieces.len() {
        5 => pieces.insert(0, Piece { text: "0", start: 0 }),
        6 => {}
        0 => return whole.refuse("the schedule is empty".to_owned(), "every five minutes is `*/5 * * * *`"),
        7 => {
            let hint = "leave the last one out: a schedule knows no years";
            return whole.refuse("7 fields, where a schedule has 5 or 6".to_owned(), hint);
        }
        n => {
            let fields = if n == 1 { "1 field".to_owned() } else { format!("{n} fields") };
            let hint =
                "minute, hour, day of the month, month, weekday: `*/5 * * * *`; seconds may come first";
            return whole.refuse(format!("{fields}, where a schedule has 5, or 6 with seconds first"), hint);
        }
    }
    let seconds = pieces[0].span();
    let fields: Vec<String> =
        FIELDS.iter().zip(&pieces).map(|(field, piece)| field.rewrite(*piece)).collect::<Result<_, _>>()?;
    // crontab(5): a day field is restricted if it has no `*`.
    let restricted = |field: usize| !pieces[field].text.contains('*');
    let with = |day: &str, weekday: &str| {
        let [second, minute, hour, _, month, _] = &fields[..] else { return String::new() };
        format!("{second} {minute} {hour} {day} {month} {weekday}")
    };
    let expressions = if restricted(DAY) && restricted(WEEKDAY) {
        vec![with(&fields[DAY], "*"), with("*", &fields[WEEKDAY])]
    } else {
        vec![with(&fields[DAY], &fields[WEEKDAY])]
    };
    let every_hour = pieces[HOUR].split(',').all(|item| item.text.starts_with('*'));
    Ok(Rewritten { expressions, every_hour, seconds })
}

fn shorthand(piece: Piece<'_>, alone: bool) -> Result<Rewritten, ScheduleError> {
    if let Some((_, meaning)) = SHORTHANDS.iter().find(|(name, _)| alone && *name == piece.text) {
        return rewrite(meaning);
    }
    let hint = match piece.text {
        "@yearly" | "@annually" => "once a year is `0 0 1 1 *`",
        "@midnight" => "write `@daily`",
        "@reboot" => "the first poll of all comes at once in any case",
        "@every" => "every five minutes is `*/5 * * * *`",
        _ => "there are `@hourly`, `@daily`, `@weekly` and `@monthly`, each alone",
    };
    piece.refuse(format!("`{}` is not known", piece.text.escape_debug()), hint)
}

impl Field {
    fn rewrite(&self, piece: Piece<'_>) -> Result<String, ScheduleError> {
        let items: Vec<String> = piece.split(',').map(|item| self.item(item)).collect::<Result<_, _>>()?;
        Ok(items.join(","))
    }

    /// `*`, `n`, `a-b`, each with `/step` or without. `n/step` goes on to the field's end.
    fn item(&self, item: Piece<'_>) -> Result<String, ScheduleError> {
        if item.text.is_empty() {
            return item.refuse(
                format!("the {} field has an empty item", self.name),
                "remove a comma, or write `*`",
            );
        }
        let (base, step) = match item.split_once('/') {
            Some((base, step)) => (base, Some(self.step(step)?)),
            None => (item, None),
        };
        let slash = step.map_or(String::new(), |step| format!("/{step}"));
        if base.text == "*" {
            return Ok(format!("*{slash}"));
        }
        let (start, end) = match base.split_once('-') {
            Some((start, end)) => (self.value(start)?, self.value(end)?),
            None => {
                let value = self.value(base)?;
                (value, if step.is_some() { self.values.end - 1 } else { value })
            }
        };
        if self.is_weekday() {
            // `Mon/2` ends on Saturday: 7 is Sunday again.
            let end = if step.is_some() && end == 7 && !base.text.contains('-') { start.max(6) } else { end };
            return Ok(weekdays(start, end, step.unwrap_or(1)));
        }
        if start > end {
            let (low, high) = (self.values.start, self.values.end - 1);
            let or_low = if low == end { format!("{low}") } else { format!("{low}-{end}") };
            let or_high = if start == high { format!("{high}") } else { format!("{start}-{high}") };
            return base.refuse(
                format!("the range `{}` ends before it begins", base.text),
                format!("write `{or_high},{or_low}`"),
            );
        }
        Ok(if start == end { format!("{start}") } else { format!("{start}-{end}{slash}") })
    }

    fn is_weekday(&self) -> bool {
        self.names.len() == WEEKDAYS.len()
    }

    fn value(&self, piece: Piece<'_>) -> Result<u32, ScheduleError> {
        let Self { name, values, .. } = self;
        let article = if *name == "hour" { "an" } else { "a" };
        if let Some(place) = self.names.iter().position(|known| {
            let text = piece.text.to_ascii_lowercase();
            text == *known || text == known[..3]
        }) {
            let place = u32::try_from(place).unwrap_or(0);
            return Ok(if self.is_weekday() { place } else { place + 1 });
        }
        let shown = piece.text.escape_debug();
        if !piece.text.is_empty() && piece.text.bytes().all(|b| b.is_ascii_digit()) {
            let number = piece.text.parse().ok().filter(|number| values.contains(number));
            return match number {
                Some(number) => Ok(number),
                None => piece.refuse(
                    format!("`{shown}` is no {name}"),
                    format!("{article} {name} is {} to {}", values.start, values.end - 1),
                ),
            };
        }
        let message = if shown.clone().next().is_none() {
            format!("{article} {name} is missing")
        } else {
            format!("`{shown}` is no {name}")
        };
        let ends_in = |sign| piece.text.ends_with(sign);
        let hint = match piece.text {
            _ if piece.text.contains('?') => "crontab text has no `?`: write `*`".to_owned(),
            _ if piece.text.contains('#') => {
                "crontab text has no `#`: name days of the month or weekdays".to_owned()
            }
            _ if self.names.is_empty() && (ends_in('L') || ends_in('W')) => {
                "crontab text has no `L` and no `W`: name the days by number".to_owned()
            }
            _ if self.is_weekday() => "a weekday is Sun to Sat, or 0 to 7 (0 and 7 are Sunday)".to_owned(),
            _ if !self.names.is_empty() => "a month is Jan to Dec, or 1 to 12".to_owned(),
            _ => format!(
                "a {name} is {} to {}, `*`, or a list or range of these",
                values.start,
                values.end - 1
            ),
        };
        piece.refuse(message, hint)
    }

    fn step(&self, piece: Piece<'_>) -> Result<u32, ScheduleError> {
        // The crate takes no step above the largest value; such a step would only ever name the first one.
        let largest = if self.is_weekday() { 6 } else { self.values.end - 1 };
        let digits = piece.text.bytes().all(|b| b.is_ascii_digit());
        match piece.text.parse::<u32>().ok().filter(|step| digits && (1..=largest).contains(step)) {
            Some(step) => Ok(step),
            None => piece.refuse(
                format!("`/{}` is no step for the {} field", piece.text.escape_debug(), self.name),
                format!(
                    "a step is a number from 1 to {largest}; counting starts anew in every round of the field"
                ),
            ),
        }
    }
}

/// The crate's numbers (Sunday is 1) of every `step`th day from `start` to `end`, which may lie in the next week.
fn weekdays(start: u32, end: u32, step: u32) -> String {
    let (start, end) = if start == 7 { (0, end % 7) } else { (start, end) };
    let end = if end < start { end + 7 } else { end };
    let mut days: Vec<u32> = (start..=end).step_by(step.max(1) as usize).map(|day| day % 7 + 1).collect();
    days.sort_unstable();
    days.dedup();
    days.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}
