//! Creation of a cluster.
//!
//! `initdb` takes a second of work and waits for the disk again and again. The first cluster is therefore kept in the cache as
//! an archive, from which later ones are made.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use rand::RngExt as _;
use serde::{Deserialize, Serialize};
use tokio::process::Command;

use super::durability::Durability;
use super::engine::Engine;
use super::error::{Error, context};
use super::files::{Owner, Temporary, write_secret};
use crate::folders::{cache_dir, is_root};

/// Arguments of initdb. Archives that were made with other ones are not used.
const INITDB: [&str; 7] = ["-U", "postgres", "--auth=scram-sha-256", "-E", "UTF8", "--locale=C", "--no-sync"];
/// Those from PostgreSQL 17 on: the same collation and character classes on every system, independent of its locales.
const INITDB_17: [&str; 2] = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"];
/// The file in the archive with the password of its superuser.
const PASSWORD: &str = "payerbase-password";

/// The passwords of one cluster, generated when it is created.
#[derive(Serialize, Deserialize)]
pub(super) struct Credentials {
    pub admin: String,
    pub app: String,
    /// The password of the superuser until the first start sets `admin`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived: Option<String>,
}

impl Credentials {
    /// Forgets the password of the archive: PostgreSQL has `admin`.
    pub fn forget_archived(&mut self, dir: &Path) -> Result<(), Error> {
        match self.archived.take() {
            Some(_) => self.write(dir),
            None => Ok(()),
        }
    }

    fn write(&self, dir: &Path) -> Result<(), Error> {
        write_secret(&dir.join("credentials.json"), &serde_json::json!(self).to_string())
    }
}

/// Makes the archive from which clusters are created, unless there is one.
///
/// # Errors
/// When a cluster cannot be created.
pub async fn prepare(engine: &Engine) -> Result<(), Error> {
    let cache = cache_dir();
    let archive = archive_of(&cache, engine)?;
    if archive.exists() {
        return Ok(());
    }
    let dir = cache.join(format!("cluster-{:08x}", rand::random::<u32>()));
    context(fs::create_dir_all(&dir), || format!("create {}", dir.display()))?;
    let created = create(&dir, engine, Durability::EndOfProcess).await;
    let removed = fs::remove_dir_all(&dir);
    created?;
    context(removed, || format!("remove {}", dir.display()))?;
    // The log says why it could not be written.
    context(fs::metadata(&archive).map(drop), || format!("read {}", archive.display()))
}

/// Creates the cluster in a temporary folder and moves it to `data` as the last step, so that the next start repeats an
/// interrupted attempt.
pub(super) async fn create(dir: &Path, engine: &Engine, durability: Durability) -> Result<(), Error> {
    let data = dir.join("data");
    // A new folder each time: in an old one, the initdb of a killed payerbase may still be running.
    let part = dir.join(format!("data.part-{:08x}", rand::random::<u32>()));
    let owner = Owner::of(dir);
    owner.make_folder(&part, 0o700)?;
    let created = async {
        let archived = fill(&part, engine, owner).await?;
        match durability {
            Durability::PowerFailure => sync(&part, engine, owner).await?,
            Durability::EndOfProcess => {}
        }
        Ok::<_, Error>(archived)
    };
    let archived = created.await.inspect_err(|_error| {
        // The remains are useless.
        let _left = fs::remove_dir_all(&part);
    })?;
    Credentials { admin: password(), app: password(), archived: Some(archived) }.write(dir)?;
    context(fs::rename(&part, &data), || format!("move {} into place", part.display()))?;
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with("data.part") {
            // The remains of an interrupted attempt. They do no harm if they cannot be removed.
            let _left = fs::remove_dir_all(entry.path());
        }
    }
    Ok(())
}

/// Fills the empty folder `part` with a new cluster: from the archive, or with initdb, after which the archive is made. Returns the
/// password of the superuser.
async fn fill(part: &Path, engine: &Engine, owner: Owner) -> Result<String, Error> {
    let archive = archive_of(&cache_dir(), engine)?;
    if archive.exists() {
        match unpack(&archive, part, owner) {
            Ok(password) => return Ok(password),
            Err(error) => tracing::warn!(%error, archive = %archive.display(), "the archive is made anew"),
        }
        context(fs::remove_dir_all(part), || format!("remove {}", part.display()))?;
        owner.make_folder(part, 0o700)?;
    }
    let password = password();
    initdb(part, engine, owner, &password).await?;
    if let Err(error) = pack(part, &archive, &password) {
        tracing::warn!(%error, archive = %archive.display(), "the next new data folder takes longer: no archive");
    }
    Ok(password)
}

