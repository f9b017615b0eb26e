//! Addresses to listen on and to advertise.
//!
//! A listener has a name; its security protocol is looked up under that name, so that one node can serve inside and
//! outside differently. Listeners named in `controller.listener.names` belong to the controller, all others to the
//! broker.

use core::net::{Ipv4Addr, Ipv6Addr};
use std::collections::BTreeMap;
use std::fmt;

use crate::report::ConfigError;

/// `NAME://host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// In capitals.
    pub name: String,
    /// Without the brackets of an IPv6 address. Empty means all interfaces, and in an advertised address the name of
    /// this machine, which the broker must find out.
    pub host: String,
    /// 0 means that the kernel picks one.
    pub port: u16,
}

impl Listener {
    /// What is to be listened on, of the text of one.
    pub fn parse(text: &str) -> Option<Listener> {
        let (name, address) = text.trim().split_once("://")?;
        let (host, port) = parse_address(address)?;
        let listener = Listener { name: name.trim().to_ascii_uppercase(), host, port };
        Some(listener).filter(|listener| !listener.name.is_empty())
    }

    /// The name of a key that is for this listener alone.
    pub(crate) fn key(&self, base: &str) -> String {
        format!("listener.name.{}.{base}", self.name.to_ascii_lowercase())
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listeners {
    pub broker: Vec<Listener>,
    pub controller: Vec<Listener>,
    /// What clients are told, for those broker listeners that are advertised.
    pub advertised: Vec<Listener>,
}

/// The values of the keys that make up the listeners.
pub(crate) struct Settings {
    pub listeners: Vec<String>,
    pub advertised: Option<Vec<String>>,
    pub protocol_map: String,
    /// Whether `protocol_map` was written by the operator: only the default maps controller listeners by itself.
    pub protocol_map_is_set: bool,
    pub controller_names: Vec<String>,
    pub controller_names_are_set: bool,
    pub between_brokers: Option<String>,
}

const LISTENERS: &str = "listeners";
const ADVERTISED: &str = "advertised.listeners";
const PROTOCOL_MAP: &str = "listener.security.protocol.map";
const CONTROLLER_NAMES: &str = "controller.listener.names";
const BETWEEN_BROKERS: &str = "inter.broker.listener.name";

const FOR_CLIENTS: &str = "there must be one for clients, not only for the controller";

const PROTOCOLS: [&str; 4] = ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"];

impl Settings {
    /// The listeners, and all that is wrong with them.
    pub(crate) fn resolve(&self, errors: &mut Vec<ConfigError>) -> Listeners {
        let names: Vec<String> = self.controller_names.iter().map(|name| name.to_ascii_uppercase()).collect();
        let protocols = self.protocols(&names, errors);
        let all = parse_all(LISTENERS, &self.listeners, errors);
        check_plaintext(LISTENERS, &all, &protocols, errors);
        check_ports(&all, errors);
        if self.controller_names_are_set {
            for name in names.iter().filter(|name| all.iter().all(|listener| listener.name != **name)) {
                let why = format!("{LISTENERS} has no listener {name}");
                errors.push(ConfigError::conflict(CONTROLLER_NAMES, why));
            }
        }
        let is_controller = |listener: &Listener| names.contains(&listener.name);
        let (controller, broker): (Vec<_>, Vec<_>) = all.into_iter().partition(is_controller);
        if broker.is_empty() && !controller.is_empty() {
            errors.push(ConfigError::conflict(LISTENERS, FOR_CLIENTS));
        }
        let advertised = match &self.advertised {
            None => broker.clone(),
            Some(texts) => {
                let all = parse_all(ADVERTISED, texts, errors);
                check_plaintext(ADVERTISED, &all, &protocols, errors);
                if !all.is_empty() && all.iter().all(is_controller) {
                    errors.push(ConfigError::conflict(ADVERTISED, FOR_CLIENTS));
                }
                all.into_iter().filter(|listener| !is_controller(listener)).collect()
            }
        };
        check_advertised(&advertised, &broker, errors);
        if let Some(name) = &self.between_brokers
            && !advertised.iter().any(|listener| listener.name.eq_ignore_ascii_case(name))
        {
            let why = format!("{ADVERTISED} has no listener {name}");
            errors.push(ConfigError::conflict(BETWEEN_BROKERS, why));
        }
        Listeners { broker, controller, advertised }
    }

    /// Listener name to security protocol. Controller listeners are PLAINTEXT by default, unless TLS or SASL is in use.
    fn protocols(&self, controller_names: &[String], errors: &mut Vec<ConfigError>) -> BTreeMap<String, String> {
        let mut protocols = BTreeMap::new();
        for entry in self.protocol_map.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            let (name, protocol) = entry.rsplit_once(':').unwrap_or((entry, ""));
            let protocol = protocol.trim().to_ascii_uppercase();
            if PROTOCOLS.contains(&protocol.as_str()) {
                protocols.insert(name.trim().to_ascii_uppercase(), protocol);
            } else {
                let why = format!("`{entry}` is not NAME:PROTOCOL with a protocol of {}", PROTOCOLS.join(", "));
                errors.push(ConfigError::conflict(PROTOCOL_MAP, why));
            }
        }
        if !self.protocol_map_is_set {
            for name in controller_names {
                protocols.entry(name.clone()).or_insert_with(|| "PLAINTEXT".to_owned());
            }
        }
        protocols
    }
}

fn parse_all(key: &'static str, texts: &[String], errors: &mut Vec<ConfigError>) -> Vec<Listener> {
    let mut listeners: Vec<Listener> = Vec::new();
    for text in texts {
        match Listener::parse(text) {
            None => errors.push(ConfigError::conflict(key, format!("`{text}` is not NAME://host:port"))),
            Some(listener) if listeners.iter().any(|other| other.name == listener.name) => {
                errors.push(ConfigError::conflict(key, format!("there are two listeners {}", listener.name)));
            }
            Some(listener) => listeners.push(listener),
        }
    }
    listeners
}

/// `host:port`, `[v6]:port` or `:port`.
pub(crate) fn parse_address(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let is_host = host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | ':' | '%'));
    let is_port = !port.is_empty() && port.bytes().all(|c| c.is_ascii_digit());
    (is_host && is_port).then_some(())?;
    Some((host.to_owned(), port.parse().ok()?))
}

