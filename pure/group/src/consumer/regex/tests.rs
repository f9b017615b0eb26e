//! What RE2/J 1.8 says of each of these, as Kafka 4.3.1 asks it.

use std::collections::BTreeSet;
use std::sync::Arc;

use ottla_base::Uuid;
use proptest::prelude::*;

use super::{InvalidPattern, PATTERN_BYTES_MAX, matching, syntax::DEPTH_MAX};
use crate::topics::{Topic, Topics};

fn topics(names: &[&str]) -> Topics {
    let mut topics = Topics::default();
    for (n, name) in (0..).zip(names) {
        topics.insert((*name).into(), Topic { id: Uuid([n; 16]), partitions: 1, racks: Vec::new() });
    }
    topics
}

fn check(pattern: &str) -> Result<(), InvalidPattern> {
    matching(pattern, &topics(&NAMES)).map(drop)
}

/// Which of these names match each pattern.
const NAMES: [&str; 12] = ["", "a", "A", "b", "k", "s", "0", "a.b", "ab", "a_b-", "aab", "]"];

const ACCEPTED: &[(&str, &[&str])] = &[
    // The whole name matches, whichever alternative comes first.
    ("a", &["a"]),
    ("a|ab", &["a", "ab"]),
    ("a|b", &["a", "b"]),
    ("", &[""]),
    ("^a$", &["a"]),
    (".*", &NAMES),
    ("a.b", &["a.b", "aab"]),
    ("a\\.b", &["a.b"]),
    // Quotes, and a quote without an end.
    ("\\Qa.b\\E", &["a.b"]),
    ("\\Qa.b", &["a.b"]),
    ("\\Qa\\Eb+", &["ab"]),
    // Groups, which may have names, and flags, which end with the group.
    ("(?P<n>a)(?<m>b)", &["ab"]),
    ("(?:a)b", &["ab"]),
    ("(?i)a", &["a", "A"]),
    ("(?i:A)b", &["ab"]),
    ("(?i:A)B", &[]),
    ("((?i)A)b", &["ab"]),
    ("((?i)A)B", &[]),
    ("(?i)(?-i)a", &["a"]),
    ("(?ims-U:a)", &["a", "A"]),
    ("(?i)b|A", &["a", "A", "b"]),
    ("a(?i)*", &["", "a"]),
    // Case folds out of ASCII and into it.
    ("(?i)\u{17f}", &["s"]),
    ("(?i)\\x{212A}", &["k"]),
    ("(?i)[^A]", &["b", "k", "s", "0", "]"]),
    ("(?i)[[:^upper:]]", &["0", "]"]),
    // Repetitions, and what is none.
    ("a+?b", &["ab", "aab"]),
    ("a{2}b", &["aab"]),
    ("a{2,}b", &["aab"]),
    ("a{0,1}", &["", "a"]),
    ("(a*)*", &["", "a"]),
    ("(a{2}){1000}", &[]),
    ("a{1000}", &[]),
    ("a{,2}", &[]),
    ("a{01}", &[]),
    ("^*", &[""]),
    // Characters.
    ("\\x61\\x{62}", &["ab"]),
    ("\\141\\142?", &["a", "ab"]),
    ("a\\_b\\-", &["a_b-"]),
    ("\\101", &["A"]),
    ("\\b\\w", &["a", "A", "b", "k", "s", "0"]),
    ("a\\Bb", &["ab"]),
    ("\\A\\d\\z", &["0"]),
    ("\\D", &["a", "A", "b", "k", "s", "]"]),
    // Classes: no sets of sets, a bracket first, a dash last.
    ("[]a]", &["a", "]"]),
    ("[^]a]", &["A", "b", "k", "s", "0"]),
    ("[a&&b]", &["a", "b"]),
    ("[[a]b]", &[]),
    ("[a-]", &["a"]),
    ("[a-b-k]", &["a", "b", "k"]),
    ("[\\d-k]", &["0", "k"]),
    ("[[:alpha:]]", &["a", "A", "b", "k", "s"]),
    ("[:alpha:]", &["a"]),
    ("[^[:^digit:]]", &["0"]),
    // Unicode.
    ("\\pL", &["a", "A", "b", "k", "s"]),
    ("\\p{Lu}", &["A"]),
    ("\\p{^Lu}", &["a", "b", "k", "s", "0", "]"]),
    ("\\P{^Lu}", &["A"]),
    ("[\\pN\\p{Pe}]", &["0", "]"]),
    ("\\p{Common}", &["0", "]"]),
    ("\\p{Greek}", &[]),
    ("\u{e9}", &[]),
    ("\\\u{e9}|a", &["a"]),
];

#[test]
fn accepted() {
    let topics = topics(&NAMES);
    for (pattern, names) in ACCEPTED {
        assert_eq!(check(pattern), Ok(()), "{pattern}");
        let matching = matching(pattern, &topics).unwrap();
        let expected: BTreeSet<Arc<str>> = names.iter().copied().map(Arc::from).collect();
        assert_eq!(matching, expected, "{pattern}");
    }
}

