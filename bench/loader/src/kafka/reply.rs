//! What the loader looks at in a reply: that it is the right one, that it is no error, and how far it goes.

use anyhow::{Context, ensure};

use super::fields::Fields;

/// The bytes of the frame that begins here, its size included; `None` while that is not known.
pub fn frame_bytes(input: &[u8]) -> Option<usize> {
    Fields(input).i32().map(|size| 4 + size.max(0) as usize)
}

/// The records of a fetched partition, of which only the first bytes need to be there.
#[derive(Debug, PartialEq)]
pub struct Fetched {
    pub bytes: usize,
    /// Where there is a record.
    pub first_base_offset: Option<i64>,
}

/// The base offset that a batch was given.
pub fn produced(frame: &[u8], correlation_id: i32) -> anyhow::Result<i64> {
    let mut fields = body(frame, correlation_id)?;
    let (partition, error, base_offset) =
        partition_produced(&mut fields).context("a produce reply that ends too early")?;
    ensure!(error == 0, "produce to partition {partition} was answered with error {error}");
    Ok(base_offset)
}

fn partition_produced(fields: &mut Fields<'_>) -> Option<(i32, i16, i64)> {
    fields.compact_len()?;
    fields.compact_string()?;
    fields.compact_len()?;
    Some((fields.i32()?, fields.i16()?, fields.i64()?))
}

/// `None` while the frame's front is too short to tell.
pub fn fetched(front: &[u8], correlation_id: i32) -> anyhow::Result<Option<Fetched>> {
    if front.len() < 4 + 4 + 1 {
        return Ok(None);
    }
    let mut fields = body(front, correlation_id)?;
    let Some((whole_error, partition, error, bytes)) = partition_fetched(&mut fields) else { return Ok(None) };
    ensure!(whole_error == 0, "fetch was answered with error {whole_error}");
    ensure!(error == 0, "fetch from partition {partition} was answered with error {error}");
    if bytes == 0 {
        return Ok(Some(Fetched { bytes, first_base_offset: None }));
    }
    Ok(fields.i64().map(|first| Fetched { bytes, first_base_offset: Some(first) }))
}

fn partition_fetched(fields: &mut Fields<'_>) -> Option<(i16, i32, i16, usize)> {
    let (_throttle_ms, whole_error, _session_id) = (fields.i32()?, fields.i16()?, fields.i32()?);
    if fields.compact_len()? == 0 {
        return Some((whole_error, -1, 0, 0));
    }
    fields.compact_string()?;
    fields.compact_len()?;
    let (partition, error) = (fields.i32()?, fields.i16()?);
    fields.bytes(3 * 8)?; // high watermark, last stable offset, log start offset
    for _ in 0..fields.compact_len()? {
        fields.bytes(2 * 8)?; // an aborted transaction
        fields.tags()?;
    }
    fields.i32()?; // preferred read replica
    Some((whole_error, partition, error, fields.compact_len()?))
}

/// Fails where the topic was not created.
pub fn topic_created(frame: &[u8], correlation_id: i32) -> anyhow::Result<()> {
    let mut fields = body(frame, correlation_id)?;
    let (name, error, message) = first_created(&mut fields).context("a reply to CreateTopics that ends too early")?;
    ensure!(error == 0, "topic {name} was not created: error {error}, {message}");
    Ok(())
}

fn first_created(fields: &mut Fields<'_>) -> Option<(String, i16, String)> {
    fields.i32()?; // throttle time
    fields.compact_len()?;
    let name = fields.compact_string()?;
    fields.bytes(16)?; // topic id
    Some((name, fields.i16()?, fields.compact_string()?))
}

/// Fails where the topic was not deleted.
pub fn topic_deleted(frame: &[u8], correlation_id: i32) -> anyhow::Result<()> {
    let mut fields = body(frame, correlation_id)?;
    let mut first_deleted = || {
        fields.i32()?; // throttle time
        fields.compact_len()?;
        Some((fields.compact_string()?, fields.i16()?))
    };
    let (name, error) = first_deleted().context("a reply to DeleteTopics that ends too early")?;
    ensure!(error == 0, "topic {name} was not deleted: error {error}");
    Ok(())
}

/// Fails where the reply to ApiVersions, whose header alone never has tags, is an error.
pub fn api_versions(frame: &[u8], correlation_id: i32) -> anyhow::Result<()> {
    let mut fields = Fields(frame.get(4..).unwrap_or_default());
    let (id, error) = (fields.i32(), fields.i16());
    ensure!(id == Some(correlation_id) && error == Some(0), "ApiVersions: correlation id {id:?}, error {error:?}");
    Ok(())
}

/// What follows the response header (version 1).
pub(super) fn body(frame: &[u8], correlation_id: i32) -> anyhow::Result<Fields<'_>> {
    let mut fields = Fields(frame.get(4..).unwrap_or_default());
    let id = fields.i32();
    ensure!(id == Some(correlation_id), "a reply to request {id:?}, where that to {correlation_id} was due");
    fields.tags().context("a reply that ends in its header")?;
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::fixture;

    #[test]
    fn kafkas_replies_are_read() {
        assert_eq!(produced(&fixture("produce-reply"), 7).unwrap(), 0);
        assert_eq!(produced(&fixture("produce-2-reply"), 7).unwrap(), 1);
        assert_eq!(
            fetched(&fixture("fetch-reply"), 8).unwrap(),
            Some(Fetched { bytes: 170, first_base_offset: Some(1) })
        );
        topic_created(&fixture("create-topics-reply"), 9).unwrap();
        assert_eq!(frame_bytes(&fixture("produce-reply")), Some(fixture("produce-reply").len()));
    }

    #[test]
    fn the_front_of_a_fetch_reply_is_enough() {
        let reply = fixture("fetch-reply");
        let told = (0..reply.len()).find(|bytes| fetched(&reply[..*bytes], 8).unwrap().is_some());
        assert_eq!(told, Some(reply.len() - 3 - 170 + 8), "once the first base offset is there");
    }

    #[test]
    fn errors_are_told() {
        assert!(produced(&fixture("produce-reply"), 8).is_err(), "another's reply");
        let mut refused = fixture("produce-reply");
        refused[22] = 6;
        assert_eq!(produced(&refused, 7).unwrap_err().to_string(), "produce to partition 3 was answered with error 6");
        assert!(produced(&refused[..20], 7).is_err());
    }
}
