//! How many connections there may be. That may change while they are there: those that are too many by then stay.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::Notify;

/// Limits of a process's connections; each field is the Kafka key of that name.
#[derive(Clone, Debug)]
pub struct Limits {
    /// `socket.request.max.bytes`
    pub request_bytes_max: usize,
    /// `connections.max.idle.ms`
    pub idle_max: Duration,
    pub connections: ConnectionLimits,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// `max.connections`: of further ones each listener accepts one, which waits; the others wait in the kernel's backlog. A
    /// listener has such a limit of its own, beside this one.
    pub max: usize,
    /// `max.connections.per.ip`: further ones are closed.
    pub per_ip_max: usize,
    /// `max.connections.per.ip.overrides`
    pub per_ip_overrides: BTreeMap<IpAddr, usize>,
}

/// Counts the connections of a process.
#[derive(Debug)]
pub(crate) struct Connections {
    pub(crate) all: Arc<Count>,
    addresses: Arc<Addresses>,
}

/// So many connections, of a process or of one listener, and no more.
#[derive(Debug)]
pub(crate) struct Count {
    most: AtomicUsize,
    taken: AtomicUsize,
    /// Told when there may be room.
    freed: Notify,
}

/// Counts the connections of each address.
#[derive(Debug)]
struct Addresses {
    limits: RwLock<ConnectionLimits>,
    taken: Mutex<BTreeMap<IpAddr, usize>>,
}

/// Room for a connection; free again when dropped.
#[derive(Debug)]
pub(crate) struct Room(Arc<Count>);

/// One connection's place; free again when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    /// In its listener, and in the process.
    _rooms: [Room; 2],
    addresses: Arc<Addresses>,
    ip: IpAddr,
}

impl Connections {
    pub(crate) fn new(limits: ConnectionLimits) -> Connections {
        let all = Arc::new(Count::new(limits.max));
        Connections { all, addresses: Arc::new(Addresses { limits: RwLock::new(limits), taken: Mutex::default() }) }
    }

    pub(crate) fn set_limits(&self, limits: ConnectionLimits) {
        self.all.set_most(limits.max);
        *self.addresses.limits.write().unwrap_or_else(PoisonError::into_inner) = limits;
    }

    /// `None` where `ip` has all the connections it may have.
    pub(crate) fn enter(&self, rooms: [Room; 2], ip: IpAddr) -> Option<Place> {
        let ip = ip.to_canonical();
        let limits = self.addresses.limits.read().unwrap_or_else(PoisonError::into_inner);
        let most = limits.per_ip_overrides.get(&ip).copied().unwrap_or(limits.per_ip_max);
        let mut taken = self.addresses.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(ip).or_default();
        if *count >= most {
            if *count == 0 {
                taken.remove(&ip);
            }
            return None;
        }
        *count += 1;
        Some(Place { _rooms: rooms, addresses: self.addresses.clone(), ip })
    }
}

impl Count {
    pub(crate) fn new(most: usize) -> Count {
        Count { most: AtomicUsize::new(most), taken: AtomicUsize::new(0), freed: Notify::new() }
    }

    pub(crate) fn set_most(&self, most: usize) {
        self.most.store(most, Ordering::SeqCst);
        self.freed.notify_waiters();
    }

    /// Waits until there may be one more connection.
    pub(crate) async fn room(self: &Arc<Count>) -> Room {
        loop {
            let freed = self.freed.notified();
            if let Some(room) = self.try_room() {
                return room;
            }
            freed.await;
        }
    }

    fn try_room(self: &Arc<Count>) -> Option<Room> {
        let one_more = |taken| (taken < self.most.load(Ordering::SeqCst)).then_some(taken + 1);
        let taken = self.taken.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more);
        taken.is_ok().then(|| Room(self.clone()))
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::SeqCst);
        self.0.freed.notify_waiters();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.addresses.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.ip);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(max: usize, per_ip_max: usize, own: &[(IpAddr, usize)]) -> ConnectionLimits {
        ConnectionLimits { max, per_ip_max, per_ip_overrides: own.iter().copied().collect() }
    }

    #[test]
    fn an_address_has_so_many_connections_and_no_more() {
        let [a, b] = ["10.0.0.1", "10.0.0.2"].map(|ip| ip.parse::<IpAddr>().unwrap());
        let connections = Connections::new(limits(9, 2, &[(b, 0)]));
        let listener = Arc::new(Count::new(9));
        let enter = |ip| connections.enter([&listener, &connections.all].map(|count| count.try_room().unwrap()), ip);
        let first = enter(a);
        let second = enter(a);
        assert!(first.is_some() && second.is_some() && enter(a).is_none() && enter(b).is_none());
        drop(first);
        assert!(enter("::ffff:10.0.0.1".parse().unwrap()).is_some());
        connections.set_limits(limits(9, 3, &[(b, 1)]));
        let more = [enter(a), enter(a), enter(b)];
        assert!(more.iter().all(Option::is_some) && enter(a).is_none() && enter(b).is_none());
        drop((second, more));
        assert!(connections.addresses.taken.lock().unwrap().is_empty());
        for count in [&listener, &connections.all] {
            assert_eq!(count.taken.load(Ordering::SeqCst), 0);
        }
    }

    #[test]
    fn there_are_so_many_connections_and_no_more() {
        let connections = Connections::new(limits(2, 9, &[]));
        let both = [connections.all.try_room(), connections.all.try_room()];
        assert!(both.iter().all(Option::is_some) && connections.all.try_room().is_none());
        connections.set_limits(limits(3, 9, &[]));
        let third = connections.all.try_room();
        assert!(third.is_some());
        connections.set_limits(limits(1, 9, &[]));
        drop(third);
        assert!(connections.all.try_room().is_none());
        drop(both);
        assert!(connections.all.try_room().is_some());
    }
}
