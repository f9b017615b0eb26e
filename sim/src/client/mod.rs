//! A Kafka client of the smallest kind: one connection, requests that go out in order, answers that come in order.
//!
//! It speaks of nothing that it does not have to: no retries, no metadata. Those who use it decide what an outcome means.
//! Whatever no broker may answer is noted in the history.

mod fetch;
mod offsets;
mod produce;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ottla_net::{MemoryNetwork, MemoryStream};
use ottla_rt::Rt;
use ottla_wire::frame::SIZE_BYTES;
use ottla_wire::{ApiKey, DecodeError, Form, Message, Reader, Request, Writer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::history::{Event, History};

pub use fetch::{Ask, FetchAnswer, FetchPart, FetchRequest};
pub use offsets::{EARLIEST, FoundOffset, LATEST};
pub use produce::{Answered, Part, ProduceRequest};

/// How long an answer may take before the client gives the connection up.
const ANSWER_LIMIT: Duration = Duration::from_secs(6);
/// Longest answer that is believed.
const ANSWER_BYTES_MAX: i32 = 64 << 20;
const HOST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 1, 1));

/// The connection is gone. What was asked and not answered may have been done, or be done yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

#[derive(Debug)]
pub struct Client {
    rt: Rt,
    network: MemoryNetwork,
    broker: SocketAddr,
    history: History,
    stream: Option<MemoryStream>,
    next_id: i32,
}

/// A request that was sent: how its answer is recognised and read.
#[derive(Clone, Copy, Debug)]
pub struct Pending {
    key: ApiKey,
    version: i16,
    id: i32,
}

impl Client {
    pub fn new(rt: Rt, network: MemoryNetwork, broker: SocketAddr, history: History) -> Client {
        Client { rt, network, broker, history, stream: None, next_id: 0 }
    }

    /// Sends a request and waits for its answer.
    pub async fn call<R: Request>(&mut self, request: &R, version: i16) -> Result<R::Response, Gone> {
        let pending = self.send(R::KEY, version, |writer| request.encode(writer, version)).await?;
        self.receive(pending, |reader| R::Response::decode(reader, version)).await
    }

