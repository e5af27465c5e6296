//! A compiled condition over columns: each operation runs over a whole chunk of subjects before the next.
//!
//! Neighbours: `check` makes the operations, `judge` asks for the verdicts. NaN is "no value" and also "unknown",
//! so that one representation carries three-valued logic and missing numbers through the same loops. A part of its
//! own because it is the only code that runs for every user at every poll.

use super::parse::Binary;
use super::signal::Signal;

/// What a condition says of a subject.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Truth {
    False,
    True,
    #[default]
    Unknown,
}

/// One step of a program; operands are the topmost columns of a stack.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Operation {
    Constant(f64),
    /// The column of the signal with this index.
    Signal(usize),
    Not,
    Negate,
    /// To whole milliseconds, after a duration met a number.
    Round,
    Binary(Binary),
}

/// A column on the stack: a number for all, a signal's column, or the scratch column of its place.
#[derive(Clone, Copy)]
enum Operand {
    Constant(f64),
    Signal(usize),
    Scratch,
}

/// The highest the stack gets.
pub(super) fn depth(operations: &[Operation]) -> usize {
    let (mut height, mut most) = (0_usize, 0);
    for operation in operations {
        match operation {
            Operation::Constant(_) | Operation::Signal(_) => height += 1,
            Operation::Not | Operation::Negate | Operation::Round => {}
            Operation::Binary(_) => height = height.saturating_sub(1),
        }
        most = most.max(height);
    }
    most
}

pub(super) fn run(
    operations: &[Operation],
    signals: &[Signal],
    depth: usize,
    len: usize,
    fill: &mut dyn FnMut(&Signal, &mut [f64]),
    out: &mut [Truth],
) {
    if len == 0 {
        return;
    }
    let mut columns = vec![f64::NAN; signals.len() * len];
    for (signal, column) in signals.iter().zip(columns.chunks_exact_mut(len)) {
        fill(signal, column);
    }
    let mut machine =
        Machine { len, columns, scratch: vec![0.0; depth * len], stack: Vec::with_capacity(depth) };
    for operation in operations {
        machine.step(*operation);
    }
    machine.read(&mut out[..len]);
}

struct Machine {
    len: usize,
    columns: Vec<f64>,
    scratch: Vec<f64>,
    stack: Vec<Operand>,
}

impl Machine {
    fn step(&mut self, operation: Operation) {
        match operation {
            Operation::Constant(value) => self.stack.push(Operand::Constant(value)),
            Operation::Signal(index) => self.stack.push(Operand::Signal(index)),
            Operation::Not => self.map(|v| 1.0 - v),
            Operation::Negate => self.map(|v| -v),
            Operation::Round => self.map(f64::round),
            Operation::Binary(operator) => self.binary(operator),
        }
    }

    fn map(&mut self, f: impl Fn(f64) -> f64) {
        let Some(operand) = self.stack.pop() else { return };
        let (len, at) = (self.len, self.stack.len());
        let out = &mut self.scratch[at * len..(at + 1) * len];
        match operand {
            Operand::Constant(value) => out.fill(f(value)),
            Operand::Scratch => out.iter_mut().for_each(|v| *v = f(*v)),
            Operand::Signal(index) => {
                let column = &self.columns[index * len..(index + 1) * len];
                out.iter_mut().zip(column).for_each(|(v, c)| *v = f(*c));
            }
        }
        self.stack.push(Operand::Scratch);
    }

    fn binary(&mut self, operator: Binary) {
        match operator {
            Binary::Or => self.combine(or),
            Binary::And => self.combine(and),
            Binary::Less => self.combine(|a, b| told(a, b, a < b)),
            Binary::LessEqual => self.combine(|a, b| told(a, b, a <= b)),
            Binary::Greater => self.combine(|a, b| told(a, b, a > b)),
            Binary::GreaterEqual => self.combine(|a, b| told(a, b, a >= b)),
            Binary::Equal => self.combine(|a, b| told(a, b, a == b)),
            Binary::Unequal => self.combine(|a, b| told(a, b, a != b)),
            Binary::Plus => self.combine(|a, b| finite(a + b)),
            Binary::Minus => self.combine(|a, b| finite(a - b)),
            Binary::Times => self.combine(|a, b| finite(a * b)),
            Binary::Divide => self.combine(|a, b| finite(a / b)),
        }
    }

    /// The two topmost columns become one, in the scratch column of the lower.
    fn combine(&mut self, f: impl Fn(f64, f64) -> f64) {
        let (Some(right), Some(left)) = (self.stack.pop(), self.stack.pop()) else { return };
        let (len, at) = (self.len, self.stack.len());
        let (low, high) = self.scratch.split_at_mut((at + 1) * len);
        let out = &mut low[at * len..];
        let column = |index: usize| &self.columns[index * len..(index + 1) * len];
        match left {
            Operand::Scratch => {}
            Operand::Constant(value) => out.fill(value),
            Operand::Signal(index) => out.copy_from_slice(column(index)),
        }
        match right {
            Operand::Constant(value) => out.iter_mut().for_each(|v| *v = f(*v, value)),
            Operand::Signal(index) => out.iter_mut().zip(column(index)).for_each(|(v, r)| *v = f(*v, *r)),
            Operand::Scratch => out.iter_mut().zip(&high[..len]).for_each(|(v, r)| *v = f(*v, *r)),
        }
        self.stack.push(Operand::Scratch);
    }

    fn read(&mut self, out: &mut [Truth]) {
        // A lone constant or signal is no condition, but costs nothing to read.
        self.map(|v| v);
        for (truth, value) in out.iter_mut().zip(&self.scratch) {
            *truth = match *value {
                v if v.is_nan() => Truth::Unknown,
                0.0 => Truth::False,
                _ => Truth::True,
            };
        }
    }
}

/// A comparison with a missing side is unknown.
fn told(a: f64, b: f64, truth: bool) -> f64 {
    if a.is_nan() | b.is_nan() { f64::NAN } else { f64::from(u8::from(truth)) }
}

/// Overflow and division by zero have no value.
fn finite(value: f64) -> f64 {
    if value.is_finite() { value } else { f64::NAN }
}

/// False settles it, else unknown stays.
fn and(a: f64, b: f64) -> f64 {
    if (a == 0.0) | (b == 0.0) { 0.0 } else { a * b }
}

fn or(a: f64, b: f64) -> f64 {
    if (a == 1.0) | (b == 1.0) { 1.0 } else { a + b }
}
