//! One connection: one request, one answer.

use std::any::Any;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use ottla_net::ByteStream;

use crate::places::{Kept, Place};
use crate::stream::Stream;
use crate::{Answer, HEAD_BYTES_MAX, Site, Status};

pub struct Connection {
    pub site: Arc<dyn Site>,
    pub place: Place,
}

/// The bytes of an answer. What is held with them goes when they have.
struct Body {
    bytes: Option<Bytes>,
    _held: (Option<Box<dyn Any + Send>>, Kept),
}

impl Connection {
    /// Until the answer has left, the client has, or somebody else has the place.
    pub async fn run(self, stream: ByteStream) {
        let mut http = http1::Builder::new();
        http.keep_alive(false).max_buf_size(HEAD_BYTES_MAX).half_close(true);
        let answer = async |request| answer(&*self.site, &self.place, request).await;
        let served = http.serve_connection(Stream(stream), service_fn(answer));
        tokio::select! {
            biased;
            () = self.place.lost() => {}
            // What goes wrong is the client's affair.
            _ = served => {}
        }
    }
}

async fn answer(site: &dyn Site, place: &Place, request: Request<Incoming>) -> Result<Response<Body>, TooLate> {
    let kept = place.kept().ok_or(TooLate)?;
    let answer = match (site.get(request.uri().path()), request.method()) {
        (None, _) => Answer::text(Status::NotFound, "there is nothing here; see /\n"),
        (Some(answer), &Method::GET | &Method::HEAD) => answer.await,
        (Some(_), _) => Answer::text(Status::MethodNotAllowed, "only GET and HEAD\n"),
    };
    let status = match answer.status {
        Status::Ok => StatusCode::OK,
        Status::NotFound => StatusCode::NOT_FOUND,
        Status::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Status::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    };
    let body = Body { bytes: Some(answer.body).filter(|bytes| !bytes.is_empty()), _held: (answer.held, kept) };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    Ok(response)
}

/// The place was given to another before the request had come.
#[derive(Debug)]
struct TooLate;

impl std::fmt::Display for TooLate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("another connection has the place")
    }
}

impl std::error::Error for TooLate {}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.bytes.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, Bytes::len) as u64)
    }
}
