//! From the settings of the process to those of the application.

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use super::Config;
use crate::app::Settings;
use crate::call::CallSettings;
use crate::embeddings::Embeddings;
use crate::sweeper::{SWEEP_INTERVAL, SweepSettings, WRITTEN_INTERVAL};
use crate::waiting::POLL_INTERVAL;
use crate::wallet::MAIN_NETWORKS;

impl Config {
    /// The settings of the application. Opens a local embedding model, and asks the facilitators of payments.
    ///   port         instead of that of the process
    ///   sql_program  the program `payerbase`, which runs SQL
    ///
    /// # Errors
    /// If the embedding model cannot be opened, or a facilitator does not settle what is offered.
    pub async fn settings(
        &self,
        port: Option<u16>,
        sql_program: PathBuf,
    ) -> Result<Settings, Box<dyn Error + Send + Sync>> {
        let port = port.unwrap_or(self.listen.port());
        let setting = self.embeddings.clone();
        // Reading a local model from its files blocks.
        let embeddings = tokio::task::spawn_blocking(move || Embeddings::open(&setting)).await??.map(Arc::new);
        let payments = self.payments.clone();
        payments.check().await?;
        let prices = Arc::new(payments.prices());
        Ok(Settings {
            listen: SocketAddr::new(self.listen.ip(), port),
            admin: self.admin,
            workers: self.workers,
            lanes: self.lanes,
            calls: CallSettings {
                poll_interval: POLL_INTERVAL,
                language: self.language.clone(),
                embeddings,
                prices,
                quotas: self.quotas,
                sql_program,
            },
            redis: self.redis.clone(),
            public_url: self.public_url.clone(),
            networks: self.networks.clone().unwrap_or_else(|| MAIN_NETWORKS.to_vec()),
            payments,
            rates: self.rates,
            origins: self.origins.clone(),
            sweep: SweepSettings {
                interval: SWEEP_INTERVAL,
                clicks_kept: self.clicks_kept,
                written_interval: WRITTEN_INTERVAL,
            },
            log_requests: self.log_requests,
            for_tests: None,
        })
    }
}
