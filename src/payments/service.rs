//! The way of a payment: recorded, settled, and waited for.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::registry::Registry;
use tokio::sync::{Semaphore, SemaphorePermit};
use uuid::Uuid;

use super::metrics::Metrics;
use super::offers::Offers;
use super::paid::{Paid, refused};
use super::record::{Ending, Reason, Record, Records, State, Work};
use super::settings::{PaidNetwork, PaymentSettings};
use crate::chain::{ChainError, Question, Verdict};
use crate::facilitator::{Answer, Settled};
use crate::pay::asset_name;
use crate::payer::Payer;
use crate::problem::{Code, Problem};
use crate::site::Site;
use crate::telemetry::{Current, because};
use crate::turn::Turns;
use crate::wallet::Network;
use crate::x402::{Offer, PaymentKey, PaymentPayload, Refusal, SettleRequest, VERSION};

/// How long a facilitator may take. The lease of the payment is longer.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a request waits for its payment. Official clients never send a payment again, so it is held as long as possible.
const PATIENCE: Duration = Duration::from_secs(75);
/// How often a request looks whether its payment is settled: less and less often.
const POLL_MIN: Duration = Duration::from_millis(200);
const POLL_MAX: Duration = Duration::from_secs(2);
/// New payments that are settled at the same time. More wait, and are refused.
const SENDING_MAX: usize = 64;
const PERMIT_TIMEOUT: Duration = Duration::from_secs(3);
/// Payers whose payments are looked after at the same time in the background, and payments of one payer in a pass.
const ASKING_MAX: usize = 8;
const PAYMENTS_PER_PASS: usize = 10;
/// How long a facilitator is left alone that has refused requests and does not say for how long.
const LIMITED_FOR: Duration = Duration::from_secs(1);
/// Questions after which an open payment of Stacks is no longer sent again: it has no end.
const RESENDS_MAX: u32 = 10;
const NETWORK_SILENT: &str = "No money has moved: the network of the payment does not answer, so the payment was not taken. Send the same request with the same payment again after `Retry-After`.";
const HAS_CODE: &str = "No money has moved: the account has code. Contract wallets, and accounts that have delegated to a contract (EIP-7702), cannot pay.";
const CANCELED: &str = "No money has moved: the payer has canceled the payment, or used its nonce for another.";

/// What a request learns of its payment.
pub struct Receipt {
    /// Hash of the transaction. Empty on networks that have not told it.
    pub transaction: String,
    /// How often the request was sent again.
    pub repeats: u32,
}

/// Payments of this server.
pub struct Payments {
    offers: Offers,
    records: Records,
    /// Payments that are new, and are settled now.
    sending: Semaphore,
    /// Payments whose networks are asked in the background.
    asking: Arc<Semaphore>,
    /// Until when each facilitator wants no requests.
    limited: Mutex<Vec<Option<Instant>>>,
    metrics: Metrics,
}

impl Payments {
    /// Payments whose records are changed in `turns`.
    #[must_use]
    pub fn new(settings: PaymentSettings, site: Site, turns: Arc<Turns>, registry: &mut Registry) -> Arc<Self> {
        let PaymentSettings { networks, has_bazaar } = settings;
        let (sending, asking) = (Semaphore::new(SENDING_MAX), Arc::new(Semaphore::new(ASKING_MAX)));
        let limited = Mutex::new(vec![None; networks.len()]);
        let (offers, metrics) = (Offers { networks, site, has_bazaar }, Metrics::register(registry));
        Arc::new(Self { offers, records: Records(turns), sending, asking, limited, metrics })
    }

    pub(super) fn records(&self) -> &Records {
        &self.records
    }

    /// What this server offers.
    #[must_use]
    pub fn offers(&self) -> &Offers {
        &self.offers
    }

    /// Whether calls are free.
    #[must_use]
    pub fn are_off(&self) -> bool {
        self.offers.networks.is_empty()
    }

