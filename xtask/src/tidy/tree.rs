//! The files that are checked, all read at once: a check is a function of them, so a test can make up its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::code;
use super::toml::{self, Entry};

/// Folders of their own workspace or of other languages, and what is no part of the tree.
const SKIPPED: &[&str] = &["target", "compat", "bench", "fuzz", "web"];
const KINDS: &[&str] = &["rs", "toml", "md"];

pub struct Tree {
    pub root: PathBuf,
    /// Text by path below the root, with `/` between the parts.
    pub files: BTreeMap<String, String>,
    pub sources: Vec<Source>,
}

/// A Rust file.
pub struct Source {
    pub path: String,
    /// The text with comments, strings and character literals blanked out, line for line.
    pub code: String,
    /// The first line (from 1) that belongs to the unit tests at the file's end; one past the last where there are none.
    pub tests_from: usize,
}

impl Source {
    fn new(path: &str, text: &str) -> Source {
        let code = code::blank(text);
        let lines = text.lines().count();
        let is_test = path.contains("/tests/") || path.ends_with("/tests.rs");
        let tests = code.lines().position(|line| line.trim_start().starts_with("#[cfg(test)]"));
        let has_body =
            |from: usize| code.lines().skip(from + 1).any(|line| line.starts_with("mod ") && line.contains('{'));
        let tests_from = match tests {
            _ if is_test => 1,
            Some(from) if has_body(from) => from + 1,
            _ => lines + 1,
        };
        Source { path: path.into(), code, tests_from }
    }

    /// Whether it lies in this folder.
    pub fn is_in(&self, folder: &str) -> bool {
        is_in(&self.path, folder)
    }
}

pub fn is_in(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl Tree {
    pub fn read(root: &Path) -> Result<Tree, String> {
        let mut files = BTreeMap::new();
        walk(root, "", &mut files)?;
        Ok(Tree::of(root, files))
    }

    fn of(root: &Path, files: BTreeMap<String, String>) -> Tree {
        let rust = files.iter().filter(|(path, _)| path.ends_with(".rs"));
        let sources = rust.map(|(path, text)| Source::new(path, text)).collect();
        Tree { root: root.into(), sources, files }
    }

    /// The entries of one section of `layers.toml`.
    pub fn declared(&self, section: &str) -> Vec<Entry<'_>> {
        let text = self.files.get("layers.toml").map_or("", String::as_str);
        toml::entries(text).into_iter().filter(|entry| entry.section == section).collect()
    }

    /// The folders of the crates, and their `Cargo.toml`.
    pub fn crates(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().filter_map(|(path, text)| Some((path.strip_suffix("/Cargo.toml")?, text.as_str())))
    }
}

fn walk(root: &Path, below: &str, files: &mut BTreeMap<String, String>) -> Result<(), String> {
    let complain = |e: std::io::Error| format!("{below}: {e}");
    for entry in fs::read_dir(root.join(below)).map_err(complain)? {
        let entry = entry.map_err(complain)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if below.is_empty() { name.clone() } else { format!("{below}/{name}") };
        let is_folder = entry.file_type().map_err(complain)?.is_dir();
        let is_text = Path::new(&name).extension().is_some_and(|e| KINDS.iter().any(|kind| e == *kind));
        if is_folder && !name.starts_with('.') && !SKIPPED.contains(&path.as_str()) {
            walk(root, &path, files)?;
        } else if is_text && !is_folder {
            let text = fs::read_to_string(entry.path()).map_err(|e| format!("{path}: {e}"))?;
            files.insert(path, text);
        }
    }
    Ok(())
}

/// A tree of made-up files, for the tests of the checks.
#[cfg(test)]
pub fn made_of(files: &[(&str, &str)]) -> Tree {
    let files = files.iter().map(|(path, text)| (path.to_string(), text.to_string()));
    Tree::of(Path::new("made-up"), files.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unit_tests_begin_at_their_attribute() {
        let tests_from = |path, text| Source::new(path, text).tests_from;
        assert_eq!(tests_from("a/src/lib.rs", "//! A.\nfn a() {}\n"), 3);
        assert_eq!(tests_from("a/src/lib.rs", "//! A.\nfn a() {}\n\n#[cfg(test)]\nmod tests {\n}\n"), 4);
        assert_eq!(
            tests_from("a/src/lib.rs", "//! A.\n#[cfg(test)]\nmod tests;\nfn a() {}\n"),
            5,
            "the tests are elsewhere"
        );
        assert_eq!(tests_from("a/src/x/tests.rs", "//! A.\n"), 1);
        assert_eq!(tests_from("a/tests/all.rs", "//! A.\n"), 1);
    }

    #[test]
    fn a_folder_holds_itself_and_what_is_below() {
        assert!(is_in("io/rt/src/lib.rs", "io/rt") && is_in("io", "io"));
        assert!(!is_in("io/rtx/src/lib.rs", "io/rt") && !is_in("pure/io", "io"));
    }
}
