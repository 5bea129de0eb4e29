//! Creation of a cluster.
//!
//! `initdb` takes a second of work and waits for the disk again and again. The first cluster is therefore kept in the cache as
//! an archive, from which later ones are made.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use rand::RngExt as _;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::durability::Durability;
use super::engine::Engine;
use super::error::{Error, context};
use super::files::{Owner, Temporary, write_secret};
use crate::folders::{cache_dir, is_root};

/// The passwords of one cluster, generated when it is created.
#[derive(Serialize, Deserialize)]
pub(super) struct Credentials {
    pub admin: String,
    pub app: String,
}

/// Makes the archive from which clusters are created, unless there is one.
///
/// # Errors
/// When a cluster cannot be created.
pub async fn prepare(engine: &Engine) -> Result<(), Error> {
    let cache = cache_dir();
    if archive_of(&cache, engine)?.exists() {
        return Ok(());
    }
    let dir = cache.join(format!("cluster-{:08x}", rand::random::<u32>()));
    context(fs::create_dir_all(&dir), || format!("create {}", dir.display()))?;
    let created = create(&dir, engine, Durability::EndOfProcess).await;
    context(fs::remove_dir_all(&dir), || format!("remove {}", dir.display()))?;
    created
}

/// Creates the cluster in a temporary folder and moves it to `data` as the last step, so that the next start repeats an
/// interrupted attempt.
pub(super) async fn create(dir: &Path, engine: &Engine, durability: Durability) -> Result<(), Error> {
    let data = dir.join("data");
    // A new folder each time: in an old one, the initdb of a killed payerbase may still be running.
    let part = dir.join(format!("data.part-{:08x}", rand::random::<u32>()));
    let owner = Owner::of(dir);
    owner.make_folder(&part, 0o700)?;
    let credentials = Credentials { admin: password(), app: password() };
    let created = async {
        fill(&part, engine, owner).await?;
        set_password(&part, engine, owner, &credentials.admin).await?;
        match durability {
            Durability::PowerFailure => sync(&part, engine, owner).await,
            Durability::EndOfProcess => Ok(()),
        }
    };
    if let Err(error) = created.await {
        // The remains are useless.
        let _left = fs::remove_dir_all(&part);
        return Err(error);
    }
    write_secret(&dir.join("credentials.json"), &serde_json::json!(credentials).to_string())?;
    context(fs::rename(&part, &data), || format!("move {} into place", part.display()))?;
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with("data.part") {
            // The remains of an interrupted attempt. They do no harm if they cannot be removed.
            let _left = fs::remove_dir_all(entry.path());
        }
    }
    Ok(())
}

/// Fills the empty folder `part` with a new cluster: from the archive, or with initdb, after which the archive is made.
async fn fill(part: &Path, engine: &Engine, owner: Owner) -> Result<(), Error> {
    let archive = archive_of(&cache_dir(), engine)?;
    if archive.exists() {
        match unpack(&archive, part, owner) {
            Ok(()) => return Ok(()),
            Err(error) => tracing::warn!(%error, archive = %archive.display(), "the archive is made anew"),
        }
        context(fs::remove_dir_all(part), || format!("remove {}", part.display()))?;
        owner.make_folder(part, 0o700)?;
    }
    initdb(part, engine, owner).await?;
    if let Err(error) = pack(part, &archive) {
        tracing::warn!(%error, "the next new data folder takes longer: no archive");
    }
    Ok(())
}

/// The path of the archive for these programs of PostgreSQL.
fn archive_of(cache: &Path, engine: &Engine) -> Result<PathBuf, Error> {
    use sha2::Digest as _;
    let programs = format!("{} {}", engine.program("postgres").display(), engine.version()?);
    let digest = sha2::Sha256::digest(programs);
    Ok(cache.join(format!("cluster-{}.tar", hex::encode(digest.get(..8).unwrap_or_default()))))
}

/// The archive has a password that no cluster keeps, and no other secret.
fn pack(part: &Path, archive: &Path) -> std::io::Result<()> {
    let unfinished = archive.with_extension(format!("tar.part-{:08x}", rand::random::<u32>()));
    let here = Temporary(&unfinished);
    let mut tar = tar::Builder::new(File::create(&unfinished)?);
    tar.append_dir_all(".", part)?;
    tar.into_inner()?.sync_all()?;
    fs::rename(&unfinished, archive)?;
    drop(here);
    Ok(())
}

fn unpack(archive: &Path, part: &Path, owner: Owner) -> std::io::Result<()> {
    let mut tar = tar::Archive::new(File::open(archive)?);
    tar.set_preserve_mtime(false);
    for entry in tar.entries()? {
        let mut entry = entry?;
        let path = part.join(entry.path()?);
        entry.unpack_in(part)?;
        owner.own(&path)?;
    }
    Ok(())
}

async fn initdb(part: &Path, engine: &Engine, owner: Owner) -> Result<(), Error> {
    let password_file = part.with_extension("password");
    let _password_here = Temporary(&password_file);
    write_secret(&password_file, &password())?;
    owner.give(&password_file, 0o600)?;
    let mut initdb = owner.run(Command::new(engine.program("initdb")));
    initdb.arg("-D").arg(part).args([
        "-U",
        "postgres",
        "--auth=scram-sha-256",
        "-E",
        "UTF8",
        "--locale=C",
        "--no-sync",
    ]);
    if engine.major()? >= 17 {
        // The same collation and character classes on every system, independent of its locales.
        initdb.args(["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]);
    }
    let output = initdb.arg("--pwfile").arg(&password_file).stdin(Stdio::null()).output().await;
    check("initdb", part, &context(output, || "run initdb".to_owned())?)
}

/// Sets the password of the superuser while no server runs.
async fn set_password(part: &Path, engine: &Engine, owner: Owner, password: &str) -> Result<(), Error> {
    let mut postgres = owner.run(Command::new(engine.program("postgres")));
    postgres.args(["--single", "-F", "-D"]).arg(part).arg("postgres");
    let postgres = postgres.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut postgres = context(postgres, || "start postgres".to_owned())?;
    if let Some(mut statements) = postgres.stdin.take() {
        // If it has ended already, its output says why.
        let _ended = statements.write_all(format!("alter role postgres password '{password}'\n").as_bytes()).await;
    }
    let output = postgres.wait_with_output().await;
    let output = context(output, || "run postgres".to_owned())?;
    check("postgres --single", part, &output)?;
    // In this mode, an error of a statement does not change the exit status.
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    match printed.contains("ERROR:") || printed.contains("FATAL:") {
        true => Err(Error::Program { program: "postgres --single", output: printed }),
        false => Ok(()),
    }
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
