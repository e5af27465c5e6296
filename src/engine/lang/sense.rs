//! What a condition can say at all: which of its parts never hold, which always do, and what two of them share.
//!
//! Neighbours: `parse` and `check` give nodes and signals, `config` warns of what is found. A part of its own because it
//! judges words, not readings: each signal is tried at every value at which a comparison can turn, and what no trial
//! shows cannot happen. Signals are taken as independent, so that more seems possible than is, never less.

use std::ops::Range;

use super::parse::{Binary, Kind, Literal, Node};
use super::signal::{Signal, Type};
use super::variable::{Variable, compares, mirrored, range};
use super::{check, lex, parse};
use crate::engine::rule::Per;

/// Trials times parts; beyond that nothing is claimed.
const MOST: usize = 200_000;

/// A part of a condition that never says anything else. `span` counts bytes of its text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Certain {
    pub span: Range<usize>,
    pub holds: bool,
    /// The condition as a whole says so because of it.
    pub whole: bool,
}

/// What `when` and `clear_when` have to do with each other.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Together {
    /// The second never holds without the first.
    pub never_alone: bool,
    /// Where both hold, if that is sure to be possible: `total is 190`.
    pub both: Option<String>,
}

/// Each signal that a condition names, with its place. Empty for a text that does not compile.
pub fn mentions(text: &str, per: Per) -> Vec<(Signal, Range<usize>)> {
    let (nodes, signals) = nodes(text, per);
    let names = nodes.into_iter().filter(|node| matches!(node.kind, Kind::Name { .. }));
    signals.into_iter().zip(names.map(|node| node.span)).collect()
}

/// The parts of a condition that are certain, the innermost where they are the reason.
pub fn certain(text: &str, per: Per) -> Vec<Certain> {
    let mut trial = Trial::default();
    let Some(root) = trial.add(text, per) else { return Vec::new() };
    let mut seen = vec![[false; 2]; trial.parts.len()];
    let done = trial.run(|truths, _| {
        seen.iter_mut().zip(truths).for_each(|(seen, truth)| seen[usize::from(*truth)] = true);
    });
    if !done {
        return Vec::new();
    }
    let sure = |part: usize| match seen[part] {
        [true, false] => Some(false),
        [false, true] => Some(true),
        _ => None,
    };
    if let Some(holds) = sure(root) {
        let mut at = root;
        // A part that settles the whole alone is where to look.
        while let Some(inner) = trial.settling(at, holds).into_iter().find(|part| sure(*part) == Some(holds))
        {
            at = inner;
        }
        return vec![Certain { span: trial.parts[at].span.clone(), holds, whole: true }];
    }
    let inner = |part: usize| trial.parts[part].under.iter().any(|under| sure(*under).is_some());
    let found = (0..trial.parts.len()).filter(|part| !inner(*part));
    let found = found.filter_map(|part| Some((trial.parts[part].span.clone(), sure(part)?)));
    found.map(|(span, holds)| Certain { span, holds, whole: false }).collect()
}

/// How a rule's two conditions stand to each other.
pub fn together(when: &str, clear: &str, per: Per) -> Together {
    let mut trial = Trial::default();
    let (Some(when), Some(clear)) = (trial.add(when, per), trial.add(clear, per)) else {
        return Together::default();
    };
    let (mut alone, mut both) = (false, None);
    let one = matches!(&trial.variables[..], [only] if only.free);
    let done = trial.run(|truths, values| {
        alone |= truths[clear] && !truths[when];
        if one && both.is_none() && truths[clear] && truths[when] {
            both = Some(values[0]);
        }
    });
    if !done {
        return Together::default();
    }
    Together { never_alone: !alone, both: both.map(|value| trial.variables[0].at(value)) }
}

fn nodes(text: &str, per: Per) -> (Vec<Node>, Vec<Signal>) {
    let mut errors = Vec::new();
    let tokens = lex::tokens(text, &mut errors);
    let (nodes, whole) = parse::parse(text, tokens, &mut errors);
    let checked = check::check(text, &nodes, whole, per, &mut errors);
    if errors.is_empty() { (nodes, checked.signal_of) } else { (Vec::new(), Vec::new()) }
}

/// A condition within a condition; `under` are the parts it is made of.
struct Part {
    says: Says,
    under: Vec<usize>,
    span: Range<usize>,
}

