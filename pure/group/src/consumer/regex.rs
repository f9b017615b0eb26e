//! Topics by pattern: a consumer subscribes to what matches, now and later (KIP-848).
//!
//! Patterns are RE2's, because those match in linear time whatever they are. Kafka reads them with RE2/J, so a client
//! must find here the language of RE2/J, no less and no more: what Rust's regular expressions have beside it (`[a&&b]`,
//! `(?x)`) is something else there or an error. So the language is read here ([`syntax`]) and only matching is left to
//! the library.
//!
//! Names of topics are ASCII, and so is everything here: of a class or a Unicode category only its ASCII characters count
//! ([`chars`]).
//!
//! Where Ottla departs from Kafka 4.3:
//! - A pattern has at most [`PATTERN_BYTES_MAX`] bytes, groups in at most [`DEPTH_MAX`](syntax::DEPTH_MAX) groups, and a
//!   program of at most [`PROGRAM_BYTES_MAX`]. Kafka has no limits: `((a{1000}){1000}){1000}` is accepted there.
//! - `a)` is refused for what it is, where RE2/J speaks of an internal error.
//! - `(?i)\p{^Ll}` matches no letter; in RE2/J 1.8 it matches `A`, and only that one.

use std::collections::BTreeSet;
use std::sync::Arc;

use regex_automata::meta::{Config, Regex};
use regex_automata::{Anchored, Input};
use regex_syntax::hir::{Hir, Look};

use crate::topics::Topics;

mod chars;
mod syntax;
#[cfg(test)]
mod tests;

const PATTERN_BYTES_MAX: usize = 16 << 10;
/// Compiled: around 10,000 characters that stand side by side, repetitions written out.
const PROGRAM_BYTES_MAX: usize = 512 << 10;

/// Why a pattern is refused, in RE2's words where it has some.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidPattern {
    #[error("missing argument to repetition operator")]
    MissingArgument,
    #[error("invalid nested repetition operator")]
    NestedRepetition,
    #[error("invalid repeat count")]
    RepeatCount,
    #[error("invalid escape sequence")]
    Escape,
    #[error("trailing backslash at end of expression")]
    TrailingBackslash,
    #[error("invalid character class range")]
    CharacterRange,
    #[error("missing closing ]")]
    MissingBracket,
    #[error("missing closing )")]
    MissingParenthesis,
    #[error("unexpected )")]
    UnexpectedParenthesis,
    #[error("invalid or unsupported Perl syntax")]
    PerlSyntax,
    #[error("invalid named capture")]
    NamedCapture,
    #[error("duplicate capture group name")]
    DuplicateCapture,
    #[error("more than {PATTERN_BYTES_MAX} bytes")]
    TooLong,
    #[error("more than {} groups inside each other", syntax::DEPTH_MAX)]
    TooDeep,
    #[error("too large once repetitions are written out")]
    TooLarge,
}

/// Whether a subscription may have the pattern.
pub(crate) fn check(pattern: &str) -> Result<(), InvalidPattern> {
    compile(pattern).map(drop)
}

/// The topics whose whole name matches, internal ones too; none if the pattern is invalid.
pub(crate) fn matching(pattern: &str, topics: &Topics) -> BTreeSet<Arc<str>> {
    let Ok(regex) = compile(pattern) else { return BTreeSet::new() };
    topics.iter().filter(|(name, _)| matches(&regex, name)).map(|(name, _)| name.clone()).collect()
}

fn matches(regex: &Regex, name: &str) -> bool {
    regex.is_match(Input::new(name).anchored(Anchored::Yes))
}

fn compile(pattern: &str) -> Result<Regex, InvalidPattern> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(InvalidPattern::TooLong);
    }
    let whole = Hir::concat(vec![Hir::look(Look::Start), syntax::parse(pattern)?, Hir::look(Look::End)]);
    let config = Config::new().utf8_empty(false).nfa_size_limit(Some(PROGRAM_BYTES_MAX));
    Regex::builder().configure(config).build_from_hir(&whole).map_err(|_| InvalidPattern::TooLarge)
}
