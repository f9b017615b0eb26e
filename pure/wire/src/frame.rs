//! Frames: how requests and answers follow one another in a stream of bytes.
//!
//! A frame is its size in four bytes and then that many bytes: a header and a body. Reading it whole and then looking at
//! it would be simplest, but then a client takes 100 MiB of memory by announcing them. So [`frame_bytes`] tells the size
//! as soon as its four bytes are there, and whoever reads takes memory for it first, or waits.
//!
//! A header does not say which of its two layouts it has; that follows from key and version, the first four bytes of
//! both. [`RequestStart`] reads only what both begin with, which is enough to refuse a request and to answer an
//! ApiVersions of a version from the future. [`RequestHeader`] is all of it.

use thiserror::Error;

use crate::api::{self, ApiKey};
use crate::reader::{DecodeError, Form, Reader};

/// Bytes of the size in front of a frame.
pub const SIZE_BYTES: usize = 4;
/// Bytes of the shortest header: key, version, correlation id and a null client id.
const REQUEST_HEADER_BYTES_MIN: usize = 10;

/// Why a stream is no stream of requests. Nothing can be read behind it: the connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FrameError {
    #[error("a frame of {0} bytes, which is shorter than a header")]
    TooShort(i32),
    #[error("a frame of {bytes} bytes, where {bytes_max} are allowed")]
    TooLong { bytes: usize, bytes_max: usize },
    #[error("API key {0} is not known")]
    ApiKey(i16),
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

/// Bytes of the first frame in `stream`, its size included; `None` as long as that has not come. The frame itself need
/// not be there: it is `stream[SIZE_BYTES..bytes]` once there are as many. `bytes_max` is `socket.request.max.bytes`,
/// which counts without the size.
#[inline]
pub fn frame_bytes(stream: &[u8], bytes_max: usize) -> Result<Option<usize>, FrameError> {
    let Some(size) = stream.first_chunk() else { return Ok(None) };
    let announced = i32::from_be_bytes(*size);
    match usize::try_from(announced) {
        Ok(bytes) if bytes > bytes_max => Err(FrameError::TooLong { bytes, bytes_max }),
        Ok(bytes) if bytes >= REQUEST_HEADER_BYTES_MIN => Ok(Some(SIZE_BYTES + bytes)),
        _ => Err(FrameError::TooShort(announced)),
    }
}

/// What every request begins with, whatever its key and version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestStart {
    pub key: i16,
    pub version: i16,
    pub correlation_id: i32,
}

impl RequestStart {
    #[inline]
    pub fn decode(reader: &mut Reader<'_>) -> Result<RequestStart, DecodeError> {
        Ok(RequestStart {
            key: reader.i16("request_api_key")?,
            version: reader.i16("request_api_version")?,
            correlation_id: reader.i32("correlation_id")?,
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestHeader<'a> {
    pub key: i16,
    pub version: i16,
    pub correlation_id: i32,
    /// As it was sent: a client whose id is null or not UTF-8 is served too.
    pub client_id: Option<&'a [u8]>,
}

impl<'a> RequestHeader<'a> {
    /// Reads the header of a frame, of any version of an API that is known; the reader stands at the body then.
    #[inline]
    pub fn decode(reader: &mut Reader<'a>) -> Result<RequestHeader<'a>, FrameError> {
        let RequestStart { key, version, correlation_id } = RequestStart::decode(reader)?;
        let flexible_from = api::find(key).ok_or(FrameError::ApiKey(key))?.flexible_from;
        // Not compact in either layout.
        let client_id = reader.nullable_str_bytes("client_id", Form::Classic)?;
        if version >= flexible_from {
            reader.skip_tags()?;
        }
        Ok(RequestHeader { key, version, correlation_id, client_id })
    }

    #[inline]
    pub fn start(&self) -> RequestStart {
        RequestStart { key: self.key, version: self.version, correlation_id: self.correlation_id }
    }
}

/// A response being appended to a buffer; what stands in the buffer already, such as other responses, stays.
#[derive(Debug)]
#[must_use = "a frame has no size until its end"]
pub struct ResponseFrame {
    start: usize,
}

impl ResponseFrame {
    /// Writes the header of the answer to a request of this key and version.
    ///
    /// # Panics
    /// If the key is not known: such a request has no answer.
    #[inline]
    pub fn begin(out: &mut Vec<u8>, request: RequestStart) -> ResponseFrame {
        let api = api::find(request.key).expect("a request of an unknown key is not answered");
        let start = out.len();
        out.extend_from_slice(&[0; SIZE_BYTES]);
        out.extend_from_slice(&request.correlation_id.to_be_bytes());
        // Who asks for ApiVersions cannot know yet whether the answer will have tags, so it never has (KIP-511).
        if request.version >= api.flexible_from && api.key != ApiKey::ApiVersions {
            out.push(0);
        }
        ResponseFrame { start }
    }

    /// Fills in the size. `bytes_elsewhere` are those that will be sent within the frame and are not in the buffer.
    ///
    /// # Panics
    /// If the frame has 2 GiB or more.
    #[inline]
    pub fn end(self, out: &mut [u8], bytes_elsewhere: usize) {
        self.try_end(out, bytes_elsewhere).expect("no answer has 2 GiB");
    }

    /// [`ResponseFrame::end`] for an answer whose size follows from what its client asks: an error if it has 2 GiB or more.
    #[inline]
    pub fn try_end(self, out: &mut [u8], bytes_elsewhere: usize) -> Result<(), FrameError> {
        let body = self.start + SIZE_BYTES;
        let bytes = out.len() - body + bytes_elsewhere;
        let too_long = |_| FrameError::TooLong { bytes, bytes_max: i32::MAX as usize };
        out[self.start..body].copy_from_slice(&i32::try_from(bytes).map_err(too_long)?.to_be_bytes());
        Ok(())
    }
}
