//! The settings: environment variables. Reading them reports every mistake at once, before a command starts.

mod payments;
mod settings;
mod values;
mod variables;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use secrecy::SecretString;
use sqlx::postgres::PgConnectOptions;
use tracing_subscriber::EnvFilter;
use url::Url;

use crate::db::{AUTH_CONNECTIONS, SHARED_CONNECTIONS, WATCH_CONNECTIONS};
use crate::embeddings;
use crate::http::rate_limits::RateSettings;
use crate::links::visitor::{Countries, Origins};
use crate::payments::PaymentSettings;
use crate::quotas::Quotas;
use crate::redis::Redis;
use crate::telemetry::LogFormat;
use crate::turn::LaneCounts;
use crate::wallet::Network;

use values::{
    chains, database, dev_token, folder, host, networks, on_or_off, postgres_bin, public_url, python, quota, rate,
};
pub use variables::{VARIABLES, variables_markdown};

/// Default of `PAYERBASE_PORT`.
pub const DEFAULT_PORT: u16 = 4402;

/// Prefixes of variables that are not settings: those of the tests, and those that Kubernetes sets for a Service named
/// payerbase.
const NOT_OURS: &[&str] =
    &["PAYERBASE_TEST_", "PAYERBASE_SERVICE_", "PAYERBASE_PORT_", "PAYERBASE_ADMIN_SERVICE_", "PAYERBASE_ADMIN_PORT_"];
/// Variables of programs that call a server. They may be in its environment too.
const OF_CLIENTS: &[&str] = &["PAYERBASE_BIN", "PAYERBASE_IMAGE", "PAYERBASE_TOKEN", "PAYERBASE_URL"];

/// Default of `PAYERBASE_ADDRESS_RATE`.
const ADDRESS_RATE: &str = "6000/60";
/// Default of `PAYERBASE_PAYER_RATE`: it stops a program that runs wild. Lanes share the work fairly without it.
const PAYER_RATE: &str = "600000/60";

/// Settings whose values are never shown.
const SECRETS: &[&str] =
    &["DATABASE_URL", "REDIS_URL", "PAYERBASE_APP_PASSWORD", "PAYERBASE_DEV_TOKEN", "PAYERBASE_EMBEDDINGS_KEY"];
/// Number of characters of a wrong value that are shown.
const SHOWN_CHARS_MAX: usize = 60;

/// The settings.
pub struct Config {
    /// `DATABASE_URL`, parsed.
    pub database: Option<PgConnectOptions>,
    /// `REDIS_URL`, parsed.
    pub redis: Option<Redis>,
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Address of the admin port.
    pub admin: Option<SocketAddr>,
    /// Public base URL. Default: the address that the server listens on.
    pub public_url: Option<Url>,
    /// The networks whose wallets can sign in. `None`: the default of the command.
    pub networks: Option<Vec<Network>>,
    /// How calls can be paid.
    pub payments: PaymentSettings,
    /// Sources of a visitor's address and country.
    pub origins: Origins,
    /// `PAYERBASE_ADDRESS_RATE` and `PAYERBASE_PAYER_RATE`.
    pub rates: RateSettings,
    /// `PAYERBASE_QUOTA_ROWS` and `PAYERBASE_QUOTA_BYTES`.
    pub quotas: Quotas,
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
    /// A token that `dev` takes.
    pub dev_token: Option<SecretString>,
    /// The new password of `payerbase_app`, for `migrate`.
    pub app_password: Option<SecretString>,
    /// Log filter.
    pub log: String,
    /// The format of log lines.
    pub log_format: LogFormat,
    /// Whether every answer is logged.
    pub log_requests: bool,
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
        parse(&text).map_err(|mistake| self.mistakes.push(format!("{name}: {mistake}{}", shown(name, &text)))).ok()
    }

    fn number<T: FromStr + PartialOrd + fmt::Display>(&mut self, name: &str, min: T, max: T) -> Option<T> {
        self.read(name, |text| {
            let number = text.parse().ok().filter(|number| (&min..=&max).contains(&number));
            number.ok_or_else(|| format!("expected a number from {min} to {max}"))
        })
    }
}