#[derive(Clone, Copy)]
enum Says {
    /// The variable compares so with the number.
    Compare(usize, Binary, f64),
    Not,
    And,
    Or,
    /// Both alike, or not.
    Alike(bool),
}

/// A value on the stack while nodes are read.
enum Piece {
    Condition(usize),
    Term { least: f64, most: f64, signal: Option<Signal>, duration: bool, text: String },
}

#[derive(Default)]
struct Trial {
    variables: Vec<Variable>,
    parts: Vec<Part>,
}

impl Trial {
    /// Takes up a condition; gives its outermost part, None if there is none.
    fn add(&mut self, text: &str, per: Per) -> Option<usize> {
        let (nodes, signals) = nodes(text, per);
        let mut signals = signals.into_iter();
        let mut stack: Vec<Piece> = Vec::new();
        for node in &nodes {
            let piece = match &node.kind {
                Kind::Bad => return None,
                Kind::Literal(Literal::Number(value)) => constant(*value, false),
                Kind::Literal(Literal::Duration(length)) => constant(length.millis() as f64, true),
                Kind::Name { .. } => self.signal(signals.next()?, node),
                Kind::Not => {
                    let Piece::Condition(under) = stack.pop()? else { return None };
                    self.part(Says::Not, vec![under], node)
                }
                Kind::Negate => negated(stack.pop()?)?,
                Kind::Binary(operator) => {
                    let (right, left) = (stack.pop()?, stack.pop()?);
                    self.binary(*operator, left, right, node)?
                }
            };
            stack.push(piece);
        }
        match stack.pop()? {
            Piece::Condition(part) => Some(part),
            Piece::Term { .. } => None,
        }
    }

    fn part(&mut self, says: Says, under: Vec<usize>, node: &Node) -> Piece {
        self.parts.push(Part { says, under, span: node.span.clone() });
        Piece::Condition(self.parts.len() - 1)
    }

    fn signal(&mut self, signal: Signal, node: &Node) -> Piece {
        let (least, most, _) = range(signal);
        if signal.gives() == Type::Boolean {
            let at = self.variable(signal.to_string(), Some(signal), (0.0, 1.0, true), false);
            self.variables[at].turns.push(0.0);
            return self.part(Says::Compare(at, Binary::Unequal, 0.0), Vec::new(), node);
        }
        let duration = signal.gives() == Type::Duration;
        Piece::Term { least, most, signal: Some(signal), duration, text: signal.to_string() }
    }

    fn variable(
        &mut self,
        key: String,
        signal: Option<Signal>,
        (least, most, whole): (f64, f64, bool),
        free: bool,
    ) -> usize {
        if let Some(at) = self.variables.iter().position(|known| known.key == key) {
            return at;
        }
        self.variables.push(Variable { key, signal, least, most, whole, turns: Vec::new(), free });
        self.variables.len() - 1
    }

    fn binary(&mut self, operator: Binary, left: Piece, right: Piece, node: &Node) -> Option<Piece> {
        match (left, right) {
            (Piece::Condition(left), Piece::Condition(right)) => {
                let says = if operator == Binary::And {
                    Says::And
                } else if operator == Binary::Or {
                    Says::Or
                } else {
                    Says::Alike(operator == Binary::Equal)
                };
                Some(self.part(says, vec![left, right], node))
            }
            (left @ Piece::Term { .. }, right @ Piece::Term { .. }) => {
                use Binary::{Divide, Minus, Plus, Times};
                if matches!(operator, Plus | Minus | Times | Divide) {
                    computed(operator, left, right)
                } else {
                    self.compared(operator, left, right, node)
                }
            }
            _ => None,
        }
    }

    fn compared(&mut self, operator: Binary, left: Piece, right: Piece, node: &Node) -> Option<Piece> {
        let Piece::Term { least: a, most: b, signal, text, .. } = left else { return None };
        let Piece::Term { least: c, most: d, signal: other, text: other_text, .. } = right else {
            return None;
        };
        let (at, operator, value) = match (signal, other) {
            (Some(signal), None) if c == d => {
                (self.variable(text, Some(signal), range(signal), true), operator, c)
            }
            (None, Some(signal)) if a == b => {
                (self.variable(other_text, Some(signal), range(signal), true), mirrored(operator), a)
            }
            _ => {
                let limited =
                    [signal, other].contains(&Some(Signal::Limit)) && signal.is_some() && other.is_some();
                // The same two terms the other way round are the same variable.
                let turned = other_text < text;
                let least = if text == other_text || a >= d { 0.0 } else { -1.0 };
                let most = if text == other_text || b <= c { 0.0 } else { 1.0 };
                // Apart for good.
                let (least, most) = if b < c {
                    (-1.0, -1.0)
                } else if a > d {
                    (1.0, 1.0)
                } else {
                    (least, most)
                };
                let domain = if turned { (-most, -least, true) } else { (least, most, true) };
                let key =
                    if turned { format!("{other_text}\n{text}") } else { format!("{text}\n{other_text}") };
                let at = self.variable(key, None, domain, limited);
                (at, if turned { mirrored(operator) } else { operator }, 0.0)
            }
        };
        self.variables[at].turns.push(value);
        Some(self.part(Says::Compare(at, operator, value), Vec::new(), node))
    }

