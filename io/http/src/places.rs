//! Places for connections. Where all are taken, the connection that has waited longest without asking anything gives up
//! its own: hundreds of silent ones do not keep a probe out, and who is being answered is not cut off.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

#[derive(Debug)]
pub struct Places(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    most: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    /// In the order in which they came.
    silent: BTreeMap<u64, Arc<Notify>>,
    asking: usize,
}

/// One connection's place; free again when dropped.
#[derive(Debug)]
pub struct Place {
    shared: Arc<Shared>,
    number: u64,
    lost: Arc<Notify>,
}

impl Places {
    pub fn new(most: usize) -> Places {
        Places(Arc::new(Shared { most, taken: Mutex::default() }))
    }

    /// `None` where all places are of connections that have asked.
    pub fn take(&self) -> Option<Place> {
        let mut taken = self.0.taken();
        if taken.silent.len() + taken.asking >= self.0.most {
            let (_, loser) = taken.silent.pop_first()?;
            loser.notify_one();
        }
        let (number, lost) = (taken.next, Arc::new(Notify::new()));
        taken.next += 1;
        taken.silent.insert(number, lost.clone());
        Some(Place { shared: self.0.clone(), number, lost })
    }
}

impl Place {
    /// Until another has it.
    pub async fn lost(&self) {
        self.lost.notified().await;
    }

    /// The connection has asked: from now on it keeps its place until what this gives is dropped. `None` where it has it
    /// no more.
    pub fn kept(&self) -> Option<Kept> {
        let mut taken = self.shared.taken();
        taken.silent.remove(&self.number)?;
        taken.asking += 1;
        Some(Kept(self.shared.clone()))
    }
}

/// See [`Place::kept`].
#[derive(Debug)]
pub struct Kept(Arc<Shared>);

impl Drop for Kept {
    fn drop(&mut self) {
        self.0.taken().asking -= 1;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.taken().silent.remove(&self.number);
    }
}

impl Shared {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    fn is_lost(place: &Place) -> bool {
        pin!(place.lost()).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn the_oldest_that_is_silent_makes_way() {
        let places = Places::new(2);
        let [asking, silent] = [(); 2].map(|()| places.take().unwrap());
        let kept = asking.kept().unwrap();
        let next = places.take().unwrap();
        assert_eq!([&asking, &silent, &next].map(is_lost), [false, true, false]);
        assert!(silent.kept().is_none(), "it asks too late");
        let next_kept = next.kept().unwrap();
        assert!(places.take().is_none(), "both are being answered");
        drop((asking, kept));
        assert!(places.take().is_some());
        drop(next_kept);
        drop([places.take().unwrap(), places.take().unwrap()]);
        let again = [places.take().unwrap(), places.take().unwrap()];
        assert!(!again.iter().any(is_lost), "those that went have left their places");
    }
}
