//! How many connections there may be.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Limits of a process's connections; each field is the Kafka key of that name.
#[derive(Clone, Debug)]
pub struct Limits {
    /// `socket.request.max.bytes`
    pub request_bytes_max: usize,
    /// `connections.max.idle.ms`
    pub idle_max: Duration,
    /// `max.connections`: of further ones each listener accepts one, which waits; the others wait in the kernel's backlog.
    pub connections_max: usize,
    /// `max.connections.per.ip`: further ones are closed.
    pub connections_per_ip_max: usize,
    /// `max.connections.per.ip.overrides`
    pub connections_per_ip_overrides: BTreeMap<IpAddr, usize>,
}

/// Counts the connections of a process.
#[derive(Debug)]
pub(crate) struct Connections {
    places: Arc<Semaphore>,
    per_ip: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
}

/// One connection's place; free again when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
    ip: IpAddr,
    per_ip: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
}

impl Connections {
    pub(crate) fn new(limits: &Limits) -> Connections {
        Connections {
            places: Arc::new(Semaphore::new(limits.connections_max.min(Semaphore::MAX_PERMITS))),
            per_ip: Arc::default(),
        }
    }

    /// Waits until there may be one more connection.
    pub(crate) async fn room(&self) -> OwnedSemaphorePermit {
        self.places.clone().acquire_owned().await.expect("this semaphore is never closed")
    }

    /// `None` where `ip` has all the connections it may have.
    pub(crate) fn enter(&self, permit: OwnedSemaphorePermit, ip: IpAddr, limits: &Limits) -> Option<Place> {
        let ip = ip.to_canonical();
        let most = limits.connections_per_ip_overrides.get(&ip).copied().unwrap_or(limits.connections_per_ip_max);
        let mut per_ip = self.per_ip.lock().unwrap_or_else(PoisonError::into_inner);
        let count = per_ip.entry(ip).or_default();
        if *count >= most {
            if *count == 0 {
                per_ip.remove(&ip);
            }
            return None;
        }
        *count += 1;
        Some(Place { _permit: permit, ip, per_ip: self.per_ip.clone() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut per_ip = self.per_ip.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = per_ip.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                per_ip.remove(&self.ip);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_connections_and_no_more() {
        let [a, b] = ["10.0.0.1", "10.0.0.2"].map(|ip| ip.parse::<IpAddr>().unwrap());
        let limits = Limits {
            request_bytes_max: 0,
            idle_max: Duration::ZERO,
            connections_max: 9,
            connections_per_ip_max: 2,
            connections_per_ip_overrides: BTreeMap::from([(b, 0)]),
        };
        let connections = Connections::new(&limits);
        let enter = |ip| connections.enter(connections.places.clone().try_acquire_owned().unwrap(), ip, &limits);
        let first = enter(a);
        let second = enter(a);
        assert!(first.is_some() && second.is_some() && enter(a).is_none() && enter(b).is_none());
        drop(first);
        assert!(enter("::ffff:10.0.0.1".parse().unwrap()).is_some());
        drop(second);
        assert!(connections.per_ip.lock().unwrap().is_empty());
    }
}
