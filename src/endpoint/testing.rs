//! A server for tests, which answers as its test says.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::BaseUrl;

/// A server on this machine. It ends with its test.
pub(crate) struct Server {
    url: BaseUrl,
    requests: Arc<Mutex<Vec<Request>>>,
}

/// A request that came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Method and path.
    pub target: String,
    /// The lines of the headers. Names are in lower case.
    pub headers: Vec<String>,
    pub body: String,
    /// Number of the connection, from 0.
    pub connection: usize,
}

impl Request {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find_map(|line| line.strip_prefix(&format!("{name}: ")))
    }
}

/// What the server does after a request.
pub(crate) enum Reply {
    /// It writes these bytes. The connection remains.
    Keep(String),
    /// It writes these bytes and closes the connection.
    Close(String),
    /// It never answers.
    Hang,
}

impl Reply {
    pub(crate) fn text(status: u16, body: &str) -> Self {
        Self::with(status, "", body)
    }

    /// An answer with more headers, each with its line end.
    pub(crate) fn with(status: u16, headers: &str, body: &str) -> Self {
        Self::Keep(format!("HTTP/1.1 {status} A\r\n{headers}content-length: {}\r\n\r\n{body}", body.len()))
    }

    pub(crate) fn raw(text: &str) -> Self {
        Self::Close(text.to_owned())
    }
}

impl Server {
    pub(crate) async fn start(reply: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (reply, seen) = (Arc::new(reply), Arc::clone(&requests));
        tokio::spawn(async move {
            for connection in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, connection, Arc::clone(&reply), Arc::clone(&seen)));
            }
        });
        Self { url, requests }
    }

    pub(crate) fn url(&self) -> &BaseUrl {
        &self.url
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

/// The URL of a port at which no server listens.
pub(crate) async fn closed_url() -> BaseUrl {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}/secret", listener.local_addr().unwrap()).parse().unwrap()
}

async fn serve<F: Fn(&Request) -> Reply>(
    mut stream: TcpStream,
    connection: usize,
    reply: Arc<F>,
    seen: Arc<Mutex<Vec<Request>>>,
) {
    while let Some(request) = read(&mut stream, connection).await {
        let reply = reply(&request);
        seen.lock().unwrap().push(request);
        match reply {
            // The client may have gone.
            Reply::Keep(text) => _ = stream.write_all(text.as_bytes()).await,
            Reply::Close(text) => {
                _ = stream.write_all(text.as_bytes()).await;
                return;
            }
            Reply::Hang => std::future::pending().await,
        }
    }
}

/// Reads a request. `None` if the connection has ended.
async fn read(stream: &mut TcpStream, connection: usize) -> Option<Request> {
    let mut bytes = Vec::new();
    let head = loop {
        let mut chunk = [0; 4096];
        let count = stream.read(&mut chunk).await.ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&chunk[..count]);
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break String::from_utf8(bytes.drain(..end + 4).collect()).ok()?;
        }
    };
    let mut lines = head.trim_end().lines();
    let target = lines.next()?.trim_end_matches(" HTTP/1.1").to_owned();
    let headers = lines.map(str::to_owned).collect();
    let mut request = Request { target, headers, body: String::new(), connection };
    let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
    let mut rest = vec![0; length - bytes.len()];
    stream.read_exact(&mut rest).await.ok()?;
    request.body = String::from_utf8([bytes, rest].concat()).ok()?;
    Some(request)
}
