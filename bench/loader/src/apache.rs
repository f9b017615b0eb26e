//! Apache Kafka, to compare with: one node, broker and controller, with the JVM options of its own start script and the
//! settings that it is shipped with.
//!
//! Before anything is counted it is warmed up ([`crate::warm`]).

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};

/// How long it serves, and what processor time it has used, before anything is counted; and where a glance will do.
pub const WARM_UP: Duration = Duration::from_secs(75);
pub const QUICK_WARM_UP: Duration = Duration::from_secs(10);

/// Of `bin/kafka-server-start.sh` and `bin/kafka-run-class.sh`, without the log of the garbage collector. What the broker logs goes
/// nowhere, either: its jars come without a logger. Both is in its favour.
const JVM: [&str; 12] = [
    "-Xmx1G",
    "-Xms1G",
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-XX:MaxInlineLevel=15",
    "-Djava.awt.headless=true",
    "-Dcom.sun.management.jmxremote=true",
    "-Dcom.sun.management.jmxremote.authenticate=false",
    "-Dcom.sun.management.jmxremote.ssl=false",
];
/// Of `config/server.properties`.
const SHIPPED: &str = "\
process.roles=broker,controller
node.id=1
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
num.network.threads=3
num.io.threads=8
socket.send.buffer.bytes=102400
socket.receive.buffer.bytes=102400
socket.request.max.bytes=104857600
num.partitions=1
num.recovery.threads.per.data.dir=2
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
log.retention.hours=168
log.segment.bytes=1073741824
log.retention.check.interval.ms=300000
";
/// For one that sleeps while others are measured: it does not take itself for dead; and the files of a topic that is deleted are gone at
/// once and not in the middle of what is measured a minute later.
const KEPT: &str = "\
broker.session.timeout.ms=3600000
log.segment.delete.delay.ms=1000
";
const CLUSTER_ID: &str = "b3R0bGEtYmVuY2gtMDAwMQ";

#[derive(Clone, Debug)]
pub struct Apache {
    /// The folder of Kafka's jars.
    pub jars: PathBuf,
    /// [`WARM_UP`], or [`QUICK_WARM_UP`].
    pub warm_up: Duration,
    /// Whether it sleeps between rounds.
    pub is_kept: bool,
}

impl Apache {
    /// Formats the directory. Gives what starts a node on it, and where that will be.
    pub fn prepare(&self, dir: &Path, scratch: &Path) -> anyhow::Result<(Command, SocketAddr)> {
        let [address, controller] = free_addresses()?;
        let properties = scratch.join("kafka.properties");
        // A start after kill -9 would wait for the session of the process before.
        let kept = if self.is_kept { KEPT } else { "" };
        let text = format!(
            "{SHIPPED}{kept}listeners=PLAINTEXT://{address},CONTROLLER://{controller}\n\
             controller.quorum.bootstrap.servers={controller}\nlog.dirs={}\n",
            dir.display()
        );
        fs::write(&properties, text)?;
        let format = self.java(["kafka.tools.StorageTool", "format", "--standalone", "-t", CLUSTER_ID, "-c"]);
        let formatted = { format }.arg(&properties).output().context("cannot run java")?;
        ensure!(formatted.status.success(), "format: {}", String::from_utf8_lossy(&formatted.stderr));
        let java = self.java(JVM);
        // One that sleeps takes no notice of what ends the loader.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(java.get_program()).args(java.get_args());
        command.arg("kafka.Kafka").arg(&properties);
        Ok((command, address))
    }

    /// What its jars say that it is, and what runs it.
    pub fn version(&self) -> String {
        let names = fs::read_dir(&self.jars)
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let kafka =
            { names }.find_map(|name| Some(name.strip_prefix("kafka-clients-")?.strip_suffix(".jar")?.to_owned()));
        let java = Command::new("java").arg("--version").output().ok();
        let java = java.and_then(|said| Some(String::from_utf8(said.stdout).ok()?.lines().next()?.to_owned()));
        format!("Apache Kafka {}, {}", kafka.unwrap_or("unknown".into()), java.unwrap_or("unknown".into()))
    }

    fn java<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = Command::new("java");
        command.arg("-cp").arg(self.jars.join("*")).args(arguments);
        command
    }
}

/// Kafka tells nobody which ports it was given.
fn free_addresses() -> anyhow::Result<[SocketAddr; 2]> {
    let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let (first, second) = (bind()?, bind()?);
    Ok([first.local_addr()?, second.local_addr()?])
}
