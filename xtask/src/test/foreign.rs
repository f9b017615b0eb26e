//! The clients of others against a real process: Python's and Java's, Kafka's console tools, hostile frames, kill -9.
//!
//! One broker serves them all, so that each finds what the others wrote; kill -9 has brokers of its own.

use std::path::PathBuf;
use std::thread::ScopedJoinHandle;

use super::Place;
use super::broker::Broker;
use super::command::{many, one};
use super::java::Java;
use super::python::Python;
use super::report::Report;
use super::tally::{Tally, Trouble};

const GROUPS: &[&str] = &["python", "java", "hostile", "kill"];
const USAGE: &str = "usage: cargo xtask compat [--bootstrap HOST:PORT] [--data DIR] [--server PROGRAM] [--ready-s SECONDS] \
    [--only TEXT] [python|java|hostile|kill]...";

#[derive(Default)]
pub struct Options {
    /// A running broker, in place of one of our own.
    bootstrap: Option<String>,
    /// Its log directory, if that is on this machine.
    data: Option<String>,
    /// What is started as `PROGRAM server --set KEY=VALUE...`, in place of the `ottla` of this tree.
    server: Option<PathBuf>,
    /// How soon a broker must be ready after kill -9.
    ready_s: Option<String>,
    /// Only tests with this in their name.
    only: String,
    /// All, where none is named.
    groups: Vec<String>,
}

impl Options {
    pub fn parse(arguments: &[String]) -> Result<Options, String> {
        let mut options = Options::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let mut value = || rest.next().cloned().ok_or(USAGE);
            match argument.as_str() {
                "--bootstrap" => options.bootstrap = Some(value()?),
                "--data" => options.data = Some(value()?),
                "--server" => options.server = Some(value()?.into()),
                "--ready-s" => options.ready_s = Some(value()?),
                "--only" => options.only = value()?,
                group if GROUPS.contains(&group) => options.groups.push(group.into()),
                _ => return Err(USAGE.into()),
            }
        }
        Ok(options)
    }

    fn wants(&self, group: &str) -> bool {
        self.groups.is_empty() || self.groups.iter().any(|wanted| wanted == group)
    }
}

/// Sets up Python and Java while `meanwhile` runs its stages, then runs those of the clients.
pub fn run(report: &mut Report, place: &Place, options: &Options, meanwhile: impl FnOnce(&mut Report)) {
    std::thread::scope(|scope| {
        let with_python = options.wants("python") || options.wants("hostile") || options.wants("kill");
        let python = scope.spawn(move || if with_python { Python::set_up(place) } else { Err(not_asked_for()) });
        let java = scope.spawn(|| if options.wants("java") { Java::set_up(place) } else { Err(not_asked_for()) });
        meanwhile(report);
        let own = options.server.is_none() && options.bootstrap.is_none();
        if own && !report.stage("build", || one(place.cargo(&["build", "--package", "ottla"]))) {
            return; // nothing to test
        }
        let clients = report.timed("set-up", || Clients { place, options, python: wait(python), java: wait(java) });
        clients.share_a_broker(report);
        clients.kill(report);
    });
}

struct Clients<'a> {
    place: &'a Place,
    options: &'a Options,
    python: Result<Python, Trouble>,
    java: Result<Java, Trouble>,
}

impl Clients<'_> {
    fn share_a_broker(&self, report: &mut Report) {
        if !["python", "java", "hostile"].iter().any(|group| self.options.wants(group)) {
            return;
        }
        if let Some(address) = &self.options.bootstrap {
            return self.shared(report, address, self.options.data.as_deref(), || {});
        }
        let mut broker = None;
        report.stage("broker starts", || {
            broker = Some(Broker::start(&self.program(), &self.place.compat())?);
            Ok(Tally::passed(1))
        });
        if let Some(broker) = broker {
            let data = broker.data.to_string_lossy();
            self.shared(report, &broker.address, Some(&data), || broker.print_log());
            report.stage("broker stops", || broker.stop());
        }
    }

    fn shared(&self, report: &mut Report, address: &str, data: Option<&str>, print_log: impl Fn()) {
        let run = format!("compat-{}", std::process::id());
        let mut stage = |name, group, work: &dyn Fn() -> Result<Tally, Trouble>| {
            if self.options.wants(group) && !report.stage(name, work) {
                print_log();
            }
        };
        let common = ["--bootstrap", address, "--run", &run, "--only", &self.options.only];
        stage("python clients", "python", &|| self.python(&[&common[..], &["clients"]].concat()));
        let data = data.map_or(vec![], |data| vec!["--data", data]);
        stage("java client and tools", "java", &|| {
            many(self.java.as_ref().map_err(Trouble::clone)?.program(&[&common[..], &data].concat()))
        });
        if self.options.wants("java") && self.java.is_ok() {
            stage("python reads java", "python", &|| self.python(&[&common[..], &["after_java"]].concat()));
        }
        stage("hostile frames", "hostile", &|| self.python(&[&common[..], &["hostile"]].concat()));
    }

    fn kill(&self, report: &mut Report) {
        if !self.options.wants("kill") || self.options.bootstrap.is_some() {
            return;
        }
        let program = self.program();
        let mut arguments = vec!["--only", &self.options.only];
        if let Some(seconds) = &self.options.ready_s {
            arguments.extend(["--ready-s", seconds]);
        }
        let server = program.to_string_lossy();
        arguments.extend(["--server", &server, "kill"]);
        report.stage("kill -9 under load", || self.python(&arguments));
    }

    fn program(&self) -> PathBuf {
        self.options.server.clone().unwrap_or_else(|| self.place.target.join("debug/ottla"))
    }

    fn python(&self, arguments: &[&str]) -> Result<Tally, Trouble> {
        many(self.python.as_ref().map_err(Trouble::clone)?.runner(arguments))
    }
}

fn not_asked_for() -> Trouble {
    Trouble::Skipped("not asked for".into())
}

fn wait<T>(set_up: ScopedJoinHandle<'_, Result<T, Trouble>>) -> Result<T, Trouble> {
    set_up.join().unwrap_or_else(|_| Err(Trouble::Failed("the set-up panicked".into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options() {
        let parse = |text: &str| Options::parse(&text.split_whitespace().map(String::from).collect::<Vec<_>>());
        let options = parse("--bootstrap localhost:9092 java --only acks").unwrap();
        assert_eq!((options.bootstrap.as_deref(), options.only.as_str()), (Some("localhost:9092"), "acks"));
        assert!(options.wants("java") && !options.wants("python"));
        assert!(parse("").unwrap().wants("kill"));
        assert!(parse("ruby").is_err() && parse("--only").is_err());
    }
}
