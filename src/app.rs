//! The application: the same for `serve`, for tests and for the OpenAPI document.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_cors::Cors;
use actix_web::middleware::{Compress, from_fn};
use actix_web::{App, HttpRequest, HttpResponse, ResponseError as _, web};
use futures_util::future::OptionFuture;
use prometheus_client::registry::Registry;
use secrecy::SecretString;
use sqlx::postgres::PgConnectOptions;
use url::Url;
use utoipa_actix_web::service_config::ServiceConfig;
use utoipa_actix_web::{AppExt as _, scope};

use crate::auth::{
    Authenticator, CacheMetrics, DatabaseKeys, Grants, SignIn, Slugs, TestTokens, Tokens, register_caches,
};
use crate::call::{CallSettings, Engine, Services};
use crate::db::Database;
use crate::db::admin::Admin;
use crate::db::readiness::Readiness;
use crate::http::answer_log::AnswerLog;
use crate::http::authenticate::authenticate;
use crate::http::drain::{Steps, Stop};
use crate::http::metrics::{AllMetrics, HttpMetrics};
use crate::http::openapi::{self, Document};
use crate::http::paywall::{self, Paywall};
use crate::http::rate_limits::{self, RateLimits, RateSettings};
use crate::http::server::Server;
use crate::http::{admin, edge, metrics, pages, reply, request_id, verbs};
use crate::links::visitor::Origins;
use crate::payer::Payer;
use crate::payments::{PaymentSettings, Payments};
use crate::problem::{Code, Problem};
use crate::redis::Redis;
use crate::site::Site;
use crate::slices::{limits, methods};
use crate::sweeper::{SweepSettings, Sweeper};
use crate::test_kit::{self, TestKit};
use crate::turn::{LaneCounts, Turns};
use crate::waiting::Replicas;
use crate::wallet::Network;
use crate::{counters, credit, export, links, locks, me, memories, queues, sign_in, sql, tokens, transactions};

/// How long `serve` announces its stop before it closes its listener, so that balancers stop sending requests.
pub const ANNOUNCEMENT: Duration = Duration::from_secs(2);
/// Time limit of a stop: containers are killed after ten seconds. Requests have 6.5 seconds of it after the listener has
/// closed: longer than any call takes that has begun. A call whose texts are being embedded has not begun.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(9);
/// How long browsers may cache the answer to a CORS preflight.
const CORS_MAX_AGE_S: usize = 3_600;

/// Settings of the application.
#[derive(Clone)]
pub struct Settings {
    /// Address to listen on; port 0 takes a free port.
    pub listen: SocketAddr,
    /// Address of the admin port. Without it, the metrics are on the port of the API.
    pub admin: Option<SocketAddr>,
    /// Number of threads that serve HTTP.
    pub workers: usize,
    /// Number of lanes.
    pub lanes: LaneCounts,
    /// Settings of calls.
    pub calls: CallSettings,
    /// Redis that replicas share. Without it they do not share wake-ups.
    pub redis: Option<Redis>,
    /// Public URL. Default: the listening address.
    pub public_url: Option<Url>,
    /// The networks whose wallets can sign in.
    pub networks: Vec<Network>,
    /// How calls can be paid.
    pub payments: PaymentSettings,
    /// How often callers may send requests.
    pub rates: RateSettings,
    /// Sources of the address and the country of visitors.
    pub origins: Origins,
    /// Settings of the sweeper.
    pub sweep: SweepSettings,
    /// Whether every answer is logged, not only those that failed on the side of the server.
    pub log_requests: bool,
    /// What tests need of `payerbase dev`. None on a server with data to protect.
    pub for_tests: Option<ForTests>,
}

/// What tests need of `payerbase dev`.
#[derive(Clone)]
pub struct ForTests {
    kit: TestKit,
    tokens: TestTokens,
}

impl ForTests {
    /// Works as the role that migrates the database.
    ///   fixed  a token with any text, and its payer
    #[must_use]
    pub fn new(admin: &PgConnectOptions, fixed: Option<(SecretString, Payer)>) -> Self {
        let admin = Admin::new(admin.clone());
        Self { kit: TestKit::new(admin.clone()), tokens: TestTokens::new(admin, fixed) }
    }

    /// What moves the clock.
    #[must_use]
    pub fn kit(&self) -> &TestKit {
        &self.kit
    }
}

/// The application, listening.
pub struct Application {
    address: SocketAddr,
    server: Server,
    admin_address: Option<SocketAddr>,
    admin: Option<actix_web::dev::Server>,
    steps: Arc<Steps>,
    engine: Arc<Engine>,
    sweeper: Sweeper,
    replicas: Option<Replicas>,
    database: Database,
}

