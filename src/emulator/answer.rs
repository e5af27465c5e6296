//! What the stand-in answers: one tree of fields, written as JSON or XML; and refusals with their codes.
//!
//! Neighbours: `action` makes trees, `gate` and `action` refuse, `server` sends. A part of its own so that both
//! formats say the same by construction.

use quick_xml::escape::escape;
use serde_json::Value;

/// A reply as a tree. Repeated elements (`Items`) are a list in JSON and one element each in XML.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Text(String),
    Number(u32),
    Fields(Vec<(&'static str, Self)>),
    Items(Vec<Self>),
}

impl Node {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    fn json(&self) -> Value {
        match self {
            Self::Text(text) => Value::from(text.as_str()),
            Self::Number(number) => Value::from(*number),
            Self::Fields(fields) => {
                fields.iter().map(|(name, node)| ((*name).to_owned(), node.json())).collect()
            }
            Self::Items(items) => items.iter().map(Self::json).collect(),
        }
    }

    fn xml(&self, name: &str, out: &mut String) {
        if let Self::Items(items) = self {
            return items.iter().for_each(|item| item.xml(name, out));
        }
        out.extend(["<", name, ">"]);
        match self {
            Self::Text(text) => out.push_str(&escape(writable(text))),
            Self::Number(number) => out.push_str(&number.to_string()),
            Self::Fields(fields) => fields.iter().for_each(|(name, node)| node.xml(name, out)),
            Self::Items(_) => {}
        }
        out.extend(["</", name, ">"]);
    }
}

/// XML 1.0 has no way to write most control characters (section 2.2): they become U+FFFD.
fn writable(text: &str) -> String {
    let allowed = |c: char| !c.is_control() || matches!(c, '\t' | '\n' | '\r');
    text.chars().map(|c| if allowed(c) { c } else { '\u{FFFD}' }).collect()
}

/// The format of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Xml,
}

impl Format {
    /// Exactly these: the vendor's SDK reads an XML error only under this very text.
    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json;charset=utf-8",
            Self::Xml => "text/xml;charset=utf-8",
        }
    }

    /// The body; `root` is the name of the root element, which JSON does not have.
    pub(super) fn write(self, root: &str, node: &Node) -> String {
        match self {
            Self::Json => node.json().to_string(),
            Self::Xml => {
                let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
                node.xml(root, &mut out);
                out
            }
        }
    }
}

/// An error reply before it knows its request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) code: String,
    pub(super) message: String,
    /// For the header `x-acs-retry-after`, in milliseconds.
    pub(super) retry_after_ms: Option<u64>,
}

impl Refusal {
    pub(super) fn new(status: u16, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { status, code: code.into(), message: message.into(), retry_after_ms: None }
    }

    pub(super) fn bad(code: &str, message: impl Into<String>) -> Self {
        Self::new(400, code, message)
    }

    pub(super) fn missing(name: &str) -> Self {
        let message = format!(
            "The input parameter \"{name}\" that is mandatory for processing this request is not supplied."
        );
        Self::bad("MissingParameter", message)
    }

    pub(super) fn throttled(retry_after_ms: u64) -> Self {
        let refusal = Self::bad("Throttling.User", "Request was denied due to user flow control.");
        Self { retry_after_ms: Some(retry_after_ms.max(1)), ..refusal }
    }

    /// A planted error, with the status that the vendor documents for its code.
    pub(super) fn planted(code: &str) -> Self {
        let status = match code {
            "InternalError" | "SmartAccessGatewayInArrears" | "SmartAccessGatewayNotActivated" => 500,
            "ServiceUnavailable" => 503,
            "InnerServiceFailed" => 501,
            "InvalidAccessKeyId.NotFound" | "InvalidAction.NotFound" => 404,
            "NoPermission" | "InvalidId.SMARTAG" => 403,
            _ if code.starts_with("Forbidden") => 403,
            _ => 400,
        };
        Self::new(status, code, format!("{code}: planted by the scenario."))
    }

    pub(super) fn node(&self, request_id: &str, host: &str) -> Node {
        let recommend = format!("https://api.aliyun.com/troubleshoot?q={}&product=Smartag", self.code);
        Node::Fields(vec![
            ("RequestId", Node::text(request_id)),
            ("HostId", Node::text(host)),
            ("Code", Node::text(&self.code)),
            ("Message", Node::text(&self.message)),
            ("Recommend", Node::Text(recommend)),
        ])
    }
}