    /// Sends a request; connects first if need be.
    pub async fn send(
        &mut self,
        key: ApiKey,
        version: i16,
        body: impl FnOnce(&mut Writer<'_>),
    ) -> Result<Pending, Gone> {
        let pending = Pending { key, version, id: self.next_id };
        self.next_id += 1;
        let frame = frame(pending, body);
        let (rt, network, broker) = (self.rt.clone(), self.network.clone(), self.broker);
        let stream = &mut self.stream;
        let sent = async {
            let stream = match stream {
                Some(stream) => stream,
                None => stream.insert(network.connect(HOST, broker).await?),
            };
            stream.write_all(&frame).await
        };
        let sent = rt.timeout(ANSWER_LIMIT, sent).await;
        if matches!(sent, Some(Ok(()))) { Ok(pending) } else { self.lose() }
    }

    /// Waits for the answer of a request; those of earlier ones have been received.
    pub async fn receive<T>(
        &mut self,
        pending: Pending,
        decode: impl FnOnce(&mut Reader<'_>) -> Result<T, DecodeError>,
    ) -> Result<T, Gone> {
        let rt = self.rt.clone();
        let Some(stream) = &mut self.stream else { return Err(Gone) };
        let Some(Ok(frame)) = rt.timeout(ANSWER_LIMIT, next_frame(stream)).await else { return self.lose() };
        match frame.and_then(|frame| answer(pending, &frame, decode)) {
            Ok(answer) => Ok(answer),
            Err(what) => {
                self.history.note(Event::Broken { what: format!("answer to {:?}: {what}", pending.key) });
                self.lose()
            }
        }
    }

    /// Closes the connection.
    pub fn hang_up(&mut self) {
        self.stream = None;
    }

    fn lose<T>(&mut self) -> Result<T, Gone> {
        self.hang_up();
        Err(Gone)
    }
}

fn frame(Pending { key, version, id }: Pending, body: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut bytes = vec![0; SIZE_BYTES];
    let mut writer = Writer::new(&mut bytes);
    writer.i16(key.code());
    writer.i16(version);
    writer.i32(id);
    writer.str("sim", Form::Classic);
    if version >= key.api().flexible_from {
        writer.uvarint(0);
    }
    body(&mut writer);
    let size = i32::try_from(bytes.len() - SIZE_BYTES).expect("no request has 2 GiB");
    bytes[..SIZE_BYTES].copy_from_slice(&size.to_be_bytes());
    bytes
}

/// A frame without its size, or what is wrong with that.
async fn next_frame(stream: &mut MemoryStream) -> std::io::Result<Result<Vec<u8>, String>> {
    let size = stream.read_i32().await?;
    let Some(size) = usize::try_from(size).ok().filter(|_| size <= ANSWER_BYTES_MAX) else {
        return Ok(Err(format!("a frame of {size} bytes")));
    };
    let mut frame = vec![0; size];
    stream.read_exact(&mut frame).await?;
    Ok(Ok(frame))
}

fn answer<T>(
    Pending { key, version, id }: Pending,
    frame: &[u8],
    decode: impl FnOnce(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<T, String> {
    let mut reader = Reader::new(frame);
    let read = || {
        let answered = reader.i32("correlation_id")?;
        if version >= key.api().flexible_from && key != ApiKey::ApiVersions {
            reader.skip_tags()?;
        }
        Ok((answered, decode(&mut reader)?))
    };
    let (answered, answer) = read().map_err(|error: DecodeError| error.to_string())?;
    match reader.remaining() {
        _ if answered != id => Err(format!("it is to request {answered}, not to {id}")),
        0 => Ok(answer),
        bytes => Err(format!("{bytes} bytes are left over")),
    }
}

/// A topic in a Produce or Fetch request: from version 13 on by id, before by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicName {
    pub name: String,
    pub id: ottla_base::Uuid,
}

const IDS_FROM: i16 = 13;

impl TopicName {
    fn write(&self, writer: &mut Writer<'_>, version: i16, form: Form) {
        if version >= IDS_FROM { writer.uuid(self.id) } else { writer.str(&self.name, form) }
    }

    /// Finds the topic that an answer names among those that were asked for.
    fn find<'t>(
        reader: &mut Reader<'_>,
        version: i16,
        form: Form,
        among: &'t [TopicName],
    ) -> Result<&'t TopicName, DecodeError> {
        let start = *reader;
        let found = if version >= IDS_FROM {
            let id = reader.uuid("topic_id")?;
            among.iter().find(|topic| topic.id == id)
        } else {
            let name = reader.nullable_str_bytes("name", form)?;
            among.iter().find(|topic| Some(topic.name.as_bytes()) == name)
        };
        found.ok_or(start.error("a topic that was not asked for", ottla_wire::DecodeErrorKind::Null))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PENDING: Pending = Pending { key: ApiKey::Metadata, version: 12, id: 7 };

    #[test]
    fn a_request_is_framed_as_brokers_read_it() {
        let bytes = frame(PENDING, |writer| writer.i16(9));
        let mut reader = Reader::new(&bytes[SIZE_BYTES..]);
        let header = ottla_wire::frame::RequestHeader::decode(&mut reader).unwrap();
        assert_eq!(
            (header.key, header.version, header.correlation_id, header.client_id),
            (3, 12, 7, Some(&b"sim"[..]))
        );
        assert_eq!((reader.i16("body"), reader.remaining()), (Ok(9), 0));
    }

    #[test]
    fn an_answer_is_to_its_request_and_has_no_more() {
        let check = |bytes: &[u8]| answer(PENDING, bytes, |reader| reader.i16("body")).ok();
        assert_eq!(check(&[0, 0, 0, 7, 0, 0, 9]), Some(9));
        assert_eq!(check(&[0, 0, 0, 8, 0, 0, 9]), None);
        assert_eq!(check(&[0, 0, 0, 7, 0, 0, 9, 0]), None);
        assert_eq!(check(&[0, 0, 0, 7, 0, 0]), None);
    }
}
