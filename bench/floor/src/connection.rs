//! One connection, on a thread of its own: read, answer every whole frame in place, write all replies at once.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use crate::fields::{self, Fields};
use crate::log::Partition;
use crate::{fetch, produce};

const BUFFER_BYTES: usize = 64 << 10;
const FRAME_BYTES_MAX: usize = 100 << 20;
const PRODUCE: i16 = 0;
const FETCH: i16 = 1;

/// Answers requests until the peer closes.
pub fn serve(mut stream: TcpStream, partitions: &[Partition]) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut filled = 0;
    let mut large = Vec::new();
    let mut out = Vec::new();
    loop {
        let got = stream.read(&mut buffer[filled..])?;
        if got == 0 {
            return Ok(());
        }
        filled += got;
        let mut at = 0;
        while let Some(bytes) = frame_bytes(&buffer[at..filled])? {
            let there = (filled - at).min(bytes);
            if there == bytes {
                answer(&mut buffer[at..at + bytes], partitions, &mut out, &stream)?;
            } else if bytes > BUFFER_BYTES {
                // It never fits the buffer, so its rest is read straight to where it is used.
                large.resize(bytes, 0);
                large[..there].copy_from_slice(&buffer[at..filled]);
                stream.read_exact(&mut large[there..])?;
                answer(&mut large, partitions, &mut out, &stream)?;
            } else {
                break;
            }
            at += there;
        }
        buffer.copy_within(at..filled, 0);
        filled -= at;
        stream.write_all(&out)?;
        out.clear();
    }
}

/// The bytes of the frame that begins here, its size included; `None` while that is not known.
fn frame_bytes(input: &[u8]) -> io::Result<Option<usize>> {
    let Some(size) = Fields::at(input, 0).i32() else { return Ok(None) };
    match usize::try_from(size) {
        Ok(size) if size <= FRAME_BYTES_MAX => Ok(Some(4 + size)),
        _ => Err(unknown("a frame of this size")),
    }
}

fn answer(frame: &mut [u8], partitions: &[Partition], out: &mut Vec<u8>, stream: &TcpStream) -> io::Result<()> {
    let mut fields = Fields::at(frame, 4);
    let header = fields::header(&mut fields).ok_or_else(|| unknown("this header"))?;
    let answered = match header.api_key {
        PRODUCE => {
            let position = fields.position;
            produce::answer(header, frame, position, partitions, out)?
        }
        FETCH => fetch::answer(header, fields, partitions, out, stream)?,
        _ => None,
    };
    answered.ok_or_else(|| unknown(&format!("this request of key {}", header.api_key)))
}