    /// Settles a payment, or waits until somebody else has settled it. Its money is credit of the payer then.
    ///   method   the name of the method that it pays for
    ///   request  SHA-256 of the request
    ///
    /// # Errors
    /// `payment-used` if it came with another request; `insufficient-funds`, `payment-expired`, `payment-invalid`,
    /// `facilitator-mismatch` if no money has moved, and none will; `facilitator-unavailable` if it was not sent;
    /// `payment-unknown` if nobody knows in time; and those of the lanes.
    pub async fn settle(
        self: &Arc<Self>,
        paid: &Arc<Paid>,
        method: &'static str,
        request: [u8; 32],
    ) -> Result<Receipt, Problem> {
        // In a task: a client that hangs up does not stop it.
        let (payments, paid, current) = (Arc::clone(self), Arc::clone(paid), Current::get());
        let settled = tokio::spawn(async move {
            let settled = payments.settle_now(&paid, method, &request);
            match current {
                Some(current) => current.scope(settled).await,
                None => settled.await,
            }
        });
        settled.await.unwrap_or_else(|_panicked| {
            because("the task of a payment panicked");
            Err(Problem::new(Code::Internal))
        })
    }

    async fn settle_now(&self, paid: &Paid, method: &str, request: &[u8]) -> Result<Receipt, Problem> {
        let deadline = Instant::now() + PATIENCE;
        let payer = &paid.key.payer;
        if paid.has_expired {
            return self.look_up(paid, deadline).await;
        }
        let permit = match self.find(payer, paid.id).await? {
            Some(_known) => None,
            None => Some(self.admit(paid).await?),
        };
        let lease = Uuid::new_v4();
        let params = serde_json::json!({
            "id": paid.id, "lease": lease, "asset": paid.asset(), "amount": paid.offer.amount(),
            "payTo": paid.offer.pay_to(), "nonce": paid.key.nonce, "maxTimeoutS": paid.offer.max_timeout_seconds(),
            "payload": paid.payload.json(), "method": method, "request": hex::encode(request),
            "identifier": paid.identifier, "validBefore": paid.valid_before, "transaction": paid.transaction,
            "fromBlock": permit.as_ref().and_then(|(_, block)| *block),
        });
        let mut record = self.records.receive(payer, params).await?;
        let repeats = record.repeats;
        if record.is_yours {
            record = self.send(payer, &record, paid.place, &paid.offer, &paid.payload, lease).await?;
        }
        drop(permit);
        let record = self.wait(payer, record, deadline).await?;
        if record.state != State::Settled {
            return Err(problem_of(&record));
        }
        Ok(Receipt { transaction: record.transaction.unwrap_or_default(), repeats })
    }

    /// Admits a payment that is not recorded: one that can be sent now, and that nobody has used before. A transfer to the
    /// recipient that was made elsewhere is public, and would let anybody act as its payer. Returns the last block before it.
    async fn admit(&self, paid: &Paid) -> Result<(SemaphorePermit<'_>, Option<u64>), Problem> {
        let permit = tokio::time::timeout(PERMIT_TIMEOUT, self.sending.acquire()).await;
        let Ok(Ok(permit)) = permit else {
            because("too many payments are settled at the same time");
            return Err(Problem::new(Code::Overloaded));
        };
        let Some(network) = self.offers.networks.get(paid.place) else { return Err(Problem::new(Code::Internal)) };
        if self.limits().get(paid.place).is_some_and(|until| until.is_some_and(|until| until > Instant::now())) {
            because("the facilitator has refused requests because there were too many");
            return Err(Problem::new(Code::FacilitatorUnavailable));
        }
        let question = Question {
            key: paid.key.clone(),
            pay_to: paid.offer.pay_to().clone(),
            amount: paid.offer.amount(),
            transaction: paid.transaction.clone(),
            valid_before: paid.valid_before,
            from_block: None,
        };
        let chain = &network.chain;
        let (block, verdict, has_code) =
            tokio::join!(chain.block_number(), chain.verdict(&question), chain.has_code(&paid.key.payer));
        let used = match verdict {
            Ok(Verdict::Open) if has_code == Ok(true) => {
                return Err(Problem::new(Code::PaymentInvalid).detail(HAS_CODE));
            }
            Ok(Verdict::Open) => return Ok((permit, block.ok())),
            Ok(Verdict::Expired) => refused(Refusal::Expired),
            Ok(Verdict::Canceled | Verdict::Reversed) => Problem::new(Code::PaymentInvalid).detail(CANCELED),
            Ok(Verdict::Settled { .. } | Verdict::Pending { .. })
            | Err(ChainError::NoLog | ChainError::NoTransfer | ChainError::UsedAndCanceled) => {
                Problem::new(Code::PaymentUsed).detail("This request moved no money: the payment was used before it came here. If it was sent to its recipient, it is not credited.")
            }
            Err(error) => {
                because(format!("the network does not say whether a payment is new: {error}"));
                return Err(Problem::new(Code::FacilitatorUnavailable).detail(NETWORK_SILENT));
            }
        };
        // Another server may have received it meanwhile.
        match self.find(&paid.key.payer, paid.id).await? {
            Some(_known) => Ok((permit, None)),
            None => Err(used),
        }
    }

