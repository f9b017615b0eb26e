//! Names of crates and files, and the story that a file begins with.

use super::Finding;
use super::toml::entries;
use super::tree::Tree;

/// Names that say how a file came to be and not what it is about.
const FORBIDDEN: &[&str] = &["helper", "utils", "_impl", "part2"];
/// Crates whose name is not `ottla-` and their folder.
const ODD: &[(&str, &str)] = &[("app", "ottla"), ("xtask", "xtask")];

pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = crates(tree);
    for source in &tree.sources {
        let name = source.path.rsplit('/').next().unwrap_or_default();
        if let Some(word) = FORBIDDEN.iter().find(|word| name.contains(**word)) {
            findings.push(Finding {
                path: source.path.clone(),
                line: 0,
                what: format!("a file name with `{word}` says nothing"),
                mend: "name it after the word of the domain that it is about, and move what is about another".into(),
            });
        }
        if !tree.files[&source.path].starts_with("//!") {
            findings.push(Finding {
                path: source.path.clone(),
                line: 1,
                what: "the file does not begin with its story".into(),
                mend: "open it with `//!`: the problem, the simple answer, why that fails, what we do".into(),
            });
        }
    }
    findings
}

fn crates(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (folder, manifest) in tree.crates() {
        let last = folder.rsplit('/').next().unwrap_or_default();
        let wanted =
            ODD.iter().find(|(odd, _)| *odd == folder).map_or(format!("ottla-{last}"), |(_, name)| name.to_string());
        let entries = entries(manifest);
        let Some(name) = entries.iter().find(|entry| entry.section == "package" && entry.key == "name") else {
            continue;
        };
        if name.strings() != [wanted.as_str()] {
            findings.push(Finding {
                path: format!("{folder}/Cargo.toml"),
                line: name.line,
                what: format!("the crate in {folder} is named {}", name.value),
                mend: format!("name it \"{wanted}\": the folder's name tells the crate's"),
            });
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree::made_of;

    fn check_file(path: &str, text: &str) -> usize {
        check(&made_of(&[(path, text)])).len()
    }

    #[test]
    fn files() {
        assert_eq!(check_file("pure/a/src/lib.rs", "//! Story.\n"), 0);
        assert_eq!(check_file("pure/a/src/lib.rs", "use x;\n"), 1);
        assert_eq!(check_file("pure/a/src/test_helpers.rs", "//! Story.\n"), 1);
        assert_eq!(check_file("pure/a/src/log_impl.rs", "//! Story.\n"), 1);
    }

    #[test]
    fn crate_names() {
        assert_eq!(check_file("pure/wire/Cargo.toml", "[package]\nname = \"ottla-wire\"\n"), 0);
        assert_eq!(check_file("pure/wire/Cargo.toml", "[package]\nname = \"wire\"\n"), 1);
        assert_eq!(check_file("app/Cargo.toml", "[package]\nname = \"ottla\"\n"), 0);
    }
}