fn unknown(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the floor does not know {what}"))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    fn fixture(name: &str) -> Vec<u8> {
        let lines = include_str!("../../fixtures/kafka-4.3.1.txt").lines();
        let found = lines.filter_map(|line| line.split_once(' ')).find(|(first, _)| *first == name);
        let (_, hex) = found.unwrap_or_else(|| panic!("no fixture {name}"));
        let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        (0..hex.len()).step_by(2).map(byte).collect()
    }

    /// Sends the requests in one write to a floor with four partitions, and gives its replies.
    fn replies(requests: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let dir = tempfile::tempdir().unwrap();
        let create = |partition: i32| Partition::create(dir.path().join(partition.to_string()), 1 << 20).unwrap();
        let partitions: Vec<Partition> = (0..4).map(create).collect();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        thread::scope(|scope| {
            scope.spawn(|| serve(server, &partitions).unwrap());
            let mut writer = client.try_clone().unwrap();
            scope.spawn(move || writer.write_all(&requests.concat()).unwrap());
            let replies = requests.iter().map(|_| reply(&mut client)).collect();
            client.shutdown(std::net::Shutdown::Write).unwrap();
            replies
        })
    }

    fn reply(client: &mut TcpStream) -> Vec<u8> {
        let mut size = [0; 4];
        client.read_exact(&mut size).unwrap();
        let mut reply = [&size[..], &vec![0; i32::from_be_bytes(size) as usize]].concat();
        client.read_exact(&mut reply[4..]).unwrap();
        reply
    }

    /// The produce request of the fixtures with a batch of this size.
    fn produce(batch_bytes: usize) -> Vec<u8> {
        let (request, batch) = (fixture("produce"), fixture("batch-1"));
        let before = request.len() - batch.len() - 2 - 3; // two bytes tell the length, three end the structures
        let mut batch = [&batch[..], &vec![7; batch_bytes - batch.len()]].concat();
        batch[8..12].copy_from_slice(&(batch_bytes as i32 - 12).to_be_bytes());
        let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, &batch[21..]) as u32;
        batch[17..21].copy_from_slice(&crc.to_be_bytes());
        let mut request = request[..before].to_vec();
        fields::put_uvarint(&mut request, batch_bytes as u32 + 1);
        request.extend(batch);
        request.extend([0; 3]);
        let size = request.len() as i32 - 4;
        request[..4].copy_from_slice(&size.to_be_bytes());
        request
    }

    /// The fetch request of the fixtures, from the start and without its limit.
    fn fetch_all() -> Vec<u8> {
        let mut request = fixture("fetch");
        let end = request.len();
        request[end - 29..end - 21].copy_from_slice(&0_i64.to_be_bytes());
        request[end - 9..end - 5].copy_from_slice(&i32::MAX.to_be_bytes());
        request
    }

    #[test]
    fn answers_are_kafkas_to_the_byte() {
        let got = replies(&["produce", "produce", "fetch"].map(fixture));
        assert_eq!(got, ["produce-reply", "produce-2-reply", "fetch-reply"].map(fixture));
    }

    #[test]
    fn frames_larger_than_the_buffer() {
        let batch_bytes = 3 * BUFFER_BYTES;
        // Behind a small frame, to another partition: a partition's batches are of one size.
        let mut small = fixture("produce");
        let partition = small.len() - fixture("batch-1").len() - 3 - 2 - 4;
        small[partition..partition + 4].fill(0);
        let got = replies(&[small, produce(batch_bytes), produce(batch_bytes), fetch_all()]);
        assert_eq!(got[1..3], ["produce-reply", "produce-2-reply"].map(fixture));
        let records = &got[3][got[3].len() - 3 - 2 * batch_bytes..got[3].len() - 3];
        assert_eq!((records[7], records[batch_bytes + 7]), (0, 1), "base offsets");
        let sent = produce(batch_bytes);
        assert_eq!(records[16..batch_bytes], sent[sent.len() - 3 - batch_bytes + 16..sent.len() - 3]);
    }

    #[test]
    fn frames_across_the_buffers_end() {
        let count = 5 * BUFFER_BYTES as i64 / fixture("produce").len() as i64;
        let request = |id: i64| {
            let mut request = fixture("produce");
            request[8..12].copy_from_slice(&(id as i32).to_be_bytes());
            request
        };
        let got = replies(&(0..count).map(request).collect::<Vec<_>>());
        let id = |reply: &Vec<u8>| i64::from(i32::from_be_bytes(reply[4..8].try_into().unwrap()));
        let offset = |reply: &Vec<u8>| i64::from_be_bytes(reply[23..31].try_into().unwrap());
        assert!(got.iter().map(id).eq(0..count) && got.iter().map(offset).eq(0..count));
    }

    #[test]
    fn a_damaged_batch_is_refused() {
        let mut damaged = fixture("produce");
        let end = damaged.len();
        damaged[end - 10] ^= 1;
        let got = replies(&[damaged, fixture("produce")]);
        let error = |reply: &[u8]| reply[21..23].to_vec();
        assert_eq!((error(&got[0]), error(&got[1])), (vec![0, 2], vec![0, 0]));
    }
}
