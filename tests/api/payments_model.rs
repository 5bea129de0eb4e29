//! The money property: after random payments, calls, faults, and kills of servers, of the facilitator and of the database, what was
//! settled on the chain is credit, and each effect has its debit.

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use payerbase::db::embedded::Cluster;
use rand::RngExt as _;
use serde_json::json;

use crate::faults::{kill, migrated, wait_for_readyz};
use crate::support::database::temporary_cluster;
use crate::support::shop::{PAY_TO, USDC, WRITE, base, came, paid_app, required, with};
use crate::support::{Caller, Fault, PayingWallet, StubFacilitator, Terms, TestApp, TestDatabase};

const BUYERS: usize = 12;
const INCREMENT: &str = "/v1/counters/a/increment";

/// How many payments a run makes. `PAYERBASE_TEST_PAYMENTS` changes it.
fn payments() -> usize {
    std::env::var("PAYERBASE_TEST_PAYMENTS").ok().and_then(|text| text.parse().ok()).unwrap_or(300)
}

struct Buyer {
    wallet: PayingWallet,
    token: Caller,
    /// Increments that were answered, and those whose outcome is not known.
    done: AtomicI64,
    unknown: AtomicI64,
}

impl Buyer {
    fn on(&self, url: &str) -> Caller {
        Caller { url: url.to_owned(), ..self.token.clone() }
    }

    /// Counts the answers to one increment, which was sent once or several times.
    fn count(&self, statuses: &[Option<u16>]) {
        match statuses {
            _ if statuses.contains(&Some(200)) => self.done.fetch_add(1, Ordering::Relaxed),
            // Refused: nothing was changed.
            _ if statuses.iter().all(|status| matches!(status, Some(402 | 409))) => 0,
            _ => self.unknown.fetch_add(1, Ordering::Relaxed),
        };
    }

    async fn increment(&self, caller: &Caller) -> Option<u16> {
        let body = Some(("application/json", b"{}".to_vec()));
        caller.try_send(reqwest::Method::POST, INCREMENT, body).await.ok().map(|answer| answer.status.as_u16())
    }

    /// Pays for an increment, which may be sent to both servers at once, or tops up.
    async fn pay(&self, urls: &[String], paid: &AtomicUsize) {
        let url = &urls[rand::rng().random_range(0..urls.len())];
        let stranger = Caller { token: None, ..self.on(url) };
        let tops_up = rand::rng().random_bool(0.3);
        let path = if tops_up { "/v1/credit/3000" } else { INCREMENT };
        let body = || Some(("application/json", b"{}".to_vec()));
        let Ok(unpaid) = stranger.try_send(reqwest::Method::POST, path, body()).await else { return };
        if unpaid.status != 402 {
            return;
        }
        let offer = required(&unpaid);
        let header = self.wallet.pay(&offer, &offer["accepts"][0], &Terms::default());
        paid.fetch_add(1, Ordering::Relaxed);
        let payer = with(&stranger, &header);
        if tops_up {
            let _answer = payer.try_send(reqwest::Method::POST, path, body()).await;
            return;
        }
        let sent = urls.iter().take(rand::rng().random_range(1..=2)).cycle().take(rand::rng().random_range(1..=3));
        let callers: Vec<Caller> = sent.map(|url| Caller { url: url.clone(), ..payer.clone() }).collect();
        let statuses = join_all(callers.iter().map(|caller| self.increment(caller))).await;
        self.count(&statuses);
    }

    /// Spends credit with a token.
    async fn spend(&self, urls: &[String]) {
        let url = &urls[rand::rng().random_range(0..urls.len())];
        let status = self.increment(&self.on(url)).await;
        self.count(&[status]);
    }
}

fn some_fault() -> Fault {
    match rand::rng().random_range(0..9) {
        0 => Fault::BadGatewayBeforeSettling,
        1 => Fault::BadGatewayAfterSettling,
        2 => Fault::UnavailableWithSuccess,
        3 => Fault::CutJsonAfterSettling,
        4 => Fault::DropAfterSettling,
        5 => Fault::DropAfterSuccess,
        6 => Fault::OtherPayer,
        7 => Fault::Pending(Some(Duration::from_millis(50))),
        _ => Fault::Unauthorized,
    }
}

