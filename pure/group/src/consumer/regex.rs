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
//! - "Linear" can still be milliseconds for one name, with a pattern such as `(a(.{0,99}b.{0,99})*)*c`, and all groups of a
//!   shard would wait while thousands of names are matched. So a pattern is matched by an automaton whose states are made
//!   when they are needed and kept, which for all that people write are few; one that needs more than [`STATES_BYTES_MAX`]
//!   of them is refused. Kafka matches on another thread, for as long as it takes.
//! - `a)` is refused for what it is, where RE2/J speaks of an internal error.
//! - `(?i)\p{^Ll}` matches no letter; in RE2/J 1.8 it matches `A`, and only that one.

use std::collections::BTreeSet;
use std::sync::Arc;

use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson::{self, WhichCaptures};
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
/// Of the automaton that a pattern needs for the names that there are.
const STATES_BYTES_MAX: usize = 2 << 20;

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
    #[error("takes too long to match")]
    TooSlow,
}

/// The topics whose whole name matches, internal ones too; or why no subscription may have the pattern.
pub(crate) fn matching(pattern: &str, topics: &Topics) -> Result<BTreeSet<Arc<str>>, InvalidPattern> {
    let mut matcher = Matcher::new(pattern)?;
    let mut found = BTreeSet::new();
    for (name, _) in topics.iter() {
        if matcher.matches(name)? {
            found.insert(name.clone());
        }
    }
    Ok(found)
}

struct Matcher {
    dfa: DFA,
    states: Cache,
}

impl Matcher {
    fn new(pattern: &str) -> Result<Matcher, InvalidPattern> {
        if pattern.len() > PATTERN_BYTES_MAX {
            return Err(InvalidPattern::TooLong);
        }
        let whole = Hir::concat(vec![Hir::look(Look::Start), syntax::parse(pattern)?, Hir::look(Look::End)]);
        let program = thompson::Config::new()
            .utf8(false)
            .which_captures(WhichCaptures::None)
            .nfa_size_limit(Some(PROGRAM_BYTES_MAX));
        let nfa = thompson::Compiler::new().configure(program).build_from_hir(&whole);
        let automaton = DFA::config()
            .cache_capacity(STATES_BYTES_MAX)
            .skip_cache_capacity_check(true)
            .minimum_cache_clear_count(Some(0));
        let dfa = DFA::builder().configure(automaton).build_from_nfa(nfa.map_err(|_| InvalidPattern::TooLarge)?);
        let dfa = dfa.map_err(|_| InvalidPattern::TooLarge)?;
        Ok(Matcher { states: dfa.create_cache(), dfa })
    }

    fn matches(&mut self, name: &str) -> Result<bool, InvalidPattern> {
        let input = Input::new(name).anchored(Anchored::Yes);
        let found = self.dfa.try_search_fwd(&mut self.states, &input);
        found.map(|end| end.is_some()).map_err(|_| InvalidPattern::TooSlow)
    }
}
