//! The clients of others against a real process: Python's and Java's, Kafka's console tools, hostile frames, kill -9.
//!
//! One broker serves all clients, so that each finds what the others wrote. Hostile frames have one of their own, so that its
//! configuration is Kafka's default; so has every test with kill -9. And one directory goes from Apache Kafka to Ottla and
//! back, more than once.

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
/// Groups that settle as soon as they can: with the defaults each rebalance takes up to 5 s, and the tests have dozens.
const QUICK: &[&str] = &[
    "group.initial.rebalance.delay.ms=0",
    "group.consumer.min.heartbeat.interval.ms=300",
    "group.consumer.heartbeat.interval.ms=300",
    "group.consumer.assignment.interval.ms=0",
];
/// No wait for those who join a new group, and sessions short enough to see them end.
const HOSTILE: &[&str] = &["group.initial.rebalance.delay.ms=0", "group.min.session.timeout.ms=1000"];
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
        clients.share_brokers(report);
        clients.round_trip(report);
        clients.kill(report);
    });
}

struct Clients<'a> {
    place: &'a Place,
    options: &'a Options,
    python: Result<Python, Trouble>,
    java: Result<Java, Trouble>,
}

/// A broker that tests share.
struct Shared<'a> {
    address: &'a str,
    /// Its log directory, if that is on this machine.
    data: Option<&'a str>,
}

/// A stage against a shared broker: its name, its group, and what it does.
type Stage<'a> = (&'static str, &'a str, &'a dyn Fn(&Shared<'_>) -> Result<Tally, Trouble>);

impl Clients<'_> {
    fn share_brokers(&self, report: &mut Report) {
        let run = format!("compat-{}", std::process::id());
        let common = |broker: &Shared<'_>| {
            ["--bootstrap", broker.address, "--run", &run, "--only", &self.options.only].map(String::from).to_vec()
        };
        let python = |broker: &Shared<'_>, group: &str| self.python([common(broker), vec![group.into()]].concat());
        let java = |broker: &Shared<'_>| {
            let data = broker.data.map_or(vec![], |data| vec!["--data".into(), data.into()]);
            many(self.java.as_ref().map_err(Trouble::clone)?.program(&[common(broker), data].concat()))
        };
        let clients = |broker: &Shared<'_>| python(broker, "clients");
        let groups = |broker: &Shared<'_>| python(broker, "groups");
        let after_java = |broker: &Shared<'_>| python(broker, "after_java");
        let hostile = |broker: &Shared<'_>| python(broker, "hostile");
        let mut stages: Vec<Stage<'_>> = vec![
            ("python clients", "python", &clients),
            ("python groups", "python", &groups),
            ("java client and tools", "java", &java),
        ];
        if self.options.wants("java") && self.java.is_ok() {
            stages.push(("python reads java", "python", &after_java));
        }
        self.on_a_broker(report, QUICK, &stages);
        self.on_a_broker(report, HOSTILE, &[("hostile frames", "hostile", &hostile)]);
    }

    /// Runs the stages of wanted groups against a broker with `settings`, or against the one that runs already.
    fn on_a_broker(&self, report: &mut Report, settings: &[&str], stages: &[Stage<'_>]) {
        let wanted: Vec<&Stage<'_>> = stages.iter().filter(|(_, group, _)| self.options.wants(group)).collect();
        if wanted.is_empty() {
            return;
        }
        if let Some(address) = &self.options.bootstrap {
            let shared = Shared { address, data: self.options.data.as_deref() };
            for (name, _, work) in wanted {
                report.stage(name, || work(&shared));
            }
            return;
        }
        let mut broker = None;
        report.stage("broker starts", || {
            broker = Some(Broker::start(&self.program(), &self.place.compat(), settings)?);
            Ok(Tally::passed(1))
        });
        let Some(broker) = broker else { return };
        let data = broker.data.to_string_lossy();
        let shared = Shared { address: &broker.address, data: Some(&data) };
        for (name, _, work) in wanted {
            if !report.stage(name, || work(&shared)) {
                broker.print_log();
            }
        }
        report.stage("broker stops", || broker.stop());
    }

    fn round_trip(&self, report: &mut Report) {
        // Its steps need one another.
        if !self.options.wants("java") || self.options.bootstrap.is_some() || !self.options.only.is_empty() {
            return;
        }
        let folder = self.place.compat().join("round-trip");
        report.stage("kafka's directories", || {
            many(self.java.as_ref().map_err(Trouble::clone)?.round_trip(&self.program(), &folder))
        });
    }

    fn kill(&self, report: &mut Report) {
        if !self.options.wants("kill") || self.options.bootstrap.is_some() {
            return;
        }
        let server = self.program().to_string_lossy().into_owned();
        let mut arguments = vec!["--only".into(), self.options.only.clone(), "--server".into(), server];
        if let Some(seconds) = &self.options.ready_s {
            arguments.extend(["--ready-s".into(), seconds.clone()]);
        }
        arguments.push("kill".into());
        report.stage("kill -9 under load", || self.python(arguments));
    }

    fn program(&self) -> PathBuf {
        self.options.server.clone().unwrap_or_else(|| self.place.target.join("debug/ottla"))
    }

    fn python(&self, arguments: Vec<String>) -> Result<Tally, Trouble> {
        many(self.python.as_ref().map_err(Trouble::clone)?.runner(&arguments))
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
