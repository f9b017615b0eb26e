//! Texts of `listeners` and their kin, and what comes of them.

use super::*;

/// Lines are `key=value`; those that are absent have Kafka's default.
fn resolve(settings: &str) -> Result<String, String> {
    let value = |key: &str| {
        let line = settings.lines().find_map(|line| line.trim().strip_prefix(key)?.strip_prefix('='))?;
        Some(line.to_owned())
    };
    let list = |text: String| text.split(',').map(|one| one.trim().to_owned()).collect::<Vec<_>>();
    let settings = Settings {
        listeners: value("listeners").map(list).unwrap_or_else(|| vec!["PLAINTEXT://h:9092".to_owned()]),
        advertised: value("advertised").map(list),
        protocol_map: value("map").unwrap_or_else(|| {
            "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT".to_owned()
        }),
        protocol_map_is_set: value("map").is_some(),
        controller_names: value("controller").map_or_else(|| vec!["CONTROLLER".to_owned()], list),
        controller_names_are_set: value("controller").is_some(),
        between_brokers: value("between"),
    };
    let mut errors = Vec::new();
    let listeners = settings.resolve(&mut errors);
    if !errors.is_empty() {
        return Err(errors.iter().map(ConfigError::to_string).collect::<Vec<_>>().join("\n"));
    }
    let text = |listeners: &[Listener]| listeners.iter().map(Listener::to_string).collect::<Vec<_>>().join(",");
    Ok([text(&listeners.broker), text(&listeners.controller), text(&listeners.advertised)].join(" "))
}

#[test]
fn good_listeners() {
    for (settings, expected) in [
        ("", "PLAINTEXT://h:9092  PLAINTEXT://h:9092"),
        ("listeners=plaintext://:9092 , CONTROLLER://:9093", "PLAINTEXT://:9092 CONTROLLER://:9093 PLAINTEXT://:9092"),
        ("listeners=PLAINTEXT://[::1]:9092", "PLAINTEXT://[::1]:9092  PLAINTEXT://[::1]:9092"),
        ("listeners=PLAINTEXT://fe80::1%eth0:0", "PLAINTEXT://[fe80::1%eth0]:0  PLAINTEXT://[fe80::1%eth0]:0"),
        ("listeners=PLAINTEXT://a_b-c.d:65535", "PLAINTEXT://a_b-c.d:65535  PLAINTEXT://a_b-c.d:65535"),
        (
            "listeners=PLAINTEXT://0.0.0.0:1,C://:2\nadvertised=PLAINTEXT://out:31,C://c:2\ncontroller=c",
            "PLAINTEXT://0.0.0.0:1 C://:2 PLAINTEXT://out:31",
        ),
        (
            "listeners=IN://:1,OUT://:2\nmap=IN:PLAINTEXT, out:plaintext\nadvertised=OUT://h:2",
            "IN://:1,OUT://:2  OUT://h:2",
        ),
        (
            "listeners=IN://:1,OUT://:2\nmap=IN:PLAINTEXT,OUT:PLAINTEXT\nbetween=in",
            "IN://:1,OUT://:2  IN://:1,OUT://:2",
        ),
        (
            "listeners=A://127.0.0.1:1,B://[::1]:1\nmap=A:PLAINTEXT,B:PLAINTEXT",
            "A://127.0.0.1:1,B://[::1]:1  A://127.0.0.1:1,B://[::1]:1",
        ),
        (
            "listeners=A://:0,B://:0\nmap=A:PLAINTEXT,B:PLAINTEXT\nadvertised=A://h:1,B://h:1",
            "A://:0,B://:0  A://h:1,B://h:1",
        ),
    ] {
        assert_eq!(resolve(settings).as_deref(), Ok(expected), "{settings}");
    }
}

#[test]
fn bad_listeners() {
    for (settings, expected) in [
        ("listeners=PLAINTEXT://h", "listeners: `PLAINTEXT://h` is not NAME://host:port"),
        ("listeners=PLAINTEXT://h:70000", "listeners: `PLAINTEXT://h:70000` is not NAME://host:port"),
        ("listeners=PLAINTEXT://h:-1", "listeners: `PLAINTEXT://h:-1` is not NAME://host:port"),
        ("listeners=PLAINTEXT://h:+1", "listeners: `PLAINTEXT://h:+1` is not NAME://host:port"),
        ("listeners=PLAINTEXT://a b:1", "listeners: `PLAINTEXT://a b:1` is not NAME://host:port"),
        ("listeners=://h:1", "listeners: `://h:1` is not NAME://host:port"),
        ("listeners=h:1", "listeners: `h:1` is not NAME://host:port"),
        ("listeners=PLAINTEXT://:1,plaintext://:2", "listeners: there are two listeners PLAINTEXT"),
        ("listeners=FOO://:1", "listeners: listener.security.protocol.map has no protocol for listener FOO"),
        (
            "listeners=SSL://:1",
            "listeners: listener SSL://:1 uses SSL: Ottla does not give this protection yet, and refuses to start without it",
        ),
        (
            "map=PLAINTEXT:SASL_SSL",
            "listeners: listener PLAINTEXT://h:9092 uses SASL_SSL: Ottla does not give this protection yet, and refuses to start without it",
        ),
        (
            "map=PLAINTEXT:PLAINTEXT,X,Y:TLS",
            "listener.security.protocol.map: `X` is not NAME:PROTOCOL with a protocol of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL\n\
             listener.security.protocol.map: `Y:TLS` is not NAME:PROTOCOL with a protocol of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL",
        ),
        (
            "map=PLAINTEXT:PLAINTEXT\nlisteners=PLAINTEXT://:1,CONTROLLER://:2",
            "listeners: listener.security.protocol.map has no protocol for listener CONTROLLER",
        ),
        (
            "listeners=PLAINTEXT://h:1,CONTROLLER://:1",
            "listeners: PLAINTEXT://h:1 and CONTROLLER://:1 have the same port",
        ),
        (
            "listeners=A://127.0.0.1:1,B://127.0.0.2:1\nmap=A:PLAINTEXT,B:PLAINTEXT",
            "listeners: A://127.0.0.1:1 and B://127.0.0.2:1 have the same port",
        ),
        ("listeners=CONTROLLER://:1", "listeners: there must be one for clients, not only for the controller"),
        ("controller=X", "controller.listener.names: listeners has no listener X"),
        (
            "listeners=PLAINTEXT://h:1,CONTROLLER://:2\nadvertised=CONTROLLER://h:2",
            "advertised.listeners: there must be one for clients, not only for the controller",
        ),
        (
            "map=PLAINTEXT:PLAINTEXT,B:PLAINTEXT\nadvertised=PLAINTEXT://h:1,B://h:2",
            "advertised.listeners: listeners has no listener B",
        ),
        ("advertised=PLAINTEXT://h:1,PLAINTEXT://h:2", "advertised.listeners: there are two listeners PLAINTEXT"),
        (
            "listeners=PLAINTEXT://0.0.0.0:1",
            "advertised.listeners: clients cannot connect to PLAINTEXT://0.0.0.0:1; set advertised.listeners to an address of this machine",
        ),
    ] {
        assert_eq!(resolve(settings).unwrap_err(), expected, "{settings}");
    }
}
