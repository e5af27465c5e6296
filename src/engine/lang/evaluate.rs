//! A compiled condition over columns: each operation runs over a whole chunk of subjects before the next.
//!
//! Neighbours: `check` makes the operations, `judge` asks for the verdicts. NaN is "no value" and also "unknown",
//! so that one representation carries three-valued logic and missing numbers through the same loops. A part of its
//! own because it is the only code that runs for every user at every poll.

use super::line::Line;
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

/// What a condition says of a subject, and for how many milliseconds at least it goes on saying so while nothing new
/// is read.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Outlook {
    pub truth: Truth,
    pub lasts: f64,
}

impl Outlook {
    pub const fn always(truth: Truth) -> Self {
        Self { truth, lasts: f64::INFINITY }
    }

    /// Of the opposite condition.
    #[must_use]
    pub const fn not(self) -> Self {
        let truth = match self.truth {
            Truth::True => Truth::False,
            Truth::False => Truth::True,
            Truth::Unknown => Truth::Unknown,
        };
        Self { truth, ..self }
    }
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
#[derive(Clone, Copy, Debug)]
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
    fill: &mut dyn FnMut(&Signal, &mut [Line]),
    out: &mut [Outlook],
    machine: &mut Machine,
) {
    if len == 0 {
        return;
    }
    machine.begin(signals, depth, len, fill);
    for operation in operations {
        machine.step(*operation);
    }
    machine.read(&mut out[..len]);
}

/// What stands on top of the stack after each operation, for one subject.
pub(super) fn trace(
    operations: &[Operation],
    signals: &[Signal],
    depth: usize,
    fill: &mut dyn FnMut(&Signal, &mut [Line]),
) -> Vec<f64> {
    let mut machine = Machine::default();
    machine.begin(signals, depth, 1, fill);
    let step = |operation: &Operation| {
        machine.step(*operation);
        machine.top()
    };
    operations.iter().map(step).collect()
}

/// Where a condition's value is three-valued truth.
pub(super) fn truth(value: f64) -> Truth {
    match value {
        v if v.is_nan() => Truth::Unknown,
        0.0 => Truth::False,
        _ => Truth::True,
    }
}

/// Where conditions run, one after the other: in the room of those before.
#[derive(Debug, Default)]
pub struct Machine {
    len: usize,
    columns: Vec<Line>,
    scratch: Vec<Line>,
    stack: Vec<Operand>,
}

impl Machine {
    fn begin(
        &mut self,
        signals: &[Signal],
        depth: usize,
        len: usize,
        fill: &mut dyn FnMut(&Signal, &mut [Line]),
    ) {
        self.len = len;
        self.columns.resize(signals.len() * len, Line::still(f64::NAN));
        for (signal, column) in signals.iter().zip(self.columns.chunks_exact_mut(len)) {
            fill(signal, column);
        }
        self.scratch.resize(depth * len, Line::still(0.0));
        self.stack.clear();
    }

    fn step(&mut self, operation: Operation) {
        match operation {
            Operation::Constant(value) => self.stack.push(Operand::Constant(value)),
            Operation::Signal(index) => self.stack.push(Operand::Signal(index)),
            Operation::Not => self.map(Line::not),
            Operation::Negate => self.map(Line::negate),
            Operation::Round => self.map(Line::round),
            Operation::Binary(operator) => self.binary(operator),
        }
    }

    fn map(&mut self, f: impl Fn(Line) -> Line) {
        let Some(operand) = self.stack.pop() else { return };
        let (len, at) = (self.len, self.stack.len());
        let out = &mut self.scratch[at * len..(at + 1) * len];
        match operand {
            Operand::Constant(value) => out.fill(f(Line::still(value))),
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
            Binary::Or => self.combine(|a, b| a.joined(b, 1.0)),
            Binary::And => self.combine(|a, b| a.joined(b, 0.0)),
            Binary::Less => self.combine(|a, b| a.ordered(b, f64::lt)),
            Binary::LessEqual => self.combine(|a, b| a.ordered(b, f64::le)),
            Binary::Greater => self.combine(|a, b| a.ordered(b, f64::gt)),
            Binary::GreaterEqual => self.combine(|a, b| a.ordered(b, f64::ge)),
            Binary::Equal => self.combine(|a, b| a.equals(b, true)),
            Binary::Unequal => self.combine(|a, b| a.equals(b, false)),
            Binary::Plus => self.combine(Line::plus),
            Binary::Minus => self.combine(|a, b| a.plus(b.negate())),
            Binary::Times => self.combine(Line::times),
            Binary::Divide => self.combine(Line::divided_by),
        }
    }

    /// The two topmost columns become one, in the scratch column of the lower.
    fn combine(&mut self, f: impl Fn(Line, Line) -> Line) {
        let (Some(right), Some(left)) = (self.stack.pop(), self.stack.pop()) else { return };
        let (len, at) = (self.len, self.stack.len());
        let (low, high) = self.scratch.split_at_mut((at + 1) * len);
        let out = &mut low[at * len..];
        let column = |index: usize| &self.columns[index * len..(index + 1) * len];
        match left {
            Operand::Scratch => {}
            Operand::Constant(value) => out.fill(Line::still(value)),
            Operand::Signal(index) => out.copy_from_slice(column(index)),
        }
        match right {
            Operand::Constant(value) => out.iter_mut().for_each(|v| *v = f(*v, Line::still(value))),
            Operand::Signal(index) => out.iter_mut().zip(column(index)).for_each(|(v, r)| *v = f(*v, *r)),
            Operand::Scratch => out.iter_mut().zip(&high[..len]).for_each(|(v, r)| *v = f(*v, *r)),
        }
        self.stack.push(Operand::Scratch);
    }

    /// The first subject's value.
    fn top(&self) -> f64 {
        match self.stack.last() {
            None => f64::NAN,
            Some(Operand::Constant(value)) => *value,
            Some(Operand::Signal(index)) => self.columns[index * self.len].value,
            Some(Operand::Scratch) => self.scratch[(self.stack.len() - 1) * self.len].value,
        }
    }

    fn read(&mut self, out: &mut [Outlook]) {
        // A lone constant or signal is no condition, but costs nothing to read.
        self.map(|v| v);
        for (outlook, line) in out.iter_mut().zip(&self.scratch) {
            *outlook = Outlook { truth: truth(line.value), lasts: line.lasts };
        }
    }
}
