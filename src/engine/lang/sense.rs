//! What a condition can say at all: which of its parts never hold, which always do, and what two of them share.
//!
//! Neighbours: `parse` and `check` give nodes and signals, `variable` and `relation` say what signals can be, `config`
//! warns of what is found. A part of its own because it judges words, not readings: signals are tried at every value at
//! which a comparison can turn, and what no trial shows cannot happen. More may seem possible than is, never less.

use super::parse::{Binary, Kind, Literal, Node};
use super::relation::{at_most, exclude, pairs};
use super::signal::{Signal, Type};
use super::term::{Term, computed};
use super::variable::{Given, Range, Variable, compares, mirrored, range, values};
use super::{check, lex, parse};
use crate::engine::rule::Per;

/// Trials times parts; beyond that nothing is claimed.
const MOST: usize = 500_000;

/// A part of a condition that never says anything else. `span` counts bytes of its text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Certain {
    pub span: std::ops::Range<usize>,
    pub holds: bool,
    /// The condition as a whole says so because of it.
    pub whole: bool,
    /// What makes it so, where it is one comparison.
    pub why: Option<String>,
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
pub fn mentions(text: &str, per: Per) -> Vec<(Signal, std::ops::Range<usize>)> {
    let (nodes, signals) = nodes(text, per);
    let names = nodes.into_iter().filter(|node| matches!(node.kind, Kind::Name { .. }));
    signals.into_iter().zip(names.map(|node| node.span)).collect()
}

/// The parts of a condition that are certain, the innermost where they are the reason.
pub fn certain(text: &str, given: Given) -> Vec<Certain> {
    let mut trial = Trial::new(given);
    let Some(root) = trial.add(text) else { return Vec::new() };
    let mut seen = vec![[false; 2]; trial.parts.len()];
    let done = trial.run(|truths, _| {
        seen.iter_mut().zip(truths).for_each(|(seen, truth)| {
            let [never, always] = seen;
            *always |= *truth == Some(true);
            *never |= *truth != Some(true);
        });
    });
    if !done {
        return Vec::new();
    }
    let sure = |part: usize| match seen[part] {
        [true, false] => Some(false),
        [false, true] => Some(true),
        _ => None,
    };
    let tell = |part: usize, holds: bool, whole: bool| Certain {
        span: trial.parts[part].span.clone(),
        holds,
        whole,
        why: trial.why(part),
    };
    if let Some(holds) = sure(root) {
        let mut at = root;
        // A part that settles the whole alone is where to look.
        while let Some(inner) = trial.settling(at, holds).into_iter().find(|part| sure(*part) == Some(holds))
        {
            at = inner;
        }
        return vec![tell(at, holds, true)];
    }
    let inner = |part: usize| trial.parts[part].under.iter().any(|under| sure(*under).is_some());
    let found = (0..trial.parts.len()).filter(|part| !inner(*part));
    found.filter_map(|part| Some(tell(part, sure(part)?, false))).collect()
}

/// How a rule's two conditions stand to each other.
pub fn together(when: &str, clear: &str, given: Given) -> Together {
    let mut trial = Trial::new(given);
    let (Some(when), Some(clear)) = (trial.add(when), trial.add(clear)) else {
        return Together::default();
    };
    let (mut alone, mut both) = (false, None);
    // Then every value may really come: limits are as people like them.
    let limit = |one: &&Variable| one.signal == Some(Signal::Limit);
    let others = trial.variables.iter().filter(|one| !limit(one)).count();
    let free = others <= 1 && trial.variables.iter().all(|one| one.signal.is_some());
    let done = trial.run(|truths, values| {
        let (when, clear) = (truths[when] == Some(true), truths[clear] == Some(true));
        alone |= clear && !when;
        if free && both.is_none() && clear && when {
            both = Some(values.to_vec());
        }
    });
    if !done {
        return Together::default();
    }
    let words = |values: Vec<f64>| -> String {
        let each = trial.variables.iter().zip(values).map(|(one, value)| one.at(value));
        each.collect::<Vec<_>>().join(" and ")
    };
    Together { never_alone: !alone, both: both.map(words) }
}

/// Nothing for a text that does not compile.
pub(super) fn nodes(text: &str, per: Per) -> (Vec<Node>, Vec<Signal>) {
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
    span: std::ops::Range<usize>,
}

#[derive(Clone, Copy, PartialEq)]
enum Says {
    /// The variable compares so with the number.
    Compare(usize, Binary, f64),
    /// Two variables compare so.
    Between(usize, Binary, usize),
    /// What has no value compares with nothing.
    Nothing,
    Not,
    And,
    Or,
    /// Both alike, or not.
    Alike(bool),
}

/// A value on the stack while nodes are read.
enum Piece {
    Condition(usize),
    Term(Term),
}

