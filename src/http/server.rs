//! The server: one task accepts connections, several threads serve them.
//!
//! actix's own server drops connections that it has accepted when it stops: their calls would get no answer.

use std::fmt::Debug;
use std::io::{Error, ErrorKind, Result};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use actix_http::{HttpService, Request, Response};
use actix_service::{IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt as _, map_config};
use actix_web::body::MessageBody;
use actix_web::dev::AppConfig;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{LocalSet, spawn_local};

use super::drain::Steps;
use super::send_limit::SendLimit;
use super::wire::{HEAD_TIMEOUT, Wire};

/// How long an idle connection stays open.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// Time limit for a client to close its side of a connection.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Pause after a connection could not be accepted, for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// A connection that was accepted.
struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    /// Counts it until it is closed.
    open: OwnedSemaphorePermit,
}

/// A thread that serves connections.
struct Worker {
    connections: UnboundedSender<Connection>,
    thread: JoinHandle<Result<()>>,
}

/// A server that listens.
pub struct Server {
    listener: TcpListener,
    workers: Vec<Worker>,
    steps: Arc<Steps>,
}

impl Server {
    /// Starts `workers` threads, each with its own application. [`Server::run`] accepts the connections.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn start<F, I, S, B>(listener: TcpListener, workers: usize, steps: &Arc<Steps>, application: F) -> Result<Self>
    where
        F: Fn() -> I + Clone + Send + 'static,
        I: IntoServiceFactory<S, Request>,
        S: ServiceFactory<Request, Config = AppConfig> + 'static,
        S::Error: Into<actix_web::Error> + 'static,
        S::InitError: Debug,
        S::Response: Into<Response<B>> + 'static,
        B: MessageBody + 'static,
    {
        listener.set_nonblocking(true)?;
        let start = |_index| {
            let (sender, connections) = unbounded_channel();
            let (application, steps) = (application.clone(), Arc::clone(steps));
            let thread = Builder::new().name("http".to_owned());
            let thread = thread.spawn(move || work(&application, connections, steps))?;
            Ok(Worker { connections: sender, thread })
        };
        let workers = (0..workers).map(start).collect::<Result<_>>()?;
        Ok(Self { listener, workers, steps: Arc::clone(steps) })
    }

    /// Accepts connections until the server [stops](super::drain::Stop).
    ///
    /// # Errors
    /// Those of the listener and of the threads.
    pub async fn run(self) -> Result<()> {
        let Self { listener, workers, steps } = self;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let mut next = workers.iter().cycle();
        while let Some(open) = steps.admit().await {
            let accepted = tokio::select! {
                () = steps.listener_closes.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            match accepted.and_then(|(stream, peer)| Ok((stream.into_std()?, peer))) {
                Ok(accepted) => hand_over(next.next(), accepted, open),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        // Connections that clients have opened by now are served: closing the listener would reset them.
        let listener = listener.into_std()?;
        loop {
            match (listener.accept(), steps.admit_now()) {
                (Ok(accepted), Some(open)) => hand_over(next.next(), accepted, open),
                (Err(error), _) if is_of_one_connection(&error) => {}
                _ => break,
            }
        }
        drop(listener);
        steps.listener_closed.cancel();
        let threads: Vec<_> = workers.into_iter().map(|worker| worker.thread).collect();
        let join =
            |thread: JoinHandle<Result<()>>| thread.join().map_err(|_panic| Error::other("a thread panicked"))?;
        let ended = tokio::task::spawn_blocking(move || threads.into_iter().try_for_each(join));
        ended.await.map_err(Error::other)?
    }
}

/// Whether accepting failed because the client is gone.
fn is_of_one_connection(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionRefused
            | ErrorKind::Interrupted
    )
}

fn hand_over(worker: Option<&Worker>, (stream, peer): (TcpStream, SocketAddr), open: OwnedSemaphorePermit) {
    let sent = worker.map(|worker| worker.connections.send(Connection { stream, peer, open }));
    if !matches!(sent, Some(Ok(()))) {
        tracing::error!("a thread of the server has ended");
    }
}

/// Serves connections until the server has stopped.
fn work<F, I, S, B>(application: &F, mut connections: UnboundedReceiver<Connection>, steps: Arc<Steps>) -> Result<()>
where
    F: Fn() -> I,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig> + 'static,
    S::Error: Into<actix_web::Error> + 'static,
    S::InitError: Debug,
    S::Response: Into<Response<B>> + 'static,
    B: MessageBody + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let serve = async move {
        let idle_close = Arc::clone(&steps);
        let application = application().into_factory().map_err(|error| error.into().error_response());
        let service = HttpService::build()
            .keep_alive(KEEP_ALIVE)
            .client_request_timeout(HEAD_TIMEOUT)
            .client_disconnect_timeout(DISCONNECT_TIMEOUT)
            // Drop a request when its client disconnects.
            .h1_allow_half_closed(false)
            .graceful_shutdown_signal(move || idle_close.idle_close.clone().cancelled_owned())
            .h1(map_config(application, |()| AppConfig::default()));
        let service = service.new_service(()).await.map_err(|()| Error::other("the application does not start"))?;
        loop {
            let Connection { stream, peer, open } = tokio::select! {
                () = steps.ended.cancelled() => return Ok(()),
                Some(connection) = connections.recv() => connection,
            };
            match prepared(stream) {
                Ok(stream) => {
                    let served = service.call((Wire::new(SendLimit::new(stream)), Some(peer)));
                    spawn_local(async move {
                        if let Err(error) = served.await {
                            tracing::debug!(%error, "a connection broke");
                        }
                        drop(open);
                    });
                }
                Err(error) => tracing::warn!(%error, "cannot use a connection"),
            }
        }
    };
    LocalSet::new().block_on(&runtime, serve)
}

fn prepared(stream: TcpStream) -> Result<tokio::net::TcpStream> {
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    tokio::net::TcpStream::from_std(stream)
}
