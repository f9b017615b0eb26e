//! The language of RE2/J 1.8, as `Pattern.compile` of it reads it without flags.
//!
//! Captures and greed are read and forgotten: what counts is whether a whole name matches. Where RE2/J and Perl differ:
//! `{` is a character where no count follows, a repetition cannot be repeated without parentheses, counts end at 1000,
//! there is no look-around and no backreference, `\C` is refused.

use std::collections::BTreeSet;

use regex_syntax::hir::{Hir, Look, Repetition};

use super::InvalidPattern;
use super::chars::Chars;

pub(super) const DEPTH_MAX: usize = 200;
const COUNT_MAX: u32 = 1000;

pub(super) fn parse(pattern: &str) -> Result<Hir, InvalidPattern> {
    let mut parser = Parser { rest: pattern, ..Parser::default() };
    loop {
        let here = parser.rest.len();
        let Some(c) = parser.next() else { break };
        match c {
            '(' => parser.open()?,
            ')' => parser.close()?,
            '|' => parser.group.end_sequence(),
            '*' => parser.repeat(here, (0, None))?,
            '+' => parser.repeat(here, (1, None))?,
            '?' => parser.repeat(here, (0, Some(1)))?,
            '{' => match parser.count()? {
                Some(count) => parser.repeat(here, count)?,
                None => {
                    parser.literal('{');
                    // RE2/J takes it for a repetition all the same.
                    parser.repeated = Some(parser.rest.len());
                }
            },
            '^' if parser.flags.multi_line => parser.push(Hir::look(Look::StartLF)),
            '^' => parser.push(Hir::look(Look::Start)),
            '$' if parser.flags.multi_line => parser.push(Hir::look(Look::EndLF)),
            '$' => parser.push(Hir::look(Look::End)),
            '.' if parser.flags.dot_all => parser.push(Chars::ALL.into_hir()),
            '.' => parser.push((!Chars::range('\n', '\n')).into_hir()),
            '[' => {
                let chars = parser.class()?;
                parser.push(chars.into_hir());
            }
            '\\' => parser.escape()?,
            _ => parser.literal(c),
        }
    }
    if !parser.outer.is_empty() {
        return Err(InvalidPattern::MissingParenthesis);
    }
    Ok(parser.group.end())
}

/// At least and at most.
type Count = (u32, Option<u32>);

#[derive(Clone, Copy, Default)]
struct Flags {
    ignore_case: bool,
    multi_line: bool,
    dot_all: bool,
}

#[derive(Default)]
struct Group {
    alternatives: Vec<Hir>,
    /// The last alternative so far.
    sequence: Vec<Hir>,
}

impl Group {
    fn end_sequence(&mut self) {
        self.alternatives.push(Hir::concat(std::mem::take(&mut self.sequence)));
    }

    fn end(mut self) -> Hir {
        self.end_sequence();
        Hir::alternation(self.alternatives)
    }
}

#[derive(Default)]
struct Parser<'a> {
    rest: &'a str,
    flags: Flags,
    group: Group,
    /// The groups around, with the flags that are back after them.
    outer: Vec<(Group, Flags)>,
    names: BTreeSet<&'a str>,
    /// Where the last repetition ended. Places are how much is left.
    repeated: Option<usize>,
}

