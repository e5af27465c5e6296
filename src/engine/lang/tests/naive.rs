//! Random conditions, evaluated a second time on their tree, and any text at all.
//!
//! Neighbours: `mod` has the examples. A part of its own because the naive evaluator must share nothing with the columns
//! that it checks.

use proptest::prelude::*;

use super::*;

/// A condition for the naive evaluator.
#[derive(Clone, Debug)]
enum Tree {
    Leaf(&'static str, Signal),
    Number(f64),
    Minus(Box<Self>),
    Not(Box<Self>),
    Pair(Box<Self>, &'static str, Box<Self>),
}

impl Tree {
    /// With every parenthesis there can be.
    fn text(&self) -> String {
        match self {
            Self::Leaf(name, _) => (*name).to_owned(),
            Self::Number(value) => value.to_string(),
            Self::Minus(of) => format!("(-{})", of.text()),
            Self::Not(of) => format!("(not {})", of.text()),
            Self::Pair(left, sign, right) => format!("({} {sign} {})", left.text(), right.text()),
        }
    }

    fn number(&self, value: &dyn Fn(&Signal) -> f64) -> Option<f64> {
        let number = match self {
            Self::Leaf(_, signal) => value(signal),
            Self::Number(value) => *value,
            Self::Minus(of) => -of.number(value)?,
            Self::Not(_) => return None,
            Self::Pair(left, sign, right) => {
                let (l, r) = (left.number(value)?, right.number(value)?);
                match *sign {
                    "+" => l + r,
                    "-" => l - r,
                    "*" => l * r,
                    _ => l / r,
                }
            }
        };
        number.is_finite().then_some(number)
    }

    fn truth(&self, value: &dyn Fn(&Signal) -> f64) -> Option<bool> {
        match self {
            Self::Not(of) => of.truth(value).map(|truth| !truth),
            Self::Pair(left, "and", right) => match (left.truth(value), right.truth(value)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (l, r) => l.zip(r).map(|_| true),
            },
            Self::Pair(left, "or", right) => match (left.truth(value), right.truth(value)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (l, r) => l.zip(r).map(|_| false),
            },
            Self::Pair(left, sign, right) => {
                let (l, r) = (left.number(value)?, right.number(value)?);
                Some(match *sign {
                    "<" => l < r,
                    "<=" => l <= r,
                    ">" => l > r,
                    ">=" => l >= r,
                    "==" => l == r,
                    _ => l != r,
                })
            }
            Self::Leaf(..) | Self::Number(_) | Self::Minus(_) => None,
        }
    }
}

fn pair(inner: BoxedStrategy<Tree>, signs: &'static [&'static str]) -> impl Strategy<Value = Tree> {
    let sides = (inner.clone(), prop::sample::select(signs), inner);
    sides.prop_map(|(left, sign, right)| Tree::Pair(Box::new(left), sign, Box::new(right)))
}

fn number() -> BoxedStrategy<Tree> {
    let leaf = prop_oneof![
        Just(Tree::Leaf("online", Signal::Online)),
        Just(Tree::Leaf("limit", Signal::Limit)),
        Just(Tree::Leaf("peak(1h)", Signal::Peak(Span::from_hours(1)))),
        (0_u32..5).prop_map(|n| Tree::Number(f64::from(n))),
        (0_u32..50).prop_map(|n| Tree::Number(f64::from(n) / 8.0)),
    ];
    let of = |inner: BoxedStrategy<Tree>| {
        let minus = inner.clone().prop_map(|of| Tree::Minus(Box::new(of)));
        prop_oneof![minus, pair(inner, &["+", "-", "*", "/"])].boxed()
    };
    leaf.prop_recursive(3, 12, 2, of).boxed()
}

fn condition() -> BoxedStrategy<Tree> {
    let leaf = pair(number(), &["<", "<=", ">", ">=", "==", "!="]);
    let of = |inner: BoxedStrategy<Tree>| {
        let not = inner.clone().prop_map(|of| Tree::Not(Box::new(of)));
        prop_oneof![not, pair(inner, &["and", "or"])].boxed()
    };
    leaf.prop_recursive(4, 16, 2, of).boxed()
}

/// Words of the language in no order, and anything else.
fn noise() -> impl Strategy<Value = String> {
    let words = [
        "online",
        "limit",
        "peak",
        "(1h)",
        "(",
        ")",
        ",",
        "and",
        "or",
        "not",
        "<",
        "==",
        "+",
        "-",
        "*",
        "/",
        "2",
        "10m",
        "0.5",
        "3x",
        "\"",
        "用户",
        "＞",
        "&&",
        "time_over(1, 2h)",
        "\n",
        "\u{202e}",
        "mean(7d)",
    ];
    let word =
        prop_oneof![8 => prop::sample::select(words.to_vec()).prop_map(str::to_owned), 1 => any::<String>()];
    prop::collection::vec(word, 0..30).prop_map(|words| words.join(" "))
}

proptest! {
    #[test]
    fn any_text_gets_an_answer(text in prop_oneof![noise(), any::<String>()], per in prop::sample::select(&[Per::User, Per::Group][..])) {
        match compile(&text, per) {
            Ok(program) => {
                let again = compile(&program.canonical(), per).expect("canonical text");
                prop_assert_eq!(again.canonical(), program.canonical());
                prop_assert_eq!(again.signals(), program.signals());
            }
            Err(errors) => {
                prop_assert!(!errors.is_empty());
                for error in errors {
                    prop_assert!(error.span.start <= error.span.end && error.span.end <= text.len());
                    let hostile = |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{202a}'..='\u{202e}');
                    prop_assert!(!error.render(&text).chars().any(hostile));
                    prop_assert!(error.render(&text).lines().count() <= 3);
                }
            }
        }
    }

    #[test]
    fn columns_agree_with_a_naive_evaluator(
        tree in condition(),
        subjects in prop::collection::vec([0_u8..6, 0..6, 0..6], 1..20),
    ) {
        let text = tree.text();
        let program = compile(&text, Per::User).expect("generated");
        let canonical = compile(&program.canonical(), Per::User).expect("canonical");
        prop_assert_eq!(canonical.canonical(), program.canonical());
        let value = |subject: &[u8; 3], signal: &Signal| {
            let at = [Signal::Online, Signal::Limit].iter().position(|s| s == signal).unwrap_or(2);
            let n = subject[at];
            if n == 5 { f64::NAN } else { f64::from(n) }
        };
        let expect: Vec<Truth> = subjects.iter().map(|s| match tree.truth(&|signal| value(s, signal)) {
            Some(true) => Truth::True,
            Some(false) => Truth::False,
            None => Truth::Unknown,
        }).collect();
        for program in [program, canonical] {
            let mut out = vec![Truth::Unknown; subjects.len()];
            let mut fill = |signal: &Signal, column: &mut [f64]| {
                for (v, s) in column.iter_mut().zip(&subjects) { *v = value(s, signal); }
            };
            program.evaluate(subjects.len(), &mut fill, &mut out);
            prop_assert_eq!(&out, &expect, "{}", text);
        }
    }
}
