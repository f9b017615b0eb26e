//! `cargo xtask`: what a developer runs. Without arguments it lists the verbs.

mod bench;
mod r#gen;
mod sim;
mod test;
mod tidy;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// A verb. Its error is told after its name; an empty one says that the verb has told all itself.
type Run = fn(root: &Path, arguments: &[String]) -> Result<(), String>;

const VERBS: &[(&str, &str, Run)] = &[
    ("test", "everything: rules, lints, unit tests, foreign clients, kill -9; sets up what it needs", test::run),
    ("tidy", "only the rules of the tree", tidy::run),
    (
        "compat",
        "only the foreign clients: [--bootstrap HOST:PORT] [--only TEXT] [python|java|hostile|kill]...",
        test::compat,
    ),
    ("bench", "Ottla beside Apache Kafka and the floor: [NAME...] [--quick] [--list] [--check] ...", bench::run),
    (
        "soak",
        "what takes long: 50 rounds of kill -9, restarts with 10 GiB, a full disk: [kill|restart|full]...",
        test::soak::run,
    ),
    ("sim", "whole brokers in simulation: [SEED] | twice [SEED] | hunt COUNT [FIRST SEED]", sim::run),
    ("gen", "writes what comes of tables: pure/wire, metrics and their page; --check only compares", r#gen::run),
];

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace");
    let mut arguments = std::env::args().skip(1);
    let verb = arguments.next();
    match VERBS.iter().find(|(name, ..)| Some(*name) == verb.as_deref()) {
        None => {
            for (name, about, _) in VERBS {
                eprintln!("cargo xtask {name:8} {about}");
            }
            ExitCode::from(u8::from(verb.is_some()))
        }
        Some((name, _, run)) => match run(root, &arguments.collect::<Vec<_>>()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(what) => {
                if !what.is_empty() {
                    eprintln!("{name}: {what}");
                }
                ExitCode::FAILURE
            }
        },
    }
}

/// Prints a line to standard output. Nobody may be there to read it any more, and that is no fault.
fn say(line: &str) {
    drop(writeln!(std::io::stdout(), "{line}"));
}

/// The cargo that runs us.
fn cargo() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".into())
}
