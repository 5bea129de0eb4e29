//! PostgreSQL's log file, which does not grow without end.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::task::JoinHandle;

use super::error::{Error, context};
use super::files::private;

/// Size at which the log begins anew, in bytes. The file before it is kept.
const BYTES_MAX: u64 = 16 << 20;
/// How often the size is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Opens the log for a process that appends to it.
pub(super) fn open(path: &Path) -> Result<File, Error> {
    context(private(File::options().create(true).append(true)).open(path), || format!("write {}", path.display()))
}

/// Keeps the log below its size, until this is dropped.
pub(super) struct Keeper(JoinHandle<()>);

impl Keeper {
    pub fn of(path: PathBuf) -> Self {
        Self(tokio::spawn(async move {
            loop {
                if let Err(error) = begin_anew(&path) {
                    tracing::warn!(%error, "PostgreSQL's log cannot be kept small");
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }))
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Moves what is in a large log to `<log>.1`. PostgreSQL appends to the open file, so the file is emptied, not replaced.
fn begin_anew(path: &Path) -> std::io::Result<()> {
    if fs::metadata(path)?.len() < BYTES_MAX {
        return Ok(());
    }
    let mut old =
        private(File::options().write(true).create(true).truncate(true)).open(path.with_extension("log.1"))?;
    std::io::copy(&mut File::open(path)?, &mut old)?;
    File::options().write(true).open(path)?.set_len(0)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_large_log_begins_anew_and_is_appended_to() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("postgres.log");
        let mut log = open(&path).unwrap();
        log.write_all(b"small").unwrap();
        begin_anew(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"small");
        log.write_all(&vec![b'x'; usize::try_from(BYTES_MAX).unwrap()]).unwrap();
        begin_anew(&path).unwrap();
        log.write_all(b"next").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"next");
        assert_eq!(fs::metadata(dir.path().join("postgres.log.1")).unwrap().len(), BYTES_MAX + 5);
    }
}
