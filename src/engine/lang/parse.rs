//! Tokens to nodes in postfix order: operands stand before their operator, so no later step walks a tree.
//!
//! Neighbours: `lex` gives the tokens, `check` and `print` run over the nodes with a stack. After a mistake in the
//! grammar parsing stops, with a `Bad` node for what is missing, so that the words read so far are still checked.
//! A part of its own because precedence is decided here and nowhere else.

use std::ops::Range;

use super::error::quote;
use super::lex::{Placed, Token};
use super::{DEEPEST, LangError};
use crate::engine::time::Span;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Binary {
    Or,
    And,
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
}

impl Binary {
    const fn is_comparison(self) -> bool {
        match self {
            Self::Less | Self::LessEqual | Self::Greater | Self::GreaterEqual => true,
            Self::Equal | Self::Unequal => true,
            Self::Or | Self::And | Self::Plus | Self::Minus | Self::Times | Self::Divide => false,
        }
    }

    pub(super) const fn sign(self) -> &'static str {
        match self {
            Self::Or => "or",
            Self::And => "and",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
            Self::Equal => "==",
            Self::Unequal => "!=",
            Self::Plus => "+",
            Self::Minus => "-",
            Self::Times => "*",
            Self::Divide => "/",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Literal {
    Number(f64),
    Duration(Span),
}

#[derive(Clone, PartialEq, Debug)]
pub(super) enum Kind {
    Literal(Literal),
    /// A signal; `None` for one written without parentheses. An argument that is no literal is None and reported.
    Name {
        name: Range<usize>,
        arguments: Option<Vec<(Option<Literal>, Range<usize>)>>,
    },
    Not,
    Negate,
    Binary(Binary),
    Bad,
}

/// `span` covers the whole expression that ends with this node, `at` the operator or word itself.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Node {
    pub(super) kind: Kind,
    pub(super) at: Range<usize>,
    pub(super) span: Range<usize>,
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Placed>,
    position: usize,
    depth: usize,
    stopped: bool,
    nodes: Vec<Node>,
    errors: &'a mut Vec<LangError>,
}

/// At least one node, the last one is the whole condition; and whether all of the text was understood.
pub(super) fn parse(text: &str, tokens: Vec<Placed>, errors: &mut Vec<LangError>) -> (Vec<Node>, bool) {
    let mut parser =
        Parser { text, tokens, position: 0, depth: 0, stopped: false, nodes: Vec::new(), errors };
    parser.or();
    if parser.peek() != Token::End {
        parser.after_the_end();
    }
    (parser.nodes, !parser.stopped)
}

impl Parser<'_> {
    fn peek(&self) -> Token {
        self.tokens[self.position].0
    }

    fn span(&self) -> Range<usize> {
        self.tokens[self.position].1.clone()
    }

    /// The last token is `End` and never passed.
    fn advance(&mut self) -> Range<usize> {
        let span = self.span();
        self.position = (self.position + 1).min(self.tokens.len() - 1);
        span
    }

    /// Notes the mistake and makes the rest of the text invisible.
    fn stop(&mut self, error: LangError) {
        if !self.stopped {
            self.errors.push(error);
        }
        self.stopped = true;
        self.position = self.tokens.len() - 1;
    }

    fn push(&mut self, kind: Kind, at: Range<usize>, span: Range<usize>) {
        self.nodes.push(Node { kind, at, span });
    }

    fn last_span(&self) -> Range<usize> {
        self.nodes.last().map_or(0..0, |node| node.span.clone())
    }

    fn binary(&mut self, operator: Binary, at: Range<usize>, left: Range<usize>) {
        let span = left.start..self.last_span().end.max(at.end);
        self.push(Kind::Binary(operator), at, span);
    }

    fn or(&mut self) {
        self.and();
        while self.peek() == Token::Or {
            let left = self.last_span();
            let at = self.advance();
            self.and();
            self.binary(Binary::Or, at, left);
        }
    }

