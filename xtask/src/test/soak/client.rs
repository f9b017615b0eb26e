//! As much of a Kafka client as the soak needs: one connection, one request at a time, old versions without tags.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::failed;
use crate::test::tally::Trouble;

const PATIENCE: Duration = Duration::from_secs(60);
const CLIENT_ID: &str = "soak";
const REPLY_BYTES_MAX: usize = 64 << 20;

pub const KAFKA_STORAGE_ERROR: i16 = 56;

const PRODUCE: (i16, i16) = (0, 7);
const FETCH: (i16, i16) = (1, 4);
const CREATE_TOPICS: (i16, i16) = (19, 2);

pub struct Client {
    stream: TcpStream,
    correlation_id: i32,
}

/// What a broker said to a request for one partition: not 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorCode(pub i16);

impl Client {
    pub fn connect(address: &str) -> Result<Client, Trouble> {
        let connect = || {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            Ok(Client { stream, correlation_id: 0 })
        };
        connect().map_err(failed("connecting to the broker"))
    }

    pub fn create_topic(&mut self, topic: &str, partitions: i32) -> Result<(), Trouble> {
        let mut body = 1_i32.to_be_bytes().to_vec();
        put_string(&mut body, topic);
        body.extend(partitions.to_be_bytes());
        body.extend(1_i16.to_be_bytes()); // replicas
        body.extend([0; 4 + 4]); // no assignments, no configs
        body.extend((PATIENCE.as_millis() as i32).to_be_bytes());
        body.push(0); // not only validated
        let reply = self.ask("CreateTopics", CREATE_TOPICS, &[&body])?;
        let mut fields = Fields(&reply);
        fields.skip(4 + 4)?; // throttle time; one topic
        fields.skip_string()?;
        match fields.i16()? {
            0 => Ok(()),
            error => Err(Trouble::Failed(format!("{topic} was not created: error {error}"))),
        }
    }

    /// The base offset that the batch was given.
    pub fn produce(&mut self, topic: &str, partition: i32, batch: &[u8]) -> Result<Result<i64, ErrorCode>, Trouble> {
        let mut body = (-1_i16).to_be_bytes().to_vec(); // no transactional id
        body.extend((-1_i16).to_be_bytes()); // acks
        body.extend((PATIENCE.as_millis() as i32).to_be_bytes());
        put_partition(&mut body, topic, partition);
        body.extend((batch.len() as i32).to_be_bytes());
        let reply = self.ask("Produce", PRODUCE, &[&body, batch])?;
        let mut fields = Fields(&reply);
        fields.skip(4)?;
        fields.skip_string()?;
        fields.skip(4 + 4)?;
        Ok(match fields.i16()? {
            0 => Ok(fields.i64()?),
            error => Err(ErrorCode(error)),
        })
    }

    /// The batches from `offset` on, about 1 MiB of them; none at the log's end.
    pub fn fetch(&mut self, topic: &str, partition: i32, offset: i64) -> Result<Result<Vec<u8>, ErrorCode>, Trouble> {
        let mut body = (-1_i32).to_be_bytes().to_vec(); // a consumer
        body.extend([0; 4 + 4]); // waits for nothing
        body.extend((1_i32 << 20).to_be_bytes());
        body.push(0); // isolation level
        put_partition(&mut body, topic, partition);
        body.extend(offset.to_be_bytes());
        body.extend((1_i32 << 20).to_be_bytes());
        let reply = self.ask("Fetch", FETCH, &[&body])?;
        let mut fields = Fields(&reply);
        fields.skip(4 + 4)?;
        fields.skip_string()?;
        fields.skip(4 + 4)?;
        let error = fields.i16()?;
        if error != 0 {
            return Ok(Err(ErrorCode(error)));
        }
        fields.skip(8 + 8)?; // high watermark, last stable offset
        let aborted = fields.i32()?.max(0) as usize;
        fields.skip(aborted * 16)?;
        let bytes = fields.i32()?.max(0) as usize;
        Ok(Ok(fields.take(bytes)?.to_vec()))
    }

    /// Sends a request and gives what follows the correlation id in the reply.
    fn ask(&mut self, name: &str, (key, version): (i16, i16), body: &[&[u8]]) -> Result<Vec<u8>, Trouble> {
        self.correlation_id += 1;
        let mut frame = vec![0; 4];
        frame.extend(key.to_be_bytes());
        frame.extend(version.to_be_bytes());
        frame.extend(self.correlation_id.to_be_bytes());
        put_string(&mut frame, CLIENT_ID);
        body.iter().for_each(|part| frame.extend_from_slice(part));
        let size = frame.len() as i32 - 4;
        frame[..4].copy_from_slice(&size.to_be_bytes());
        let reply = self.exchange(&frame).map_err(failed(name))?;
        let mut fields = Fields(&reply);
        match fields.i32()? {
            id if id == self.correlation_id => Ok(fields.0.to_vec()),
            id => Err(Trouble::Failed(format!("{name}: a reply to request {id}, and not to {}", self.correlation_id))),
        }
    }

    fn exchange(&mut self, frame: &[u8]) -> std::io::Result<Vec<u8>> {
        self.stream.write_all(frame)?;
        let mut size = [0; 4];
        self.stream.read_exact(&mut size)?;
        let size = u32::from_be_bytes(size) as usize;
        if size > REPLY_BYTES_MAX {
            return Err(std::io::Error::other(format!("a reply of {size} bytes")));
        }
        let mut reply = vec![0; size];
        self.stream.read_exact(&mut reply)?;
        Ok(reply)
    }
}

fn put_string(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as i16).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// An array of one topic with an array of one partition.
fn put_partition(out: &mut Vec<u8>, topic: &str, partition: i32) {
    out.extend(1_i32.to_be_bytes());
    put_string(out, topic);
    out.extend(1_i32.to_be_bytes());
    out.extend(partition.to_be_bytes());
}

/// Reads a reply from its front.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Trouble> {
        let short = || Trouble::Failed("a reply that ends too early".into());
        let (bytes, rest) = self.0.split_at_checked(count).ok_or_else(short)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn skip(&mut self, count: usize) -> Result<(), Trouble> {
        self.take(count).map(drop)
    }

    fn skip_string(&mut self) -> Result<(), Trouble> {
        let length = self.i16()?.max(0) as usize;
        self.skip(length)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Trouble> {
        self.take(N).map(|bytes| bytes.try_into().expect("as many were taken"))
    }

    fn i16(&mut self) -> Result<i16, Trouble> {
        self.array().map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> Result<i32, Trouble> {
        self.array().map(i32::from_be_bytes)
    }

    fn i64(&mut self) -> Result<i64, Trouble> {
        self.array().map(i64::from_be_bytes)
    }
}
