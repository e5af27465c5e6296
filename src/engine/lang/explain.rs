//! A condition taken apart for people: each expression in it with its value, and those that decide.
//!
//! Neighbours: `evaluate` computed the values, `print` writes the expressions; `look` asks. A part of its own because a
//! person asks about one subject at a time, and whoever judges many must not pay for that.

use arcstr::ArcStr;

use super::evaluate::{Truth, truth};
use super::parse::{Binary, Kind, Node};
use super::print;
use super::signal::{Signal, Type};
use crate::engine::time::Span;

/// An expression within a condition, with its value.
#[derive(Clone, PartialEq, Debug)]
pub struct Part {
    /// In the one way to write it.
    pub text: ArcStr,
    pub worth: Worth,
    /// A comparison that makes the whole condition what it is.
    pub decides: bool,
}

/// The value of an expression; None is no value.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Worth {
    Number(Option<f64>),
    Duration(Option<Span>),
    Truth(Truth),
}

impl Worth {
    fn new(kind: Type, value: f64) -> Self {
        let known = value.is_finite().then_some(value);
        match kind {
            Type::Number => Self::Number(known),
            Type::Duration => Self::Duration(known.map(|millis| Span::from_millis(millis as i64))),
            Type::Boolean => Self::Truth(truth(value)),
        }
    }
}

/// What a condition was compiled of.
#[derive(Debug)]
pub(super) struct Parts {
    nodes: Vec<Node>,
    /// One for each node that names one.
    signals: Vec<Signal>,
    /// As a condition writes each of them.
    texts: Vec<ArcStr>,
    /// For each node how many operations compute it and all before it.
    ends: Vec<usize>,
    types: Vec<Type>,
}

impl Parts {
    pub(super) fn new(nodes: Vec<Node>, signals: Vec<Signal>, ends: Vec<usize>, types: Vec<Type>) -> Self {
        let texts = signals.iter().map(|signal| signal.to_string().into()).collect();
        Self { nodes, signals, texts, ends, types }
    }

    /// `values` has what stood on top of the stack after each operation.
    pub(super) fn explained(&self, values: &[f64]) -> Vec<Part> {
        let values = self.values(values);
        let deciding = self.deciding(&values);
        let texts = print::parts(&self.nodes, &self.signals);
        let mut parts: Vec<Part> = Vec::new();
        for (at, text) in texts.into_iter().enumerate() {
            if matches!(self.nodes[at].kind, Kind::Literal(_)) {
                continue;
            }
            let (worth, decides) = (Worth::new(self.types[at], values[at]), deciding.contains(&at));
            match parts.iter_mut().find(|part| part.text == text) {
                Some(part) => part.decides |= decides,
                None => parts.push(Part { text: text.into(), worth, decides }),
            }
        }
        parts
    }

    /// The signals alone, each once; one decides if it is in a comparison that does.
    pub(super) fn told(&self, values: &[f64]) -> Vec<Part> {
        let (values, operands) = (self.values(values), self.operands());
        let mut within = vec![false; self.nodes.len()];
        let mut open = self.deciding(&values);
        while let Some(at) = open.pop() {
            within[at] = true;
            open.extend(&operands[at]);
        }
        let named = (0..self.nodes.len()).filter(|at| matches!(self.nodes[*at].kind, Kind::Name { .. }));
        let mut parts: Vec<Part> = Vec::new();
        for (at, text) in named.zip(&self.texts) {
            let decides = within[at];
            match parts.iter_mut().find(|part| part.text == *text) {
                Some(part) => part.decides |= decides,
                None => {
                    let worth = Worth::new(self.types[at], values[at]);
                    parts.push(Part { text: text.clone(), worth, decides });
                }
            }
        }
        parts
    }

    /// Of each node, from what stood on the stack after each operation.
    fn values(&self, stack: &[f64]) -> Vec<f64> {
        let value =
            |end: &usize| end.checked_sub(1).and_then(|at| stack.get(at)).copied().unwrap_or(f64::NAN);
        self.ends.iter().map(value).collect()
    }

    /// The comparisons that make the whole what it is: those alone would make it so.
    fn deciding(&self, values: &[f64]) -> Vec<usize> {
        let operands = self.operands();
        let mut found = Vec::new();
        let mut open: Vec<usize> = self.nodes.len().checked_sub(1).into_iter().collect();
        while let Some(at) = open.pop() {
            let whole = truth(values[at]);
            let agree = operands[at].iter().copied().filter(|one| truth(values[*one]) == whole);
            match (&self.nodes[at].kind, whole) {
                (Kind::Not, _) => open.extend(&operands[at]),
                // One suffices.
                (Kind::Binary(Binary::And), Truth::False) | (Kind::Binary(Binary::Or), Truth::True) => {
                    open.extend(agree.take(1));
                }
                (Kind::Binary(Binary::And | Binary::Or), _) => open.extend(agree),
                _ => found.push(at),
            }
        }
        found
    }