/// The wrong value, unless it is or may have a secret.
fn shown(name: &str, text: &str) -> String {
    if SECRETS.contains(&name) || text.contains('@') {
        return String::new();
    }
    let begin: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    let end = if begin.len() < text.len() { ".." } else { "" };
    format!("; it is {begin:?}{end}")
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

/// How much each payer may have.
fn quotas_of(reader: &mut Reader<'_>) -> Quotas {
    let Quotas { rows, bytes } = Quotas::default();
    Quotas {
        rows: reader.read("PAYERBASE_QUOTA_ROWS", quota).unwrap_or(rows),
        bytes: reader.read("PAYERBASE_QUOTA_BYTES", quota).unwrap_or(bytes),
    }
}

impl Config {
    /// Reads the environment of the process.
    ///
    /// # Errors
    /// All mistakes, each with the name of its variable.
    pub fn from_env() -> Result<Self, Mistakes> {
        let unknown = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).filter(|name| {
            let ours = name.starts_with("PAYERBASE_") && !NOT_OURS.iter().any(|other| name.starts_with(other));
            ours && !OF_CLIENTS.contains(&name.as_str()) && !VARIABLES.iter().any(|(known, _)| known == name)
        });
        // For a Service named payerbase, Kubernetes sets PAYERBASE_PORT to `tcp://..`: that is not the port to listen
        // on.
        let lookup = |name: &str| std::env::var(name).ok().filter(|value| !value.starts_with("tcp://"));
        Self::read(&lookup, unknown.collect())
    }

    /// The default of every setting, whatever the environment has.
    ///
    /// # Errors
    /// None: no setting is required.
    pub fn default_settings() -> Result<Self, Mistakes> {
        Self::read(&|_| None, Vec::new())
    }

    fn read(lookup: &dyn Fn(&str) -> Option<String>, unknown: Vec<String>) -> Result<Self, Mistakes> {
        let mistakes = unknown.into_iter().map(|name| format!("{name}: unknown setting")).collect();
        let mut reader = Reader { lookup, mistakes };
        let listen = reader.read("PAYERBASE_HOST", host).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let port = reader.number("PAYERBASE_PORT", 0, u16::MAX);
        let admin = reader.read("PAYERBASE_ADMIN_HOST", host).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let admin_port = reader.number("PAYERBASE_ADMIN_PORT", 0, u16::MAX);
        // Checked only: the code that uses these variables reads them from the environment.
        reader.read("PAYERBASE_POSTGRES_BIN", postgres_bin);
        reader.read("PAYERBASE_PYTHON", python);
        reader.read("PAYERBASE_DATA_DIR", folder);
        reader.read("PAYERBASE_CACHE_DIR", folder);
        // PostgreSQL, here or on another machine, needs as much CPU for a call as this process, and fewer lanes make
        // larger batches.
        let half = std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2));
        let config = Self {
            database: reader.read("DATABASE_URL", database),
            redis: reader.read("REDIS_URL", |url| {
                Redis::at(url).map_err(|_invalid| "expected redis://user:password@host:port".to_owned())
            }),
            listen: (listen, port.unwrap_or(DEFAULT_PORT)).into(),
            admin: admin_port.map(|port| (admin, port).into()),
            public_url: reader.read("PAYERBASE_PUBLIC_URL", public_url),
            networks: reader.read("PAYERBASE_NETWORKS", chains),
            payments: reader.read("PAYERBASE_PAYMENTS", payments::payments).unwrap_or_default(),
            rates: RateSettings {
                address: reader
                    .read("PAYERBASE_ADDRESS_RATE", rate)
                    .unwrap_or_else(|| rate(ADDRESS_RATE).ok().flatten()),
                payer: reader.read("PAYERBASE_PAYER_RATE", rate).unwrap_or_else(|| rate(PAYER_RATE).ok().flatten()),
            },
            quotas: quotas_of(&mut reader),
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
            dev_token: reader.read("PAYERBASE_DEV_TOKEN", dev_token),
            log: reader
                .read("PAYERBASE_LOG", |text| {
                    let valid = EnvFilter::try_new(text).map(|_filter| text.to_owned());
                    valid.map_err(|_invalid| "expected filters such as `info` or `payerbase=debug`".to_owned())
                })
                .unwrap_or_else(|| "info".to_owned()),
            log_format: reader.read("PAYERBASE_LOG_FORMAT", str::parse).unwrap_or(LogFormat::Text),
            log_requests: reader.read("PAYERBASE_LOG_REQUESTS", on_or_off).unwrap_or(false),
        };
        if reader.mistakes.is_empty() { Ok(config) } else { Err(Mistakes(reader.mistakes)) }
    }
}

impl Config {
    /// Maximum number of connections to the database that a server opens.
    fn connections_max(&self) -> usize {
        let pools = self.pool_max + AUTH_CONNECTIONS + WATCH_CONNECTIONS + SHARED_CONNECTIONS;
        let meter = if self.payments.networks.is_empty() { 0 } else { 2 };
        // One is for the probe of a database that cannot be reached.
        2 * (self.lanes.write + self.lanes.read) + usize::try_from(pools).unwrap_or(usize::MAX) + meter + 1
    }

