//! The erasure of all data of a payer without its token: turn by turn, as `erasePayer` does it call by call.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgConnection;

use super::methods::{EraseData, Erased};
use super::tenant::tenant_of;
use crate::call::{Engine, Request};
use crate::pay::as_payer;
use crate::payer::Payer;
use crate::problem::{Code, Problem};

/// How often a turn is tried while other calls of the payer run.
const TRIES: u32 = 20;
/// Pause between two tries.
const PAUSE: Duration = Duration::from_millis(100);

/// Erases all data of a payer, on a server. Returns the number of rows. If a turn fails, the turns before it have
/// taken effect, and the next erasure deletes the rest.
///
/// # Errors
/// Those of the lanes: `payer-busy`, `overloaded`, `database-unavailable`, `outcome-unknown`.
pub async fn erase_all(engine: &Arc<Engine>, payer: &Payer) -> Result<u64, Problem> {
    let tenant = tenant_of(engine, payer.clone());
    let (mut rows, mut tries) = (0, 0);
    loop {
        let Erased { deleted, has_more } = match tenant.call(Request::of(EraseData {})).await {
            Ok(answer) => answer.output,
            Err(problem) if problem.code() == Code::PayerBusy && tries < TRIES => {
                tries += 1;
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            Err(problem) => return Err(problem),
        };
        (rows, tries) = (rows + deleted, 0);
        if !has_more {
            return Ok(rows);
        }
    }
}

/// Erases all data of a payer, as the role that migrates. Returns the number of rows. The entry in the log of the account names no
/// token.
///
/// # Errors
/// Those of the database.
pub async fn erase_all_by_operator(admin: &mut PgConnection, payer: &Payer) -> Result<u64, sqlx::Error> {
    let mut rows = 0;
    loop {
        let renew = sqlx::query("select slug.renew_all(rpc.slugs_to_erase($1), $1)").bind(payer.as_str());
        renew.execute(&mut *admin).await?;
        let mut turn = as_payer(admin, payer).await?;
        let erase = sqlx::query_scalar("select rpc.erase_payer($1, '{}')::text").bind(payer.as_str());
        let answer: String = erase.fetch_one(&mut *turn).await?;
        turn.commit().await?;
        let answer: Answer = serde_json::from_str(&answer).map_err(|error| sqlx::Error::Decode(error.into()))?;
        rows += answer.ok.deleted;
        if !answer.ok.has_more {
            return Ok(rows);
        }
    }
}

#[derive(serde::Deserialize)]
struct Answer {
    ok: Erased,
}
