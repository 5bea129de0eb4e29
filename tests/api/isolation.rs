//! Isolation of payers, for every operation of the OpenAPI document.

use std::time::Duration;

use payerbase::auth::Scope;
use reqwest::Method;
use serde_json::{Value, json};

use crate::sign_in_with_x::{offer, signed, signing};
use crate::support::shop::{Shop, pay, required, with};
use crate::support::world::{Operation, Things, operations, owner, without_generated};
use crate::support::{Answer, Caller, PayingWallet, Terms, TestApp};

/// Longer than the token of an example is valid.
const HOUR_AND_MORE: Duration = Duration::from_secs(3_700);

#[tokio::test]
async fn every_operation_needs_a_token() {
    let app = TestApp::spawn().await;
    let mut anonymous = app.caller().await;
    anonymous.token = None;
    for operation in operations() {
        let answer = Things::missing().call(&anonymous, &operation, operation.examples.first()).await;
        answer.problem(401, "token-missing");
    }
}

#[tokio::test]
async fn every_operation_needs_exactly_its_scope() {
    let app = TestApp::spawn().await;
    let mut caller = app.caller().await;
    for operation in operations().iter().filter(|operation| !["getMe", "topUp"].contains(&operation.name.as_str())) {
        // A transaction has no scope of its own: this is the scope that its example needs.
        let needed: Scope = operation.scope.as_deref().unwrap_or("counters:write").parse().unwrap();
        let others: Vec<Scope> = Scope::ALL.iter().copied().filter(|scope| !scope.allows(needed)).collect();
        caller.token = Some(app.token(&caller.payer, &others, Duration::from_secs(60)).await);
        let call = async |caller: &_| Things::missing().call(caller, operation, operation.examples.first()).await;
        call(&caller).await.problem(403, "missing-scope");
        // The token of the example reads counters, so its maker must too.
        let of_example = match operation.name.as_str() {
            "createToken" => Some(Scope::CountersRead),
            // A grant of pushing jobs; a transaction that pushes one.
            "createGrant" | "transact" => Some(Scope::QueuesWrite),
            _ => None,
        };
        let scopes: Vec<Scope> = of_example.into_iter().chain([needed]).collect();
        caller.token = Some(app.token(&caller.payer, &scopes, HOUR_AND_MORE).await);
        assert_ne!(call(&caller).await.status, 403, "{}", operation.name);
    }
}

/// How a caller shows who it is.
#[derive(Clone, Copy, Debug)]
enum Credential {
    Token,
    /// A token that another one made, with limits.
    LimitedToken,
    /// The caller acts for another payer who has granted everything to it.
    Grant,
    /// A wallet with credit signs in for each request.
    SignIn,
    /// A wallet pays for each request.
    Payment,
}

/// A new payer.
struct Stranger {
    caller: Caller,
    credential: Credential,
    wallet: PayingWallet,
}

impl Stranger {
    async fn new(shop: &Shop, free: &TestApp, credential: Credential) -> Self {
        let wallet = shop.wallet();
        let caller = match credential {
            Credential::Token => free.caller().await,
            Credential::LimitedToken => {
                let maker = free.caller().await;
                let made = maker.post("/v1/tokens", json!({"allowance": {"calls": 1_000}})).await.json();
                Caller { token: Some(made["token"].as_str().unwrap().into()), ..maker }
            }
            Credential::Grant => {
                let (giver, mut caller) = (free.caller().await, free.caller().await);
                let scopes = Scope::ALL.iter().filter(|scope| !scope.is_of_account()).map(|scope| scope.as_str());
                let scopes: Vec<_> = scopes.filter(|scope| *scope != "*").collect();
                let wish = json!({"grantee": caller.payer.as_str(), "scopes": scopes});
                assert_eq!(giver.post("/v1/grants", wish).await.status, 201);
                caller.headers.insert("payerbase-act-for", giver.payer.as_str().parse().unwrap());
                caller
            }
            Credential::SignIn => {
                let stranger = shop.stranger().await;
                pay(&stranger, &wallet, &Terms::default(), "/v1/credit/100000", json!({})).await.1.ok();
                stranger
            }
            Credential::Payment => shop.stranger().await,
        };
        let mut stranger = Self { caller, credential, wallet };
        stranger.caller.headers.insert("x-request-id", "same".parse().unwrap());
        stranger
    }

    async fn call(&self, things: &Things, operation: &Operation, example: Option<&Value>) -> Answer {
        let answer = things.call(&self.caller, operation, example).await;
        if answer.status != 402 {
            return answer;
        }
        let caller = match self.credential {
            Credential::Token | Credential::LimitedToken | Credential::Grant => return answer,
            // It takes a payment only.
            Credential::SignIn if operation.name == "topUp" => return answer,
            Credential::SignIn => signing(&self.caller, &signed(&self.wallet, &offer(&answer), |_| {})),
            Credential::Payment => {
                let required = required(&answer);
                with(&self.caller, &self.wallet.pay(&required, &required["accepts"][0], &Terms::default()))
            }
        };
        let answer = things.call(&caller, operation, example).await;
        assert_ne!(answer.status, 402, "{:?}: {answer:?}", self.credential);
        answer
    }
}

