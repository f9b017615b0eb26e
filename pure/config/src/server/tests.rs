//! Whole configurations: what they give, and what is said of their faults.

use super::*;
use crate::keys;

fn load(file: &str) -> Result<(ServerConfig, Vec<String>), String> {
    ServerConfig::load(Some(file), &[])
        .map(|(config, warnings)| (config, warnings.iter().map(Warning::to_string).collect()))
        .map_err(|errors| errors.to_string())
}

#[test]
fn it_starts_with_nothing() {
    let (config, warnings) = ServerConfig::load(None, &[]).unwrap();
    assert!(warnings.is_empty());
    assert_eq!(config.log_dirs(), ["./ottla-data"]);
    assert_eq!(config.metadata_log_dir(), "./ottla-data");
    assert_eq!(config.listeners().broker[0].to_string(), "PLAINTEXT://127.0.0.1:9092");
    assert_eq!(config.listeners().advertised, config.listeners().broker);
    assert!(config.listeners().controller.is_empty());
    assert_eq!(config.get(keys::NODE_ID), 1);
    assert_eq!(config.get(keys::NUM_PARTITIONS), 1);
    assert_eq!(config.get(keys::QUEUED_MAX_REQUEST_BYTES), -1);
    assert_eq!(config.get(keys::BROKER_RACK), None);
    assert!(config.get(keys::AUTO_CREATE_TOPICS_ENABLE));
}

/// The keys of the file that Kafka ships for a combined node.
#[test]
fn a_usual_file_starts() {
    let (config, warnings) = load(
        "process.roles=broker,controller
        node.id=7
        controller.quorum.bootstrap.servers=localhost:9093
        listeners=PLAINTEXT://:9092,CONTROLLER://:9093
        inter.broker.listener.name=PLAINTEXT
        advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093
        controller.listener.names=CONTROLLER
        listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT
        num.network.threads=3
        num.io.threads=8
        socket.send.buffer.bytes=102400
        socket.receive.buffer.bytes=102400
        socket.request.max.bytes=104857600
        log.dirs=/tmp/kraft-combined-logs
        num.partitions=1
        num.recovery.threads.per.data.dir=1
        offsets.topic.replication.factor=1
        share.coordinator.state.topic.replication.factor=1
        share.coordinator.state.topic.min.isr=1
        transaction.state.log.replication.factor=1
        transaction.state.log.min.isr=1
        log.retention.hours=168
        log.segment.bytes=1073741824
        log.retention.check.interval.ms=300000",
    )
    .unwrap();
    assert_eq!(
        warnings,
        ["known keys without effect: inter.broker.listener.name, \
          num.io.threads, num.network.threads, num.recovery.threads.per.data.dir, \
          share.coordinator.state.topic.min.isr, share.coordinator.state.topic.replication.factor, \
          transaction.state.log.min.isr, transaction.state.log.replication.factor"]
    );
    assert_eq!(config.get(keys::NODE_ID), 7);
    assert_eq!(config.log_dirs(), ["/tmp/kraft-combined-logs"]);
    assert_eq!(config.listeners().controller[0].to_string(), "CONTROLLER://:9093");
    assert_eq!(config.listeners().advertised[0].to_string(), "PLAINTEXT://localhost:9092");
}

#[test]
fn good_settings() {
    for file in [
        "broker.id=5",
        "node.id=5\nbroker.id=5",
        "process.roles=controller, broker",
        "node.id=3\ncontroller.quorum.voters=3@here:9093",
        "listeners=PLAINTEXT://:1,CONTROLLER://:2\ncontroller.quorum.bootstrap.servers=[::1]:2",
        "listeners=PLAINTEXT://:1,CONTROLLER://:0\ncontroller.quorum.bootstrap.servers=here:2",
        "controller.quorum.bootstrap.servers=\ncontroller.quorum.voters=",
        "authorizer.class.name=",
        "ssl.keystore.location=\nssl.endpoint.identification.algorithm=\nssl.client.auth=none",
        "sasl.enabled.mechanisms=GSSAPI\nsecurity.inter.broker.protocol=PLAINTEXT\nconnections.max.reauth.ms=0",
        "config.providers=\ndelegation.token.secret.key=",
        "queued.max.request.bytes=0",
        "queued.max.request.bytes=1000\nsocket.request.max.bytes=1000",
        "max.connections.per.ip=0\nmax.connections.per.ip.overrides=127.0.0.1:5",
        "log.retention.hours=-2",
        "log.dir=/a\nlog.cleanup.policy=",
        "log.dirs=/a,/b\nmetadata.log.dir=/c\ncordoned.log.dirs=*",
        "log.dirs=/a,/b\ncordoned.log.dirs=/b",
    ] {
        assert_eq!(load(file).map(|_| ()), Ok(()), "{file}");
    }
}

const REFUSAL: &str = "Ottla does not give this protection yet, and refuses to start without it";

