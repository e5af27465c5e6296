//! The one way to write a condition: for `rule_version`, so that spaces and needless parentheses change nothing, and
//! for people who are shown the parts of one.
//!
//! Neighbours: `parse` gives the nodes, `check` the signals; the result reads back to the same program. A part of
//! its own because it must know exactly what the parser knows of precedence, and nothing else.

use super::parse::{Binary, Kind, Literal, Node};
use super::signal::Signal;

/// How tightly an expression holds together; operands looser than their place get parentheses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Or,
    And,
    Not,
    Comparison,
    Sum,
    Product,
    Negation,
    Operand,
}

impl Level {
    const fn of(operator: Binary) -> Self {
        match operator {
            Binary::Or => Self::Or,
            Binary::And => Self::And,
            Binary::Less | Binary::LessEqual | Binary::Greater => Self::Comparison,
            Binary::GreaterEqual | Binary::Equal | Binary::Unequal => Self::Comparison,
            Binary::Plus | Binary::Minus => Self::Sum,
            Binary::Times | Binary::Divide => Self::Product,
        }
    }

    /// The level above, for right operands: `a - (b - c)`.
    const fn tighter(self) -> Self {
        match self {
            Self::Or => Self::And,
            Self::And => Self::Not,
            Self::Not => Self::Comparison,
            Self::Comparison => Self::Sum,
            Self::Sum => Self::Product,
            Self::Product => Self::Negation,
            Self::Negation | Self::Operand => Self::Operand,
        }
    }
}

type Piece = (String, Level);

/// Of nodes without mistakes; `signals` has one for each name node, in order.
pub(super) fn canonical(nodes: &[Node], signals: &[Signal]) -> String {
    let mut whole = String::new();
    each(nodes, signals, |text| text.clone_into(&mut whole));
    whole
}

/// Of each node the expression that ends with it.
pub(super) fn parts(nodes: &[Node], signals: &[Signal]) -> Vec<String> {
    let mut parts = Vec::with_capacity(nodes.len());
    each(nodes, signals, |text| parts.push(text.to_owned()));
    parts
}

fn each(nodes: &[Node], signals: &[Signal], mut take: impl FnMut(&str)) {
    let mut signals = signals.iter();
    let mut stack: Vec<Piece> = Vec::new();
    for node in nodes {
        let piece = match &node.kind {
            Kind::Bad => (String::new(), Level::Operand),
            Kind::Literal(Literal::Number(value)) => (number(*value), Level::Operand),
            Kind::Literal(Literal::Duration(length)) => (length.to_string(), Level::Operand),
            Kind::Name { .. } => (signals.next().map(Signal::to_string).unwrap_or_default(), Level::Operand),
            Kind::Not => (format!("not {}", pop(&mut stack, Level::Not)), Level::Not),
            Kind::Negate => (format!("-{}", pop(&mut stack, Level::Negation)), Level::Negation),
            Kind::Binary(operator) => {
                let level = Level::of(*operator);
                // Comparisons are not chained: both sides stand one level above.
                let left_level = if level == Level::Comparison { level.tighter() } else { level };
                let right = pop(&mut stack, level.tighter());
                let left = pop(&mut stack, left_level);
                (format!("{left} {} {right}", operator.sign()), level)
            }
        };
        take(&piece.0);
        stack.push(piece);
    }
}

fn pop(stack: &mut Vec<Piece>, at_least: Level) -> String {
    let (text, level) = stack.pop().unwrap_or((String::new(), Level::Operand));
    if level < at_least { format!("({text})") } else { text }
}

/// A number as the lexer reads it back: never an exponent.
pub(super) fn number(value: f64) -> String {
    value.to_string()
}