    /// The parts of a part that settle it if they say this.
    fn settling(&self, part: usize, holds: bool) -> Vec<usize> {
        match self.parts[part].says {
            Says::And if !holds => self.parts[part].under.clone(),
            Says::Or if holds => self.parts[part].under.clone(),
            Says::And | Says::Or | Says::Not | Says::Alike(_) | Says::Compare(..) => Vec::new(),
        }
    }

    /// Hands out what each part says for every combination of values; false if those are too many.
    fn run(&self, mut hand: impl FnMut(&[bool], &[f64])) -> bool {
        let values: Vec<Vec<f64>> = self.variables.iter().map(Variable::values).collect();
        let trials = values.iter().try_fold(1_usize, |all, some| all.checked_mul(some.len()));
        let Some(trials) = trials.filter(|trials| trials.saturating_mul(self.parts.len()) <= MOST) else {
            return false;
        };
        let mut truths = vec![false; self.parts.len()];
        let mut chosen = vec![0.0; values.len()];
        for trial in 0..trials {
            let mut rest = trial;
            for (chosen, values) in chosen.iter_mut().zip(&values) {
                *chosen = values[rest % values.len()];
                rest /= values.len();
            }
            for (at, part) in self.parts.iter().enumerate() {
                let under = |n: usize| truths[part.under[n]];
                truths[at] = match part.says {
                    Says::Compare(variable, operator, value) => compares(chosen[variable], operator, value),
                    Says::Not => !under(0),
                    Says::And => under(0) && under(1),
                    Says::Or => under(0) || under(1),
                    Says::Alike(alike) => (under(0) == under(1)) == alike,
                };
            }
            hand(&truths, &chosen);
        }
        true
    }
}

fn constant(value: f64, duration: bool) -> Piece {
    Piece::Term { least: value, most: value, signal: None, duration, text: format!("{value}") }
}

fn negated(piece: Piece) -> Option<Piece> {
    let Piece::Term { least, most, duration, text, .. } = piece else { return None };
    Some(Piece::Term { least: -most, most: -least, signal: None, duration, text: format!("-({text})") })
}

/// The range of a sum or product of ranges. Rounding grows with its argument, and so keeps the ends where they are.
fn computed(operator: Binary, left: Piece, right: Piece) -> Option<Piece> {
    let Piece::Term { least: a, most: b, duration: of_left, text, .. } = left else { return None };
    let Piece::Term { least: c, most: d, duration: of_right, text: other, .. } = right else { return None };
    let ends = if operator == Binary::Plus {
        vec![a + c, b + d]
    } else if operator == Binary::Minus {
        vec![a - d, b - c]
    } else if operator == Binary::Times {
        vec![a * c, a * d, b * c, b * d]
    } else if c <= 0.0 && d >= 0.0 {
        // It may be zero.
        vec![f64::NAN]
    } else {
        vec![a / c, a / d, b / c, b / d]
    };
    let duration = if operator == Binary::Divide { of_left && !of_right } else { of_left || of_right };
    let product = matches!(operator, Binary::Times | Binary::Divide);
    let round = |end: f64| if duration && product { end.round() } else { end };
    let (least, most) = if ends.iter().any(|end| end.is_nan()) {
        (f64::NEG_INFINITY, f64::INFINITY)
    } else {
        let least = ends.iter().copied().fold(f64::INFINITY, f64::min);
        (round(least), round(ends.iter().copied().fold(f64::NEG_INFINITY, f64::max)))
    };
    let text = format!("({text}) {} ({other})", operator.sign());
    Some(Piece::Term { least, most, signal: None, duration, text })
}
