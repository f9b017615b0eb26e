//! Which crate may depend on which: `[layers]`, `[machines]` and `[outside]` of `layers.toml` against every `Cargo.toml`.

use super::Finding;
use super::toml::{Entry, entries};
use super::tree::{Tree, is_in};

pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = machines(tree);
    for (folder, manifest) in tree.crates() {
        let path = format!("{folder}/Cargo.toml");
        let layers = tree.declared("layers");
        let Some(allowed) = layers.iter().find(|entry| entry.key == folder) else {
            findings.push(Finding {
                path,
                line: 0,
                what: format!("{folder} has no line in [layers] of layers.toml"),
                mend: "declare what it may depend on; a crate is made when it has something to do".into(),
            });
            continue;
        };
        for dependency in entries(manifest).iter().filter(|entry| entry.section.ends_with("dependencies")) {
            findings.extend(edge(tree, folder, allowed, dependency));
        }
    }
    findings
}

/// Judges one line of a `[dependencies]` section.
fn edge(tree: &Tree, folder: &str, allowed: &Entry<'_>, dependency: &Entry<'_>) -> Option<Finding> {
    let name = dependency.key.split('.').next()?;
    let finding = |what, mend: &str| {
        Some(Finding { path: format!("{folder}/Cargo.toml"), line: dependency.line, what, mend: mend.into() })
    };
    if let Some(outside) = tree.declared("outside").iter().find(|entry| entry.key == name) {
        let fits = outside.strings().iter().any(|place| is_in(folder, place));
        return match fits {
            true => None,
            false => finding(
                format!("{folder} uses {name}, which is for {}", outside.strings().join(", ")),
                "pass what you need from it as an argument, or move the code to io/",
            ),
        };
    }
    let target = name.strip_prefix("ottla-")?;
    let target = tree.crates().map(|(other, _)| other).find(|other| other.ends_with(&format!("/{target}")))?;
    let fits = allowed.strings().iter().any(|pattern| match pattern.strip_suffix("/*") {
        Some(layer) => is_in(target, layer),
        None => target == *pattern,
    });
    match fits {
        true => None,
        false => finding(
            format!("{folder} depends on {target}, which [layers] of layers.toml does not allow"),
            "let node/broker join the two; a new edge needs a reason that a reviewer accepts",
        ),
    }
}

fn machines(tree: &Tree) -> Vec<Finding> {
    let machines: Vec<&str> = tree.declared("machines").iter().flat_map(Entry::strings).collect();
    let layers = tree.declared("layers");
    let joined = layers.iter().filter(|entry| machines.contains(&entry.key)).flat_map(|entry| {
        let others = entry.strings().into_iter().filter(|other| machines.contains(other));
        others.map(move |other| (entry.line, entry.key, other))
    });
    let findings = joined.map(|(line, one, other)| Finding {
        path: "layers.toml".into(),
        line,
        what: format!("the machines {one} and {other} may not know each other"),
        mend: "let them meet in node/broker, as effects".into(),
    });
    findings.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree::made_of;

    const LAYERS: &str = "[layers]\n\"pure/base\" = []\n\"pure/wire\" = [\"pure/base\"]\n\"io/rt\" = [\"pure/*\"]\n\
        [outside]\ntokio = [\"io\"]\n";

    fn check_crates(layers: &str, crates: &[(&str, &str)]) -> Vec<String> {
        let mut files = vec![("layers.toml", layers), ("pure/base/Cargo.toml", ""), ("pure/wire/Cargo.toml", "")];
        files.extend(crates);
        check(&made_of(&files)).iter().map(|f| format!("{}:{} {}", f.path, f.line, f.what)).collect()
    }

    #[test]
    fn declared_edges_pass() {
        let rt = (
            "io/rt/Cargo.toml",
            "[dependencies]\nottla-wire.workspace = true\ntokio = { workspace = true }\nbytes = \"1\"\n",
        );
        let wire = ("pure/wire/Cargo.toml", "[dev-dependencies]\nottla-base = { path = \"../base\" }\n");
        assert_eq!(check_crates(LAYERS, &[rt, wire]), Vec::<String>::new());
    }

    #[test]
    fn other_edges_do_not() {
        let base = (
            "pure/base/Cargo.toml",
            "[package]\nname = \"ottla-base\"\n[dev-dependencies]\nottla-wire.workspace = true\n",
        );
        let found = check_crates(LAYERS, &[base]);
        assert_eq!(
            found,
            ["pure/base/Cargo.toml:4 pure/base depends on pure/wire, which [layers] of layers.toml does not allow"]
        );
        let wire = ("pure/wire/Cargo.toml", "[dependencies]\ntokio.workspace = true\n");
        assert_eq!(check_crates(LAYERS, &[wire]), ["pure/wire/Cargo.toml:2 pure/wire uses tokio, which is for io"]);
    }

    #[test]
    fn an_allowed_edge_allows_no_other() {
        let files = [("io/rt/Cargo.toml", ""), ("pure/wire/Cargo.toml", "[dependencies]\nottla-rt.workspace = true\n")];
        let found = check_crates(LAYERS, &files);
        assert_eq!(
            found,
            ["pure/wire/Cargo.toml:2 pure/wire depends on io/rt, which [layers] of layers.toml does not allow"]
        );
    }

    #[test]
    fn every_crate_is_declared() {
        let found = check_crates(LAYERS, &[("pure/group/Cargo.toml", "")]);
        assert_eq!(found, ["pure/group/Cargo.toml:0 pure/group has no line in [layers] of layers.toml"]);
    }

    #[test]
    fn machines_stay_apart() {
        let layers = format!("{LAYERS}[machines]\ncrates = [\"pure/base\", \"pure/wire\"]\n");
        assert_eq!(
            check_crates(&layers, &[]),
            ["layers.toml:3 the machines pure/wire and pure/base may not know each other"]
        );
    }
}
