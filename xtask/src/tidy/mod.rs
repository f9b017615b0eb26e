//! `cargo xtask tidy`: the rules of the tree that a program can check.
//!
//! A rule in a document is forgotten by the third person who reads it. Here a rule is a function of the tree's files that
//! gives findings: where, what, and how to mend it. What the rules need to know of this tree stands in `layers.toml`.

mod banned;
mod code;
mod generated;
mod layers;
mod licences;
mod names;
mod references;
mod size;
mod toml;
mod tree;

use std::fmt;
use std::path::Path;

use tree::Tree;

/// Something that breaks a rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    path: String,
    /// Counted from 1; 0 where the whole file is meant.
    line: usize,
    what: String,
    mend: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        write!(f, ": {}\n    {}", self.what, self.mend)
    }
}

type Check = fn(&Tree) -> Vec<Finding>;

const CHECKS: &[Check] =
    &[layers::check, names::check, size::check, banned::check, references::check, licences::check, generated::check];

/// Runs the verb in the workspace at `root`.
pub fn run(root: &Path, arguments: &[String]) -> Result<(), String> {
    if !arguments.is_empty() {
        return Err("usage: cargo xtask tidy".into());
    }
    let tree = Tree::read(root)?;
    let mut findings: Vec<Finding> = CHECKS.iter().flat_map(|check| check(&tree)).collect();
    findings.sort();
    for finding in &findings {
        crate::say(&finding.to_string());
    }
    match findings.len() {
        0 => Ok(()),
        1 => Err("1 finding".into()),
        n => Err(format!("{n} findings")),
    }
}