#[tokio::test]
async fn a_row_of_another_payer_looks_like_a_missing_row() {
    all_rows_look_missing(&[Credential::Token, Credential::LimitedToken, Credential::Grant]).await;
}

#[tokio::test]
async fn a_row_of_another_payer_looks_like_a_missing_row_to_a_wallet_without_a_token() {
    all_rows_look_missing(&[Credential::SignIn, Credential::Payment]).await;
}

async fn all_rows_look_missing(credentials: &[Credential]) {
    let shop = Shop::open().await;
    let app = TestApp::on(shop.app.database.clone());
    let (owner, theirs) = owner(&app).await;
    let everything = async || -> Vec<String> {
        let mut seen = Vec::new();
        for operation in operations().iter().filter(|operation| operation.verb == Method::GET) {
            let answer = theirs.call(&owner, operation, None).await;
            // A problem has an id of its own.
            seen.push(if answer.status.is_success() { answer.text } else { answer.status.to_string() });
        }
        seen
    };
    let before = everything().await;
    for operation in operations() {
        for example in operation.examples.iter().map(Some).chain(operation.examples.is_empty().then_some(None)) {
            for credential in credentials {
                // New payers for each example, so that no call finds what an earlier call created.
                let one = Stranger::new(&shop, &app, *credential).await;
                let other = Stranger::new(&shop, &app, *credential).await;
                let missing = Things::missing();
                let answer_for_theirs = one.call(&theirs, &operation, example).await;
                let answer_for_missing = other.call(&missing, &operation, example).await;
                let text = theirs.renamed(&answer_for_theirs.text, &missing);
                let parsed = |text: &str| without_generated(&serde_json::from_str(text).unwrap_or_default());
                let what = (&operation.name, credential);
                assert_eq!(answer_for_theirs.status, answer_for_missing.status, "{what:?}: {answer_for_theirs:?}");
                assert_eq!(parsed(&text), parsed(&answer_for_missing.text), "{what:?}");
                // These show tokens and payments of the caller.
                let shows_own =
                    ["getMe", "exportPayer", "listTokens", "listGrants", "listAudit", "listLedger", "listPayments"];
                let is_own = shows_own.contains(&operation.name.as_str());
                if operation.verb == Method::GET && !is_own && !matches!(credential, Credential::Payment) {
                    assert_eq!(text, answer_for_missing.text, "{what:?}");
                }
                assert!(!answer_for_theirs.text.contains(owner.payer.as_str()), "{what:?}: {answer_for_theirs:?}");
            }
        }
    }
    assert_eq!(everything().await, before, "the owner's resources are unchanged");
}

#[tokio::test]
async fn a_slug_of_another_payer_cannot_be_taken_or_deleted() {
    let app = TestApp::spawn().await;
    let (owner, theirs) = owner(&app).await;
    let stranger = app.caller().await;
    let take = json!({"url": "https://stranger.example/", "slug": theirs.slug});
    stranger.post("/v1/links", take.clone()).await.problem(409, "slug-taken");
    let both =
        json!({"calls": [{"method": "increment", "params": {"name": "a"}}, {"method": "createLink", "params": take}]});
    let problem = stranger.post("/v1/transaction", both).await.problem(409, "slug-taken");
    assert_eq!((&problem["index"], &problem["method"]), (&json!(1), &json!("createLink")));
    stranger.get("/v1/counters/a").await.problem(404, "not-found");
    stranger.delete(&format!("/v1/links/{}", theirs.slug)).await.problem(404, "not-found");
    let follow = async || -> Answer { stranger.get(&format!("/l/{}", theirs.slug)).await };
    assert_eq!(follow().await.headers["location"], "https://theirs.example/");
    owner.delete(&format!("/v1/links/{}", theirs.slug)).await.ok();
    follow().await.problem(404, "not-found");
    let answer: Value = stranger.post("/v1/links", take).await.problem(409, "slug-taken");
    assert!(
        !answer.to_string().contains(owner.payer.as_str()),
        "the slug stays reserved for some minutes, without naming its payer"
    );
}

#[tokio::test]
async fn many_payers_at_once_each_see_their_own() {
    let app = TestApp::spawn().await;
    let callers = futures_util::future::join_all((0..20).map(|_| app.caller())).await;
    let calls = (0..400).map(|n| {
        let caller = &callers[n % 20];
        async move { caller.increment("same", json!({"amount": n % 20 + 1})).await.ok() }
    });
    futures_util::future::join_all(calls).await;
    for (n, caller) in callers.iter().enumerate() {
        assert_eq!(caller.value("same").await, 20 * (n as i64 + 1));
    }
}
