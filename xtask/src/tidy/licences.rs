//! The licences of everything that is built, against `[licences]` of `layers.toml`.

use std::process::Command;

use super::Finding;
use super::toml::Entry;
use super::tree::Tree;

pub fn check(tree: &Tree) -> Vec<Finding> {
    let allowed: Vec<&str> = tree.declared("licences").iter().flat_map(Entry::strings).collect();
    let finding = |what: String, mend: &str| Finding { path: "Cargo.lock".into(), line: 0, what, mend: mend.into() };
    let packages = match packages(tree) {
        Ok(packages) => packages,
        Err(why) => return vec![finding(why, "run it by hand to see more")],
    };
    let refused = packages
        .lines()
        .filter_map(|line| line.trim_end_matches(" (*)").split_once('|'))
        .filter(|(_, licence)| !fits(licence, &allowed));
    let mut findings: Vec<Finding> = refused
        .map(|(package, licence)| {
            let mend = "depend on something else; a licence that we may take is added to [licences] of layers.toml";
            finding(format!("{package} has the licence \"{licence}\""), mend)
        })
        .collect();
    findings.sort();
    findings.dedup();
    findings
}

/// `name vVERSION|LICENCE`, one a line.
fn packages(tree: &Tree) -> Result<String, String> {
    let mut cargo = Command::new(crate::cargo());
    cargo.current_dir(&tree.root).args([
        "tree",
        "--workspace",
        "--edges",
        "all",
        "--target",
        "all",
        "--prefix",
        "none",
        "--format",
        "{p}|{l}",
    ]);
    let output = cargo.output().map_err(|e| format!("cargo tree: {e}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(format!("cargo tree failed: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}

/// Whether an SPDX expression can be met by what is allowed. `/` is how older packages write OR.
fn fits(expression: &str, allowed: &[&str]) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = &words[..];
    let fits = any(&mut rest, allowed);
    fits && rest.is_empty()
}

fn any(words: &mut &[&str], allowed: &[&str]) -> bool {
    let mut fits = all(words, allowed);
    while let Some(("OR", rest)) = words.split_first().map(|(first, rest)| (*first, rest)) {
        *words = rest;
        fits |= all(words, allowed);
    }
    fits
}

fn all(words: &mut &[&str], allowed: &[&str]) -> bool {
    let mut fits = one(words, allowed);
    while let Some(("AND", rest)) = words.split_first().map(|(first, rest)| (*first, rest)) {
        *words = rest;
        fits &= one(words, allowed);
    }
    fits
}

fn one(words: &mut &[&str], allowed: &[&str]) -> bool {
    let Some((first, rest)) = words.split_first() else { return false };
    *words = rest;
    if *first == "(" {
        let fits = any(words, allowed);
        let closed = words.first() == Some(&")");
        *words = words.get(1..).unwrap_or_default();
        return fits && closed;
    }
    match words {
        ["WITH", exception, rest @ ..] => {
            let name = format!("{first} WITH {exception}");
            *words = rest;
            allowed.contains(&name.as_str())
        }
        _ => allowed.contains(first),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions() {
        let allowed = ["MIT", "Apache-2.0", "Unicode-3.0", "Apache-2.0 WITH LLVM-exception"];
        for good in [
            "MIT",
            "MIT/GPL-3.0",
            "GPL-3.0 OR MIT",
            "(MIT OR GPL-3.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception",
            "MIT AND Apache-2.0 OR GPL-2.0",
        ] {
            assert!(fits(good, &allowed), "{good}");
        }
        for bad in ["", "GPL-3.0", "MIT AND GPL-3.0", "MIT WITH strings", "(MIT", "MIT)", "GPL-2.0 OR MIT AND GPL-3.0"]
        {
            assert!(!fits(bad, &allowed), "{bad}");
        }
    }
}