/// The path of the archive for these programs of PostgreSQL.
fn archive_of(cache: &Path, engine: &Engine) -> Result<PathBuf, Error> {
    use sha2::Digest as _;
    let programs = format!("{} {} {INITDB:?} {INITDB_17:?}", engine.program("postgres").display(), engine.version()?);
    let digest = sha2::Sha256::digest(programs);
    Ok(cache.join(format!("cluster-{}.tar", hex::encode(digest.get(..8).unwrap_or_default()))))
}

/// Every cluster gets a password of its own when it starts, so that of the archive is no secret.
fn pack(part: &Path, archive: &Path, password: &str) -> std::io::Result<()> {
    fs::create_dir_all(archive.parent().unwrap_or(Path::new(".")))?;
    let unfinished = archive.with_extension(format!("tar.part-{:08x}", rand::random::<u32>()));
    let here = Temporary(&unfinished);
    let mut tar = tar::Builder::new(File::create(&unfinished)?);
    tar.append_dir_all(".", part)?;
    let mut header = tar::Header::new_gnu();
    header.set_size(u64::try_from(password.len()).map_err(std::io::Error::other)?);
    header.set_mode(0o600);
    // The last one, so that an archive that was cut has none.
    tar.append_data(&mut header, PASSWORD, password.as_bytes())?;
    tar.into_inner()?.sync_all()?;
    fs::rename(&unfinished, archive)?;
    drop(here);
    Ok(())
}

/// Returns the password of the superuser.
fn unpack(archive: &Path, part: &Path, owner: Owner) -> std::io::Result<String> {
    let mut tar = tar::Archive::new(File::open(archive)?);
    tar.set_preserve_mtime(false);
    let mut password = String::new();
    for entry in tar.entries()? {
        let mut entry = entry?;
        if *entry.path()? == *Path::new(PASSWORD) {
            entry.read_to_string(&mut password)?;
            continue;
        }
        let path = part.join(entry.path()?);
        // A cluster has nothing else; a link could lead out of the folder.
        let is_plain = entry.header().entry_type().is_file() || entry.header().entry_type().is_dir();
        if !is_plain || !entry.unpack_in(part)? {
            return Err(std::io::Error::other(format!("it has {}", path.display())));
        }
        owner.own(&path)?;
    }
    match password.is_empty() {
        true => Err(std::io::Error::other("it has no password")),
        false => Ok(password),
    }
}

async fn initdb(part: &Path, engine: &Engine, owner: Owner, password: &str) -> Result<(), Error> {
    let password_file = part.with_extension("password");
    let _password_here = Temporary(&password_file);
    write_secret(&password_file, password)?;
    owner.give(&password_file, 0o600)?;
    let mut initdb = owner.run(Command::new(engine.program("initdb")));
    initdb.arg("-D").arg(part).args(INITDB);
    if engine.major()? >= 17 {
        initdb.args(INITDB_17);
    }
    let output = initdb.arg("--pwfile").arg(&password_file).stdin(Stdio::null()).output().await;
    check("initdb", part, &context(output, || "run initdb".to_owned())?)
}

/// Waits until the disk has the files.
async fn sync(part: &Path, engine: &Engine, owner: Owner) -> Result<(), Error> {
    #[cfg(target_os = "linux")]
    {
        let _ = (engine, owner);
        let folder = context(File::open(part), || format!("open {}", part.display()))?;
        let synced = tokio::task::spawn_blocking(move || rustix::fs::syncfs(folder)).await;
        let synced = synced.map_err(std::io::Error::other).and_then(|synced| synced.map_err(Into::into));
        context(synced, || format!("write {} to the disk", part.display()))
    }
    #[cfg(not(target_os = "linux"))]
    {
        let mut initdb = owner.run(Command::new(engine.program("initdb")));
        let output = initdb.args(["--sync-only", "-D"]).arg(part).stdin(Stdio::null()).output().await;
        check("initdb --sync-only", part, &context(output, || "run initdb".to_owned())?)
    }
}

fn check(program: &'static str, part: &Path, output: &Output) -> Result<(), Error> {
    if output.status.success() {
        return Ok(());
    }
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    match is_root() && printed.contains("Permission denied") {
        true => Err(Error::OutOfReach { dir: part.parent().unwrap_or(part).to_owned(), output: printed }),
        false => Err(Error::Program { program, output: printed }),
    }
}

fn password() -> String {
    rand::rng().sample_iter(rand::distr::Alphanumeric).take(43).map(char::from).collect()
}
