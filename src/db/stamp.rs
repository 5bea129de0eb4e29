//! Which version installed the functions of a database: the comment on schema `rpc`.

use std::fmt;
use std::str::FromStr;

/// The oldest revision whose servers work with the functions of this one. Raise it with a change that they cannot work
/// with: of the parameters or the result of an entry function, or of a method's parameters.
const SERVERS_FROM: u32 = 1;

/// `payerbase <version> revision <n> servers <n> <digest>`. Versions before 0.2.0 wrote `payerbase <version> <digest>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The version of payerbase.
    pub version: String,
    /// The number of the functions: each change of their text gets the next one. 0 before 0.2.0.
    pub revision: u32,
    /// The oldest revision whose servers work with these functions.
    pub servers_from: u32,
    /// SHA-256 of the migrations and functions, in hexadecimal.
    pub digest: String,
}

impl Stamp {
    /// The stamp of this version.
    pub(crate) fn ours(digest: String) -> Self {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Self { version, revision: Self::our_revision(), servers_from: SERVERS_FROM, digest }
    }

    /// The revision of this version. A test holds that it belongs to the digest beside it.
    fn our_revision() -> u32 {
        let line = include_str!("revision.txt").split_once(' ');
        line.and_then(|(revision, _digest)| revision.parse().ok()).unwrap_or_default()
    }

    pub(crate) fn ours_in_words() -> String {
        format!("payerbase {} (revision {})", env!("CARGO_PKG_VERSION"), Self::our_revision())
    }

    /// The comment on schema `rpc`.
    #[must_use]
    pub fn comment(&self) -> String {
        let Self { version, revision, servers_from, digest } = self;
        format!("payerbase {version} revision {revision} servers {servers_from} {digest}")
    }

    /// Whether a server of `ours` works with these functions.
    pub(crate) fn serves(&self, ours: &Self) -> bool {
        self.digest == ours.digest || (self.revision > ours.revision && self.servers_from <= ours.revision)
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.revision {
            0 => write!(f, "payerbase {}", self.version),
            revision => write!(f, "payerbase {} (revision {revision})", self.version),
        }
    }
}

impl FromStr for Stamp {
    type Err = ();

    fn from_str(comment: &str) -> Result<Self, ()> {
        let words: Vec<&str> = comment.split(' ').collect();
        let number = |word: &str| word.parse().map_err(|_not_a_number| ());
        let (version, revision, servers_from, digest) = match words[..] {
            ["payerbase", version, "revision", revision, "servers", servers_from, digest] => {
                (version, number(revision)?, number(servers_from)?, digest)
            }
            ["payerbase", version, digest] => (version, 0, 0, digest),
            _ => return Err(()),
        };
        Ok(Self { version: version.to_owned(), revision, servers_from, digest: digest.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(revision: u32, servers_from: u32) -> Stamp {
        Stamp { version: "0.2.0".to_owned(), revision, servers_from, digest: format!("d{revision}") }
    }

    #[test]
    fn a_stamp_is_read_as_it_is_written() {
        assert_eq!(stamp(7, 3).comment().parse(), Ok(stamp(7, 3)));
        let old: Stamp = "payerbase 0.1.0 abc".parse().unwrap();
        assert_eq!((old.revision, old.to_string().as_str()), (0, "payerbase 0.1.0"));
        for odd in ["", "payerbase", "payerbase 1 revision x servers 1 d", "another 0.1.0 abc"] {
            assert_eq!(odd.parse::<Stamp>(), Err(()), "{odd}");
        }
    }

    #[test]
    fn a_server_works_with_newer_functions_that_say_so() {
        assert!(stamp(7, 3).serves(&stamp(7, 3)), "with its own");
        assert!(stamp(7, 3).serves(&stamp(3, 1)), "with newer ones");
        assert!(!stamp(7, 3).serves(&stamp(2, 1)), "it is too old for them");
        assert!(!stamp(7, 3).serves(&stamp(8, 1)), "they are older than the server");
        let another = Stamp { digest: "another".to_owned(), ..stamp(7, 3) };
        assert!(!stamp(7, 3).serves(&another), "another branch of the same revision");
    }
}