#[test]
fn bad_settings() {
    for (file, expected) in [
        ("message.max.bytes=abc", "message.max.bytes = abc: not an int in [0,...] (line 1)"),
        ("\nmessage.max.bytes = -1 ", "message.max.bytes = -1: not an int in [0,...] (line 2)"),
        ("num.partitions", "num.partitions = : not an int in [1,...] (line 1)"),
        ("auto.create.topics.enable=yes", "auto.create.topics.enable = yes: not a boolean (line 1)"),
        ("log.retention.bytes=1.5", "log.retention.bytes = 1.5: not a long (line 1)"),
        ("compression.gzip.level=0", "compression.gzip.level = 0: not an int in [1,...,9] or -1 (line 1)"),
        (
            "compression.type=GZIP",
            "compression.type = GZIP: not a string in [uncompressed, zstd, lz4, snappy, gzip, producer] (line 1)",
        ),
        ("log.dirs=", "log.dirs = : not a non-empty list (line 1)"),
        ("log.dirs=/a,", "log.dirs = /a,: not a non-empty list (line 1)"),
        ("process.roles=", "process.roles = : not a non-empty list in [broker, controller] (line 1)"),
        ("log.cleanup.policy=compact,x", "log.cleanup.policy = compact,x: not a list in [compact, delete] (line 1)"),
        (
            "log.cleaner.min.cleanable.ratio=2",
            "log.cleaner.min.cleanable.ratio = 2: not a double in [0,...,1] (line 1)",
        ),
        ("listener.name.x.max.connections=-1", "listener.name.x.max.connections = -1: not an int in [0,...] (line 1)"),
        ("principal.builder.class=", "principal.builder.class = : not a class (line 1)"),
        ("a=\\u12", "line 1: \\u needs the four hexadecimal digits of a UTF-16 character"),
        (
            "process.roles=broker",
            "process.roles: Ottla is broker and controller in one process yet: set broker,controller",
        ),
        (
            "offsets.topic.compression.codec=5",
            "offsets.topic.compression.codec: 5 is none of 0 (none), 1 (gzip), 2 (snappy), 3 (lz4), 4 (zstd)",
        ),
        ("log.dirs=/a,/b\ncordoned.log.dirs=/c", "cordoned.log.dirs: /c is not in log.dirs"),
        ("node.id=2\nbroker.id=3", "broker.id: 3 is not node.id = 2"),
        ("broker.id=-1", "broker.id: -1 is not node.id = 1"),
        ("controller.quorum.voters=1:9093", "controller.quorum.voters: `1:9093` is not id@host:port"),
        ("controller.quorum.voters=1@:9093", "controller.quorum.voters: `1@:9093` is not id@host:port"),
        (
            "controller.quorum.voters=1@a:9093,2@b:9093",
            "controller.quorum.voters: `2@b:9093` is another node than 1, and Ottla runs one yet",
        ),
        ("controller.quorum.bootstrap.servers=h", "controller.quorum.bootstrap.servers: `h` is not host:port"),
        (
            "controller.quorum.bootstrap.servers=a:9093,b:9093",
            "controller.quorum.bootstrap.servers: 2 nodes are named, and Ottla runs one yet",
        ),
        (
            "controller.quorum.bootstrap.servers=a:9093",
            "controller.quorum.bootstrap.servers: `a:9093` is another node (no controller listener has port 9093), \
             and Ottla runs one yet",
        ),
        (
            "queued.max.request.bytes=1000",
            "queued.max.request.bytes: 1000 is less than socket.request.max.bytes = 104857600",
        ),
        (
            "max.connections.per.ip=0",
            "max.connections.per.ip: 0 lets nobody in without max.connections.per.ip.overrides",
        ),
        ("inter.broker.listener.name=FOO", "inter.broker.listener.name: advertised.listeners has no listener FOO"),
        (
            "max.connections.per.ip.overrides=host:5",
            "max.connections.per.ip.overrides: `host:5` is not address:count; Ottla takes IP addresses, no host names",
        ),
        ("log.retention.minutes=0", "log.retention.minutes: makes retention.ms = 0, which keeps nothing"),
        ("log.roll.ms=0", "log.roll.ms: makes segment.ms = 0, not a long in [1,...]"),
        ("log.roll.jitter.ms=-1", "log.roll.jitter.ms: makes segment.jitter.ms = -1, not a long in [0,...]"),
        ("log.flush.interval.ms=-1", "log.flush.interval.ms: makes flush.ms = -1, not a long in [0,...]"),
    ] {
        assert_eq!(load(file).map(|_| ()).unwrap_err(), expected, "{file}");
    }
}

