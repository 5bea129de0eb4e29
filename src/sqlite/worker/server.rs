//! The connection to the server.

use std::fs::File;
use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use crate::sqlite::wire::{self, FromWorker};

/// The way to the server.
#[derive(Clone)]
pub(super) struct Server(Arc<Mutex<File>>);

impl Server {
    pub fn new(connection: File) -> Self {
        Self(Arc::new(Mutex::new(connection)))
    }

    /// Sends a message. Without a server there is nothing left to do.
    pub fn send(&self, message: &FromWorker) {
        let bytes = wire::encode(message).or_else(|error| match message.too_long() {
            Some(message) => wire::encode(&message),
            None => Err(error),
        });
        let sent = bytes.and_then(|bytes| {
            let mut connection = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            connection.write_all(&bytes)
        });
        if sent.is_err() {
            std::process::exit(1);
        }
    }
}