impl Application {
    /// Binds the address and opens the lanes.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub fn build(database: Database, settings: &Settings) -> std::io::Result<Self> {
        let listener = bind(settings.listen, "--port", "PAYERBASE_HOST")?;
        let admin = settings.admin.map(|admin| bind(admin, "PAYERBASE_ADMIN_PORT", "PAYERBASE_ADMIN_HOST"));
        let admin = admin.transpose()?;
        let address = listener.local_addr()?;
        let mut registry = Registry::with_prefix("payerbase");
        let site = site_of(settings.public_url.as_ref(), address)?;
        let turns = Turns::new(database.clone(), settings.lanes, &mut registry);
        database.register(&mut registry);
        let [token_cache, slug_cache] = register_caches(&mut registry);
        let slugs = Arc::new(Slugs::new(database.clone(), slug_cache));
        let payments = Payments::new(settings.payments.clone(), site.clone(), Arc::clone(&turns), &mut registry);
        let keys = Arc::new(DatabaseKeys::new(database.clone()));
        let sign_in = SignIn::new(database.clone(), Arc::clone(&keys), site.clone(), settings.networks.clone());
        let sign_in = Arc::new(sign_in);
        let driven = Arc::clone(&turns);
        let (slugs_of_calls, payments_of_calls) = (Arc::clone(&slugs), Arc::clone(&payments));
        let services =
            Services { turns, slugs: slugs_of_calls, payments: payments_of_calls, keys, database: database.clone() };
        let engine = Arc::new(Engine::new(services, methods(), site, settings.calls.clone(), &mut registry));
        let origins = web::Data::new(settings.origins.clone());
        let sweeper = Sweeper::new(database.clone(), Arc::clone(&engine), settings.sweep, &mut registry);
        let redis = settings.redis.clone();
        let rate_limits = web::Data::new(RateLimits::new(settings.rates, &settings.origins, &redis, &mut registry));
        let replicas = redis.map(|redis| Replicas::new(redis, Arc::clone(engine.waiters()), &mut registry));
        let http_metrics = web::Data::new(HttpMetrics::register(&mut registry));
        let answer_log = web::Data::new(AnswerLog::new(settings.log_requests));
        let authenticator = web::Data::new(authenticator(settings, &database, token_cache, &engine));
        let test_kit = settings.for_tests.as_ref().map(|tests| web::Data::new(tests.kit.clone()));
        let has_metrics = settings.admin.is_none();
        let document = web::Data::new(document_of(has_metrics, settings.public_url.as_ref()));
        let paywall = web::Data::new(Paywall::new(payments, Arc::clone(&sign_in), &document));
        let (all_metrics, readiness) =
            (web::Data::new(AllMetrics::of(registry)), web::Data::new(Readiness::of(database.clone())));
        let (threads, sign_in) = (settings.workers, web::Data::from(sign_in));
        let (slugs, engine_data) = (web::Data::from(slugs), web::Data::from(Arc::clone(&engine)));
        let steps = Arc::new(Steps::default());
        let admin_address = admin.as_ref().map(TcpListener::local_addr).transpose()?;
        let of_operator = {
            let steps = web::Data::from(Arc::clone(&steps));
            move |service: &mut web::ServiceConfig| {
                service.app_data(all_metrics.clone()).app_data(readiness.clone()).app_data(steps.clone());
                service.app_data(http_metrics.clone()).app_data(answer_log.clone());
            }
        };
        let admin = admin.map(|listener| admin::serve(listener, of_operator.clone())).transpose()?;
        let server = Server::start(listener, settings.workers, &steps, move || {
            driven.drive(threads);
            let (app, _) = App::new().into_utoipa_app().configure(|app| routes(app, has_metrics)).split_for_parts();
            app.configure(of_operator.clone())
                .app_data(authenticator.clone())
                .app_data(sign_in.clone())
                .app_data(engine_data.clone())
                .app_data(slugs.clone())
                .app_data(origins.clone())
                .app_data(document.clone())
                .app_data(paywall.clone())
                .app_data(rate_limits.clone())
                .configure(|service| test_kit::configure(service, test_kit.as_ref()))
                .service(pages::docs_redirect)
                .service(pages::docs())
                .service(pages::root)
                .default_service(web::to(nothing_here))
                // The last one is the outermost.
                .wrap(from_fn(verbs::verbs))
                .wrap(from_fn(rate_limits::limit_rates))
                .wrap(Compress::default())
                .wrap(cors())
                .wrap(from_fn(edge::problems))
                .wrap(from_fn(edge::edge))
        })?;
        Ok(Self { address, server, admin_address, admin, steps, engine, sweeper, replicas, database })
    }

    /// The listening address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of the admin port.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_address
    }

    /// What runs its calls.
    #[must_use]
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// A handle that stops it.
    #[must_use]
    pub fn stop(&self) -> Stop {
        Stop::new(Arc::clone(&self.steps), Arc::clone(&self.engine))
    }

    /// Serves until it is [stopped](Self::stop).
    ///
    /// # Errors
    /// Those of the listener.
    pub async fn run(mut self) -> std::io::Result<()> {
        // The admin port serves until the end: probes and Prometheus see the stop.
        let admin = self.admin.take().map(|admin| (admin.handle(), tokio::spawn(admin)));
        let served = tokio::select! {
            served = self.server.run() => served,
            () = self.sweeper.run() => Ok(()),
            Some(()) = OptionFuture::from(self.replicas.as_mut().map(Replicas::run)) => Ok(()),
        };
        self.sweeper.resign().await;
        if let Some((admin, _served)) = admin {
            admin.stop(false).await;
        }
        self.engine.close().await;
        self.database.close().await;
        served
    }
}

