//! One word to many tasks: stop.
//!
//! Every connection waits for it all the time, so one list of those who wait would be one lock for all of them. There are
//! several; who waits where is counted, not drawn as tokio's `watch` does it, so that a simulated run can be repeated.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Gives the word, once.
#[derive(Debug, Default)]
pub struct Stopper(Arc<Word>);

/// Hears it.
#[derive(Debug)]
pub struct Stop {
    word: Arc<Word>,
    list: usize,
}

#[derive(Debug, Default)]
struct Word {
    is_given: AtomicBool,
    lists: [Notify; 8],
    next_list: AtomicUsize,
}

impl Stopper {
    pub fn listener(&self) -> Stop {
        Stop::of(&self.0)
    }

    pub fn stop(&self) {
        self.0.is_given.store(true, Ordering::Release);
        self.0.lists.iter().for_each(Notify::notify_waiters);
    }
}

/// Nobody is left to give the word.
impl Drop for Stopper {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Stop {
    fn of(word: &Arc<Word>) -> Stop {
        let list = word.next_list.fetch_add(1, Ordering::Relaxed) % word.lists.len();
        Stop { word: word.clone(), list }
    }

    /// Another one that hears the same word.
    pub fn again(&self) -> Stop {
        Stop::of(&self.word)
    }

    pub fn is_told(&self) -> bool {
        self.word.is_given.load(Ordering::Acquire)
    }

    /// Until the word is given, now or long ago, or nobody is left to give it.
    pub async fn told(&mut self) {
        // On the list before it looks: a word that comes in between is not missed.
        let told = self.word.lists[self.list].notified();
        if !self.word.is_given.load(Ordering::Acquire) {
            told.await;
        }
    }
}

impl Clone for Stop {
    fn clone(&self) -> Stop {
        Stop::of(&self.word)
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    #[test]
    fn the_word_reaches_everybody_however_they_wait() {
        let stopper = Stopper::default();
        let mut cx = Context::from_waker(Waker::noop());
        let (mut waits, mut late, mut orphan) = (stopper.listener(), stopper.listener(), Stopper::default().listener());
        let mut told = pin!(waits.told());
        assert!(told.as_mut().poll(&mut cx).is_pending());
        stopper.stop();
        assert!(told.poll(&mut cx).is_ready());
        assert!(pin!(late.told()).poll(&mut cx).is_ready());
        assert!(pin!(late.told()).poll(&mut cx).is_ready(), "and every time it is asked");
        assert!(pin!(orphan.told()).poll(&mut cx).is_ready());
    }
}
