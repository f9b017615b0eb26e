//! `cargo xtask gen`: the tables of `pure/wire/schema/` in, the Rust of `pure/wire` out; and the table of metrics in
//! `node/broker/schema/`, of which come constants and a page.
//!
//! What it writes is committed, one file a message, so that a build needs no generator and a reader no imagination.
//! `cargo xtask gen --check` writes nothing and fails if the committed files are not what the tables say.
//!
//! [`table`] reads the tables, [`model`] makes messages of their rows, the rest writes: [`message`] a file of a message,
//! [`family`] the `mod.rs` above a table's messages, [`numbers`] API keys and error codes, [`oracle`] a list for the tests,
//! [`metrics`] what is told of metrics, [`config`] and [`protocol`] the pages of keys.

mod config;
mod family;
mod message;
mod metrics;
mod model;
mod numbers;
mod oracle;
mod output;
mod protocol;
mod table;

use std::path::Path;

use family::{Family, Framing};
use output::Output;

/// The tables of messages, and where their Rust goes.
const FAMILIES: &[Family] = &[
    Family { table: "messages.tsv", folder: "messages", framing: Framing::Api },
    Family { table: "metadata.tsv", folder: "records/metadata", framing: Framing::Metadata },
    Family { table: "consumer_offsets.tsv", folder: "records/consumer_offsets", framing: Framing::Coordinator },
    Family { table: "transaction_state.tsv", folder: "records/transaction_state", framing: Framing::Coordinator },
    Family { table: "share_group_state.tsv", folder: "records/share_group_state", framing: Framing::Coordinator },
    Family { table: "control.tsv", folder: "records/control", framing: Framing::None },
    Family { table: "consumer_protocol.tsv", folder: "records/consumer_protocol", framing: Framing::None },
];

/// Runs the verb in the workspace at `root`.
pub fn run(root: &Path, arguments: &[String]) -> Result<(), String> {
    let mut output = generate(&root.join("pure/wire/schema"))?;
    let schema = root.join("node/broker/schema");
    metrics::add(
        &mut output,
        &table::read(&schema.join("metrics.tsv"))?,
        &table::read(&schema.join("kafka-4.3.1.tsv"))?,
    )?;
    config::add(&mut output);
    protocol::add(&mut output, root, &table::read(&root.join("pure/wire/schema/api.tsv"))?)?;
    output.format(root)?;
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => output.write(root),
        ["--check"] => output.check(root),
        _ => Err("usage: cargo xtask gen [--check]".into()),
    }
}

fn generate(schema: &Path) -> Result<Output, String> {
    let mut output = Output::default();
    let mut families = Vec::new();
    for family in FAMILIES {
        let messages = model::messages(&table::read(&schema.join(family.table))?)?;
        for message in &messages {
            let file = format!("pure/wire/src/{}/{}.rs", family.folder, message.file());
            output.add(&file, message::file(family, message));
        }
        output.add(&format!("pure/wire/src/{}/mod.rs", family.folder), family::file(family, &messages));
        families.push((family, messages));
    }
    output.add("pure/wire/src/api/table.rs", numbers::api_keys(&table::read(&schema.join("api.tsv"))?)?);
    output.add("pure/wire/src/error/table.rs", numbers::error_codes(&table::read(&schema.join("errors.tsv"))?)?);
    output.add("pure/wire/tests/oracle/messages.rs", oracle::file(&families));
    Ok(output)
}

/// `CamelCase` of `snake_case` and of `SCREAMING_CASE`.
fn camel(name: &str) -> String {
    name.split('_').map(|word| word[..1].to_uppercase() + &word[1..].to_lowercase()).collect()
}

/// `snake_case` of `CamelCase`; a run of capitals is one word, of which the last begins the next.
fn snake(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut snake = String::new();
    for (i, c) in letters.iter().enumerate() {
        let after_lower = i > 0 && !letters[i - 1].is_uppercase();
        let before_lower = i > 0 && letters.get(i + 1).is_some_and(|next| next.is_lowercase());
        if c.is_uppercase() && (after_lower || before_lower) {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (name, expected) in [("CreateTopicsRequest", "create_topics_request"), ("KRaftVersion", "k_raft_version")] {
            assert_eq!(snake(name), expected);
        }
        assert_eq!(camel("NOT_LEADER_OR_FOLLOWER"), "NotLeaderOrFollower");
        assert_eq!(camel("consumer_offsets"), "ConsumerOffsets");
    }
}