/// What a payer has spent, as its credit and its ledger say.
async fn spent(database: &TestDatabase, payer: &str) -> i64 {
    let spent = "select coalesce((select sum(posted - balance) from tenant.credit where payer = $1), 0)::bigint
        + coalesce((select sum(amount) from tenant.ledger where payer = $1 and to_account = 'income'), 0)::bigint";
    sqlx::query_scalar(spent).bind(payer).fetch_one(&mut database.admin().await).await.unwrap()
}

/// Something that happens while buyers pay.
async fn disaster(
    cluster: &mut Cluster,
    stub: &mut StubFacilitator,
    apps: &mut Vec<TestApp>,
    start: impl Fn() -> TestApp,
) {
    tokio::time::sleep(Duration::from_millis(rand::rng().random_range(5..100))).await;
    match rand::rng().random_range(0..4) {
        0 => {
            kill(cluster).await;
            cluster.launch().await.unwrap();
        }
        1 => {
            stub.stop().await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            stub.restart();
        }
        2 => {
            // It ends at once.
            drop(apps.pop());
            apps.push(start());
        }
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_settled_is_credited_and_each_effect_has_its_debit() {
    let mut cluster = temporary_cluster().await;
    let (admin, app) = migrated(&cluster).await;
    let database = TestDatabase { admin, app };
    let mut stub = StubFacilitator::start();
    // The chain goes on while the facilitator is stopped.
    let chain = StubFacilitator::on(stub.chain.clone(), None);
    let (facilitator, rpc) = (stub.url.clone(), chain.rpc_url());
    let start = || paid_app(database.clone(), vec![base(&facilitator, &rpc)]);
    let mut apps = vec![start(), start()];
    let mut buyers = Vec::new();
    for _ in 0..BUYERS {
        let wallet = PayingWallet::from_seed(rand::random());
        stub.chain.mint(&wallet.address(), USDC, 1_000_000_000);
        let payer = wallet.address().parse().unwrap();
        let all = [payerbase::auth::Scope::Everything];
        let token = apps[0].token(&payer, &all, Duration::from_secs(3_600)).await;
        let token = Caller { payer, token: Some(token), ..apps[0].caller().await };
        buyers.push(Buyer { wallet, token, done: AtomicI64::new(0), unknown: AtomicI64::new(0) });
    }
    let paid = AtomicUsize::new(0);
    while paid.load(Ordering::Relaxed) < payments() {
        let urls: Vec<String> = apps.iter().map(|app| app.url.clone()).collect();
        for _ in 0..rand::rng().random_range(0..6) {
            stub.fail_next(1, some_fault());
        }
        let buying = join_all(buyers.iter().map(async |buyer| {
            for _ in 0..3 {
                buyer.pay(&urls, &paid).await;
                buyer.spend(&urls).await;
            }
        }));
        tokio::join!(buying, disaster(&mut cluster, &mut stub, &mut apps, start));
    }
    stub.heal();
    let reader = Caller { url: apps[0].url.clone(), ..buyers[0].token.clone() };
    wait_for_readyz(&reader, 200).await;
    // Leases of servers that were killed.
    let end_leases = "update tenant.payments set leased_until = now(), due_at = now() where lease is not null";
    sqlx::query(end_leases).execute(&mut database.admin().await).await.unwrap();
    let open = "select count(*) from tenant.payments where state in ('settling', 'unknown')";
    apps[0]
        .until(async || {
            let count: i64 = sqlx::query_scalar(open).fetch_one(&mut database.admin().await).await.unwrap();
            count == 0
        })
        .await;
    assert_eq!(came(&apps[0]).await, stub.chain.balance_of(PAY_TO, USDC), "settled = credited");
    for buyer in &buyers {
        let caller = buyer.on(&apps[0].url);
        let counter = caller.get("/v1/counters/a").await;
        let value = if counter.status == 200 { counter.ok()["value"].as_i64().unwrap() } else { 0 };
        let (done, unknown) = (buyer.done.load(Ordering::Relaxed), buyer.unknown.load(Ordering::Relaxed));
        assert!((done..=done + unknown).contains(&value), "{done} {value} {unknown}");
        // The read of the counter may be paid already.
        let of_writes = spent(&database, buyer.token.payer.as_str()).await / WRITE * WRITE;
        assert_eq!(of_writes, value * WRITE, "each effect has its debit");
    }
    let done: i64 = buyers.iter().map(|buyer| buyer.done.load(Ordering::Relaxed)).sum();
    assert!(done > 0, "{}", json!({"paid": paid.load(Ordering::Relaxed), "done": done}));
    cluster.stop().await;
}