    /// Logs that the server serves, and with which settings. It has no secret.
    pub fn log_start(&self, address: SocketAddr, admin: Option<SocketAddr>) {
        let Self { origins, lanes, .. } = self;
        let none = || "none".to_owned();
        let proxies: Vec<String> = origins.proxies.iter().map(ToString::to_string).collect();
        tracing::info!(
            %address,
            admin = admin.map_or_else(none, |admin| admin.to_string()),
            version = env!("CARGO_PKG_VERSION"),
            database = self.database.as_ref().map_or_else(none, shown_database),
            redis = self.redis.as_ref().map_or_else(none, ToString::to_string),
            public_url = self.public_url.as_ref().map_or_else(none, ToString::to_string),
            payments = self.payments.to_string(),
            address_rate = self.rates.address.map_or_else(none, |rate| rate.to_string()),
            payer_rate = self.rates.payer.map_or_else(none, |rate| rate.to_string()),
            quotas = %self.quotas,
            trusted_proxies = if proxies.is_empty() { none() } else { proxies.join(",") },
            country_header = origins.country_header.as_ref().map_or_else(none, ToString::to_string),
            countries = origins.countries.as_ref().map_or_else(none, ToString::to_string),
            clicks_kept_days = self.clicks_kept.as_secs() / (24 * 3_600),
            embeddings = %self.embeddings,
            language = self.language,
            workers = self.workers,
            write_lanes = lanes.write,
            read_lanes = lanes.read,
            pool_max = self.pool_max,
            connections_max = self.connections_max(),
            log_requests = if self.log_requests { "on" } else { "off" },
            "serving"
        );
    }
}

/// User, address and name of a database, without its password.
fn shown_database(options: &PgConnectOptions) -> String {
    let socket = options.get_socket().map(|socket| socket.display().to_string());
    let host = socket.as_deref().unwrap_or_else(|| options.get_host());
    let (user, port) = (options.get_username(), options.get_port());
    format!("{user}@{host}:{port}/{}", options.get_database().unwrap_or(user))
}

#[cfg(test)]
mod tests {
    use super::variables::CONNECTIONS;
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Config, Mistakes> {
        let lookup =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Config::read(&lookup, Vec::new())
    }

    #[test]
    fn no_setting_is_required() {
        let config = read(&[]).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        assert_eq!(config.listen.to_string(), "127.0.0.1:4402");
        assert!(config.database.is_none());
        let rates = [config.rates.address, config.rates.payer].map(|rate| rate.unwrap().to_string());
        assert_eq!(rates, [ADDRESS_RATE, PAYER_RATE]);
        let off = read(&[("PAYERBASE_PAYER_RATE", "off")]).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        assert_eq!(off.rates.payer, None);
        assert_eq!(config.quotas, Quotas::default());
        let quotas = read(&[("PAYERBASE_QUOTA_ROWS", "none"), ("PAYERBASE_QUOTA_BYTES", "5000000000")]);
        assert_eq!(quotas.ok().unwrap().quotas, Quotas { rows: None, bytes: Some(5_000_000_000) });
    }