struct Trial {
    given: Given,
    variables: Vec<Variable>,
    parts: Vec<Part>,
}

impl Trial {
    fn new(given: Given) -> Self {
        Self { given, variables: Vec::new(), parts: Vec::new() }
    }

    /// Takes up a condition; gives its outermost part, None if there is none.
    fn add(&mut self, text: &str) -> Option<usize> {
        let (nodes, signals) = nodes(text, self.given.per);
        let mut signals = signals.into_iter();
        let mut stack: Vec<Piece> = Vec::new();
        for node in &nodes {
            let piece = match &node.kind {
                Kind::Bad => return None,
                Kind::Literal(Literal::Number(value)) => Piece::Term(Term::constant(*value, false)),
                Kind::Literal(Literal::Duration(length)) => {
                    Piece::Term(Term::constant(length.millis() as f64, true))
                }
                Kind::Name { .. } => self.signal(signals.next()?, node),
                Kind::Not => {
                    let Piece::Condition(under) = stack.pop()? else { return None };
                    self.part(Says::Not, vec![under], node)
                }
                Kind::Negate => match stack.pop()? {
                    Piece::Term(term) => Piece::Term(term.negated()),
                    Piece::Condition(_) => return None,
                },
                Kind::Binary(operator) => {
                    let (right, left) = (stack.pop()?, stack.pop()?);
                    self.binary(*operator, left, right, node)?
                }
            };
            stack.push(piece);
        }
        match stack.pop()? {
            Piece::Condition(part) => Some(part),
            Piece::Term(_) => None,
        }
    }

    fn part(&mut self, says: Says, under: Vec<usize>, node: &Node) -> Piece {
        self.parts.push(Part { says, under, span: node.span.clone() });
        Piece::Condition(self.parts.len() - 1)
    }

    fn signal(&mut self, signal: Signal, node: &Node) -> Piece {
        let (range, text) = (range(signal, &self.given), signal.to_string());
        if signal.gives() == Type::Boolean {
            let at = self.variable(text, Some(signal), range, 0.0);
            return self.part(Says::Compare(at, Binary::Unequal, 0.0), Vec::new(), node);
        }
        let duration = signal.gives() == Type::Duration;
        Piece::Term(Term { range, signal: Some(signal), duration, text })
    }

