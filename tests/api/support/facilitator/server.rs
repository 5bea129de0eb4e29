//! The HTTP server of a stub facilitator: one thread, which a test can end.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;

use actix_http::{HttpService, KeepAlive};
use actix_service::{IntoServiceFactory as _, Service as _, ServiceFactory as _, ServiceFactoryExt as _, map_config};
use actix_web::App;
use actix_web::dev::AppConfig;
use actix_web::web::Data;
use tokio::sync::oneshot;
use tokio::task::{LocalSet, spawn_local};

use super::routes::{Shared, routes};

/// A running server. It ends when it is dropped.
pub struct Running {
    pub address: SocketAddr,
    ended: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Running {
    /// Starts a server on an address.
    pub fn start(address: SocketAddr, shared: &Arc<Shared>) -> Self {
        let listener = TcpListener::bind(address).expect("the port of the stub facilitator");
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let data = Data::from(Arc::clone(shared));
        let (ended, end) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            LocalSet::new().block_on(&runtime, async {
                tokio::select! {
                    () = serve(listener, data) => {}
                    _ended = end => {}
                }
            });
        });
        Self { address, ended, thread }
    }

    /// Ends the server. Its connections are closed and its tasks are gone when this returns.
    pub async fn kill(self) {
        let Self { ended, thread, .. } = self;
        drop(ended);
        tokio::task::spawn_blocking(move || thread.join().unwrap()).await.unwrap();
    }
}

/// Serves connections, each for one request: a client that kept one would meet its end after [`Running::kill`] only by
/// chance.
async fn serve(listener: TcpListener, data: Data<Shared>) {
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    let application = App::new().app_data(data).configure(routes).into_factory();
    let application = application.map_err(|error: actix_web::Error| error.error_response());
    // A request is dropped when its client disconnects.
    let service = HttpService::build().keep_alive(KeepAlive::Disabled).h1_allow_half_closed(false);
    let service = service.h1(map_config(application, |()| AppConfig::default()));
    let service = service.new_service(()).await.unwrap();
    loop {
        let (stream, peer) = listener.accept().await.unwrap();
        // A connection may break. Its client sees that.
        spawn_local(service.call((stream, Some(peer))));
    }
}
