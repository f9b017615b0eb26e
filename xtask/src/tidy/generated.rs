//! Generated files are committed; they must be what the generator writes today.

use super::Finding;
use super::tree::Tree;

pub fn check(tree: &Tree) -> Vec<Finding> {
    let checked = crate::r#gen::run(&tree.root, &["--check".into()]);
    let finding = checked.err().map(|what| Finding {
        path: "docs/reference, node/broker, pure/wire".into(),
        line: 0,
        what,
        mend: "run `cargo xtask gen`, and change the tables in place of what is made of them".into(),
    });
    finding.into_iter().collect()
}