const REFUSED: &[(InvalidPattern, &[&str])] = &[
    (InvalidPattern::MissingArgument, &["*a", "a|*", "(*)", "{2}a", "\\Q\\E*", "(?i)*"]),
    (InvalidPattern::NestedRepetition, &["a**", "a*+", "a???", "a{2}{3}", "a{2}*", "{*"]),
    (InvalidPattern::RepeatCount, &["a{1001}", "a{0,1001}", "a{2,1}", "a{99999999999}"]),
    (InvalidPattern::Escape, &["\\C", "\\1", "\\8", "\\y", "\\Z", "\\E", "\\u0041", "[\\b]", "[a-\\d]"]),
    (InvalidPattern::Escape, &["\\x4", "\\x{41", "\\x{}", "\\x{110000}"]),
    (InvalidPattern::TrailingBackslash, &["\\", "a\\"]),
    (InvalidPattern::CharacterRange, &["[z-a]", "[a--b]", "[[:foo:]]", "[[:]", "\\p{latin}", "\\p{Alphabetic}"]),
    (InvalidPattern::CharacterRange, &["\\p", "\\p{", "\\p{L", "\\p{}", "\\p\u{e9}"]),
    (InvalidPattern::MissingBracket, &["[", "[]", "[a", "[a\\]", "[[:alpha:]"]),
    (InvalidPattern::MissingParenthesis, &["(a", "(?:", "(?P<n>"]),
    (InvalidPattern::UnexpectedParenthesis, &["a)", "a)|(b"]),
    (InvalidPattern::PerlSyntax, &["(?=a)", "(?!a)", "(?#a)", "(?>a)", "(?Pa)", "(?P=n)"]),
    (InvalidPattern::PerlSyntax, &["(?x)a", "(?u)a", "(?R)a", "(?-)a", "(?i-)a", "(?i", "(?"]),
    (InvalidPattern::NamedCapture, &["(?P<>a)", "(?P<a-b>a)", "(?<\u{e9}>a)", "(?P<a", "(?<=a)"]),
    (InvalidPattern::DuplicateCapture, &["(?P<n>a)(?<n>b)"]),
    // Kafka accepts these.
    (InvalidPattern::TooLarge, &["(a{1000}){1000}", "((((a{0,9}){0,9}){0,9}){0,9}){0,9}"]),
];

#[test]
fn refused() {
    for (error, patterns) in REFUSED {
        for pattern in *patterns {
            assert_eq!(check(pattern), Err(*error), "{pattern}");
        }
    }
}

#[test]
fn limits() {
    let nested = |depth| format!("{}a{}", "(".repeat(depth), ")*".repeat(depth));
    let side_by_side = |len| "a".repeat(len);
    for (fits, does_not, error) in [
        (nested(DEPTH_MAX), nested(DEPTH_MAX + 1), InvalidPattern::TooDeep),
        (side_by_side(10_000), side_by_side(PATTERN_BYTES_MAX + 1), InvalidPattern::TooLong),
    ] {
        assert_eq!(check(&fits), Ok(()));
        assert_eq!(check(&does_not), Err(error));
    }
}

/// What patterns are made of, and what is easily broken.
const TOKENS: [&str; 28] = [
    "a",
    "-",
    "\u{e9}",
    "*",
    "?",
    "|",
    "(",
    ")",
    "(?i)",
    "(?:",
    "(?<n>",
    "[",
    "]",
    "[^",
    "[:alpha:]",
    "\\",
    "\\d",
    "\\p",
    "{",
    "}",
    "^",
    "\\Q",
    "\\E",
    "\\x",
    "{2}",
    "{0,1000}",
    "\\12",
    ":]",
];

proptest! {
    #[test]
    fn anything_is_accepted_or_refused(tokens in proptest::collection::vec(proptest::sample::select(&TOKENS[..]), 0..12)) {
        // No panic.
        let _ = check(&tokens.concat());
    }
}

/// A name costs what the program is large, unless the automaton knows the state already; for this one each step is new.
#[test]
fn what_takes_long_to_match_is_refused_and_what_is_merely_large_is_not() {
    // Letters without a pattern.
    let letter = |n: u32| ["a", "b", "0", "1"][(n.wrapping_mul(2_654_435_761) >> 16) as usize % 4];
    let long = (0..100).map(|n| format!("{n:03}{}", (n * 246..(n + 1) * 246).map(letter).collect::<String>()));
    let long: Vec<String> = long.collect();
    let long: Vec<&str> = long.iter().map(String::as_str).collect();
    for slow in
        ["(.*a(.{0,240}b.{0,240})*)*c", "(.{0,200}a.{0,200}b.{0,200}){0,3}c", "(.*a.{100}|.*b.{90}|.*0.{80}){0,7}c"]
    {
        assert_eq!(matching(slow, &topics(&long)), Err(InvalidPattern::TooSlow), "{slow}");
    }
    assert_eq!(matching("(.*a.*b.*){5,40}", &topics(&long)).map(|found| found.len()), Ok(100));
    let names: Vec<String> = (0..250).map(|n| format!("orders.{n}.v{}", n % 7)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let alternatives = names.join("|");
    assert_eq!(matching(&alternatives, &topics(&names)).map(|found| found.len()), Ok(250));
}