    fn limits(&self) -> MutexGuard<'_, Vec<Option<Instant>>> {
        self.limited.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the outcome of a payment is known.
    async fn wait(&self, payer: &Payer, mut record: Record, deadline: Instant) -> Result<Record, Problem> {
        let mut pause = POLL_MIN;
        while record.state.is_open() && Instant::now() < deadline {
            tokio::time::sleep(pause).await;
            pause = (pause * 3 / 2).min(POLL_MAX);
            record = self.find(payer, record.id).await?.unwrap_or(record);
        }
        Ok(record)
    }

    /// What became of a payment that has expired: it buys nothing any more, but its payer must not pay again in vain.
    async fn look_up(&self, paid: &Paid, deadline: Instant) -> Result<Receipt, Problem> {
        let payer = &paid.key.payer;
        let expired = || refused(Refusal::Expired);
        let Some(record) = self.find(payer, paid.id).await? else { return Err(expired()) };
        let record = self.wait(payer, record, deadline).await?;
        Err(match record.state {
            State::Settled => Problem::new(Code::PaymentUsed)
                .detail("The payment has arrived, and is credit of its payer. Sign in to spend it.")
                .member("payment", record.id.to_string()),
            State::Received => expired(),
            State::Settling | State::Unknown | State::SettledUnconfirmed | State::Rejected => problem_of(&record),
        })
    }

    /// Asks a facilitator to settle a payment whose lease this server has.
    async fn send(
        &self,
        payer: &Payer,
        record: &Record,
        place: usize,
        offer: &Offer,
        payload: &PaymentPayload,
        lease: Uuid,
    ) -> Result<Record, Problem> {
        let Some(network) = self.offers.networks.get(place) else { return Err(Problem::new(Code::Internal)) };
        let (is_first, tries) = (record.state == State::Received, record.work.as_ref().map_or(0, |work| work.tries));
        let requirements = offer.to_requirements();
        let request =
            SettleRequest { x402_version: VERSION, payment_payload: payload, payment_requirements: requirements };
        let started = Instant::now();
        let Settled { answer, reason } = network.facilitator.settle(&request, payer, SETTLE_TIMEOUT).await;
        self.metrics.settlement(started.elapsed());
        if let Answer::Limited { retry_after } = answer
            && let Some(limited) = self.limits().get_mut(place)
        {
            *limited = Some(Instant::now() + retry_after.unwrap_or(LIMITED_FOR));
        }
        let ending = Ending::after_settlement(answer, network.network(), is_first, tries);
        let id = record.id;
        match (ending.state, ending.reason) {
            (State::Settled, _) => {
                tracing::info!(%id, %payer, reason, "a payment is settled")
            }
            (State::Rejected, Some(Reason::FacilitatorMismatch)) | (State::Received, _) => {
                tracing::warn!(%id, reason, "the facilitator does not settle payments");
            }
            (state, _) => tracing::info!(%id, state = state.as_str(), reason, "a payment is not settled"),
        }
        self.end(payer, id, lease, &ending).await
    }

    async fn end(&self, payer: &Payer, id: Uuid, lease: Uuid, ending: &Ending) -> Result<Record, Problem> {
        let record = self.records.finish(payer, id, lease, ending).await?;
        self.metrics.step(record.state);
        Ok(record)
    }

    /// Finds a payment, and asks its network if that is due and nobody else does.
    async fn find(&self, payer: &Payer, id: Uuid) -> Result<Option<Record>, Problem> {
        let lease = Uuid::new_v4();
        match self.records.take(payer, Some(id), lease).await? {
            Some(Record { is_yours: true, work: Some(work), id, state, .. }) => {
                self.ask(payer, id, state, work, lease).await.map(Some)
            }
            found => Ok(found),
        }
    }

