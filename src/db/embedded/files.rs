//! Files and folders of the embedded PostgreSQL, and the user that they belong to.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use tokio::process::Command;

use super::error::{Error, context};
use crate::folders::is_root;

/// PostgreSQL refuses to run as root. If payerbase runs as root, it starts PostgreSQL as the first of these users that exists.
/// It creates no user, and another service of that user can read the files.
const UNPRIVILEGED: [&str; 3] = ["payerbase", "postgres", "nobody"];
/// User id of `nobody` on most systems.
const NOBODY: u32 = 65_534;
/// Variables of this process that PostgreSQL's programs get. The others may hold secrets: every user can be able to read the
/// environment of a process of its own.
const PASSED_ON: [&str; 6] = ["PATH", "LANG", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"];

/// The user that PostgreSQL runs as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    uid: u32,
    gid: u32,
}

impl Owner {
    /// The user of the cluster in `dir`: the one that it was created by, or will be.
    pub fn of(dir: &Path) -> Self {
        if !is_root() {
            return Self { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() };
        }
        let existing = fs::metadata(dir.join("data")).ok().filter(|data| data.uid() != 0);
        if let Some(data) = existing {
            return Self { uid: data.uid(), gid: data.gid() };
        }
        let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let found = UNPRIVILEGED.into_iter().find_map(|name| named(&users, name));
        found.unwrap_or(Self { uid: NOBODY, gid: NOBODY })
    }

    /// Runs a command as this user, without the secrets in the environment.
    pub fn run(self, mut command: Command) -> Command {
        if is_root() {
            command.uid(self.uid).gid(self.gid);
        }
        command.env_clear().current_dir("/");
        for name in PASSED_ON {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
    }

    /// Creates a folder for PostgreSQL, or sets the mode of an existing one. It must be a folder and belong to this user: the
    /// socket's folder may be in /tmp, where other users can create files.
    pub fn make_folder(self, path: &Path, mode: u32) -> Result<(), Error> {
        match fs::create_dir(path) {
            Ok(()) => return self.give(path, mode),
            Err(exists) if exists.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(refused) => return context(Err(refused), || format!("create {}", path.display())),
        }
        let found = context(fs::symlink_metadata(path), || format!("look at {}", path.display()))?;
        if found.is_dir() && found.uid() == self.uid {
            return self.give(path, mode);
        }
        let refused = std::io::Error::other(
            "it exists already, and is not a folder of PostgreSQL's user; copy a data folder with `cp -a`",
        );
        context(Err(refused), || format!("use {}", path.display()))
    }

    /// Sets the mode of a file or folder, and as root its owner.
    pub fn give(self, path: &Path, mode: u32) -> Result<(), Error> {
        context(fs::set_permissions(path, fs::Permissions::from_mode(mode)), || format!("protect {}", path.display()))?;
        context(self.own(path), || format!("change the owner of {}", path.display()))
    }

    /// Makes this user the owner of a file or folder that payerbase has created.
    pub fn own(self, path: &Path) -> std::io::Result<()> {
        match is_root() {
            true => std::os::unix::fs::chown(path, Some(self.uid), Some(self.gid)),
            false => Ok(()),
        }
    }
}

/// A user in the text of `/etc/passwd`.
fn named(users: &str, name: &str) -> Option<Owner> {
    let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut ids = line.split(':').skip(2);
    let (uid, gid) = (ids.next()?.parse().ok()?, ids.next()?.parse().ok()?);
    (uid != 0).then_some(Owner { uid, gid })
}

/// Creates files that only this user can read and write.
pub(super) fn private(options: &mut fs::OpenOptions) -> &mut fs::OpenOptions {
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600)
}

/// Writes a file that only this user can read. The file is replaced as a whole or not at all.
pub(crate) fn write_secret(path: &Path, secret: &str) -> Result<(), Error> {
    use std::io::Write as _;
    let part = path.with_extension("part");
    let write = || {
        let mut file = private(File::options().write(true).create(true).truncate(true)).open(&part)?;
        file.write_all(secret.as_bytes())?;
        file.sync_all()?;
        fs::rename(&part, path)
    };
    context(write(), || format!("write {}", path.display()))
}

/// A file that is removed when this is dropped: it has a password.
pub(super) struct Temporary<'a>(pub &'a Path);

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        // It may not have been created.
        let _none = fs::remove_file(self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_its_whole_name_and_is_never_root() {
        let users =
            "root:x:0:0::/root:/bin/sh\npostgres2:x:5:5::/:/bin/sh\npostgres:x:101:103::/:/bin/sh\nfake:x:0:0::/:\n";
        assert_eq!(named(users, "postgres"), Some(Owner { uid: 101, gid: 103 }));
        assert_eq!(named(users, "postgres2"), Some(Owner { uid: 5, gid: 5 }));
        assert_eq!([named(users, "fake"), named(users, "nobody"), named("", "postgres")], [None; 3]);
    }
}
