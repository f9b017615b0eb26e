//! A small HTTP/1.1 server for those who look at the broker: Prometheus, a probe, a person.
//!
//! It must answer when the broker is in trouble and must not be trouble itself. So it runs on the control lane, with a
//! bounded number of connections, each of which brings one request, with a head of bounded size, in bounded time, and is
//! closed after the answer. Who connects and says nothing makes way for who comes next.
//!
//! What there is to see is the [`Site`]'s; nothing here knows.

mod connection;
mod json;
mod places;
mod stream;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ottla_net::Bound;
use ottla_rt::{Lane, Rt, Stop, Task};

pub use json::Json;
pub use ottla_net::BoxFuture;

use connection::Connection;
use places::Places;

/// Connections at a time.
pub const CONNECTIONS_MAX: usize = 64;
/// What the method, the path and the headers of a request may take together.
pub const HEAD_BYTES_MAX: usize = 16 << 10;
/// From the connection to the end of the answer.
const LIMIT: Duration = Duration::from_secs(30);
/// How long the accept loop rests when the process has no descriptors left.
const OUT_OF_DESCRIPTORS_REST: Duration = Duration::from_millis(100);

/// What is served.
pub trait Site: Send + Sync + 'static {
    /// What answers a GET, or a HEAD, whose answer's body is not sent. Nothing is done before it is awaited. `None` where
    /// there is nothing under this path.
    fn get(&self, path: &str) -> Option<BoxFuture<Answer>>;
}

pub struct Answer {
    pub status: Status,
    pub content_type: &'static str,
    pub body: Bytes,
    /// Kept until the answer has left, or the client has.
    pub held: Option<Box<dyn Any + Send>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Ok,
    NotFound,
    MethodNotAllowed,
    Unavailable,
}

pub const TEXT: &str = "text/plain; charset=utf-8";
pub const HTML: &str = "text/html; charset=utf-8";
pub const JSON: &str = "application/json";

impl Answer {
    pub fn new(status: Status, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
        Answer { status, content_type, body: body.into(), held: None }
    }

    pub fn text(status: Status, body: impl Into<Bytes>) -> Answer {
        Answer::new(status, TEXT, body)
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Answer({:?}, {}, {} bytes)", self.status, self.content_type, self.body.len())
    }
}

/// Serves until `stop`.
pub fn serve(rt: &Rt, bound: Bound, site: Arc<dyn Site>, stop: Stop) -> Task<()> {
    rt.spawn(Lane::Control, "http", accept(rt.clone(), bound, site, stop))
}

async fn accept(rt: Rt, mut bound: Bound, site: Arc<dyn Site>, mut stop: Stop) {
    let places = Places::new(CONNECTIONS_MAX);
    let mut is_failing = false;
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.told() => return,
            accepted = bound.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                if !std::mem::replace(&mut is_failing, true) {
                    tracing::warn!("cannot accept HTTP connections, which is tried again: {error}");
                }
                rt.sleep(OUT_OF_DESCRIPTORS_REST).await;
                continue;
            }
        };
        is_failing = false;
        // Where all are being answered there is no place: it is closed.
        let Some(place) = places.take() else { continue };
        let connection = Connection { site: site.clone(), place };
        let (rt_again, mut stop) = (rt.clone(), stop.clone());
        rt.spawn(Lane::Control, "http connection", async move {
            tokio::select! {
                biased;
                () = stop.told() => {}
                _ = rt_again.timeout(LIMIT, connection.run(stream)) => {}
            }
        });
    }
}

#[cfg(test)]
mod tests;
