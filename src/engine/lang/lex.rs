//! Text to tokens, with a reason for everything that is none.
//!
//! Neighbours: `parse` takes the tokens. Where it is clear what was meant (`&&`, `＞`, `1.5h`), the mistake is
//! noted and the meant token is passed on, so that the steps after it can find more. A part of its own because
//! how a number or a word ends is nobody else's affair.

use std::ops::Range;

use super::LangError;
use super::error::quote;
use crate::engine::time::Span;

#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Token {
    Number(f64),
    Duration(Span),
    Name,
    Or,
    And,
    Not,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Equal,
    Unequal,
    Plus,
    Minus,
    Times,
    Divide,
    Open,
    Close,
    Comma,
    /// Stands where a value was meant and none could be read; already reported.
    Bad,
    End,
}

pub(super) type Placed = (Token, Range<usize>);

/// Durations in conditions end at 100 years: all arithmetic on them is exact in f64.
const LONGEST_DURATION: Span = Span::from_days(36_500);

/// How many mistakes of letters one condition reports; the rest would repeat them.
const MOST_ERRORS: usize = 20;

/// Operators as written, longest first, and what to write instead where they are another language's.
const OPERATORS: [(&str, Token, Option<&str>); 35] = [
    ("<=", Token::LessEqual, None),
    (">=", Token::GreaterEqual, None),
    ("===", Token::Equal, Some("==")),
    ("==", Token::Equal, None),
    ("!=", Token::Unequal, None),
    ("=>", Token::GreaterEqual, Some(">=")),
    ("=<", Token::LessEqual, Some("<=")),
    ("<>", Token::Unequal, Some("!=")),
    ("&&", Token::And, Some("and")),
    ("||", Token::Or, Some("or")),
    ("<", Token::Less, None),
    (">", Token::Greater, None),
    ("=", Token::Equal, Some("==")),
    ("!", Token::Not, Some("not")),
    ("&", Token::And, Some("and")),
    ("|", Token::Or, Some("or")),
    ("+", Token::Plus, None),
    ("-", Token::Minus, None),
    ("*", Token::Times, None),
    ("/", Token::Divide, None),
    ("(", Token::Open, None),
    (")", Token::Close, None),
    (",", Token::Comma, None),
    ("≤", Token::LessEqual, Some("<=")),
    ("≥", Token::GreaterEqual, Some(">=")),
    ("≠", Token::Unequal, Some("!=")),
    ("＜", Token::Less, Some("<")),
    ("＞", Token::Greater, Some(">")),
    ("＝", Token::Equal, Some("==")),
    ("（", Token::Open, Some("(")),
    ("）", Token::Close, Some(")")),
    ("，", Token::Comma, Some(",")),
    ("×", Token::Times, Some("*")),
    ("÷", Token::Divide, Some("/")),
    ("−", Token::Minus, Some("-")),
];

/// Every token, then one `End`.
pub(super) fn tokens(text: &str, errors: &mut Vec<LangError>) -> Vec<Placed> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        if c.is_ascii_whitespace() {
            at += 1;
            continue;
        }
        let (token, len) = next(text, at, c, errors);
        tokens.push((token, at..at + len));
        at += len;
    }
    errors.truncate(MOST_ERRORS);
    tokens.push((Token::End, text.trim_end().len()..text.trim_end().len()));
    tokens
}

/// The token at `at`, which starts with `c`, and its length in bytes.
fn next(text: &str, at: usize, c: char, errors: &mut Vec<LangError>) -> (Token, usize) {
    let rest = &text[at..];
    if c.is_ascii_digit() || (c == '.' && rest[1..].starts_with(|c: char| c.is_ascii_digit())) {
        let len = length(rest, |c| c.is_alphanumeric() || matches!(c, '.' | '_' | '%'));
        return (literal(&rest[..len], at, errors), len);
    }
    if c.is_alphabetic() || c == '_' {
        let len = length(rest, |c| c.is_alphanumeric() || c == '_');
        return (word(&rest[..len], at, errors), len);
    }
    if c == '"' || c == '\'' {
        let len = rest[1..].find(c).map_or(rest.len(), |end| end + 2);
        let error = LangError::new(at..at + len, "there are no strings in conditions");
        errors.push(error.hint("choose users with `users`, `groups` and `except` of the rule"));
        return (Token::Bad, len);
    }
    if let Some((sign, token, instead)) = OPERATORS.iter().find(|(sign, ..)| rest.starts_with(sign)) {
        if let Some(instead) = instead {
            let error = LangError::new(at..at + sign.len(), format!("`{sign}` is not an operator here"));
            errors.push(error.hint(format!("write `{instead}`")));
        }
        return (*token, sign.len());
    }
    let len = length(rest, |other| other == c);
    let message = format!("`{}` has no meaning here", c.escape_debug());
    errors.push(LangError::new(at..at + len, message));
    (Token::Bad, len)
}

fn length(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|c| !belongs(c)).unwrap_or(text.len())
}

fn word(text: &str, at: usize, errors: &mut Vec<LangError>) -> Token {
    let words = [("or", Token::Or), ("and", Token::And), ("not", Token::Not)];
    let Some((word, token)) = words.into_iter().find(|(word, _)| word.eq_ignore_ascii_case(text)) else {
        return Token::Name;
    };
    if word != text {
        let error = LangError::new(at..at + text.len(), format!("`{}` is not an operator here", quote(text)));
        errors.push(error.hint(format!("write `{word}`")));
    }
    token
}

/// A number or a duration; notes what is wrong with it otherwise.
fn literal(text: &str, at: usize, errors: &mut Vec<LangError>) -> Token {
    let span = at..at + text.len();
    let digits = length(text, |c| c.is_ascii_digit() || c == '.');
    let (number, unit) = text.split_at(digits);
    let plain = number.starts_with(|c: char| c.is_ascii_digit()) && !number.ends_with('.');
    let error = match number.parse::<f64>() {
        _ if unit == "%" => LangError::new(span, "there are no percentages").hint("write 0.5 for 50%"),
        Ok(value) if unit.is_empty() && plain && value.is_finite() => return Token::Number(value),
        Ok(value) if unit.is_empty() && !value.is_finite() => LangError::new(span, "the number is too large"),
        Ok(_) if !unit.is_empty() && !number.contains('.') => match text.parse::<Span>() {
            Ok(length) if length <= LONGEST_DURATION => return Token::Duration(length),
            Ok(_) | Err(crate::engine::time::TimeError::TooLong) => {
                LangError::new(span, format!("the duration is too long, {LONGEST_DURATION} is the most"))
            }
            Err(_) => LangError::new(span, format!("`{}` is neither a number nor a duration", quote(text)))
                .hint("units are ms, s, m, h, d: 90s, 10m, 4h, 7d"),
        },
        Ok(_) if !unit.is_empty() => LangError::new(span, "durations are whole numbers of a unit")
            .hint("take a smaller unit: 90m instead of 1.5h"),
        Ok(_) | Err(_) => LangError::new(span, format!("`{}` is not a number", quote(text)))
            .hint("write numbers as 2 or 0.5"),
    };
    errors.push(error);
    Token::Bad
}
