//! `ottla-loader`: Ottla beside the floor and beside Apache Kafka.
//!
//! `cargo xtask bench` builds the two servers and this program, fetches Kafka, and runs it. It measures cases, each on each server
//! in turn: what a request costs in processor time of the server's process, how late it is answered, what memory, starts and rest
//! take. What the loader itself uses is not counted. On the loopback the kernel's work for a packet is charged to whoever sends
//! it, so a server does not pay for its client's requests, but for its own replies: a figure compares to one taken in the same way.

mod apache;
mod cases;
mod check;
mod figure;
mod groups;
mod histogram;
mod kafka;
mod load;
mod machine;
mod options;
mod page;
mod report;
mod row;
mod rows;
mod server;
mod warm;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, ensure};
use serde_json::{Map, Value, json};

use apache::Apache;
use cases::{Case, Effort, Tools};
use machine::Machine;
use options::{Options, Purpose, Servers};
use server::Side;

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
    let sides = sides(options);
    let baseline = match &options.baseline {
        Some((_, path)) => Some(check::read(path)?),
        None => None,
    };
    let all: Vec<Case> = cases::all();
    let known: BTreeSet<&str> = all.iter().flat_map(|case| case.names().into_iter().chain([case.name])).collect();
    let is_named = options::named(&options.names, &known);
    let wanted = |case: Case| match &baseline {
        Some(rows) => case.keep_named(true, |name| rows.contains_key(name)),
        None if !options.names.is_empty() => case.keep_named(options.is_quick, &is_named),
        None if options.is_quick => case.keep_quick(),
        None => Some(case),
    };
    let can_run = |case: &Case| sides.iter().any(|side| case.runs_on(side, options.is_quick));
    let cases: Vec<Case> = cases::all().into_iter().filter_map(wanted).filter(can_run).collect();
    ensure!(!cases.is_empty(), "no row has such a name; --list tells them");
    if options.lists {
        cases.iter().flat_map(Case::names).for_each(say);
        return Ok(());
    }
    // What a run has left that was cut off.
    server::clean(&options.out)?;
    let machine = Machine::look(&options.out);
    machine.lines().iter().for_each(|line| say(line));
    let book = Book {
        path: options.out.join(format!("{}.json", machine::since_epoch().as_secs())),
        options,
        machine,
        versions: versions(&sides, &options.tools),
    };
    let servers: Vec<&str> = sides.iter().map(Side::name).collect();
    let Options { rounds, is_quick, out, tools, .. } = options;
    let effort = Effort { rounds: *rounds, is_quick: *is_quick, scratch: out, tools };
    let (mut kept, mut all_figures, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    for case in cases {
        let (name, about) = (case.name, case.about);
        let began = Instant::now();
        let results = match case.measure(&sides, effort) {
            Ok(results) => results,
            // The others are none the worse for it.
            Err(error) => {
                say(&format!("{name}: {error:#}"));
                failed.push(json!({ "case": name, "why": format!("{error:#}") }));
                book.keep(&kept, &failed)?;
                continue;
            }
        };
        let seconds = began.elapsed().as_secs();
        say(&format!("{name}: {about} Measured in {seconds} s."));
        results.figures.iter().for_each(|figure| say(&report::line(figure, &servers)));
        kept.push(json!({ "case": name, "about": about, "seconds": seconds, "results": results.json() }));
        book.keep(&kept, &failed)?;
        all_figures.extend(results.figures);
    }
    server::clean(out)?;
    ensure!(failed.is_empty(), "{} of the cases could not be measured", failed.len());
    if let Some((purpose, path)) = &options.baseline {
        match purpose {
            Purpose::Check => {
                check::check(&baseline.unwrap_or_default(), &all_figures)?.iter().for_each(|line| say(line));
            }
            Purpose::Keep => check::keep(path, &all_figures)?,
        }
    }
    say(&format!("All rounds, and what they ran on: {}", book.path.display()));
    Ok(())
}

fn sides(options: &Options) -> Vec<Side> {
    match &options.servers {
        Servers::Ours { ottla, floor } => {
            let warm_up = if options.is_quick { apache::QUICK_WARM_UP } else { apache::WARM_UP };
            let ours = [Side::Ottla { program: ottla.clone() }, Side::Floor { program: floor.clone() }];
            let kafka = options
                .tools
                .jars
                .iter()
                .map(|jars| Side::Kafka(Apache { jars: jars.clone(), warm_up, is_kept: false }));
            ours.into_iter().chain(kafka).collect()
        }
        Servers::Running { address, pid } => vec![Side::Running { address: *address, pid: *pid }],
    }
}

/// Where results go, beside those of earlier runs.
struct Book<'a> {
    path: PathBuf,
    options: &'a Options,
    machine: Machine,
    /// Read once: the tree may be edited meanwhile.
    versions: Map<String, Value>,
}

impl Book<'_> {
    /// Writes what there is: a run that is cut off loses the case that it was at.
    fn keep(&self, cases: &[Value], failed: &[Value]) -> anyhow::Result<()> {
        let all = json!({
            "command": self.options.command(),
            "machine": self.machine.json(),
            "versions": self.versions,
            "is_quick": self.options.is_quick,
            "rounds": self.options.rounds,
            "cases": cases,
            "failed": failed,
        });
        fs::create_dir_all(&self.options.out)?;
        // Whoever cuts off the run leaves what was there before.
        let new = self.path.with_extension("new");
        fs::write(&new, format!("{all:#}\n")).with_context(|| format!("cannot write {}", new.display()))?;
        fs::rename(&new, &self.path).with_context(|| format!("cannot write {}", self.path.display()))
    }
}

fn versions(sides: &[Side], tools: &Tools) -> Map<String, Value> {
    let servers = sides.iter().map(|side| (side.name().into(), version(side)));
    let clients = tools.python.iter().map(|python| ("librdkafka".into(), cases::librdkafka_version(python).into()));
    servers.chain(clients).collect()
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
