//! The paths that the documents at the root name in backticks or link to: a reader follows them, so they exist.

use super::Finding;
use super::tree::Tree;

/// Endings that make a word a path even where its first folder does not exist.
const ENDINGS: &[&str] = &[".rs", ".md", ".toml", ".tsv", ".py", ".java"];

pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let documents = tree.files.iter().filter(|(path, _)| path.ends_with(".md") && !path.contains('/'));
    for (path, text) in documents {
        let mut in_block = false;
        for (n, line) in text.lines().enumerate() {
            in_block ^= line.trim_start().starts_with("```");
            if in_block {
                continue;
            }
            let quoted = line.split('`').skip(1).step_by(2).filter(|word| looks_like_path(tree, word));
            let linked =
                line.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()).filter(|to| is_local(to));
            for reference in quoted.chain(linked).filter(|reference| !exists(tree, reference)) {
                findings.push(Finding {
                    path: path.clone(),
                    line: n + 1,
                    what: format!("{reference} is not there"),
                    mend: "name the file as it is called now, from the root of the tree".into(),
                });
            }
        }
    }
    findings
}

fn looks_like_path(tree: &Tree, word: &str) -> bool {
    let plain = word.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c));
    let inside = word.contains('/') && !word.starts_with(['/', '.']);
    let first = word.split('/').next().unwrap_or_default();
    let is_pattern = word.contains("NN"); // kNN_name.rs stands for many
    plain && inside && !is_pattern && (exists(tree, first) || ENDINGS.iter().any(|ending| word.ends_with(ending)))
}

fn is_local(link: &str) -> bool {
    !link.is_empty() && !link.contains("://") && !link.starts_with("mailto:")
}

fn exists(tree: &Tree, path: &str) -> bool {
    let path = path.trim_end_matches('/');
    let read = tree.files.contains_key(path) || tree.files.keys().any(|file| super::tree::is_in(file, path));
    read || tree.root.join(path).exists()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree::made_of;

    fn check_line(line: &str) -> usize {
        check(&made_of(&[("README.md", line), ("pure/wire/src/lib.rs", ""), ("docs/missing.md", "")])).len()
    }

    #[test]
    fn what_is_named_exists() {
        for line in [
            "`pure/wire/src/lib.rs`",
            "`pure/wire/`",
            "[what is missing](docs/missing.md)",
            "see `docs/missing.md` and `README.md`",
        ] {
            assert_eq!(check_line(line), 0, "{line}");
        }
        for line in ["`pure/wire/src/gone.rs`", "`pure/gone/`", "[gone](docs/gone.md)", "`src/gone.rs`"] {
            assert_eq!(check_line(line), 1, "{line}");
        }
    }

    #[test]
    fn what_is_no_path_is_left_alone() {
        for line in [
            "`and/or`",
            "`/etc/hosts.toml`",
            "`pure/wire/src/kNN_name.rs`",
            "`pure/*`",
            "[site](https://example.org/x.md)",
            "```\n`pure/gone.rs`\n```",
            "`./ottla-data/x.md`",
        ] {
            assert_eq!(check_line(line), 0, "{line}");
        }
    }
}