    fn and(&mut self) {
        self.not();
        while self.peek() == Token::And {
            let left = self.last_span();
            let at = self.advance();
            self.not();
            self.binary(Binary::And, at, left);
        }
    }

    fn not(&mut self) {
        if self.peek() != Token::Not {
            return self.comparison();
        }
        let at = self.advance();
        self.deeper(&at, Self::not);
        let span = at.start..self.last_span().end.max(at.end);
        self.push(Kind::Not, at, span);
    }

    fn comparison(&mut self) {
        self.sum();
        let Some(operator) = comparison(self.peek()) else { return };
        let left = self.last_span();
        let at = self.advance();
        let middle = self.span().start;
        self.sum();
        self.binary(operator, at, left.clone());
        if comparison(self.peek()).is_some() {
            let (text, second) = (self.text, self.span());
            let third = &self.tokens[(self.position + 1).min(self.tokens.len() - 1)].1;
            let (first, rest) =
                (quote(text[left.start..second.start].trim_end()), quote(&text[middle..third.end]));
            let hint = format!("join two comparisons: `{first} and {rest}`");
            self.stop(LangError::new(second, "comparisons cannot be chained").hint(hint));
        }
    }

    fn sum(&mut self) {
        self.product();
        loop {
            let sum = |operator: &Binary| matches!(operator, Binary::Plus | Binary::Minus);
            let Some(operator) = operator(self.peek()).filter(sum) else { return };
            let left = self.last_span();
            let at = self.advance();
            self.product();
            self.binary(operator, at, left);
        }
    }

    fn product(&mut self) {
        self.negation();
        loop {
            let product = |operator: &Binary| matches!(operator, Binary::Times | Binary::Divide);
            let Some(operator) = operator(self.peek()).filter(product) else { return };
            let left = self.last_span();
            let at = self.advance();
            self.negation();
            self.binary(operator, at, left);
        }
    }

    fn negation(&mut self) {
        if self.peek() != Token::Minus {
            return self.operand();
        }
        let at = self.advance();
        self.deeper(&at, Self::negation);
        let span = at.start..self.last_span().end.max(at.end);
        self.push(Kind::Negate, at, span);
    }

    /// One level of nesting; pushes exactly one value whatever happens.
    fn deeper(&mut self, at: &Range<usize>, inner: fn(&mut Self)) {
        if self.depth == DEEPEST {
            let message = format!("nested more than {DEEPEST} deep");
            self.stop(LangError::new(at.clone(), message).hint("make it several rules"));
            return self.push(Kind::Bad, at.clone(), at.clone());
        }
        self.depth += 1;
        inner(self);
        self.depth -= 1;
    }

    fn operand(&mut self) {
        let span = self.span();
        let token = self.peek();
        if token == Token::Name {
            return self.name();
        }
        if token == Token::Open {
            return self.parenthesis();
        }
        let kind = match literal(token) {
            Some(literal) => Kind::Literal(literal),
            None if token == Token::Bad => Kind::Bad,
            None => return self.missing(),
        };
        self.advance();
        self.push(kind, span.clone(), span);
    }

    fn missing(&mut self) {
        let span = self.span();
        let found = quote(&self.text[span.clone()]);
        let error = |message: &str| LangError::new(span.clone(), message);
        let error = match self.tokens.len() {
            1 => error("the condition is empty").hint("for example `online > limit`"),
            _ if self.peek() == Token::End => error("the condition ends where a value is expected"),
            _ if self.peek() == Token::Not => {
                error("`not` cannot stand here").hint("put it in parentheses: `(not …)`")
            }
            _ => error(&format!("expected a value, found `{found}`")),
        };
        self.stop(error);
        self.push(Kind::Bad, span.clone(), span);
    }

    fn parenthesis(&mut self) {
        let open = self.advance();
        self.deeper(&open, Self::or);
        let end = self.span();
        if self.peek() == Token::Close {
            self.advance();
        } else {
            let error = LangError::new(open.clone(), "this `(` is never closed");
            self.stop(self.unexpected().filter(|_| self.peek() != Token::End).unwrap_or(error));
        }
        // Carets under what is inside take the parentheses along.
        if let Some(node) = self.nodes.last_mut() {
            node.span = open.start..end.end.max(open.end);
        }
    }

