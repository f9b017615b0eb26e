//! From frames to handlers: what `io/net` asks of its service.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use ottla_base::Now;
use ottla_net::{BoxFuture, Next, Replies, Service};
use ottla_records::Scratch;
use ottla_wire::frame::{RequestHeader, RequestStart};
use ottla_wire::{ApiKey, ErrorCode, Reader};

use crate::Broker;
use crate::api::{self, ColdCall, HotCall, Run, k00_produce as produce, k01_fetch as fetch};
use crate::ctx::{Client, Ctx};
use crate::metrics::requests::Taken;

/// What a connection keeps from frame to frame. The vectors inside are used again from turn to turn.
#[derive(Debug)]
pub struct Turn {
    pub broker: Arc<Broker>,
    pub client: Arc<Client>,
    /// What the client called itself last.
    pub client_id: Arc<str>,
    pub produce: produce::Staging,
    pub fetch: fetch::Scratch,
    /// For unpacking what producers have packed.
    pub scratch: Option<Box<Scratch>>,
    /// When it began.
    began_us: i64,
    /// Requests whose answers leave with it.
    pub answered: Vec<Taken>,
}

impl Turn {
    /// The time as of the beginning of the turn.
    pub fn now(&self) -> Now {
        Now { mono_ms: self.began_us / 1000, wall_ms: self.broker.rt.wall_ms() }
    }

    fn end(&mut self) {
        if !self.answered.is_empty() {
            self.broker.metrics.requests.answered_all(&mut self.answered, self.broker.rt.mono_us());
        }
    }

    /// Clients hardly ever change their name: it is copied out of the frame when it does.
    fn take_note_of(&mut self, client_id: &[u8]) {
        if self.client_id.as_bytes() != client_id {
            self.client_id = String::from_utf8_lossy(client_id).into();
        }
    }
}

/// The broker as the service of one of its listeners.
#[derive(Debug)]
pub struct Served {
    pub broker: Arc<Broker>,
    pub listener: Arc<str>,
}

impl Service for Served {
    type Session = Turn;

    fn connected(&self, address: SocketAddr) -> Turn {
        Turn {
            broker: self.broker.clone(),
            client: Arc::new(Client { address, listener: self.listener.clone(), software: Mutex::default() }),
            client_id: Arc::default(),
            produce: produce::Staging::default(),
            fetch: fetch::Scratch::default(),
            scratch: None,
            began_us: 0,
            answered: Vec::new(),
        }
    }

    fn begin_turn(&self, turn: &mut Turn, now_us: i64) {
        turn.began_us = now_us;
    }

    fn amplifies(&self, frame: &[u8]) -> bool {
        RequestStart::decode(&mut Reader::new(frame)).is_ok_and(|start| start.key != ApiKey::Produce.code())
    }

    fn frame(&self, turn: &mut Turn, buffer: &[u8], frame: Range<usize>, replies: &mut Replies) -> Next {
        let bytes = &buffer[frame.clone()];
        let Ok(start) = RequestStart::decode(&mut Reader::new(bytes)) else {
            return Next::Close("a frame that is shorter than a request header");
        };
        if start.key != ApiKey::Produce.code()
            && let close @ Next::Close(_) = produce::end_turn(turn, buffer, replies)
        {
            return close;
        }
        let Some((row, api)) = api::find(start.key) else {
            return Next::Close("a request of an API key that is not served");
        };
        let bytes_taken = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let taken = Taken { row, version: start.version, bytes: bytes_taken, at_us: turn.began_us };
        if !api.key.api().versions.contains(&start.version) {
            if api.key == ApiKey::ApiVersions {
                turn.broker.metrics.requests.errors(row, ErrorCode::UnsupportedVersion.code(), 1);
                return Next::Barrier(Box::pin(std::future::ready(api::unsupported_api_versions(start))));
            }
            return Next::Close("a request of a version that is not served");
        }
        let mut reader = Reader::new(bytes);
        let Ok(header) = RequestHeader::decode(&mut reader) else {
            return Next::Close("a request header that does not decode");
        };
        let body = frame.start + reader.position()..frame.end;
        match api.run {
            Run::Hot(run) => run(turn, HotCall { start, buffer, body, taken }, replies),
            Run::Cold(run) => {
                turn.take_note_of(header.client_id.unwrap_or_default());
                let ctx = Ctx {
                    broker: turn.broker.clone(),
                    client: turn.client.clone(),
                    client_id: turn.client_id.clone(),
                    version: start.version,
                };
                match run(ColdCall { ctx, start, body: &buffer[body], taken }) {
                    Ok(answer) => Next::Barrier(answer),
                    Err(error) => {
                        tracing::debug!(peer = %turn.client.address, api = ?api.key, "a request does not decode: {error}");
                        Next::Close("a request body that does not decode")
                    }
                }
            }
        }
    }

    fn end_turn(&self, turn: &mut Turn, buffer: &[u8], replies: &mut Replies) -> Next {
        let next = produce::end_turn(turn, buffer, replies);
        turn.end();
        next
    }

    fn hold_back(&self, turn: &Turn) -> Option<BoxFuture<()>> {
        if !turn.produce.has_produced() {
            return None;
        }
        turn.broker.directories.hold_back().or_else(|| turn.broker.repacking.hold_back())
    }
}
