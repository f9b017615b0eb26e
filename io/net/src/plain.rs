//! Connections that do not speak Kafka's protocol: a listener that is accepted from one by one, and byte streams.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::Bound;
use crate::listen::is_of_one_connection;
use crate::stream::Carrier;

/// The bytes of one connection, both ways.
#[derive(Debug)]
pub struct ByteStream(Carrier);

impl Bound {
    /// The next connection. An error is one of the process (it may have no descriptors left), not of a connection.
    pub async fn accept(&mut self) -> io::Result<(ByteStream, SocketAddr)> {
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => return Ok((ByteStream(stream.into_carrier()), peer)),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl AsyncRead for ByteStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Carrier::Tcp(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Carrier::Mem(mem) => Pin::new(mem).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for ByteStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Carrier::Tcp(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Carrier::Mem(mem) => Pin::new(mem).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Carrier::Tcp(tcp) => Pin::new(tcp).poll_flush(cx),
            Carrier::Mem(mem) => Pin::new(mem).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Carrier::Tcp(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Carrier::Mem(mem) => Pin::new(mem).poll_shutdown(cx),
        }
    }
}
