//! Parsers of values.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;

use ipnet::IpNet;
use secrecy::SecretString;
use sqlx::postgres::PgConnectOptions;
use url::{ParseError, Url};

use crate::rates::Rate;
use crate::site::base_url;
use crate::wallet::Network;

/// Parameters of `DATABASE_URL`.
const DATABASE_PARAMETERS: &[&str] = &[
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

/// A rate: `6000/60` are 6,000 requests in a minute. `None`: `off`.
pub(super) fn rate(text: &str) -> Result<Option<Rate>, String> {
    if text == "off" {
        return Ok(None);
    }
    let rate = text.split_once('/').and_then(|(requests, seconds)| {
        let (requests, seconds) = (requests.parse().ok()?, seconds.parse().ok().filter(|seconds| *seconds > 0)?);
        Rate::new(requests, Duration::from_secs(seconds), requests).ok()
    });
    rate.map(Some).ok_or_else(|| "expected requests and seconds such as `6000/60`, or `off`".to_owned())
}

/// A number of rows or bytes. `None`: `none`.
pub(super) fn quota(text: &str) -> Result<Option<i64>, String> {
    if text == "none" {
        return Ok(None);
    }
    let quota = text.parse().ok().filter(|quota| *quota > 0);
    quota.map(Some).ok_or_else(|| "expected a number from 1, or `none`".to_owned())
}

/// An IP address, or the name of this machine.
pub(super) fn host(text: &str) -> Result<IpAddr, String> {
    match text {
        "localhost" => Ok(Ipv4Addr::LOCALHOST.into()),
        _ => text.parse().map_err(|_invalid| "expected an IP address or `localhost`".to_owned()),
    }
}

pub(super) fn database(text: &str) -> Result<PgConnectOptions, String> {
    let expected = || "expected postgres://user:password@host:port/database".to_owned();
    let encode = "percent-encode special characters of the password: / is %2F, @ is %40, # is %23, ? is %3F, % is %25";
    if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
        return Err(expected());
    }
    let url = Url::parse(text).map_err(|error| match error == ParseError::EmptyHost {
        true => "the host is missing; for a Unix socket, write postgres:///database?host=/folder&user=user".to_owned(),
        false => format!("{error}; {encode}"),
    })?;
    if url.fragment().is_some() || url.path().contains('@') || url.query().is_some_and(|query| query.contains('@')) {
        return Err(format!("a special character ends the host too early; {encode}"));
    }
    for (name, _) in url.query_pairs() {
        if !DATABASE_PARAMETERS.contains(&&*name) && !name.starts_with("options[") {
            return Err(format!("unknown parameter `{name}`; the known ones are {}", DATABASE_PARAMETERS.join(", ")));
        }
    }
    text.parse().map_err(
        |error: sqlx::Error| {
            if let sqlx::Error::Configuration(reason) = error { reason.to_string() } else { expected() }
        },
    )
}

/// A folder with the programs of PostgreSQL.
pub(super) fn postgres_bin(text: &str) -> Result<(), String> {
    let missing = ["postgres", "initdb"].into_iter().find(|program| !Path::new(text).join(program).is_file());
    match missing {
        Some(program) => Err(format!("expected the folder of PostgreSQL's programs; it has no `{program}`")),
        None => Ok(()),
    }
}

/// A program: a path, or a name to be found in `PATH`.
pub(super) fn python(text: &str) -> Result<(), String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_found = match text.contains('/') {
        true => Path::new(text).is_file(),
        false => !text.is_empty() && std::env::split_paths(&path).any(|folder| folder.join(text).is_file()),
    };
    is_found
        .then_some(())
        .ok_or_else(|| "expected a Python, 3.10 or newer, with pip: there is no such program".to_owned())
}

pub(super) fn folder(text: &str) -> Result<(), String> {
    (!text.is_empty()).then_some(()).ok_or_else(|| "expected a folder".to_owned())
}

pub(super) fn on_or_off(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("expected `on` or `off`".to_owned()),
    }
}

pub(super) fn public_url(text: &str) -> Result<Url, String> {
    base_url(text).ok_or_else(|| "expected http:// or https:// and a host, without a query".to_owned())
}

/// The networks of wallets, or `none`.
pub(super) fn chains(text: &str) -> Result<Vec<Network>, String> {
    if text.trim() == "none" {
        return Ok(Vec::new());
    }
    let chains = text.split(',').map(|chain| chain.trim().parse::<Network>());
    chains.collect::<Result<_, _>>().map_err(|error| error.to_string())
}

pub(super) fn networks(text: &str) -> Result<Vec<IpNet>, String> {
    let networks = text.split(',').map(|network| {
        let network = network.trim();
        network.parse().or_else(|_no_network| network.parse::<IpAddr>().map(IpNet::from))
    });
    networks.collect::<Result<_, _>>().map_err(|_invalid| "expected networks such as `10.0.0.0/8,fd00::/8`".to_owned())
}

/// A token that tests know in advance.
pub(super) fn dev_token(text: &str) -> Result<SecretString, String> {
    let is_token = (8..=200).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    match is_token && !text.starts_with("pb_") {
        true => Ok(text.into()),
        false => Err("expected 8 to 200 visible characters that do not begin with pb_".to_owned()),
    }
}
