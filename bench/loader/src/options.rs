//! The command line: what `cargo xtask bench` passes on, and where it built the servers.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, bail};

use crate::cases::Tools;
use crate::check;

pub const USAGE: &str = "\
usage: cargo xtask bench [NAME...] [--quick] [--rounds N] [--list] [--without-kafka] [--at HOST:PORT --pid PID]
       cargo xtask bench --check | --keep
       cargo xtask bench --page [FILE...]

  NAME              the case or row of that name, or all whose name contains it; without one, all
  --quick           some rows, one round, with a quarter of the requests
  --rounds N        counted rounds of each row (3)
  --list            tells the names
  --without-kafka   compares Ottla with the floor alone
  --check           whether a request costs more beside the floor than bench/baseline.json says, as the tests build both
  --keep            writes down there what it costs now
  --page            makes docs/reference/benchmarks.md of the results in FILEs, the oldest first, or of the newest
  --at, --pid       measures a broker that runs already instead of Ottla and the floor; its topics stay";

const ROUNDS: usize = 3;

#[derive(Debug, PartialEq)]
pub struct Options {
    pub names: Vec<String>,
    pub is_quick: bool,
    pub rounds: usize,
    pub lists: bool,
    pub servers: Servers,
    pub tools: Tools,
    pub baseline: Option<(Purpose, PathBuf)>,
    /// Where results and the servers' directories go.
    pub out: PathBuf,
}

/// What a baseline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Check,
    Keep,
}

#[derive(Debug, PartialEq)]
pub enum Servers {
    Ours { ottla: PathBuf, floor: PathBuf },
    Running { address: SocketAddr, pid: u32 },
}

impl Options {
    /// What somebody would type to have the same again.
    pub fn command(&self) -> String {
        let mut command = "cargo xtask bench".to_owned();
        self.names.iter().for_each(|name| command += &format!(" {name}"));
        if self.is_quick {
            command += " --quick";
        }
        match &self.servers {
            Servers::Running { address, pid } => command += &format!(" --at {address} --pid {pid}"),
            Servers::Ours { .. } if self.tools.jars.is_none() => command += " --without-kafka",
            Servers::Ours { .. } => {}
        }
        if self.rounds != rounds_by_default(self.baseline.is_some(), self.is_quick) {
            command += &format!(" --rounds {}", self.rounds);
        }
        command
    }
}

pub fn parse(arguments: impl Iterator<Item = String>) -> anyhow::Result<Options> {
    let (mut names, mut is_quick, mut rounds, mut lists) = (Vec::new(), false, None, false);
    let (mut ottla, mut floor, mut out, mut address, mut pid) = (None, None, None, None, None);
    let (mut tools, mut baseline) = (Tools::default(), None);
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().with_context(|| format!("{argument} needs a value\n{USAGE}"));
        match argument.as_str() {
            "--quick" => is_quick = true,
            "--list" => lists = true,
            "--rounds" => {
                rounds = Some(value()?.parse().ok().filter(|n| *n > 0).context("--rounds needs a number above 0")?);
            }
            "--ottla" => ottla = Some(value()?.into()),
            "--floor" => floor = Some(value()?.into()),
            "--kafka" => tools.jars = Some(value()?.into()),
            "--python" => tools.python = Some(value()?.into()),
            "--check" => baseline = Some((Purpose::Check, value()?.into())),
            "--keep" => baseline = Some((Purpose::Keep, value()?.into())),
            "--out" => out = Some(value()?.into()),
            "--at" => address = Some(value()?.parse().context("--at needs HOST:PORT, the host as an address")?),
            "--pid" => pid = Some(value()?.parse().context("--pid needs a process id")?),
            name if !name.starts_with('-') => names.push(argument),
            _ => bail!("{argument} is not known\n{USAGE}"),
        }
    }
    let servers = match (address, pid) {
        (Some(address), Some(pid)) => Servers::Running { address, pid },
        (None, None) => Servers::Ours { ottla: ottla.context(USAGE)?, floor: floor.context(USAGE)? },
        _ => bail!("--at and --pid go together\n{USAGE}"),
    };
    is_quick |= baseline.is_some();
    let rounds = rounds.unwrap_or_else(|| rounds_by_default(baseline.is_some(), is_quick));
    Ok(Options { names, is_quick, rounds, lists, servers, tools, baseline, out: out.context(USAGE)? })
}

fn rounds_by_default(has_baseline: bool, is_quick: bool) -> usize {
    match (has_baseline, is_quick) {
        (true, _) => check::ROUNDS,
        (false, true) => 1,
        (false, false) => ROUNDS,
    }
}

/// Whether a case or row is asked for: by its own name, or by a part of it that is nobody's name.
pub fn named(wanted: &[String], known: &BTreeSet<&str>) -> impl Fn(&str) -> bool {
    move |name| {
        wanted.iter().any(|wanted| name == wanted || name.contains(wanted.as_str()) && !known.contains(wanted.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_one_is_not_a_part_of_others() {
        let known = ["start", "start-2000-clean", "tail", "tail-1"].into();
        let asked = |wanted: &str| {
            let wanted = [wanted.to_owned()];
            let is_named = named(&wanted, &known);
            known.iter().filter(|name| is_named(name)).copied().collect::<Vec<_>>()
        };
        assert_eq!(asked("start"), ["start"]);
        assert_eq!(asked("sta"), ["start", "start-2000-clean"]);
        assert_eq!(asked("-"), ["start-2000-clean", "tail-1"]);
        assert!(asked("idle").is_empty());
    }

    fn parsed(line: &str) -> Option<Options> {
        parse(line.split_whitespace().map(String::from)).ok()
    }

    #[test]
    fn lines() {
        let ours = "--ottla o --floor f --out d";
        let all = parsed(ours).unwrap();
        assert_eq!((all.rounds, all.is_quick, all.names.len()), (3, false, 0));
        assert_eq!(parsed(&format!("{ours} --quick")).unwrap().rounds, 1);
        let checked = parsed(&format!("{ours} --check b.json")).unwrap();
        assert_eq!((checked.rounds, checked.is_quick), (check::ROUNDS, true));
        assert_eq!(checked.baseline, Some((Purpose::Check, "b.json".into())));
        let some = parsed(&format!("{ours} produce-1k --quick --rounds 5 fetch")).unwrap();
        assert_eq!((some.rounds, some.is_quick), (5, true));
        assert_eq!(some.names, ["produce-1k", "fetch"]);
        assert_eq!(some.command(), "cargo xtask bench produce-1k fetch --quick --without-kafka --rounds 5");
        assert_eq!(all.command(), "cargo xtask bench --without-kafka", "what makes the page");
        let running = parsed("--out d --at 127.0.0.1:9092 --pid 7").unwrap().servers;
        assert_eq!(running, Servers::Running { address: "127.0.0.1:9092".parse().unwrap(), pid: 7 });
        for bad in ["--out d", "--ottla o --floor f", "--rounds 0", "--rounds", "--slow"] {
            assert_eq!(parsed(&format!("{bad} ")), None, "{bad}");
        }
        assert_eq!(parsed(&format!("{ours} --at 127.0.0.1:9092")), None);
        assert_eq!(parsed(&format!("{ours} --rounds 0")), None);
        assert_eq!(parsed(&format!("{ours} --slow")), None);
    }
}
