//! The command line: what `cargo xtask bench` passes on, and where it built the servers.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, bail};

use crate::cases::Tools;

pub const USAGE: &str = "\
usage: cargo xtask bench [NAME...] [--quick] [--rounds N] [--list] [--without-kafka] [--at HOST:PORT --pid PID]
       cargo xtask bench --page [FILE...]

  NAME              rows whose name contains it; without one, all
  --quick           some rows, one round, with a quarter of the requests: under a minute for a case
  --rounds N        counted rounds of each row (3)
  --list            tells the names
  --without-kafka   compares Ottla with the floor alone
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
    /// Where results and the servers' directories go.
    pub out: PathBuf,
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
        command + &format!(" --rounds {}", self.rounds)
    }
}

pub fn parse(arguments: impl Iterator<Item = String>) -> anyhow::Result<Options> {
    let (mut names, mut is_quick, mut rounds, mut lists) = (Vec::new(), false, None, false);
    let (mut ottla, mut floor, mut out, mut address, mut pid) = (None, None, None, None, None);
    let mut tools = Tools::default();
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
    let rounds = rounds.unwrap_or(if is_quick { 1 } else { ROUNDS });
    Ok(Options { names, is_quick, rounds, lists, servers, tools, out: out.context(USAGE)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str) -> Option<Options> {
        parse(line.split_whitespace().map(String::from)).ok()
    }

    #[test]
    fn lines() {
        let ours = "--ottla o --floor f --out d";
        let all = check(ours).unwrap();
        assert_eq!((all.rounds, all.is_quick, all.names.len()), (3, false, 0));
        assert_eq!(check(&format!("{ours} --quick")).unwrap().rounds, 1);
        let some = check(&format!("{ours} produce-1k --quick --rounds 5 fetch")).unwrap();
        assert_eq!((some.rounds, some.is_quick), (5, true));
        assert_eq!(some.names, ["produce-1k", "fetch"]);
        assert_eq!(some.command(), "cargo xtask bench produce-1k fetch --quick --rounds 5");
        let running = check("--out d --at 127.0.0.1:9092 --pid 7").unwrap().servers;
        assert_eq!(running, Servers::Running { address: "127.0.0.1:9092".parse().unwrap(), pid: 7 });
        for bad in ["--out d", "--ottla o --floor f", "--rounds 0", "--rounds", "--slow"] {
            assert_eq!(check(&format!("{bad} ")), None, "{bad}");
        }
        assert_eq!(check(&format!("{ours} --at 127.0.0.1:9092")), None);
        assert_eq!(check(&format!("{ours} --rounds 0")), None);
        assert_eq!(check(&format!("{ours} --slow")), None);
    }
}