fn check_plaintext(
    key: &'static str,
    listeners: &[Listener],
    protocols: &BTreeMap<String, String>,
    errors: &mut Vec<ConfigError>,
) {
    for listener in listeners {
        match protocols.get(&listener.name).map(String::as_str) {
            Some("PLAINTEXT") => {}
            Some(protocol) => {
                errors.push(ConfigError::unprotected(key, format!("listener {listener} uses {protocol}")))
            }
            None => {
                let why = format!("{PROTOCOL_MAP} has no protocol for listener {}", listener.name);
                errors.push(ConfigError::conflict(key, why));
            }
        }
    }
}

/// Two listeners may share a port only if one has an IPv4 address and the other one an IPv6 address.
fn check_ports(listeners: &[Listener], errors: &mut Vec<ConfigError>) {
    for (i, a) in listeners.iter().enumerate() {
        for b in &listeners[i + 1..] {
            if a.port == b.port && a.port != 0 && !one_of_each_family(&a.host, &b.host) {
                errors.push(ConfigError::conflict(LISTENERS, format!("{a} and {b} have the same port")));
            }
        }
    }
}

fn one_of_each_family(a: &str, b: &str) -> bool {
    let v4 = |host: &str| host.parse::<Ipv4Addr>().is_ok();
    let v6 = |host: &str| host.parse::<Ipv6Addr>().is_ok();
    v4(a) && v6(b) || v6(a) && v4(b)
}

fn check_advertised(advertised: &[Listener], broker: &[Listener], errors: &mut Vec<ConfigError>) {
    for listener in advertised {
        if broker.iter().all(|other| other.name != listener.name) {
            errors.push(ConfigError::conflict(ADVERTISED, format!("{LISTENERS} has no listener {}", listener.name)));
        }
        if listener.host == "0.0.0.0" {
            let why = format!("clients cannot connect to {listener}; set {ADVERTISED} to an address of this machine");
            errors.push(ConfigError::conflict(ADVERTISED, why));
        }
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Listener { name, host, port } = self;
        if host.contains(':') { write!(f, "{name}://[{host}]:{port}") } else { write!(f, "{name}://{host}:{port}") }
    }
}

#[cfg(test)]
mod tests;