    fn variable(&mut self, key: String, signal: Option<Signal>, range: Range, turn: f64) -> usize {
        let at = self.variables.iter().position(|known| known.key == key).unwrap_or_else(|| {
            self.variables.push(Variable { key, signal, range, turns: Vec::new() });
            self.variables.len() - 1
        });
        self.variables[at].turns.push(turn);
        at
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
            (Piece::Term(left), Piece::Term(right)) => {
                use Binary::{Divide, Minus, Plus, Times};
                if matches!(operator, Plus | Minus | Times | Divide) {
                    Some(Piece::Term(computed(operator, &left, &right)))
                } else {
                    Some(self.compared(operator, left, right, node))
                }
            }
            _ => None,
        }
    }

    fn compared(&mut self, operator: Binary, left: Term, right: Term, node: &Node) -> Piece {
        let says = if left.is_nothing() || right.is_nothing() {
            Says::Nothing
        } else if right.is_still() {
            let value = right.range.most;
            Says::Compare(self.variable(left.text, left.signal, left.range, value), operator, value)
        } else if left.is_still() {
            let value = left.range.most;
            let at = self.variable(right.text, right.signal, right.range, value);
            Says::Compare(at, mirrored(operator), value)
        } else if left.signal.is_some() && right.signal.is_some() {
            // What can be, ends at the turn that it has anyway.
            let (from, to) = (left.range.least, right.range.least);
            let at = self.variable(left.text, left.signal, left.range, from);
            Says::Between(at, operator, self.variable(right.text, right.signal, right.range, to))
        } else {
            self.apart(operator, left, right)
        };
        self.part(says, Vec::new(), node)
    }

    /// How two terms compare is a variable of its own, the same one the other way round.
    fn apart(&mut self, operator: Binary, left: Term, right: Term) -> Says {
        let turned = right.text < left.text;
        let (left, right, operator) =
            if turned { (right, left, mirrored(operator)) } else { (left, right, operator) };
        let (a, b) = (left.range, right.range);
        let same = left.text == right.text;
        let least = if same || a.least >= b.most { 0.0 } else { -1.0 };
        let most = if same || a.most <= b.least { 0.0 } else { 1.0 };
        // Apart for good.
        let (least, most) = if a.most < b.least {
            (-1.0, -1.0)
        } else if a.least > b.most {
            (1.0, 1.0)
        } else {
            (least, most)
        };
        let key = format!("{}\n{}", left.text, right.text);
        let at = self.variable(key, None, Range { least, most, whole: true }, 0.0);
        Says::Compare(at, operator, 0.0)
    }

    /// What a comparison that never says anything else rests on.
    fn why(&self, part: usize) -> Option<String> {
        match self.parts[part].says {
            Says::Nothing => Some("a division by zero has no value".to_owned()),
            Says::Compare(at, ..) => self.variables[at].bounds(),
            Says::Between(one, _, other) => {
                let (one, other) = (self.variables[one].signal?, self.variables[other].signal?);
                let (low, high) = if at_most(one, other) { (one, other) } else { (other, one) };
                at_most(low, high).then(|| format!("{low} is never above {high}, which counts it"))
            }
            Says::Not | Says::And | Says::Or | Says::Alike(_) => None,
        }
    }

    /// The parts of a part that settle it if they say this.
    fn settling(&self, part: usize, holds: bool) -> Vec<usize> {
        match self.parts[part].says {
            Says::And if !holds => self.parts[part].under.clone(),
            Says::Or if holds => self.parts[part].under.clone(),
            Says::And | Says::Or | Says::Not | Says::Alike(_) | Says::Nothing => Vec::new(),
            Says::Compare(..) | Says::Between(..) => Vec::new(),
        }
    }

    /// For each variable those that compare with it or have an order, directly or by others; a number for each crowd.
    fn crowds(&self) -> Vec<usize> {
        let mut crowd: Vec<usize> = (0..self.variables.len()).collect();
        let mut join = |one: usize, other: usize| {
            let (from, to) = (crowd[one], crowd[other]);
            crowd.iter_mut().filter(|number| **number == from).for_each(|number| *number = to);
        };
        for part in &self.parts {
            if let Says::Between(one, _, other) = part.says {
                join(one, other);
            }
        }
        pairs(&self.variables, at_most).iter().for_each(|(low, high)| join(*low, *high));
        crowd
    }

    /// The values of each variable that are tried.
    fn values(&self) -> Vec<Vec<f64>> {
        let crowds = self.crowds();
        let mut all = vec![Vec::new(); self.variables.len()];
        for crowd in 0..self.variables.len() {
            let members: Vec<usize> = (0..all.len()).filter(|at| crowds[*at] == crowd).collect();
            let variables: Vec<&Variable> = members.iter().map(|at| &self.variables[*at]).collect();
            for (at, values) in members.into_iter().zip(values(&variables)) {
                all[at] = values;
            }
        }
        all
    }

    /// Hands out what each part says for every combination of values that can be; false if those are too many. None is
    /// neither: what has no value says nothing.
    fn run(&self, mut hand: impl FnMut(&[Option<bool>], &[f64])) -> bool {
        let values = self.values();
        let trials = values.iter().try_fold(1_usize, |all, some| all.checked_mul(some.len()));
        let Some(trials) = trials.filter(|trials| trials.saturating_mul(self.parts.len()) <= MOST) else {
            return false;
        };
        let (ordered, both) = (pairs(&self.variables, at_most), pairs(&self.variables, |_, _| true));
        let signal = |at: usize, values: &[f64]| self.variables[at].signal.map(|signal| (signal, values[at]));
        let can_be = |chosen: &[f64]| {
            let fits = |one: usize, other: usize| {
                signal(one, chosen).zip(signal(other, chosen)).is_none_or(|(one, other)| !exclude(one, other))
            };
            ordered.iter().all(|(low, high)| chosen[*low] <= chosen[*high])
                && both.iter().all(|(one, other)| fits(*one, *other))
        };
        let (mut truths, mut any) = (vec![None; self.parts.len()], false);
        let mut chosen = vec![0.0; values.len()];
        for trial in 0..trials {
            let mut rest = trial;
            for (chosen, values) in chosen.iter_mut().zip(&values) {
                *chosen = values[rest % values.len()];
                rest /= values.len();
            }
            if can_be(&chosen) {
                self.judge(&chosen, &mut truths);
                hand(&truths, &chosen);
                any = true;
            }
        }
        any
    }

    /// What each part says of these values.
    fn judge(&self, chosen: &[f64], truths: &mut [Option<bool>]) {
        for (at, part) in self.parts.iter().enumerate() {
            let under = |n: usize| truths[part.under[n]];
            truths[at] = match part.says {
                Says::Nothing => None,
                Says::Compare(variable, operator, value) => Some(compares(chosen[variable], operator, value)),
                Says::Between(one, operator, other) => Some(compares(chosen[one], operator, chosen[other])),
                Says::Not => under(0).map(|holds| !holds),
                Says::And | Says::Or => {
                    let settles = part.says == Says::Or;
                    let (one, other) = (under(0), under(1));
                    if one == Some(settles) || other == Some(settles) {
                        Some(settles)
                    } else {
                        one.and(other)
                    }
                }
                Says::Alike(alike) => under(0).zip(under(1)).map(|(one, other)| (one == other) == alike),
            };
        }
    }
}