    fn name(&mut self) {
        let name = self.advance();
        let mut span = name.clone();
        let mut arguments = None;
        if self.peek() == Token::Open {
            self.advance();
            let mut list = Vec::new();
            while !matches!(self.peek(), Token::Close | Token::End) {
                list.push(self.argument());
                if self.peek() == Token::Comma {
                    self.advance();
                }
            }
            span.end = self.span().end;
            if self.peek() == Token::Close {
                self.advance();
            } else {
                self.stop(LangError::new(span.clone(), "this call is never closed").hint("a `)` is missing"));
            }
            arguments = Some(list);
        }
        self.push(Kind::Name { name: name.clone(), arguments }, name, span);
    }

    /// One literal up to `,` or `)`; anything else is reported whole.
    fn argument(&mut self) -> (Option<Literal>, Range<usize>) {
        let (first, mut span) = (self.peek(), self.span());
        let (mut tokens, mut depth) = (0, 0_usize);
        loop {
            let token = self.peek();
            if token == Token::End || (depth == 0 && matches!(token, Token::Comma | Token::Close)) {
                break;
            }
            depth += usize::from(token == Token::Open);
            depth -= usize::from(token == Token::Close);
            span.end = self.advance().end;
            tokens += 1;
        }
        if tokens == 1 && first == Token::Bad {
            // What the lexer could not read is already reported.
            return (None, span);
        }
        let literal = literal(first).filter(|_| tokens == 1);
        if literal.is_none() {
            let error = LangError::new(span.clone(), "arguments are plain numbers or durations");
            self.errors.push(error.hint("for example `peak(1h)`"));
        }
        (literal, span)
    }

    /// What to say about a token that cannot follow a complete expression.
    fn unexpected(&self) -> Option<LangError> {
        let (token, span) = &self.tokens[self.position];
        let found = quote(&self.text[span.clone()]);
        let error = LangError::new(span.clone(), format!("`{found}` cannot follow here"));
        if *token == Token::End {
            None
        } else if *token == Token::Close {
            Some(LangError::new(span.clone(), "this `)` closes nothing"))
        } else if *token == Token::Not {
            Some(error.hint("join conditions with `and not` or `or not`"))
        } else if operator(*token).is_some() || *token == Token::Comma {
            Some(error)
        } else {
            Some(error.hint("an operator is missing: `and`, `or`, `<`, `>`, `==`, `+`, …"))
        }
    }

    fn after_the_end(&mut self) {
        if self.peek() == Token::Bad {
            // Already reported; what follows it cannot be placed.
            self.stopped = true;
        } else if let Some(error) = self.unexpected() {
            self.stop(error);
        }
    }
}

fn operator(token: Token) -> Option<Binary> {
    Some(match token {
        Token::Or => Binary::Or,
        Token::And => Binary::And,
        Token::Less => Binary::Less,
        Token::LessEqual => Binary::LessEqual,
        Token::Greater => Binary::Greater,
        Token::GreaterEqual => Binary::GreaterEqual,
        Token::Equal => Binary::Equal,
        Token::Unequal => Binary::Unequal,
        Token::Plus => Binary::Plus,
        Token::Minus => Binary::Minus,
        Token::Times => Binary::Times,
        Token::Divide => Binary::Divide,
        Token::Number(_) | Token::Duration(_) | Token::Name | Token::Not | Token::Open => return None,
        Token::Close | Token::Comma | Token::Bad | Token::End => return None,
    })
}

fn literal(token: Token) -> Option<Literal> {
    if let Token::Number(value) = token {
        return Some(Literal::Number(value));
    }
    if let Token::Duration(length) = token { Some(Literal::Duration(length)) } else { None }
}

fn comparison(token: Token) -> Option<Binary> {
    operator(token).filter(|operator| operator.is_comparison())
}
