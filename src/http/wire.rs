//! The bytes of a connection, with the heads of its requests as actix can keep the connection.
//!
//! Clients and proxies offer to upgrade (`Connection: Upgrade`), and nginx in its default setting sends HTTP/1.0 without the
//! length of an empty body. RFC 9110 (7.8) and RFC 9112 (6.3) let a server answer both as ordinary requests. actix ends the
//! connection after the first, reads the rest of the connection as the body if the offer is `websocket`, and refuses the
//! second. So the offer is left out, and the length is filled in, before actix reads the head.

#[cfg(fuzzing)]
pub mod fuzzing;
mod heads;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use heads::Heads;

/// Size of a read, in bytes.
const READ_BYTES: usize = 8 << 10;
/// Time limit for a head to arrive. actix answers the first head of a connection that is late with 408, and lets later ones
/// take any time: a connection with such a head is ended a second later.
pub(super) const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection whose requests ask for nothing that the server does not do.
pub(super) struct Wire<T> {
    io: T,
    heads: Heads,
    patience: Duration,
    /// Runs while a head arrives.
    late: Option<Pin<Box<Sleep>>>,
}

impl<T> Wire<T> {
    pub(super) fn new(io: T) -> Self {
        Self { io, heads: Heads::default(), patience: HEAD_TIMEOUT + Duration::from_secs(1), late: None }
    }

    /// Nothing has arrived: ends a connection whose head is late.
    fn waits(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.heads.is_in_head() {
            self.late = None;
            return Poll::Pending;
        }
        let late = self.late.get_or_insert_with(|| Box::pin(sleep(self.patience)));
        late.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Wire<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.heads.ready.is_empty()
            && let Some(count) = this.heads.passes(buffer.remaining())
        {
            let mut part = ReadBuf::new(buffer.initialize_unfilled_to(count));
            ready!(Pin::new(&mut this.io).poll_read(cx, &mut part))?;
            let count = part.filled().len();
            this.heads.passed(count);
            buffer.advance(count);
            return Poll::Ready(Ok(()));
        }
        while this.heads.ready.is_empty() {
            let mut bytes = [0; READ_BYTES];
            let mut read = ReadBuf::new(&mut bytes);
            match Pin::new(&mut this.io).poll_read(cx, &mut read) {
                Poll::Pending => return this.waits(cx),
                Poll::Ready(result) => result?,
            }
            if read.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.heads.read(read.filled());
            if !this.heads.is_in_head() {
                this.late = None;
            }
        }
        let heads = &mut this.heads;
        let count = buffer.remaining().min(heads.ready.len());
        buffer.put_slice(heads.ready.drain(..count).as_slice());
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Wire<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn a_connection_whose_later_head_is_late_is_ended() {
        let (server, mut client) = duplex(1_024);
        let mut wire = Wire { patience: Duration::from_millis(10), ..Wire::new(server) };
        let (first, second) = (b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\n");
        client.write_all(first).await.unwrap();
        let mut read = [0; 100];
        assert_eq!(wire.read(&mut read).await.unwrap(), first.len());
        assert!(timeout(Duration::from_millis(30), wire.read(&mut read)).await.is_err(), "an idle connection is kept");
        client.write_all(b"\r\n").await.unwrap();
        assert_eq!(wire.read(&mut read).await.unwrap(), 2);
        assert!(
            timeout(Duration::from_millis(30), wire.read(&mut read)).await.is_err(),
            "so is one with an empty line"
        );
        client.write_all(second).await.unwrap();
        assert_eq!(wire.read(&mut read).await.unwrap(), second.len());
        assert_eq!(wire.read(&mut read).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