    /// For each node those that it is made of.
    fn operands(&self) -> Vec<Vec<usize>> {
        let mut stack: Vec<usize> = Vec::new();
        let mut operands = Vec::with_capacity(self.nodes.len());
        for (at, node) in self.nodes.iter().enumerate() {
            let takes = match node.kind {
                Kind::Literal(_) | Kind::Name { .. } | Kind::Bad => 0,
                Kind::Not | Kind::Negate => 1,
                Kind::Binary(_) => 2,
            };
            operands.push(stack.split_off(stack.len().saturating_sub(takes)));
            stack.push(at);
        }
        operands
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::lang::{Line, compile};
    use crate::engine::rule::Per;

    /// Each part as `text = value`, deciding ones with a mark.
    #[track_caller]
    fn check(text: &str, online: f64, expect: &[&str]) {
        let program = compile(text, Per::User).unwrap();
        let mut fill = |signal: &Signal, out: &mut [Line]| {
            let known = [(Signal::Limit, 2.0), (Signal::OnlineTime, 90_000.0)];
            let value = known.iter().find(|(one, _)| one == signal).map_or(online, |(_, value)| *value);
            out.fill(Line::still(value));
        };
        let shown = |part: &Part| {
            let worth = match part.worth {
                Worth::Number(value) => value.map_or("none".to_owned(), |value| value.to_string()),
                Worth::Duration(value) => value.map_or("none".to_owned(), |value| value.to_string()),
                Worth::Truth(truth) => format!("{truth:?}").to_lowercase(),
            };
            format!("{} = {worth}{}", part.text, if part.decides { " <-" } else { "" })
        };
        let parts: Vec<String> = program.explain(&mut fill).iter().map(shown).collect();
        assert_eq!(parts, expect, "{text}");
        let mut out = [Truth::Unknown];
        let mut values = |signal: &Signal, out: &mut [f64]| {
            let mut lines = [Line::still(0.0)];
            fill(signal, &mut lines);
            out[0] = lines[0].value;
        };
        program.evaluate(1, &mut values, &mut out);
        let whole = program.explain(&mut fill).pop().unwrap().worth;
        assert_eq!(whole, Worth::Truth(out[0]), "as the verdict says");
    }

    #[test]
    fn every_expression_has_its_value() {
        check(
            "(online>limit) and online_time * 2 >= 5m",
            3.0,
            &[
                "online = 3",
                "limit = 2",
                "online > limit = true",
                "online_time = 90s",
                "online_time * 2 = 3m",
                "online_time * 2 >= 5m = false <-",
                "online > limit and online_time * 2 >= 5m = false",
            ],
        );
        check(
            "1 / (online - 3) > 0",
            3.0,
            &["online = 3", "online - 3 = 0", "1 / (online - 3) = none", "1 / (online - 3) > 0 = unknown <-"],
        );
    }

    /// The signals that an event names, deciding ones with a mark.
    #[track_caller]
    fn check_told(text: &str, online: f64, expect: &[&str]) {
        let program = compile(text, Per::User).unwrap();
        let told = program.told(&mut |_, out| out.fill(Line::still(online)));
        let mark = |decides| if decides { " <-" } else { "" };
        let told: Vec<String> =
            told.iter().map(|part| format!("{}{}", part.text, mark(part.decides))).collect();
        assert_eq!(told, expect, "{text}");
    }

    #[test]
    fn an_event_names_each_signal_once() {
        check_told("online > 2 and limit > 1 and online < 9", 5.0, &["online <-", "limit <-"]);
        check_told("online > 7 or peak(1h) > online or limit > 2", 5.0, &["online", "peak(1h)", "limit <-"]);
        check_told(
            "online > 9 and limit > 2 or peak(1h) > limit - 1",
            5.0,
            &["online", "limit <-", "peak(1h) <-"],
        );
        check_told("1 < 2", 5.0, &[]);
    }

    #[test]
    fn what_decides_would_do_so_alone() {
        let last = |text: &str, online: f64| {
            let program = compile(text, Per::User).unwrap();
            let parts = program.explain(&mut |_, out| out.fill(Line::still(online)));
            parts.iter().filter(|part| part.decides).map(|part| part.text.clone()).collect::<Vec<_>>()
        };
        assert_eq!(last("online > 2 and online < 9", 5.0), ["online > 2", "online < 9"]);
        assert_eq!(last("online > 2 and online < 4 and online < 3", 5.0), ["online < 4"]);
        assert_eq!(last("online > 2 or online < 9", 5.0), ["online > 2"]);
        assert_eq!(last("not (online > 2 or online > 9)", 5.0), ["online > 2"]);
        assert_eq!(last("online > 2 or 1 > 2", f64::NAN), ["online > 2"]);
        assert_eq!(last("online > 7 or online > 9", 5.0), ["online > 7", "online > 9"]);
    }
}
