//! XML replies, which the vendor gives where it likes, whatever was asked for.
//!
//! Neighbours: `wire` chooses between this and `json`. A part of its own because XML has no lists and no numbers:
//! the root's name is ignored, repeated elements are the list, and what is not element or text is refused.

use quick_xml::Reader;
use quick_xml::events::{BytesRef, Event};

use super::{
    Entry, Envelope, InstanceTotal, Malformed, RosterPage, RosterUser, count, enabled, malformed, unix_time,
    whole,
};
use crate::engine::event::OnlineClient;

/// The vendor's own replies are four deep.
const DEEPEST: usize = 16;

#[derive(Default)]
struct Element {
    name: String,
    text: String,
    children: Vec<Self>,
}

impl Element {
    /// The children of this name, at most one of which is due.
    fn child(&self, name: &str) -> Result<Option<&Self>, Malformed> {
        let mut found = self.all(name);
        let first = found.next();
        if found.next().is_some() {
            return malformed(format!("the reply has {name} twice"));
        }
        Ok(first)
    }

    fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    fn needed(&self, name: &str) -> Result<&Self, Malformed> {
        self.child(name)?.ok_or_else(|| Malformed(format!("the reply has no {name}")))
    }

    fn text_of(&self, name: &str) -> Result<Option<&str>, Malformed> {
        Ok(self.child(name)?.map(|child| child.text.as_str()))
    }
}

/// The root element of a well-formed document; one that ends early is refused, never half read.
fn parse(body: &str) -> Result<Element, Malformed> {
    let mut reader = Reader::from_str(body);
    let mut open: Vec<Element> = Vec::new();
    let mut root = None;
    loop {
        let event = reader.read_event().map_err(|_| Malformed("the reply is not well-formed XML".into()))?;
        match event {
            Event::Start(_) | Event::Empty(_) if root.is_some() || open.len() >= DEEPEST => {
                return malformed("the reply's elements are nested too deeply, or it has two roots");
            }
            Event::Start(tag) => open.push(element(tag.local_name().as_ref())),
            Event::Empty(tag) => close(element(tag.local_name().as_ref()), &mut open, &mut root),
            Event::End(_) => {
                let Some(done) = open.pop() else {
                    return malformed("the reply is not well-formed XML");
                };
                close(done, &mut open, &mut root);
            }
            Event::Text(text) => append(&mut open, &text.xml10_content())?,
            Event::CData(text) => append(&mut open, &text.xml10_content())?,
            Event::GeneralRef(entity) => append(&mut open, &resolved(&entity)?)?,
            Event::DocType(_) => return malformed("the reply is a web page or declares a document type"),
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
            Event::Eof if open.is_empty() => {
                return root.ok_or_else(|| Malformed("the reply is empty".into()));
            }
            Event::Eof => return malformed("the reply ends too early"),
        }
    }
}

fn element(name: &str) -> Element {
    Element { name: name.to_owned(), ..Element::default() }
}

fn close(done: Element, open: &mut [Element], root: &mut Option<Element>) {
    match open.last_mut() {
        Some(parent) => parent.children.push(done),
        None => *root = Some(done),
    }
}

fn append(open: &mut [Element], text: &str) -> Result<(), Malformed> {
    match open.last_mut() {
        Some(element) => element.text.push_str(text),
        None if text.trim().is_empty() => {}
        None => return malformed("the reply has text outside its root element"),
    }
    Ok(())
}

/// The five entities of XML and character references; there are no others.
fn resolved(entity: &BytesRef<'_>) -> Result<String, Malformed> {
    if let Ok(Some(character)) = entity.resolve_char_ref() {
        return Ok(character.to_string());
    }
    let known = quick_xml::escape::resolve_predefined_entity(&entity.xml10_content()).map(str::to_owned);
    known.ok_or_else(|| Malformed("the reply uses an unknown entity".into()))
}

pub(super) fn envelope(body: &str) -> Result<Envelope, Malformed> {
    head(&parse(body)?)
}

fn head(root: &Element) -> Result<Envelope, Malformed> {
    let either = |upper: &str, lower: &str| -> Result<Option<String>, Malformed> {
        Ok(root.text_of(upper)?.or(root.text_of(lower)?).map(str::to_owned))
    };
    Ok(Envelope {
        request_id: either("RequestId", "requestId")?,
        code: either("Code", "code")?,
        message: either("Message", "message")?,
    })
}

pub(super) fn statistics(body: &str) -> Result<(Envelope, Vec<Entry<'_>>), Malformed> {
    let root = parse(body)?;
    let entry = |one: &Element| {
        let name = one.needed("UserName")?.text.clone().into();
        Ok(Entry { name, count: one.text_of("OnlineCount")?.and_then(count) })
    };
    let entries = root.needed("UserStatistics")?.all("Statistics").map(entry).collect::<Result<_, _>>()?;
    Ok((head(&root)?, entries))
}

pub(super) fn clients(body: &str) -> Result<Vec<OnlineClient>, Malformed> {
    let root = parse(body)?;
    let client = |one: &Element| {
        let address = one.needed("ClientIp")?.text.clone();
        Ok(OnlineClient { address, online_since: one.text_of("OnlineTime")?.and_then(unix_time) })
    };
    root.needed("Users")?.all("User").map(client).collect()
}

pub(super) fn roster(body: &str) -> Result<RosterPage, Malformed> {
    let root = parse(body)?;
    let Some(total) = root.text_of("TotalCount")?.and_then(whole) else {
        return malformed("the reply has no TotalCount");
    };
    let user = |one: &Element| {
        let name = one.needed("UserName")?.text.clone();
        Ok(RosterUser { name, enabled: one.text_of("State")?.and_then(enabled) })
    };
    let users = root.needed("Users")?.all("User").map(user).collect::<Result<_, Malformed>>()?;
    Ok(RosterPage { total, number: root.text_of("PageNumber")?.and_then(whole), users })
}

pub(super) fn totals(body: &str) -> Result<Vec<InstanceTotal>, Malformed> {
    let root = parse(body)?;
    let one = |one: &Element| {
        let instance = one.needed("SmartAGId")?.text.clone();
        Ok(InstanceTotal { instance, online: one.text_of("OnlineCount")?.and_then(whole) })
    };
    root.needed("SagStatistics")?.all("Statistics").map(one).collect()
}
