//! The rule language: text in, a flat program out, run over columns of subjects.
//!
//! The road is `lex` → `parse` (nodes in postfix order) → `check` (types, names, operations) → `evaluate`; `signal`
//! lists what can be named, `error` draws the caret, `explain` takes a condition apart for people. Neighbours: `config` compiles conditions, `judge` runs them,
//! `signals` fills the columns. A part of its own because it knows words and values, never users or polls.

mod bounds;
mod check;
mod error;
mod evaluate;
mod explain;
mod lex;
mod line;
mod parse;
mod print;
mod ready;
mod relation;
mod sense;
mod signal;
mod term;
#[cfg(test)]
mod tests;
mod variable;

use std::sync::Arc;

pub use bounds::Bounds;
pub use error::LangError;
pub use evaluate::{Machine, Outlook, Truth};
pub use explain::{Part, Worth};
pub use line::{Line, ROUNDING};
pub use ready::ready;
pub use sense::{Certain, Together, certain, mentions, together};
pub use signal::{Quantile, Signal, Type, USUAL_NEEDS};
pub use variable::Given;

use super::rule::Per;

/// The longest condition, in bytes of UTF-8.
pub const LONGEST: usize = 4096;

/// How deep parentheses, `not` and unary `-` may nest.
pub const DEEPEST: usize = 64;

/// A checked condition. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Program(Arc<Compiled>);

#[derive(Debug)]
struct Compiled {
    operations: Vec<evaluate::Operation>,
    signals: Vec<Signal>,
    /// Columns the operations need at once, beside those of the signals.
    depth: usize,
    canonical: String,
    /// What it was compiled of, for those who ask about its parts.
    parts: explain::Parts,
}

/// The names of all signals, in the order in which they are documented.
pub fn names() -> impl Iterator<Item = &'static str> {
    signal::SHAPES.iter().map(|shape| shape.name)
}

/// Checks a condition for what a rule judges and compiles it, or returns every mistake found, in the order of
/// the text.
pub fn compile(text: &str, per: Per) -> Result<Program, Vec<LangError>> {
    if text.len() > LONGEST {
        let message = format!("the condition has {} bytes, {LONGEST} is the most", text.len());
        let hint = "make it several rules".to_owned();
        return Err(vec![LangError { span: 0..0, message, hint: Some(hint) }]);
    }
    let mut errors = Vec::new();
    let tokens = lex::tokens(text, &mut errors);
    let (nodes, whole) = parse::parse(text, tokens, &mut errors);
    let checked = check::check(text, &nodes, whole, per, &mut errors);
    if !errors.is_empty() {
        errors.sort_by_key(|e| (e.span.start, e.span.end));
        return Err(errors);
    }
    let canonical = print::canonical(&nodes, &checked.signal_of);
    let depth = evaluate::depth(&checked.operations);
    let (operations, signals) = (checked.operations, checked.signals);
    let parts = explain::Parts::new(nodes, checked.signal_of, checked.ends, checked.types);
    Ok(Program(Arc::new(Compiled { operations, signals, depth, canonical, parts })))
}

impl Program {
    /// The signals it names, each (with its arguments) once, in order of first mention.
    pub fn signals(&self) -> &[Signal] {
        &self.0.signals
    }

    pub fn names_limit(&self) -> bool {
        self.0.signals.contains(&Signal::Limit)
    }

    /// The same condition however it was spaced and bracketed: equal texts mean equal programs.
    pub fn canonical(&self) -> String {
        self.0.canonical.clone()
    }

    /// Judges `len` subjects at once (chunks of about 1024 stay in the processor's cache). `fill` is called once
    /// per signal and fills its column: NaN is no value, durations are milliseconds. Writes `out[..len]`.
    pub fn evaluate(&self, len: usize, fill: &mut dyn FnMut(&Signal, &mut [f64]), out: &mut [Truth]) {
        let mut values = vec![f64::NAN; len];
        let mut still = |signal: &Signal, lines: &mut [Line]| {
            fill(signal, &mut values);
            lines.iter_mut().zip(&values).for_each(|(line, value)| *line = Line::still(*value));
        };
        let mut outlooks = vec![Outlook::default(); len];
        self.outlook(len, &mut still, &mut outlooks, &mut Machine::default());
        out.iter_mut().zip(outlooks).for_each(|(truth, outlook)| *truth = outlook.truth);
    }

    /// As [`Self::evaluate`], from where each signal goes; also says how long each truth is sure to last.
    pub fn outlook(
        &self,
        len: usize,
        fill: &mut dyn FnMut(&Signal, &mut [Line]),
        out: &mut [Outlook],
        machine: &mut Machine,
    ) {
        evaluate::run(&self.0.operations, &self.0.signals, self.0.depth, len, fill, out, machine);
    }

    /// Every expression in it with its value for one subject, computed by the same operations: operands before what is
    /// made of them, the whole condition last. Literals are left out, and what stands there twice comes once.
    pub fn explain(&self, fill: &mut dyn FnMut(&Signal, &mut [Line])) -> Vec<Part> {
        let values = evaluate::trace(&self.0.operations, &self.0.signals, self.0.depth, fill);
        self.0.parts.explained(&values)
    }

    /// As [`Self::explain`], of the signals alone; one decides if it is in a comparison that does.
    pub fn told(&self, fill: &mut dyn FnMut(&Signal, &mut [Line])) -> Vec<Part> {
        let values = evaluate::trace(&self.0.operations, &self.0.signals, self.0.depth, fill);
        self.0.parts.told(&values)
    }
}
