//! Folders of payerbase on this machine.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use tempfile::TempDir;

/// Whether this process runs as root, which PostgreSQL refuses: it then needs another user.
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The data folder if the command line names none: `PAYERBASE_DATA_DIR`, or the user's data folder. For root, a folder
/// that PostgreSQL's user can reach.
#[must_use]
pub fn data_dir_of_environment() -> PathBuf {
    if let Some(dir) = std::env::var_os("PAYERBASE_DATA_DIR").filter(|dir| !dir.is_empty()) {
        return PathBuf::from(dir);
    }
    home_or("/var/lib/payerbase", "XDG_DATA_HOME", ".local/share/payerbase")
}

fn home_or(for_root: &str, xdg: &str, below_home: &str) -> PathBuf {
    if is_root() {
        return PathBuf::from(for_root);
    }
    match (std::env::var_os(xdg), std::env::home_dir()) {
        (Some(dir), _) if !dir.is_empty() => PathBuf::from(dir).join("payerbase"),
        (_, Some(home)) => home.join(below_home),
        (_, None) => std::env::temp_dir().join("payerbase"),
    }
}

/// The folder of downloaded packages: `PAYERBASE_CACHE_DIR`, or the user's cache folder.
#[must_use]
pub fn cache_dir() -> PathBuf {
    match std::env::var_os("PAYERBASE_CACHE_DIR") {
        Some(dir) => PathBuf::from(dir),
        None => home_or("/var/cache/payerbase", "XDG_CACHE_HOME", ".cache/payerbase"),
    }
}

/// A new folder, which PostgreSQL's user may enter. It is removed when this is dropped.
///
/// # Errors
/// Those of the operating system.
pub fn temporary_folder() -> std::io::Result<TempDir> {
    let folder = tempfile::Builder::new().prefix("payerbase-").tempdir()?;
    fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755))?;
    Ok(folder)
}
