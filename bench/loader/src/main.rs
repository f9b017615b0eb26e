//! `ottla-loader`: what a request costs Ottla, beside the floor and beside Apache Kafka.
//!
//! `cargo xtask bench` builds the two servers and this program, fetches Kafka, and runs it. Each row of the table is one kind of
//! load; it runs on each server in turn, and tells the processor time that its process used for a request. What
//! the loader itself uses is not counted. On the loopback the kernel's work for a packet is charged to whoever sends it, so
//! a server does not pay for its client's requests, but for its own replies: a figure compares to one taken in the same way.

mod apache;
mod compare;
mod figure;
mod groups;
mod histogram;
mod kafka;
mod load;
mod machine;
mod options;
mod page;
mod report;
mod rest;
mod rows;
mod server;

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use apache::Apache;
use figure::Figure;
use groups::Effort;
use machine::Machine;
use options::{Options, Servers};
use report::Compared;
use rest::OfKafkaToo;
use rows::Row;
use server::Side;

/// `--quick` divides the requests of a round by it.
const QUICK_PART: u64 = 4;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).peekable();
    let done = match arguments.next_if(|argument| argument == "--page") {
        Some(_) => page::of_files(&arguments.map(PathBuf::from).collect::<Vec<_>>()).map(|page| say(page.trim_end())),
        None => options::parse(arguments).and_then(|options| run(&options)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> anyhow::Result<()> {
    let sides = sides(&options.servers);
    let wanted = rows::all().into_iter().filter(|row| is_wanted(options, &row.name, row.is_quick));
    let part = if options.is_quick { QUICK_PART } else { 1 };
    let rows: Vec<Row> = wanted.map(|row| Row { requests: row.requests / part, ..row }).collect();
    // They need processes of their own.
    let has_ottla = sides.iter().any(|side| matches!(side, Side::Ottla { .. }));
    let names = rest::NAMES.map(|(name, _)| name).into_iter().chain(groups::NAMES);
    let figures: Vec<&'static str> = names.filter(|name| has_ottla && is_wanted(options, name, true)).collect();
    ensure!(!rows.is_empty() || !figures.is_empty(), "no row has such a name; --list tells them");
    if options.lists {
        rows.iter().map(|row| row.name.as_str()).chain(figures).for_each(say);
        return Ok(());
    }
    let machine = Machine::look();
    machine.lines().iter().for_each(|line| say(line));
    let book = Book {
        path: options.out.join(format!("{}.json", compare::since_epoch().as_secs())),
        options,
        machine,
        sides: &sides,
    };
    let mut results = Vec::new();
    if !rows.is_empty() {
        say(&report::heading(&sides));
    }
    for case in rows.chunk_by(|a, b| a.case == b.case) {
        let samples = compare::compare(case, &sides, options.rounds, &options.out)?;
        for (row, samples) in case.iter().zip(samples) {
            let compared = Compared { row, sides: &sides, samples };
            compared.lines().iter().for_each(|line| say(line));
            results.push(compared.json());
        }
        book.keep(&results)?;
    }
    for name in figures {
        for figure in measure_figures(name, &sides, options)? {
            say(&figure.line());
            results.push(figure.json());
        }
        book.keep(&results)?;
    }
    say(&format!("All rounds, and what they ran on: {}", book.path.display()));
    Ok(())
}

fn measure_figures(name: &'static str, sides: &[Side], options: &Options) -> anyhow::Result<Vec<Figure>> {
    if let Some((_, of_kafka_too)) = rest::NAMES.iter().find(|(other, _)| *other == name) {
        let is_beside = |side: &&Side| match side {
            Side::Ottla { .. } => true,
            Side::Kafka(_) => match of_kafka_too {
                OfKafkaToo::Always => true,
                OfKafkaToo::UnlessQuick => !options.is_quick,
                OfKafkaToo::Never => false,
            },
            _ => false,
        };
        let rounds = if options.is_quick { 1 } else { options.rounds };
        return rest::measure(name, &sides.iter().filter(is_beside).collect::<Vec<_>>(), rounds, &options.out);
    }
    let side = sides.iter().find(|side| matches!(side, Side::Ottla { .. })).context("groups are measured of Ottla")?;
    let effort = match options.is_quick {
        true => Effort { rounds: 1, part: QUICK_PART },
        false => Effort { rounds: options.rounds, part: 1 },
    };
    groups::measure(name, side, effort, &options.out)
}

fn sides(servers: &Servers) -> Vec<Side> {
    match servers {
        Servers::Ours { ottla, floor, kafka } => {
            let ours = [Side::Ottla { program: ottla.clone() }, Side::Floor { program: floor.clone() }];
            let kafka = kafka.iter().map(|jars| Side::Kafka(Apache { jars: jars.clone() }));
            ours.into_iter().chain(kafka).collect()
        }
        Servers::Running { address, pid } => vec![Side::Running { address: *address, pid: *pid }],
    }
}

/// A row that is named runs, be it quick or not.
fn is_wanted(options: &Options, name: &str, is_quick: bool) -> bool {
    match options.names.is_empty() {
        true => is_quick || !options.is_quick,
        false => options.names.iter().any(|wanted| name.contains(wanted.as_str())),
    }
}

/// Where results go, beside those of earlier runs.
struct Book<'a> {
    path: PathBuf,
    options: &'a Options,
    machine: Machine,
    sides: &'a [Side],
}

impl Book<'_> {
    /// Writes what there is: a run that is cut off loses the case that it was at.
    fn keep(&self, results: &[Value]) -> anyhow::Result<()> {
        let versions: serde_json::Map<String, Value> =
            self.sides.iter().map(|side| (side.name().into(), version(side))).collect();
        let all = json!({
            "command": self.options.command(),
            "machine": self.machine.json(),
            "versions": versions,
            "rounds": self.options.rounds,
            "results": results,
        });
        fs::create_dir_all(&self.options.out)?;
        fs::write(&self.path, format!("{all:#}\n")).with_context(|| format!("cannot write {}", self.path.display()))
    }
}

fn version(side: &Side) -> Value {
    match side {
        Side::Ottla { program } => machine::version(program).into(),
        Side::Floor { .. } => env!("CARGO_PKG_VERSION").into(),
        Side::Kafka(apache) => apache.version().into(),
        Side::Running { address, pid } => format!("process {pid} at {address}").into(),
    }
}

/// Prints a line to standard output. Nobody may be there to read it any more, and that is no fault.
fn say(line: &str) {
    drop(writeln!(std::io::stdout(), "{line}"));
}
