//! Names and types of a parsed condition, and the operations it becomes.
//!
//! Neighbours: `parse` gives nodes in postfix order, `signal` knows the names, `evaluate` runs the operations. One
//! pass with a stack of types; what is already reported has no type and causes no second error. A part of its own
//! because everything a rule may not say is decided here, when the file is read.

use std::ops::Range;

use super::error::quote;
use super::evaluate::Operation;
use super::parse::{Binary, Kind, Literal, Node};
use super::signal::{LONGEST_WINDOW, Make, Quantile, SHAPES, Shape, Signal, Type};
use super::{LangError, print};
use crate::engine::rule::Per;
use crate::engine::time::Span;

#[derive(Default)]
pub(super) struct Checked {
    pub(super) operations: Vec<Operation>,
    /// Distinct, in order of first mention.
    pub(super) signals: Vec<Signal>,
    /// For each name node, in order, its signal.
    pub(super) signal_of: Vec<Signal>,
    /// For each node, in order, how many operations compute it and all before it.
    pub(super) ends: Vec<usize>,
    /// For each node, in order, its type; of one with mistakes a boolean.
    pub(super) types: Vec<Type>,
}

/// The type of an expression (None: already reported) and its place.
type Typed = (Option<Type>, Range<usize>);

struct Checker<'a> {
    text: &'a str,
    per: Per,
    stack: Vec<Typed>,
    out: Checked,
    errors: &'a mut Vec<LangError>,
}

pub(super) fn check(
    text: &str,
    nodes: &[Node],
    whole: bool,
    per: Per,
    errors: &mut Vec<LangError>,
) -> Checked {
    let mut checker = Checker { text, per, stack: Vec::new(), out: Checked::default(), errors };
    for node in nodes {
        checker.node(node);
    }
    let (found, span) = checker.pop();
    if whole && let Some(found @ (Type::Number | Type::Duration)) = found {
        let message = format!("this is {}, a condition is needed", found.word());
        let example = if found == Type::Number { "> 2" } else { "> 10m" };
        let hint = format!("compare it: `{} {example}`", quote(&text[span.clone()]));
        checker.errors.push(LangError::new(span, message).hint(hint));
    }
    checker.out
}

