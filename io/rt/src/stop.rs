//! One word to many tasks: stop.

use tokio::sync::watch;

/// Gives the word, once.
#[derive(Debug, Default)]
pub struct Stopper(watch::Sender<bool>);

/// Hears it.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

impl Stopper {
    pub fn listener(&self) -> Stop {
        Stop(self.0.subscribe())
    }

    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    /// Until the word is given, now or long ago, or nobody is left to give it.
    pub async fn told(&mut self) {
        let _ = self.0.wait_for(|stop| *stop).await;
    }
}