impl<'a> Parser<'a> {
    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let c = chars.next();
        self.rest = chars.as_str();
        c
    }

    fn eat(&mut self, prefix: &str) -> bool {
        let rest = self.rest.strip_prefix(prefix);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// What is before `end`, if that comes.
    fn until(&mut self, end: &str) -> Option<&'a str> {
        let (before, rest) = self.rest.split_once(end)?;
        self.rest = rest;
        Some(before)
    }

    fn push(&mut self, item: Hir) {
        self.group.sequence.push(item);
    }

    fn literal(&mut self, c: char) {
        let chars = self.range(c, c);
        self.push(chars.into_hir());
    }

    fn range(&self, low: char, high: char) -> Chars {
        if self.flags.ignore_case { Chars::folded_range(low, high) } else { Chars::range(low, high) }
    }

    fn open(&mut self) -> Result<(), InvalidPattern> {
        let flags = self.flags;
        if self.eat("?P<") || self.eat("?<") {
            let name = self.until(">").ok_or(InvalidPattern::NamedCapture)?;
            if name.is_empty() || !name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_') {
                return Err(InvalidPattern::NamedCapture);
            }
            if !self.names.insert(name) {
                return Err(InvalidPattern::DuplicateCapture);
            }
        } else if self.eat("?") && self.flags()? == ')' {
            return Ok(());
        }
        if self.outer.len() == DEPTH_MAX {
            return Err(InvalidPattern::TooDeep);
        }
        self.outer.push((std::mem::take(&mut self.group), flags));
        Ok(())
    }

    /// Sets flags, and returns what ends them: `:` or `)`.
    fn flags(&mut self) -> Result<char, InvalidPattern> {
        let mut value = true;
        let mut is_complete = true;
        loop {
            match self.next() {
                Some('i') => self.flags.ignore_case = value,
                Some('m') => self.flags.multi_line = value,
                Some('s') => self.flags.dot_all = value,
                // Swaps what is greedy.
                Some('U') => {}
                Some('-') if value => {
                    value = false;
                    is_complete = false;
                    continue;
                }
                Some(end @ (':' | ')')) if is_complete => return Ok(end),
                _ => return Err(InvalidPattern::PerlSyntax),
            }
            is_complete = true;
        }
    }

    fn close(&mut self) -> Result<(), InvalidPattern> {
        let (outer, flags) = self.outer.pop().ok_or(InvalidPattern::UnexpectedParenthesis)?;
        let inner = std::mem::replace(&mut self.group, outer);
        self.flags = flags;
        self.push(inner.end());
        Ok(())
    }

    /// Of the last item, by an operator that began `here`.
    fn repeat(&mut self, here: usize, (min, max): Count) -> Result<(), InvalidPattern> {
        if self.repeated == Some(here) {
            return Err(InvalidPattern::NestedRepetition);
        }
        let item = self.group.sequence.pop().ok_or(InvalidPattern::MissingArgument)?;
        self.push(Hir::repetition(Repetition { min, max, greedy: true, sub: Box::new(item) }));
        self.eat("?");
        self.repeated = Some(self.rest.len());
        Ok(())
    }

    /// What follows a `{`, if that is a count.
    fn count(&mut self) -> Result<Option<Count>, InvalidPattern> {
        let start = self.rest;
        let Some(min) = self.number() else { return Ok(None) };
        let max = if self.eat(",") { self.number() } else { Some(min) };
        if !self.eat("}") {
            self.rest = start;
            return Ok(None);
        }
        if min.max(max.unwrap_or(min)) > COUNT_MAX || max.is_some_and(|max| max < min) {
            return Err(InvalidPattern::RepeatCount);
        }
        Ok(Some((min, max)))
    }

    /// Without leading zeros; one that is too large is `u32::MAX`.
    fn number(&mut self) -> Option<u32> {
        let end = self.rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at(end);
        if digits.is_empty() || digits.len() > 1 && digits.starts_with('0') {
            return None;
        }
        self.rest = rest;
        Some(digits.parse().unwrap_or(u32::MAX))
    }

    /// What follows a `\` outside of a class.
    fn escape(&mut self) -> Result<(), InvalidPattern> {
        if let Some(chars) = self.class_escape()? {
            self.push(chars.into_hir());
            return Ok(());
        }
        match self.next() {
            Some('A') => self.push(Hir::look(Look::Start)),
            Some('z') => self.push(Hir::look(Look::End)),
            Some('b') => self.push(Hir::look(Look::WordAscii)),
            Some('B') => self.push(Hir::look(Look::WordAsciiNegate)),
            Some('Q') => {
                let quoted = self.until("\\E").unwrap_or_else(|| std::mem::take(&mut self.rest));
                quoted.chars().for_each(|c| self.literal(c));
            }
            c => {
                let c = self.char_escape(c)?;
                self.literal(c);
            }
        }
        Ok(())
    }

    /// `\d` and `\pL`, after the backslash.
    fn class_escape(&mut self) -> Result<Option<Chars>, InvalidPattern> {
        let start = self.rest;
        let c = self.next();
        if let Some(chars) = c.and_then(Chars::perl) {
            return Ok(Some(chars));
        }
        let Some(c @ ('p' | 'P')) = c else {
            self.rest = start;
            return Ok(None);
        };
        let name = if self.eat("{") {
            self.until("}").ok_or(InvalidPattern::CharacterRange)?
        } else {
            let (name, rest) = self.rest.split_at(self.rest.chars().next().map_or(0, char::len_utf8));
            self.rest = rest;
            name
        };
        let (name, is_negated) = match name.strip_prefix('^') {
            Some(name) => (name, c == 'p'),
            None => (name, c == 'P'),
        };
        self.named(Chars::unicode(name), is_negated).map(Some)
    }

    fn named(&self, chars: Option<Chars>, is_negated: bool) -> Result<Chars, InvalidPattern> {
        let chars = chars.ok_or(InvalidPattern::CharacterRange)?;
        let chars = if self.flags.ignore_case { chars.folded() } else { chars };
        Ok(if is_negated { !chars } else { chars })
    }

    /// One character, which is written as a `\` and `c` and what follows.
    fn char_escape(&mut self, c: Option<char>) -> Result<char, InvalidPattern> {
        let c = match c.ok_or(InvalidPattern::TrailingBackslash)? {
            'a' => '\x07',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0b',
            'x' => return self.hexadecimal(),
            '1'..='7' if !self.rest.starts_with(|c| matches!(c, '0'..='7')) => return Err(InvalidPattern::Escape),
            c @ '0'..='7' => return Ok(self.octal(c)),
            c if c.is_ascii_alphanumeric() => return Err(InvalidPattern::Escape),
            c => c,
        };
        Ok(c)
    }

    /// Up to three digits, of which the first has been read.
    fn octal(&mut self, first: char) -> char {
        let mut value = first.to_digit(8).unwrap_or(0);
        for _ in 0..2 {
            let Some(digit) = self.rest.chars().next().and_then(|c| c.to_digit(8)) else { break };
            self.rest = &self.rest[1..];
            value = value * 8 + digit;
        }
        char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER)
    }

    /// Two digits, or any number of them in braces.
    fn hexadecimal(&mut self) -> Result<char, InvalidPattern> {
        let digits = if self.eat("{") {
            self.until("}")
        } else {
            let digits = self.rest.get(..2);
            self.rest = self.rest.get(2..).unwrap_or(self.rest);
            digits
        };
        let digits = digits.filter(|digits| digits.bytes().all(|c| c.is_ascii_hexdigit()));
        let value = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let value = value.filter(|&value| value <= u32::from(char::MAX)).ok_or(InvalidPattern::Escape)?;
        // A surrogate is in no name either.
        Ok(char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    /// What follows a `[`.
    fn class(&mut self) -> Result<Chars, InvalidPattern> {
        let is_negated = self.eat("^");
        let mut chars = Chars::NONE;
        // A `]` is a character where it comes first.
        let mut is_first = true;
        while is_first || !self.eat("]") {
            is_first = false;
            chars = chars | self.class_item()?;
        }
        Ok(if is_negated { !chars } else { chars })
    }

    fn class_item(&mut self) -> Result<Chars, InvalidPattern> {
        // RE2/J finds the end of `[:]` too, and then knows no such name.
        if self.rest.starts_with("[:")
            && let Some((name, rest)) = self.rest[1..].split_once(":]")
        {
            self.rest = rest;
            let name = name.strip_prefix(':').unwrap_or_default();
            let positive = name.strip_prefix('^');
            return self.named(Chars::posix(positive.unwrap_or(name)), positive.is_some());
        }
        let start = self.rest;
        if self.eat("\\")
            && let Some(chars) = self.class_escape()?
        {
            return Ok(chars);
        }
        self.rest = start;
        let low = self.class_char()?;
        // A `-` is a character where it comes last.
        let high = match self.rest.strip_prefix('-') {
            Some(rest) if !rest.starts_with(']') => {
                self.rest = rest;
                self.class_char()?
            }
            _ => low,
        };
        if high < low {
            return Err(InvalidPattern::CharacterRange);
        }
        Ok(self.range(low, high))
    }

    fn class_char(&mut self) -> Result<char, InvalidPattern> {
        match self.next() {
            None => Err(InvalidPattern::MissingBracket),
            Some('\\') => {
                let c = self.next();
                self.char_escape(c)
            }
            Some(c) => Ok(c),
        }
    }
}
