//! A request as it arrived, decoded the way a gateway decodes it.
//!
//! Neighbours: `server` hands in the raw parts, `gate` checks them, `action` reads its parameters. A part of its own
//! because decoding comes before any trust: signatures are computed over these values, not over the bytes on the wire.

use super::answer::Format;
use crate::aliyun::sign::Pairs;

#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) method: String,
    pub(super) path: String,
    /// Decoded; a `+` on the wire is a space.
    pub(super) query: Pairs,
    /// Decoded likewise; empty unless the body is a form.
    pub(super) form: Pairs,
    /// Names in lower case, in the order sent.
    pub(super) headers: Pairs,
    pub(super) body: Vec<u8>,
}

impl Call {
    pub(super) fn new(method: &str, path: &str, query: &str, headers: Pairs, body: Vec<u8>) -> Self {
        let decode = |text: &[u8]| form_urlencoded::parse(text).into_owned().collect::<Pairs>();
        let is_form = headers.iter().any(|(name, value)| {
            let media = value.split(';').next().unwrap_or_default().trim();
            name == "content-type" && media.eq_ignore_ascii_case("application/x-www-form-urlencoded")
        });
        let form = if is_form { decode(&body) } else { Pairs::new() };
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            query: decode(query.as_bytes()),
            form,
            headers,
            body,
        }
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.trim())
    }

    /// A parameter of the query or the form body.
    pub(super) fn param(&self, name: &str) -> Option<&str> {
        let mut both = self.query.iter().chain(&self.form);
        both.find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn params(&self) -> Pairs {
        self.query.iter().chain(&self.form).cloned().collect()
    }

    /// The values of `name.1`, `name.2`, … in the order of their numbers.
    pub(super) fn list(&self, name: &str) -> Vec<&str> {
        let number = |param: &str| param.strip_prefix(name)?.strip_prefix('.')?.parse::<u32>().ok();
        let both = self.query.iter().chain(&self.form);
        let mut found: Vec<_> =
            both.filter_map(|(param, value)| Some((number(param)?, value.as_str()))).collect();
        found.sort_by_key(|(number, _)| *number);
        found.into_iter().map(|(_, value)| value).collect()
    }

    /// `Format` decides; without it a V1 request gets JSON, as the product's page says (the generic page says XML),
    /// and a V3 request what it accepts, else JSON.
    pub(super) fn format(&self) -> Format {
        let accepts_xml = || self.header("accept").is_some_and(|accept| accept.contains("/xml"));
        match self.param("Format") {
            Some(format) if format.eq_ignore_ascii_case("xml") => Format::Xml,
            Some(format) if format.eq_ignore_ascii_case("json") => Format::Json,
            _ if self.is_v3() && accepts_xml() => Format::Xml,
            _ => Format::Json,
        }
    }

    /// The vendor's SDKs name the action in a header when they sign by V1, too; only V1 has it as a parameter.
    pub(super) fn is_v3(&self) -> bool {
        let in_header = self.header("x-acs-action").is_some() && self.param("Action").is_none();
        self.header("authorization").is_some() || in_header
    }

    pub(super) fn action(&self) -> Option<&str> {
        self.named("x-acs-action", "Action")
    }

    pub(super) fn version(&self) -> Option<&str> {
        self.named("x-acs-version", "Version")
    }

    fn named(&self, header: &str, param: &str) -> Option<&str> {
        let value = if self.is_v3() { self.header(header) } else { self.param(param) };
        value.filter(|value| !value.is_empty())
    }
}