#[test]
fn promises_of_protection_are_refused() {
    for (file, setting) in [
        ("authorizer.class.name=a.B", "authorizer.class.name = a.B"),
        ("super.users=User:a", "super.users = User:a"),
        ("allow.everyone.if.no.acl.found=false", "allow.everyone.if.no.acl.found = false"),
        ("ssl.keystore.location=/k", "ssl.keystore.location = /k"),
        ("ssl.keystore.password=secret", "ssl.keystore.password = [hidden]"),
        ("ssl.client.auth=required", "ssl.client.auth = required"),
        ("sasl.enabled.mechanisms=PLAIN", "sasl.enabled.mechanisms = PLAIN"),
        (
            "listener.name.a.scram-sha-256.sasl.jaas.config=x",
            "listener.name.a.scram-sha-256.sasl.jaas.config = [hidden]",
        ),
        ("listener.name.a.ssl.keystore.location=/k", "listener.name.a.ssl.keystore.location = /k"),
        ("principal.builder.class=a.B", "principal.builder.class = a.B"),
        ("security.inter.broker.protocol=SSL", "security.inter.broker.protocol = SSL"),
        ("delegation.token.secret.key=s", "delegation.token.secret.key = [hidden]"),
        ("connections.max.reauth.ms=1", "connections.max.reauth.ms = 1"),
        ("config.providers=file", "config.providers = file"),
        ("listeners=SASL_SSL://:1", "listeners: listener SASL_SSL://:1 uses SASL_SSL"),
    ] {
        assert_eq!(load(file).map(|_| ()).unwrap_err(), format!("{setting}: {REFUSAL}"), "{file}");
    }
}

#[test]
fn all_errors_are_told_at_once() {
    let errors =
        load("num.partitions=0\nssl.protocol=x\nlog.dirs=/a\ncordoned.log.dirs=/b\nlisteners=nonsense\nc=\\u0")
            .map(|_| ());
    assert_eq!(
        errors.unwrap_err(),
        format!(
            "line 6: \\u needs the four hexadecimal digits of a UTF-16 character\n\
             num.partitions = 0: not an int in [1,...] (line 1)\n\
             ssl.protocol = x: {REFUSAL}\n\
             cordoned.log.dirs: /b is not in log.dirs\n\
             listeners: `nonsense` is not NAME://host:port"
        )
    );
}

#[test]
fn warnings_name_what_is_unknown_and_what_does_nothing() {
    let (_, warnings) = load(
        "num.partition=3\nmy.own.key.of.nobody=secret\nretention.ms=1\n\
         num.io.threads=4\nlistener.name.plaintext.max.connections=5\nlistener.name.x.max.connections=5\n\
         listener.name.plaintext.num.partitions=2\nnum.partitions=2",
    )
    .unwrap();
    assert_eq!(
        warnings,
        [
            "unknown key my.own.key.of.nobody (line 2)",
            "unknown key num.partition (line 1); did you mean num.partitions?",
            "unknown key retention.ms (line 3); did you mean log.retention.ms?",
            "known keys without effect: listener.name.plaintext.num.partitions, listener.name.x.max.connections, num.io.threads",
        ]
    );
}

#[test]
fn the_command_line_wins_over_the_file_and_the_last_over_the_first() {
    let overrides = [("num.partitions", "5"), (" num.partitions ", "6"), ("nod.id", "1")];
    let overrides = overrides.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let file = Some("num.partitions=2\nnum.partitions=3\ndefault.replication.factor=2\ndefault.replication.factor=1");
    let (config, warnings) = ServerConfig::load(file, &overrides).unwrap();
    assert_eq!((config.get(keys::NUM_PARTITIONS), config.get(keys::DEFAULT_REPLICATION_FACTOR)), (6, 1));
    assert_eq!(warnings[0].to_string(), "unknown key nod.id (command line); did you mean node.id?");
}

#[test]
fn limits_per_address_are_read() {
    let (config, _) = load("max.connections.per.ip.overrides=127.0.0.1:5, [::1]:6,::ffff:10.0.0.1:7,::2:0").unwrap();
    let limits: Vec<_> = crate::ServerLayers::of(&config)
        .connections_per_ip_overrides()
        .iter()
        .map(|(address, count)| format!("{address} {count}"))
        .collect();
    assert_eq!(limits, ["10.0.0.1 7", "127.0.0.1 5", "::1 6", "::2 0"]);
}

#[test]
fn metrics_listen_on_this_machine_unless_told_otherwise() {
    let listener = |file: &str| load(file).map(|(config, _)| config.http_listener());
    let at = |host: &str, port| Ok(Some((host.to_owned(), port)));
    assert_eq!(listener(""), at("127.0.0.1", 9644));
    assert_eq!(listener("ottla.http.listener=[::1]:0"), at("::1", 0));
    assert_eq!(listener("ottla.http.listener="), Ok(None));
    let refused = "ottla.http.listener: `localhost` is not host:port, and not empty";
    assert_eq!(listener("ottla.http.listener=localhost"), Err(refused.to_owned()));
}
