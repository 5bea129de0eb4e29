//! The connection to the server.

use std::fs::File;
use std::io::{self, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::sqlite::wire::{self, FromWorker};

/// The way to the server.
#[derive(Clone)]
pub(super) struct Server(Arc<Connection>);

struct Connection {
    file: File,
    unsent: Mutex<Unsent>,
}

/// The messages that wait to be written.
#[derive(Default)]
struct Unsent {
    bytes: Vec<u8>,
    /// Whether a thread writes, which writes these next.
    is_writing: bool,
}

impl Server {
    pub fn new(file: File) -> Self {
        Self(Arc::new(Connection { file, unsent: Mutex::default() }))
    }

    /// Sends a message. Without a server there is nothing left to do.
    pub fn send(&self, message: &FromWorker) {
        let bytes = wire::encode(message).or_else(|error| match message.too_long() {
            Some(message) => wire::encode(&message),
            None => Err(error),
        });
        if bytes.and_then(|bytes| self.0.write(&bytes)).is_err() {
            std::process::exit(1);
        }
    }
}

impl Connection {
    /// Writes a message, and those of other threads that come meanwhile. A thread that finds another one writing leaves it
    /// to that one.
    fn write(&self, message: &[u8]) -> io::Result<()> {
        let mut unsent = self.unsent();
        unsent.bytes.extend_from_slice(message);
        if unsent.is_writing {
            return Ok(());
        }
        unsent.is_writing = true;
        while !unsent.bytes.is_empty() {
            let bytes = std::mem::take(&mut unsent.bytes);
            drop(unsent);
            (&self.file).write_all(&bytes)?;
            unsent = self.unsent();
        }
        unsent.is_writing = false;
        Ok(())
    }

    fn unsent(&self) -> MutexGuard<'_, Unsent> {
        self.unsent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
