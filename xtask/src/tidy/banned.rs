//! Words that may not stand in some places: what would make a run depend on more than its arguments, and what hides a fault.

use super::Finding;
use super::tree::{Source, Tree};

/// Where a word is banned.
enum Where {
    /// In the product outside `io/rt`, which is the only place that knows what runs us. Tests may.
    OutsideRt,
    /// In the product without its tests.
    ProductCode,
    /// In every file.
    Everywhere,
    /// Below `io/`.
    Io,
    /// Below `node/`, but for the file that holds the only mapping from trouble to error codes.
    NodeButOutcome,
}

struct Rule {
    words: &'static [&'static str],
    place: Where,
    mend: &'static str,
}

const PRODUCT: &[&str] = &["pure", "io", "node", "client", "cli", "app", "sim"];
const OUTCOME: &str = "node/broker/src/api/outcome.rs";
/// The one file that names the hash map of `std`, to give it a seed.
const SEEDED_MAP: &str = "pure/base/src/map.rs";

const RULES: &[Rule] = &[
    Rule {
        words: &[
            "thread::spawn",
            "thread::scope",
            "thread::Builder",
            "tokio::spawn",
            "spawn_blocking",
            "block_in_place",
            "tokio::time",
            "Instant::now",
            "SystemTime",
            "rand::",
            "getrandom",
        ],
        place: Where::OutsideRt,
        mend: "threads, tasks, clocks and dice come from io/rt, or as an argument: a simulated run must repeat from its seed",
    },
    Rule { words: &["thread::sleep"], place: Where::Everywhere, mend: "wait for the condition itself, with a limit" },
    Rule {
        words: &["todo!", "unimplemented!", "dbg!"],
        place: Where::Everywhere,
        mend: "finish it, or leave it out and say so in docs/missing.md",
    },
    Rule {
        words: &["#[ignore"],
        place: Where::Everywhere,
        mend: "a test that is not run is no test: mend or delete it",
    },
    Rule {
        words: &["#[allow(", "#![allow("],
        place: Where::Everywhere,
        mend: "do what the lint says, or change it for all in Cargo.toml",
    },
    Rule {
        words: &[".unwrap()"],
        place: Where::ProductCode,
        mend: "handle the failure, or `.expect(\"why it cannot fail\")`",
    },
    Rule {
        words: &["ErrorCode"],
        place: Where::Io,
        mend: "io/ tells trouble by its own error enum; node/broker maps it",
    },
    Rule {
        words: &["ErrorCode::KafkaStorageError", "for ErrorCode"],
        place: Where::NodeButOutcome,
        mend: "node/broker/src/api/outcome.rs holds the only mapping from storage and network trouble to error codes",
    },
];

pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in &tree.sources {
        for (n, line) in source.code.lines().enumerate() {
            let line_number = n + 1;
            for rule in RULES.iter().filter(|rule| applies(&rule.place, source, line_number)) {
                if let Some(word) = rule.words.iter().find(|word| has_word(line, word)) {
                    let what = format!("`{word}` is not used here");
                    findings.push(Finding {
                        path: source.path.clone(),
                        line: line_number,
                        what,
                        mend: rule.mend.into(),
                    });
                }
            }
        }
        findings.extend(unbiased(source));
        findings.extend(unseeded(source));
    }
    findings
}

fn is_product(source: &Source) -> bool {
    PRODUCT.iter().any(|folder| source.is_in(folder))
}

fn applies(place: &Where, source: &Source, line: usize) -> bool {
    let in_product = is_product(source);
    let in_tests = line >= source.tests_from;
    match place {
        Where::OutsideRt => in_product && !in_tests && !source.is_in("io/rt"),
        Where::ProductCode => in_product && !in_tests,
        Where::Everywhere => true,
        Where::Io => source.is_in("io"),
        Where::NodeButOutcome => source.is_in("node") && !in_tests && source.path != OUTCOME,
    }
}

fn has_word(line: &str, word: &str) -> bool {
    places(line, word).next().is_some()
}

/// Where the word stands, and not as a part of a longer one.
fn places<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let joins_before = word.starts_with(part_of_word) && text[..*at].ends_with(part_of_word);
        let joins_behind = word.ends_with(part_of_word) && text[at + word.len()..].starts_with(part_of_word);
        !joins_before && !joins_behind
    })
}

