//! The export of a payer by the operator, as the role that migrates.

use std::io;

use serde::Deserialize;
use serde::de::IgnoredAny;
use sqlx::postgres::PgConnection;

use super::kinds::KINDS;
use super::methods::{ExportPage, ExportPayer};
use crate::me::types::Event;
use crate::number::Integers;
use crate::pay::as_payer;
use crate::payer::Payer;
use crate::site::Site;

/// Lines of a page.
const LINES: u32 = 1_000;

/// Why an export ended.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The database failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// The page is not as this version expects it.
    #[error("a page of the export cannot be read: {0}")]
    Page(#[from] serde_json::Error),
    /// What the cursor names is gone.
    #[error("the export cannot go on: the token, grant or payment where a page ended was deleted; export again")]
    Interrupted,
    /// The lines cannot be written.
    #[error("the export cannot be written: {0}")]
    Output(#[from] io::Error),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Answer {
    Ok(ExportPage),
    Problem(IgnoredAny),
}

/// Writes the lines of all that a payer has. Each page is a transaction of its own.
///
/// # Errors
/// Those of the database and of the output.
pub async fn export_by_operator(
    admin: &mut PgConnection,
    payer: &Payer,
    site: &Site,
    output: &mut impl io::Write,
) -> Result<(), ExportError> {
    let mut export: ExportPayer = serde_json::from_value(serde_json::json!({"limit": LINES}))?;
    (export.kinds, export.events) = (KINDS, Event::ALL);
    loop {
        let params = serde_json::to_string(&export)?;
        let mut turn = as_payer(admin, payer).await?;
        let page = sqlx::query_scalar("select rpc.export_payer($1, $2::jsonb)::text").bind(payer.as_str()).bind(params);
        let page: String = page.fetch_one(&mut *turn).await?;
        turn.commit().await?;
        let Answer::Ok(mut page) = serde_json::from_str(&page)? else { return Err(ExportError::Interrupted) };
        page.set_short_urls(site);
        output.write_all(&page.lines_without_cursor(Integers::Numbers)?)?;
        let Some(next) = page.next_cursor() else { break };
        export.cursor = Some(serde_json::from_value(serde_json::to_value(next)?)?);
    }
    Ok(output.flush()?)
}