    #[test]
    fn all_mistakes_are_reported_at_once_with_their_values_but_no_secret() {
        let wrong = [
            ("DATABASE_URL", "mysql://root:hunter2@localhost/x"),
            ("REDIS_URL", "http://root:hunter2@localhost"),
            ("PAYERBASE_HOST", "not-a-host"),
            ("PAYERBASE_PORT", "65536"),
            ("PAYERBASE_ADMIN_HOST", "0.0.0"),
            ("PAYERBASE_ADMIN_PORT", "-1"),
            ("PAYERBASE_PUBLIC_URL", "ftp://root:hunter2@localhost"),
            ("PAYERBASE_NETWORKS", "eip155:8453,solana:1"),
            ("PAYERBASE_PAYMENTS", "/dev/null/nothing"),
            ("PAYERBASE_ADDRESS_RATE", "0/60"),
            ("PAYERBASE_PAYER_RATE", "100 per minute"),
            ("PAYERBASE_QUOTA_ROWS", "0"),
            ("PAYERBASE_QUOTA_BYTES", "10 GiB"),
            ("PAYERBASE_TRUSTED_PROXIES", "10.0.0.0/8,10.0.0.0/33"),
            ("PAYERBASE_COUNTRY_HEADER", "a header"),
            ("PAYERBASE_MAXMIND_FILE", "/dev/null/nothing"),
            ("PAYERBASE_CLICKS_KEPT_DAYS", "0"),
            ("PAYERBASE_EMBEDDINGS", "https://root:hunter2@localhost/v1"),
            ("PAYERBASE_EMBEDDINGS_KEY", "hunter2 hunter2"),
            ("PAYERBASE_LANGUAGE", "English"),
            ("PAYERBASE_WORKERS", "257"),
            ("PAYERBASE_WRITE_LANES", "many"),
            ("PAYERBASE_READ_LANES", "-2"),
            ("PAYERBASE_POOL_MAX", "5"),
            ("PAYERBASE_APP_PASSWORD", "hunter2"),
            ("PAYERBASE_DEV_TOKEN", "hunter2"),
            ("PAYERBASE_LOG", "a=b=c"),
            ("PAYERBASE_LOG_FORMAT", "xml"),
            ("PAYERBASE_LOG_REQUESTS", "yes"),
            ("PAYERBASE_POSTGRES_BIN", "/nonexistent/bin"),
            ("PAYERBASE_PYTHON", "python-of-nobody"),
            ("PAYERBASE_DATA_DIR", ""),
            ("PAYERBASE_CACHE_DIR", ""),
        ];
        let text = read(&wrong).err().unwrap().to_string();
        assert_eq!(text.lines().count(), wrong.len() + 1, "{text}");
        assert!(!text.contains("hunter2"), "{text}");
        for (name, value) in wrong {
            let line = text.lines().find(|line| line.contains(name)).unwrap();
            let is_secret = SECRETS.contains(&name) || value.contains('@');
            assert_eq!(line.contains(&format!("it is {value:?}")), !is_secret, "{line}");
        }
        // Every other variable may have any value.
        let checked = wrong.map(|(name, _)| name);
        let free: Vec<_> = VARIABLES.iter().map(|(name, _)| *name).filter(|name| !checked.contains(name)).collect();
        assert_eq!(free, ["OTEL_EXPORTER_OTLP_ENDPOINT"]);
    }

    #[test]
    fn a_database_url_with_a_mistake_says_which_one() {
        for (url, part) in [
            ("postgres://u:pa/ss@host/db", "%2F"),
            ("postgres://u:12/ss@host/db", "%2F"),
            ("postgres://u:pa#ss@host/db", "%23"),
            ("postgres://u:12#ss@host/db", "%23"),
            ("postgres://u:12?ss@host/db", "%3F"),
            ("postgres://u:p@host/db?sslmodus=require", "`sslmodus`"),
            ("postgres://u:p@host/db?sslmode=on", "on"),
            ("postgres://u:p@host:port/db", "port"),
            ("postgres://u@/db?host=/run", "host=/folder&user=user"),
            ("host=db user=u", "postgres://"),
        ] {
            let text = read(&[("DATABASE_URL", url)]).err().unwrap_or_else(|| panic!("{url}")).to_string();
            assert!(text.contains(part) && text.contains("DATABASE_URL"), "{url}: {text}");
        }
        for url in
            ["postgres://u:p%2F%40%23@host/db?sslmode=verify-full&sslrootcert=/ca.pem", "postgresql:///db?host=/run"]
        {
            assert!(read(&[("DATABASE_URL", url)]).is_ok(), "{url}");
        }
        assert_eq!(read(&[("PAYERBASE_HOST", "localhost")]).ok().unwrap().listen.to_string(), "127.0.0.1:4402");
    }

    #[test]
    fn the_number_of_connections_is_the_documented_one() {
        let with = |lanes| {
            read(&[("PAYERBASE_WRITE_LANES", lanes), ("PAYERBASE_READ_LANES", lanes)]).ok().unwrap().connections_max()
        };
        let documented = format!("this is {} on two cores and {} on eight", with("1"), with("4"));
        assert!(CONNECTIONS.contains(&documented), "{documented}");
    }

    #[test]
    fn secrets_are_not_shown() {
        let config = read(&[
            ("DATABASE_URL", "postgres://u:hunter2@db.example/x"),
            ("REDIS_URL", "redis://u:hunter2@redis.example"),
            ("PAYERBASE_EMBEDDINGS", "https://embed.example/hunter2?model=m"),
            ("PAYERBASE_EMBEDDINGS_KEY", "hunter2"),
        ]);
        let config = config.unwrap_or_else(|mistakes| panic!("{mistakes}"));
        assert_eq!(shown_database(config.database.as_ref().unwrap()), "u@db.example:5432/x");
        assert_eq!(config.redis.as_ref().unwrap().to_string(), "redis.example:6379");
        assert_eq!(config.embeddings.to_string(), "m at https://embed.example");
    }
}