impl Checker<'_> {
    /// The parser leaves an operand for every operator.
    fn pop(&mut self) -> Typed {
        self.stack.pop().unwrap_or((None, 0..0))
    }

    fn emit(&mut self, operation: Operation) {
        self.out.operations.push(operation);
    }

    fn node(&mut self, node: &Node) {
        let gives = match &node.kind {
            Kind::Bad => None,
            Kind::Literal(literal) => Some(self.literal(*literal)),
            Kind::Name { name, arguments } => self.name(name, arguments.as_deref(), &node.span),
            Kind::Not => {
                let operand = self.pop();
                self.condition(&operand, "not");
                self.emit(Operation::Not);
                Some(Type::Boolean)
            }
            Kind::Negate => {
                let (found, span) = self.pop();
                self.emit(Operation::Negate);
                if found == Some(Type::Boolean) {
                    let error = LangError::new(span, "a condition cannot be negated with `-`");
                    self.errors.push(error.hint("write `not`"));
                }
                found.filter(|t| *t != Type::Boolean)
            }
            Kind::Binary(operator) => self.binary(*operator, &node.at),
        };
        self.out.ends.push(self.out.operations.len());
        self.out.types.push(gives.unwrap_or(Type::Boolean));
        self.stack.push((gives, node.span.clone()));
    }

    fn literal(&mut self, literal: Literal) -> Type {
        let (value, gives) = match literal {
            Literal::Number(value) => (value, Type::Number),
            Literal::Duration(length) => (millis(length), Type::Duration),
        };
        self.emit(Operation::Constant(value));
        gives
    }

    /// `and`, `or` and `not` take conditions.
    fn condition(&mut self, operand: &Typed, word: &str) {
        let (Some(found @ (Type::Number | Type::Duration)), span) = operand else { return };
        let text = quote(&self.text[span.clone()]);
        let message = format!("`{word}` takes conditions, `{text}` is {}", found.word());
        let example = if *found == Type::Number { "> 0" } else { "> 0s" };
        self.errors
            .push(LangError::new(span.clone(), message).hint(format!("compare it: `{text} {example}`")));
    }

    fn binary(&mut self, operator: Binary, at: &Range<usize>) -> Option<Type> {
        let right = self.pop();
        let left = self.pop();
        self.emit(Operation::Binary(operator));
        match operator {
            Binary::Or | Binary::And => {
                self.condition(&left, operator.sign());
                self.condition(&right, operator.sign());
                Some(Type::Boolean)
            }
            Binary::Less | Binary::LessEqual | Binary::Greater | Binary::GreaterEqual => {
                self.ordered(operator, &left, &right, at);
                Some(Type::Boolean)
            }
            Binary::Equal | Binary::Unequal => {
                self.same(operator, &left, &right, at);
                Some(Type::Boolean)
            }
            Binary::Plus | Binary::Minus => self
                .same(operator, &left, &right, at)
                .and_then(|both| self.no_condition(operator, &left).then_some(both)),
            Binary::Times | Binary::Divide => self.product(operator, &left, &right, at),
        }
    }

    fn ordered(&mut self, operator: Binary, left: &Typed, right: &Typed, at: &Range<usize>) {
        if self.same(operator, left, right, at) == Some(Type::Boolean) {
            let message = format!("conditions are not ordered, `{}` cannot compare them", operator.sign());
            self.errors.push(LangError::new(at.clone(), message).hint("join them with `and` or `or`"));
        }
    }

    fn no_condition(&mut self, operator: Binary, operand: &Typed) -> bool {
        if operand.0 != Some(Type::Boolean) {
            return true;
        }
        let message = format!("`{}` takes numbers or durations, this is a condition", operator.sign());
        self.errors.push(LangError::new(operand.1.clone(), message));
        false
    }

    /// The common type, if both are known and equal; an error where they differ.
    fn same(&mut self, operator: Binary, left: &Typed, right: &Typed, at: &Range<usize>) -> Option<Type> {
        let (l, r) = (left.0?, right.0?);
        if l == r {
            return Some(l);
        }
        let text = |span: &Range<usize>| &self.text[span.clone()];
        let message = format!(
            "`{}` is {}, `{}` is {}: `{}` needs two of a kind",
            quote(text(&left.1)),
            l.word(),
            quote(text(&right.1)),
            r.word(),
            operator.sign()
        );
        let hint = match (l, r) {
            (Type::Number, Type::Duration) if text(&left.1) == "online" => {
                Some("`online` counts clients; how long they are online is `online_time`".to_owned())
            }
            (Type::Duration, Type::Number) => Some(format!("write the unit: `{}m`", text(&right.1))),
            (Type::Number, Type::Duration) => Some(format!("write the unit: `{}m`", text(&left.1))),
            _ => None,
        };
        let literal = |span: &Range<usize>| text(span).parse::<u32>().is_ok();
        let fits = literal(&left.1) || literal(&right.1) || text(&left.1) == "online";
        let mut error = LangError::new(at.clone(), message);
        error.hint = hint.filter(|_| fits);
        self.errors.push(error);
        None
    }

    /// A duration may be multiplied and divided by numbers; two durations have a ratio.
    fn product(&mut self, operator: Binary, left: &Typed, right: &Typed, at: &Range<usize>) -> Option<Type> {
        let fine = self.no_condition(operator, left) & self.no_condition(operator, right);
        let (l, r) = (left.0?, right.0?);
        if !fine {
            return None;
        }
        match (l, operator, r) {
            (Type::Number, _, Type::Number) | (Type::Duration, Binary::Divide, Type::Duration) => {
                Some(Type::Number)
            }
            (Type::Duration, _, Type::Number) | (Type::Number, Binary::Times, Type::Duration) => {
                self.emit(Operation::Round);
                Some(Type::Duration)
            }
            _ => {
                let message = format!("`{}` cannot take {} and {}", operator.sign(), l.word(), r.word());
                let hint = "a duration may be multiplied or divided by a number, or divided by a duration";
                self.errors.push(LangError::new(at.clone(), message).hint(hint));
                None
            }
        }
    }

    fn name(
        &mut self,
        name: &Range<usize>,
        arguments: Option<&[(Option<Literal>, Range<usize>)]>,
        span: &Range<usize>,
    ) -> Option<Type> {
        let Some(shape) = SHAPES.iter().find(|shape| shape.name == &self.text[name.clone()]) else {
            self.errors.push(unknown(self.text, name, self.per));
            return None;
        };
        if !shape.allowed(self.per) {
            let message = format!("`{}` is not a signal of {}", shape.name, whose(self.per));
            self.errors.push(LangError::new(name.clone(), message).hint(shape.instead));
            return Some(shape.gives);
        }
        match signal(shape, arguments, span) {
            Ok(Some(signal)) => {
                let at = self.out.signals.iter().position(|s| *s == signal).unwrap_or_else(|| {
                    self.out.signals.push(signal);
                    self.out.signals.len() - 1
                });
                self.out.signal_of.push(signal);
                self.emit(Operation::Signal(at));
            }
            Ok(None) => {}
            Err(error) => self.errors.push(error),
        }
        Some(shape.gives)
    }
}

/// Exact: the lexer bounds durations at 100 years.
fn millis(length: Span) -> f64 {
    length.millis() as f64
}