fn authenticator(settings: &Settings, database: &Database, cache: CacheMetrics, engine: &Engine) -> Authenticator {
    let (tokens, grants) = (Tokens::measured(database.clone(), cache), Grants::new(database.clone()));
    let of_tests = settings.for_tests.as_ref().map(|tests| tests.tokens.clone());
    Authenticator::new(tokens, grants, Arc::clone(engine.refusals()), of_tests)
}

/// The public URL of the settings, or else the listening address.
fn site_of(public_url: Option<&Url>, address: SocketAddr) -> std::io::Result<Site> {
    let url = public_url.cloned().or_else(|| format!("http://{}", nearby(address)).parse().ok());
    url.map(Site::new).ok_or_else(|| std::io::Error::other("the address makes no URL"))
}

/// An address at which this machine reaches a listener: the loopback address if it listens on all addresses.
#[must_use]
pub fn nearby(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    address
}

fn bind(address: SocketAddr, port: &str, host: &str) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).map_err(|error| {
        let is_ours = error.kind() != std::io::ErrorKind::AddrNotAvailable;
        let advice = if is_ours {
            format!("choose another {port}")
        } else {
            format!("set {host} to an address of this machine")
        };
        std::io::Error::new(error.kind(), format!("cannot listen on {address}: {error}; {advice}"))
    })
}

/// Every route that the OpenAPI document describes, with the metrics or without them.
fn routes(service: &mut ServiceConfig<'_>, has_metrics: bool) {
    if has_metrics {
        service.service(metrics::metrics);
    }
    service
        .service(pages::healthz)
        .service(pages::readyz)
        .service(pages::openapi)
        .service(pages::openapi_3_0)
        .service(pages::problems)
        .service(pages::paid_routes)
        .configure(links::routes::configure_public)
        .configure(sign_in::routes::configure)
        .service(
            scope::scope("/v1")
                .wrap(from_fn(authenticate))
                .configure(me::routes::configure)
                .configure(credit::routes::configure)
                .configure(tokens::routes::configure)
                .configure(counters::routes::configure)
                .configure(links::routes::configure)
                .configure(locks::routes::configure)
                .configure(queues::routes::configure)
                .configure(memories::routes::configure)
                .configure(sql::routes::configure)
                .configure(export::routes::configure)
                .configure(transactions::routes::configure),
        );
}

/// The OpenAPI document of exactly the routes that are served.
#[must_use]
pub fn document() -> Document {
    document_of(true, None)
}

fn document_of(has_metrics: bool, public_url: Option<&Url>) -> Document {
    let app = App::new().into_utoipa_app().openapi(openapi::base()).configure(|app| routes(app, has_metrics));
    let (_, collected) = app.split_for_parts();
    Document::new(&collected, methods(), &limits(), public_url)
}

/// Front ends of any origin may call: no cookie and no other credential of the browser is used.
fn cors() -> Cors {
    Cors::default()
        .allow_any_origin()
        .send_wildcard()
        .allowed_methods(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
        .allow_any_header()
        .expose_headers([
            "allow",
            paywall::PAYMENT_REQUIRED.as_str(),
            paywall::PAYMENT_RESPONSE.as_str(),
            reply::IDEMPOTENT_REPLAY.as_str(),
            rate_limits::RATE_LIMIT.as_str(),
            rate_limits::RATE_LIMIT_POLICY.as_str(),
            "retry-after",
            "www-authenticate",
            request_id::HEADER.as_str(),
        ])
        .max_age(CORS_MAX_AGE_S)
}

/// Answers 404 for a path without a route, and 405 for a method that its route does not take.
async fn nothing_here(request: HttpRequest, document: web::Data<Document>) -> HttpResponse {
    match document.allow(request.path()) {
        Some(methods) => Problem::method_not_allowed(methods).error_response(),
        None => Problem::new(Code::NotFound)
            .detail("The path does not exist. It is case-sensitive and has no slash at its end; a slash in a name is `%2F`.")
            .error_response(),
    }
}