    /// Begins the due work on the payments of a payer, in a task. Others begin later if there are too many.
    pub(crate) fn reconcile(self: &Arc<Self>, payer: &Payer) {
        let Ok(permit) = Arc::clone(&self.asking).try_acquire_owned() else { return };
        let (payments, payer) = (Arc::clone(self), payer.clone());
        tokio::spawn(async move {
            let _permit = permit;
            for _payment in 0..PAYMENTS_PER_PASS {
                match payments.reconcile_one(&payer).await {
                    Ok(true) => {}
                    Ok(false) => return,
                    Err(problem) => {
                        tracing::debug!(%payer, %problem, "the work on a payment failed");
                        return;
                    }
                }
            }
        });
    }

    /// Does the work on the payment that is due first. Returns whether there was one.
    async fn reconcile_one(&self, payer: &Payer) -> Result<bool, Problem> {
        let lease = Uuid::new_v4();
        match self.records.take(payer, None, lease).await? {
            Some(Record { is_yours: true, work: Some(work), id, state, .. }) => {
                self.ask(payer, id, state, work, lease).await.map(|_record| true)
            }
            _ => Ok(false),
        }
    }

    /// Asks the network of a payment what became of it. A payment that has not moved money, and still can, is settled again.
    async fn ask(&self, payer: &Payer, id: Uuid, state: State, work: Work, lease: Uuid) -> Result<Record, Problem> {
        let tries = work.tries;
        let network = self.offers.networks.iter().position(|network| name_of(network) == work.asset);
        let Some((place, network)) = network.and_then(|place| Some((place, self.offers.networks.get(place)?))) else {
            tracing::warn!(%id, asset = work.asset, "a payment of a network that is not configured");
            return self.end(payer, id, lease, &Ending::unanswered(state, tries)).await;
        };
        let ending = match network.chain.verdict(&question(network, payer, &work)).await {
            Ok(verdict) => Ending::after_question(verdict, state, tries),
            Err(error) => {
                tracing::warn!(%id, %error, "the network of a payment does not say what became of it");
                Some(Ending::unanswered(state, tries))
            }
        };
        if let Some(ending) = ending {
            return self.end(payer, id, lease, &ending).await;
        }
        if work.valid_before.is_none() && tries > RESENDS_MAX {
            return self.end(payer, id, lease, &Ending::unanswered(state, tries)).await;
        }
        let payload = PaymentPayload::from_json(work.payload.clone()).ok();
        let asset = network.prices.asset.clone();
        let amount = work.amount.unsigned_abs();
        let offer = Offer::new(asset, work.pay_to.clone(), amount, work.max_timeout_s).ok();
        let Some((offer, payload)) = offer.zip(payload) else {
            return self.end(payer, id, lease, &Ending::unanswered(state, tries)).await;
        };
        let (transaction, reason, is_yours, repeats) = (None, None, true, 0);
        let record = Record { id, state, is_yours, transaction, reason, repeats, work: Some(work) };
        self.send(payer, &record, place, &offer, &payload, lease).await
    }
}

fn name_of(network: &PaidNetwork) -> String {
    asset_name(&network.prices.asset)
}

fn question(network: &PaidNetwork, payer: &Payer, work: &Work) -> Question {
    let asset = match network.network() {
        Network::Evm { .. } => network.prices.asset.to_string().to_ascii_lowercase(),
        Network::Stacks | Network::StacksTest => String::new(),
    };
    Question {
        key: PaymentKey { network: network.network(), asset, payer: payer.clone(), nonce: work.nonce.clone() },
        pay_to: work.pay_to.clone(),
        amount: work.amount.unsigned_abs(),
        transaction: work.transaction.clone(),
        valid_before: work.valid_before,
        from_block: work.from_block,
    }
}

/// The problem of a payment that is not settled.
fn problem_of(record: &Record) -> Problem {
    let problem = match (record.state, record.reason) {
        (State::Received, _) => Problem::new(Code::FacilitatorUnavailable),
        (State::Rejected, Some(Reason::InsufficientFunds)) => Problem::new(Code::InsufficientFunds),
        (State::Rejected, Some(Reason::Expired)) => Problem::new(Code::PaymentExpired),
        (State::Rejected, Some(Reason::FacilitatorMismatch)) => Problem::new(Code::FacilitatorMismatch),
        (State::Rejected, Some(Reason::Canceled)) => Problem::new(Code::PaymentInvalid).detail(CANCELED),
        (State::Rejected, _) => {
            Problem::new(Code::PaymentInvalid).detail("No money has moved: the network would not execute the payment.")
        }
        _ => Problem::new(Code::PaymentUnknown),
    };
    problem.member("payment", record.id.to_string())
}
