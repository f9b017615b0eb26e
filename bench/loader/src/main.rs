//! `ottla-loader`: what a request costs Ottla, beside the floor.
//!
//! `cargo xtask bench` builds the two servers and this program, and runs it. Each row of the table is one kind of load; it
//! runs on Ottla and on the floor in turn, and tells the processor time that each server's process used for a request. What
//! the loader itself uses is not counted. On the loopback the kernel's work for a packet is charged to whoever sends it, so
//! a server does not pay for its client's requests, but for its own replies: a figure compares to one taken in the same way.

mod alone;
mod compare;
mod groups;
mod histogram;
mod kafka;
mod load;
mod machine;
mod options;
mod report;
mod rows;
mod server;

use std::fs;
use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use alone::Figure;
use groups::Effort;
use machine::Machine;
use options::{Options, Servers};
use report::Compared;
use rows::Row;
use server::Side;

/// `--quick` divides the requests of a round by it.
const QUICK_PART: u64 = 4;

fn main() -> ExitCode {
    match options::parse(std::env::args().skip(1)).and_then(|options| run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> anyhow::Result<()> {
    let sides = sides(&options.servers);
    let rows: Vec<Row> = rows::all().into_iter().filter(|row| is_wanted(options, &row.name, row.is_quick)).collect();
    // A figure of Ottla alone needs a process of its own.
    let alone_side = sides.iter().find(|side| matches!(side, Side::Ottla { .. }));
    let alone = alone::NAMES
        .into_iter()
        .chain(groups::NAMES)
        .filter(|name| alone_side.is_some() && is_wanted(options, name, true));
    let alone: Vec<&'static str> = alone.collect();
    ensure!(!rows.is_empty() || !alone.is_empty(), "no row has such a name; --list tells them");
    if options.lists {
        rows.iter().map(|row| row.name.as_str()).chain(alone).for_each(say);
        return Ok(());
    }
    let machine = Machine::look();
    machine.lines().iter().for_each(|line| say(line));
    let mut results = Vec::new();
    if !rows.is_empty() {
        say(&report::heading(&sides));
    }
    for row in rows {
        let row = if options.is_quick { Row { requests: row.requests / QUICK_PART, ..row } } else { row };
        let samples = compare::compare(&row, &sides, options.rounds, &options.out)?;
        let compared = Compared { row: &row, sides: &sides, samples };
        compared.lines().iter().for_each(|line| say(line));
        results.push(compared.json());
    }
    for (name, side) in alone.into_iter().zip(alone_side.into_iter().cycle()) {
        for figure in measure_alone(name, side, options)? {
            say(&figure.line());
            results.push(figure.json());
        }
    }
    keep(options, &machine, &sides, results)
}

fn measure_alone(name: &'static str, side: &Side, options: &Options) -> anyhow::Result<Vec<Figure>> {
    if !groups::NAMES.contains(&name) {
        return alone::measure(name, side, &options.out);
    }
    let effort = match options.is_quick {
        true => Effort { rounds: 1, part: QUICK_PART },
        false => Effort { rounds: options.rounds, part: 1 },
    };
    groups::measure(name, side, effort, &options.out)
}

fn sides(servers: &Servers) -> Vec<Side> {
    match servers {
        Servers::Ours { ottla, floor } => {
            vec![Side::Ottla { program: ottla.clone() }, Side::Floor { program: floor.clone() }]
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

/// Writes the results beside those of earlier runs.
fn keep(options: &Options, machine: &Machine, sides: &[Side], results: Vec<Value>) -> anyhow::Result<()> {
    let at = compare::since_epoch().as_secs();
    let versions: serde_json::Map<String, Value> =
        sides.iter().map(|side| (side.name().into(), version(side))).collect();
    let all = json!({
        "unix_time_s": at,
        "command": std::env::args().collect::<Vec<_>>().join(" "),
        "machine": machine.json(),
        "versions": versions,
        "rounds": options.rounds,
        "results": results,
    });
    fs::create_dir_all(&options.out)?;
    let path = options.out.join(format!("{at}.json"));
    fs::write(&path, format!("{all:#}\n")).with_context(|| format!("cannot write {}", path.display()))?;
    say(&format!("All rounds, and what they ran on: {}", path.display()));
    Ok(())
}

fn version(side: &Side) -> Value {
    match side {
        Side::Ottla { program } => machine::version(program).into(),
        Side::Floor { .. } => env!("CARGO_PKG_VERSION").into(),
        Side::Running { address, pid } => format!("process {pid} at {address}").into(),
    }
}

/// Prints a line to standard output. Nobody may be there to read it any more, and that is no fault.
fn say(line: &str) {
    drop(writeln!(std::io::stdout(), "{line}"));
}
