//! `ottla`: the one binary.

mod logging;
mod server;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "ottla", version, about = "The Kafka platform in one binary.")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Runs a broker until SIGTERM or SIGINT.
    Server(server::Args),
}

fn main() -> ExitCode {
    match Cli::parse().verb {
        Verb::Server(args) => server::run(&args),
    }
}
