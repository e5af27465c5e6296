//! The readers of a section for values with a form of their own: secrets, lists, names of the writer's own, dates.
//!
//! Neighbours: `section` reads plain values, `secret` says what a reference is. A part of its own because a secret
//! in plain text is refused here, once for all tables.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use chrono_tz::Tz;
use toml::de::DeValue;
use toml::value::Offset;

use super::form::Form;
use super::place::Place;
use super::section::{Section, Spanned, Value, shown};
use crate::engine::time::{Span, Time};
use crate::engine::zone::{at_offset, first};
use crate::secret::{Secret, SecretRef};

/// Where a secret may be.
pub(super) const PLACES: [&str; 3] = ["env", "file", "credential"];

const WAY_OUT: &str =
    "put it elsewhere and name the place: { file = \"…\" }, { env = \"…\" } or { credential = \"…\" }";

impl Section<'_> {
    /// A reference to a secret: `{ env = … }`, `{ file = … }` or `{ credential = … }`.
    pub fn secret(&mut self, key: &'static str) -> Option<SecretRef> {
        let value = self.value(key, || Form::Secret)?;
        self.secret_in(key, value)
    }

    /// As [`Self::secret`], but plain text is accepted too (a webhook's URL).
    pub fn secret_or_plain(&mut self, key: &'static str) -> Option<SecretRef> {
        let value = self.value(key, || Form::SecretOrPlain)?;
        match value.get_ref().as_str() {
            Some("") => self.masked(key, value, "must not be empty", None),
            Some(text) => self.found(key, value, SecretRef::Plain(Secret::new(text))),
            None => self.secret_in(key, value),
        }
    }

    /// One reference or a list of them; empty if the key is not there.
    pub fn secrets(&mut self, key: &'static str) -> Vec<SecretRef> {
        let Some(value) = self.value(key, || Form::Secrets) else { return Vec::new() };
        match value.get_ref().as_array() {
            Some(list) if list.is_empty() => {
                self.error_at(key, "must not be empty", Some(WAY_OUT));
                Vec::new()
            }
            Some(list) => list.iter().filter_map(|item| self.secret_in(key, item)).collect(),
            None => self.secret_in(key, value).into_iter().collect(),
        }
    }

    fn secret_in(&self, key: &'static str, value: &Value<'_>) -> Option<SecretRef> {
        let Some(table) = value.get_ref().as_table() else {
            return self.masked(key, value, "a secret must not stand in this file", Some(WAY_OUT));
        };
        let [(kind, place)] = table.iter().collect::<Vec<_>>()[..] else {
            return self.masked(key, value, "must hold one of env, file and credential", Some(WAY_OUT));
        };
        let Some(text) = place.get_ref().as_str().filter(|text| !text.is_empty()) else {
            return self.masked(key, place, "must name a place, in quotes", Some(WAY_OUT));
        };
        match kind.get_ref().as_ref() {
            "env" if text.contains(['=', '\0']) => {
                self.masked(key, place, "is not the name of an environment variable", None)
            }
            "env" => self.found(key, place, SecretRef::Env(text.to_owned())),
            "file" => self.found(key, place, SecretRef::File(self.text.path(text))),
            "credential" => self.found(key, place, SecretRef::Credential(text.to_owned())),
            other => {
                let hint = super::section::suggest(other, PLACES);
                let hint = hint.as_deref().unwrap_or(WAY_OUT);
                self.masked(key, value, "must hold one of env, file and credential", Some(hint))
            }
        }
    }

    fn found(&self, key: &str, value: &Value<'_>, reference: SecretRef) -> Option<SecretRef> {
        let place = Place { span: value.span(), ..self.place(key) };
        self.notes.secret(self.text, &place, reference.clone());
        Some(reference)
    }

    /// An error whose line is not quoted beyond the key. Always None.
    fn masked<T>(&self, key: &str, value: &Value<'_>, message: &str, hint: Option<&str>) -> Option<T> {
        let place = Place { span: value.span(), ..self.place(key) };
        self.notes.masked_error(self.text, &place, message, hint);
        None
    }

    /// Texts under names of the writer's own, such as labels. At most 64.
    pub fn string_map(&mut self, key: &'static str) -> BTreeMap<String, String> {
        self.value(key, || Form::Map);
        let Some(mut table) = self.table(key) else { return BTreeMap::new() };
        let map: BTreeMap<_, _> =
            table.texts().into_iter().map(|(name, text)| (name, text.into_inner())).collect();
        if map.len() > 64 {
            self.error_at(key, "holds more than 64 entries", None);
        }
        map
    }

    /// All keys of this table, which are names of the writer's own, with the texts under them.
    pub(super) fn texts(&mut self) -> Vec<(String, Spanned<String>)> {
        self.open = true;
        let mut texts = Vec::with_capacity(self.table.len());
        for (name, value) in self.table {
            let name = name.get_ref().to_string();
            match value.get_ref().as_str() {
                Some(text) => texts.push((name, Spanned::new(value.span(), text.to_owned()))),
                None => self.error_in(value.span(), &shown(&name), "must be a text in quotes", None),
            }
        }
        texts
    }

    /// A list of texts with their places; empty if the key is not there.
    pub fn strings(&mut self, key: &'static str) -> Vec<Spanned<String>> {
        self.items(key, Form::Texts, "a list of texts, as in [\"a\", \"b\"]", |value| {
            value.as_str().map(str::to_owned)
        })
    }

    /// A list of texts that must hold at least one.
    pub fn required_strings(&mut self, key: &'static str) -> Vec<Spanned<String>> {
        if self.value(key, || Form::SomeTexts).is_none() {
            self.missing::<()>(key);
            return Vec::new();
        }
        let list = self.strings(key);
        if self.is_empty_list(key) {
            self.error_at(key, "must not be empty", None);
        }
        list
    }

    /// A list of dates with their places.
    pub fn dates(&mut self, key: &'static str) -> Vec<Spanned<NaiveDate>> {
        self.items(key, Form::Dates, "a list of dates without quotes, as in [2026-10-01]", date)
    }

    pub fn date(&mut self, key: &'static str) -> Option<NaiveDate> {
        let value = self.value(key, || Form::Date)?;
        date(value.get_ref())
            .or_else(|| self.wrong_kind(key, value, "a date without quotes, as in 2026-10-01"))
    }

    /// An instant: a date and time, local to `zone` where no offset is written.
    pub fn moment(&mut self, key: &'static str, zone: Tz) -> Option<Time> {
        let value = self.value(key, || Form::Moment)?;
        moment(value.get_ref(), zone).or_else(|| {
            self.wrong_kind(key, value, "a date and time without quotes, as in 2026-11-23T09:00:00")
        })
    }

    fn items<T>(
        &mut self,
        key: &'static str,
        form: Form,
        wanted: &str,
        read: impl Fn(&DeValue<'_>) -> Option<T>,
    ) -> Vec<Spanned<T>> {
        let Some(value) = self.value(key, || form) else { return Vec::new() };
        let Some(list) = value.get_ref().as_array() else {
            return self.wrong_kind(key, value, wanted).unwrap_or_default();
        };
        let read = |item| match read(Spanned::get_ref(item)) {
            Some(one) => Some(Spanned::new(item.span(), one)),
            None => self.wrong_kind(key, item, &format!("in {wanted}")),
        };
        list.iter().filter_map(read).collect()
    }
}

/// A local time that a change of the clock skips is the change; one that comes twice is its first.
fn moment(value: &DeValue<'_>, zone: Tz) -> Option<Time> {
    let moment = value.as_datetime()?;
    let (date, time) = (moment.date?, moment.time?);
    let nanos = time.nanosecond.unwrap_or(0);
    let local = NaiveDate::from_ymd_opt(i32::from(date.year), date.month.into(), date.day.into())?
        .and_hms_nano_opt(time.hour.into(), time.minute.into(), time.second.unwrap_or(0).into(), nanos)?;
    match moment.offset {
        None => Some(first(zone, local)),
        Some(Offset::Z) => Some(at_offset(local, Span::ZERO)),
        Some(Offset::Custom { minutes }) => Some(at_offset(local, Span::from_mins(minutes.into()))),
    }
}

/// A local date; neither with a time nor with a zone.
fn date(value: &DeValue<'_>) -> Option<NaiveDate> {
    let moment = value.as_datetime().filter(|moment| moment.time.is_none() && moment.offset.is_none())?;
    let date = moment.date?;
    NaiveDate::from_ymd_opt(i32::from(date.year), date.month.into(), date.day.into())
}
