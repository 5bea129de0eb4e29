//! The admin port: health and metrics, for probes and Prometheus, apart from the API.

use std::net::TcpListener;

use actix_web::dev::Server;
use actix_web::middleware::from_fn;
use actix_web::web::{self, ServiceConfig};
use actix_web::{App, HttpResponse, HttpServer, ResponseError as _};

use super::{edge, metrics, pages, verbs};
use crate::problem::{Code, Problem};

/// Serves the pages of the operator until it is stopped. `data` adds what they need.
///
/// # Errors
/// If the listener cannot be used.
pub fn serve(
    listener: TcpListener,
    data: impl Fn(&mut ServiceConfig) + Clone + Send + 'static,
) -> std::io::Result<Server> {
    let server = HttpServer::new(move || {
        App::new()
            .configure(data.clone())
            .service(pages::healthz)
            .service(pages::readyz)
            .service(metrics::metrics)
            .default_service(web::to(nothing_here))
            .wrap(from_fn(verbs::verbs))
            .wrap(from_fn(edge::problems))
            .wrap(from_fn(edge::edge))
    });
    Ok(server.workers(1).disable_signals().listen(listener)?.run())
}

async fn nothing_here() -> HttpResponse {
    Problem::new(Code::NotFound).error_response()
}
