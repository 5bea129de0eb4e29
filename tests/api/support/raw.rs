//! A connection on which a test writes each byte of its requests.

use std::io::{BufRead as _, BufReader, Read as _, Result, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use secrecy::ExposeSecret as _;

use super::Caller;

/// Longer than any call may take.
const TIMEOUT: Duration = Duration::from_secs(20);

pub struct Connection(BufReader<TcpStream>);

/// An answer, as it was sent.
#[derive(Debug)]
pub struct RawAnswer {
    pub status: u16,
    /// Status line and headers, in lower case.
    pub head: String,
    pub body: String,
}

impl RawAnswer {
    pub fn has(&self, header: &str) -> bool {
        self.head.lines().any(|line| line == header)
    }
}

impl Connection {
    /// Connects to `http://host:port`.
    pub fn open(url: &str) -> Result<Self> {
        let stream = TcpStream::connect(url.trim_start_matches("http://"))?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Sends a request. `None` if the connection ends without an answer.
    pub fn send(&mut self, request: &str) -> Option<RawAnswer> {
        self.write(request).ok()?;
        self.answer()
    }

    pub fn write(&mut self, text: &str) -> Result<()> {
        self.0.get_mut().write_all(text.as_bytes())
    }

    pub fn answer(&mut self) -> Option<RawAnswer> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.0.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        let head = head.to_ascii_lowercase();
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap_or_default()];
        self.0.read_exact(&mut body).ok()?;
        Some(RawAnswer { status, head, body: String::from_utf8_lossy(&body).into_owned() })
    }

    /// Whether the server has closed the connection.
    pub fn is_closed(&mut self) -> bool {
        matches!(self.0.read(&mut [0]), Ok(0))
    }
}

/// Sends a call and hangs up before its answer.
pub fn hang_up(caller: &Caller, path: &str, body: &str) {
    let address = caller.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).unwrap();
    let token = caller.token.as_ref().unwrap().expose_secret();
    let mut head = format!("POST {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n");
    for (name, value) in &caller.headers {
        head.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
    }
    let length = body.len();
    let request = format!("{head}content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(rand::random::<u64>() % 4));
}
