//! Starts payerbase in a container for tests.

mod server;

use std::borrow::Cow;
use std::ops::Deref;

use testcontainers::core::wait::HttpWaitStrategy;
use testcontainers::core::{ContainerPort, WaitFor};
use testcontainers::runners::AsyncRunner as _;
use testcontainers::{ContainerAsync, ContainerRequest, Image};

pub use server::{Error, Result, Server, random_payer};

const PORT: ContainerPort = ContainerPort::Tcp(4402);

/// The image of payerbase. The default is `payerbase:latest`; `ImageExt::with_name` and `with_tag` name another one.
#[derive(Debug, Clone, Copy, Default)]
pub struct PayerbaseImage;

impl Image for PayerbaseImage {
    fn name(&self) -> &str {
        "payerbase"
    }

    fn tag(&self) -> &str {
        "latest"
    }

    fn cmd(&self) -> impl IntoIterator<Item = impl Into<Cow<'_, str>>> {
        ["dev", "--temporary"]
    }

    fn expose_ports(&self) -> &[ContainerPort] {
        &[PORT]
    }

    fn ready_conditions(&self) -> Vec<WaitFor> {
        vec![WaitFor::http(HttpWaitStrategy::new("/readyz").with_port(PORT).with_expected_status_code(200_u16))]
    }
}

/// A running container of `payerbase dev`, with the methods of [`Server`].
/// Its data is lost when it is dropped.
#[derive(Debug)]
pub struct PayerbaseContainer {
    server: Server,
    container: ContainerAsync<PayerbaseImage>,
}

impl PayerbaseContainer {
    /// Starts a container, waits until the server is ready and tells it its mapped address.
    ///
    /// # Errors
    ///
    /// The container does not start, the server is not ready within the startup timeout (60 seconds by default),
    /// or it does not answer.
    pub async fn start(image: impl Into<ContainerRequest<PayerbaseImage>> + Send) -> Result<Self> {
        let container = image.into().start().await?;
        let port = container.get_host_port_ipv4(PORT).await?;
        let server = Server::new(&format!("http://{}:{port}", container.get_host().await?));
        server.set_public_url(server.url()).await?;
        Ok(Self { server, container })
    }

    /// The container itself, for logs, commands and the end.
    #[must_use]
    pub fn container(&self) -> &ContainerAsync<PayerbaseImage> {
        &self.container
    }
}

impl Deref for PayerbaseContainer {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}