/// `std`'s hash maps draw a hasher of their own; those of `imbl` do where they are not given one.
fn unseeded(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (n, line) in source.code.lines().enumerate().filter(|_| is_product(source) && source.path != SEEDED_MAP) {
        let mut found =
            ["HashMap", "HashSet"].into_iter().flat_map(|word| places(line, word).map(move |at| (at, at + word.len())));
        let seeded = |(from, to): (usize, usize)| {
            line[..from].ends_with("imbl::") && !["::new", "::default"].iter().any(|made| line[to..].starts_with(made))
        };
        if found.any(|place| !seeded(place)) {
            let mend = "use BTreeMap, or ottla_base::Map with a seed that was given: a simulated run must repeat from its seed";
            let what = "a hash map without a seed".into();
            findings.push(Finding { path: source.path.clone(), line: n + 1, what, mend: mend.into() });
        }
    }
    findings
}

/// `select!` draws the branch that it asks first, unless it is told not to.
fn unbiased(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, _) in source.code.match_indices("select!") {
        let body = source.code[at..].split_once('{').map_or("", |(_, body)| body.trim_start());
        if !body.starts_with("biased;") {
            findings.push(Finding {
                path: source.path.clone(),
                line: source.code[..at].matches('\n').count() + 1,
                what: "`select!` without `biased;`".into(),
                mend: "write `biased;` first and order the branches: a simulated run must repeat from its seed".into(),
            });
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree::made_of;

    /// The lines with findings.
    fn check_text(path: &str, text: &str) -> Vec<usize> {
        check(&made_of(&[(path, text)])).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn clocks_and_dice_belong_to_rt() {
        let text = "//! Instant::now\nlet a = Instant::now();\nlet b = MyInstant::now();\n#[cfg(test)]\nmod tests {\n    thread::spawn(f);\n}\n";
        assert_eq!(check_text("node/broker/src/lib.rs", text), [2]);
        assert_eq!(check_text("io/rt/src/lib.rs", text), Vec::<usize>::new());
        assert_eq!(check_text("xtask/src/main.rs", text), Vec::<usize>::new());
        assert_eq!(
            check_text(
                "node/broker/src/lib.rs",
                "let operand::X = brand::new();\nlet a = Instant::nowhere();\nlet r = rand::random();\n"
            ),
            [3]
        );
    }

    #[test]
    fn maps_have_a_seed() {
        assert_eq!(
            check_text(
                "node/broker/src/lib.rs",
                "use std::collections::{BTreeMap, HashMap};\nlet x = hash_map::Entry;\n"
            ),
            [1]
        );
        let text = "by: imbl::HashMap<A, B, Seed> = imbl::HashMap::with_hasher(seed);\nlet m = imbl::HashMap::new();\n";
        assert_eq!(check_text("node/broker/src/lib.rs", text), [2]);
        assert_eq!(check_text("pure/base/src/map.rs", "use std::collections::HashMap;\n"), Vec::<usize>::new());
    }

    #[test]
    fn what_hides_a_fault() {
        let text = "todo!();\n// todo!()\nlet s = \"dbg!(x)\";\n#[ignore = \"slow\"]\n#[allow(dead_code)]\nthread::sleep(d);\n";
        assert_eq!(check_text("xtask/src/main.rs", text), [1, 4, 5, 6]);
        assert_eq!(
            check_text(
                "io/net/src/lib.rs",
                "a.unwrap();\na.unwrap_or(1);\n#[cfg(test)]\nmod tests {\n    a.unwrap();\n}\n"
            ),
            [1]
        );
    }

    #[test]
    fn one_file_maps_trouble_to_codes() {
        let text = "impl From<LogError> for ErrorCode {}\nErrorCode::KafkaStorageError\n";
        assert_eq!(check_text("node/broker/src/api/k00_produce.rs", text), [1, 2]);
        assert_eq!(check_text(OUTCOME, text), Vec::<usize>::new());
        assert_eq!(check_text("io/storage/src/log.rs", "use ottla_wire::ErrorCode;\n"), [1]);
    }

    #[test]
    fn select_is_biased() {
        assert_eq!(
            check_text("io/net/src/lib.rs", "tokio::select! {\n    biased;\n    a => {}\n}\n"),
            Vec::<usize>::new()
        );
        assert_eq!(check_text("io/net/src/lib.rs", "\ntokio::select! {\n    a => {}\n}\n"), [2]);
    }
}