const fn whose(per: Per) -> &'static str {
    match per {
        Per::User => "a user",
        Per::Group => "a group",
        Per::Source => "a source",
    }
}

fn unknown(text: &str, name: &Range<usize>, per: Per) -> LangError {
    let word = &text[name.clone()];
    let error = LangError::new(name.clone(), format!("there is no signal `{}`", quote(word)));
    if matches!(word, "true" | "false") {
        return error.hint("conditions compare signals, as in `online > 0`");
    }
    let allowed = SHAPES.iter().filter(|shape| shape.allowed(per));
    let lower = word.to_lowercase();
    let near = allowed.clone().map(|shape| (strsim::damerau_levenshtein(&lower, shape.name), shape));
    match near.min_by_key(|(distance, _)| *distance) {
        Some((distance, shape)) if distance <= 1 + word.chars().count() / 4 => {
            error.hint(format!("did you mean `{}`?", shape.name))
        }
        _ => {
            let names: Vec<&str> = allowed.map(|shape| shape.name).collect();
            error.hint(format!("the signals of {} are {}", whose(per), names.join(", ")))
        }
    }
}

/// The signal with its arguments; None if an argument is already reported.
fn signal(
    shape: &Shape,
    arguments: Option<&[(Option<Literal>, Range<usize>)]>,
    span: &Range<usize>,
) -> Result<Option<Signal>, LangError> {
    let wrong = |message: String| {
        Err(LangError::new(span.clone(), message).hint(format!("write `{}`", shape.example())))
    };
    match (&shape.make, arguments) {
        (Make::Plain(signal), None) => Ok(Some(*signal)),
        (Make::Plain(_), Some(_)) => wrong(format!("`{}` takes no arguments", shape.name)),
        (Make::Window(make), Some([(length, at)])) => Ok(window(shape, *length, at)?.map(make)),
        (Make::Window(_), _) => wrong(format!("`{}` takes one duration: how far to look back", shape.name)),
        (Make::Over(make), Some([(above, above_at), (length, at)])) => {
            let above = whole(shape, *above, above_at)?;
            let length = window(shape, *length, at)?;
            Ok(above.zip(length).map(|(above, length)| make(above, length)))
        }
        (Make::Over(_), _) => wrong(format!("`{}` takes a number and a duration", shape.name)),
        (Make::Share(make), Some([(found, at)])) => Ok(share(shape, *found, at)?.map(make)),
        (Make::Share(_), _) => {
            wrong(format!("`{}` takes one number from 0 to 1: which quantile", shape.name))
        }
    }
}

fn window(shape: &Shape, found: Option<Literal>, at: &Range<usize>) -> Result<Option<Span>, LangError> {
    match found {
        None => Ok(None),
        Some(Literal::Duration(length)) if length == Span::ZERO => {
            Err(LangError::new(at.clone(), "the window has no length")
                .hint(format!("write `{}`", shape.example())))
        }
        Some(Literal::Duration(length)) if length > LONGEST_WINDOW => {
            Err(LangError::new(at.clone(), format!("the window is too long, {LONGEST_WINDOW} is the most")))
        }
        Some(Literal::Duration(length)) => Ok(Some(length)),
        Some(Literal::Number(value)) => {
            let error =
                LangError::new(at.clone(), format!("`{}` needs a duration here, not a number", shape.name));
            let number = print::number(value);
            Err(error.hint(format!("write the unit: `{number}m`")))
        }
    }
}

fn share(shape: &Shape, found: Option<Literal>, at: &Range<usize>) -> Result<Option<Quantile>, LangError> {
    let value = match found {
        None => return Ok(None),
        Some(Literal::Number(value)) => value,
        Some(Literal::Duration(_)) => f64::NAN,
    };
    if let Some(quantile) = Quantile::new(value) {
        return Ok(Some(quantile));
    }
    let hint = format!("write `{}`", shape.example());
    let message = if (2.0..=100.0).contains(&value) {
        format!("`{}` needs a share from 0 to 1 here, not a percentage", shape.name)
    } else if (0.0..=1.0).contains(&value) {
        format!("`{}` takes a share of at most six decimals", shape.name)
    } else {
        format!("`{}` needs a share from 0 to 1 here", shape.name)
    };
    Err(LangError::new(at.clone(), message).hint(hint))
}

fn whole(shape: &Shape, found: Option<Literal>, at: &Range<usize>) -> Result<Option<u32>, LangError> {
    match found {
        None => Ok(None),
        Some(Literal::Number(value)) if value.fract() == 0.0 && value <= f64::from(u32::MAX) => {
            Ok(Some(value as u32))
        }
        Some(Literal::Number(_) | Literal::Duration(_)) => {
            let message = format!("`{}` needs a whole number of clients here", shape.name);
            Err(LangError::new(at.clone(), message).hint(format!("write `{}`", shape.example())))
        }
    }
}
