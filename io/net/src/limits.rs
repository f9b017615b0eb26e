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
    /// `max.connections`: of further ones each listener accepts one, which waits; the others wait in the kernel's backlog.
    pub max: usize,
    /// `max.connections.per.ip`: further ones are closed.
    pub per_ip_max: usize,
    /// `max.connections.per.ip.overrides`
    pub per_ip_overrides: BTreeMap<IpAddr, usize>,
}

/// Counts the connections of a process.
#[derive(Debug)]
pub(crate) struct Connections {
    limits: RwLock<ConnectionLimits>,
    taken: Arc<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: AtomicUsize,
    per_ip: Mutex<BTreeMap<IpAddr, usize>>,
    /// Told when there may be room.
    freed: Notify,
}

/// Room for a connection; free again when dropped.
#[derive(Debug)]
pub(crate) struct Room(Arc<Taken>);

/// One connection's place; free again when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    room: Room,
    ip: IpAddr,
}

impl Connections {
    pub(crate) fn new(limits: ConnectionLimits) -> Connections {
        Connections { limits: RwLock::new(limits), taken: Arc::default() }
    }

    pub(crate) fn set_limits(&self, limits: ConnectionLimits) {
        *self.limits.write().unwrap_or_else(PoisonError::into_inner) = limits;
        self.taken.freed.notify_waiters();
    }

    /// Waits until there may be one more connection.
    pub(crate) async fn room(&self) -> Room {
        loop {
            let freed = self.taken.freed.notified();
            if let Some(room) = self.try_room() {
                return room;
            }
            freed.await;
        }
    }

    fn try_room(&self) -> Option<Room> {
        let max = self.limits.read().unwrap_or_else(PoisonError::into_inner).max;
        let one_more = |all| (all < max).then_some(all + 1);
        let taken = self.taken.all.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more);
        taken.is_ok().then(|| Room(self.taken.clone()))
    }

    /// `None` where `ip` has all the connections it may have.
    pub(crate) fn enter(&self, room: Room, ip: IpAddr) -> Option<Place> {
        let ip = ip.to_canonical();
        let limits = self.limits.read().unwrap_or_else(PoisonError::into_inner);
        let most = limits.per_ip_overrides.get(&ip).copied().unwrap_or(limits.per_ip_max);
        let mut per_ip = self.taken.per_ip.lock().unwrap_or_else(PoisonError::into_inner);
        let count = per_ip.entry(ip).or_default();
        if *count >= most {
            if *count == 0 {
                per_ip.remove(&ip);
            }
            return None;
        }
        *count += 1;
        Some(Place { room, ip })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.0.all.fetch_sub(1, Ordering::SeqCst);
        self.0.freed.notify_waiters();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut per_ip = self.room.0.per_ip.lock().unwrap_or_else(PoisonError::into_inner);
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

    fn limits(max: usize, per_ip_max: usize, own: &[(IpAddr, usize)]) -> ConnectionLimits {
        ConnectionLimits { max, per_ip_max, per_ip_overrides: own.iter().copied().collect() }
    }

    #[test]
    fn an_address_has_so_many_connections_and_no_more() {
        let [a, b] = ["10.0.0.1", "10.0.0.2"].map(|ip| ip.parse::<IpAddr>().unwrap());
        let connections = Connections::new(limits(9, 2, &[(b, 0)]));
        let enter = |ip| connections.enter(connections.try_room().unwrap(), ip);
        let first = enter(a);
        let second = enter(a);
        assert!(first.is_some() && second.is_some() && enter(a).is_none() && enter(b).is_none());
        drop(first);
        assert!(enter("::ffff:10.0.0.1".parse().unwrap()).is_some());
        connections.set_limits(limits(9, 3, &[(b, 1)]));
        let more = [enter(a), enter(a), enter(b)];
        assert!(more.iter().all(Option::is_some) && enter(a).is_none() && enter(b).is_none());
        drop((second, more));
        assert!(connections.taken.per_ip.lock().unwrap().is_empty());
        assert_eq!(connections.taken.all.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn there_are_so_many_connections_and_no_more() {
        let connections = Connections::new(limits(2, 9, &[]));
        let both = [connections.try_room(), connections.try_room()];
        assert!(both.iter().all(Option::is_some) && connections.try_room().is_none());
        connections.set_limits(limits(3, 9, &[]));
        let third = connections.try_room();
        assert!(third.is_some());
        connections.set_limits(limits(1, 9, &[]));
        drop(third);
        assert!(connections.try_room().is_none());
        drop(both);
        assert!(connections.try_room().is_some());
    }
}
