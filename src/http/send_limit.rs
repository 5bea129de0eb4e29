//! A limit for the time that answers wait to be sent: a client that does not read its answers is cut off.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// While an answer waits to be sent, the client must read [`WINDOW_BYTES_MIN`] in each time of this length.
const WINDOW: Duration = Duration::from_secs(10);
const WINDOW_BYTES_MIN: usize = 64 << 10;

/// A connection whose client must read.
pub(super) struct SendLimit<T> {
    io: T,
    /// [`WINDOW`].
    patience: Duration,
    /// Runs while bytes wait to be sent.
    window: Option<Window>,
}

struct Window {
    end: Pin<Box<Sleep>>,
    sent: usize,
}

impl<T> SendLimit<T> {
    pub(super) fn new(io: T) -> Self {
        Self { io, patience: WINDOW, window: None }
    }

    fn sent(&mut self, result: Poll<io::Result<usize>>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(sent) = &result {
            if let (Some(window), Ok(sent)) = (&mut self.window, sent) {
                window.sent += sent;
            }
            return result;
        }
        let window = self.window.get_or_insert_with(|| Window { end: Box::pin(sleep(self.patience)), sent: 0 });
        while window.end.as_mut().poll(cx).is_ready() {
            if window.sent < WINDOW_BYTES_MIN {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            window.sent = 0;
            window.end.as_mut().reset(Instant::now() + self.patience);
        }
        Poll::Pending
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for SendLimit<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_read(cx, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for SendLimit<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.io).poll_write(cx, bytes);
        this.sent(result, cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.io).poll_write_vectored(cx, bytes);
        this.sent(result, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.io).poll_flush(cx);
        if flushed.is_ready() {
            this.window = None;
        }
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn a_client_that_reads_nothing_is_cut_off() {
        let (server, _client) = duplex(1_024);
        let mut limited = SendLimit { io: server, patience: Duration::from_millis(10), window: None };
        assert_eq!(limited.write_all(&[0; 4_096]).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_client_that_reads_gets_its_answer() {
        let (server, mut client) = duplex(1_024);
        let mut all = Vec::new();
        let (mut limited, answer) = (SendLimit::new(server), vec![7; 1 << 20]);
        let sent = async {
            limited.write_all(&answer).await?;
            limited.shutdown().await
        };
        let (sent, read) = tokio::join!(sent, client.read_to_end(&mut all));
        sent.unwrap();
        assert_eq!((read.unwrap(), all == answer), (1 << 20, true));
    }
}
