//! Links: each visit is redirected and counted once.

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Connection as _, Executor as _};

use crate::support::{Answer, Caller, TestApp, TestDatabase};

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0";

async fn create(caller: &Caller, link: Value) -> Value {
    let answer = caller.post("/v1/links", link).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.ok()
}

fn path(link: &Value) -> String {
    format!("/v1/links/{}", link["slug"].as_str().unwrap())
}

async fn follow(app: &TestApp, link: &Value, agent: &str) -> Answer {
    follow_with(app, link, Method::GET, &[("user-agent", agent)]).await
}

async fn follow_with(app: &TestApp, link: &Value, method: Method, headers: &[(&'static str, &str)]) -> Answer {
    let mut visitor = app.caller().await;
    visitor.token = None;
    for (name, value) in headers {
        visitor.headers.insert(*name, value.parse().unwrap());
    }
    visitor.send(method, &format!("/l/{}", link["slug"].as_str().unwrap()), None).await
}

async fn stats(caller: &Caller, link: &Value) -> Value {
    caller.get(&format!("{}/stats", path(link))).await.ok()
}

#[tokio::test]
async fn a_link_redirects_without_caching_or_a_referrer() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let link = create(&caller, json!({"url": "https://shop.example/sale?a=1#b", "title": "Sale"})).await;
    let slug = link["slug"].as_str().unwrap();
    assert_eq!((slug.len(), &link["shortUrl"]), (8, &json!(format!("{}/l/{slug}", app.url))));
    let answer = follow(&app, &link, FIREFOX).await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (302, ""));
    for (header, value) in [
        ("location", "https://shop.example/sale?a=1#b"),
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-robots-tag", "noindex"),
    ] {
        assert_eq!(answer.headers[header], value);
    }
    assert_eq!(caller.get(&path(&link)).await.ok()["clicks"], 1);
    for unknown in ["missing-slug", "x", "%00", "a%2Fb", "\u{e4}\u{e4}\u{e4}"] {
        caller.get(&format!("/l/{unknown}")).await.problem(404, "not-found");
    }
}

/// What people and chat programs make of a short URL.
#[tokio::test]
async fn signs_and_slashes_around_a_slug_are_ignored() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let link = create(&caller, json!({"url": "https://shop.example/"})).await;
    let slug = link["slug"].as_str().unwrap();
    let mut browser = caller.clone();
    browser.headers.insert("user-agent", FIREFOX.parse().unwrap());
    let paths =
        ["l/S", "l/S/", "/l/S", "/l//S//", "l/S.", "l/S,", "l/S)", "l/S).", "l/S;", "l/S!", "l/S?x=1", "l/S%E2%80%A6"];
    for path in paths {
        let answer = browser.get(&format!("/{}", path.replace('S', slug))).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.headers["location"]),
            (302, &"https://shop.example/".parse().unwrap())
        );
    }
    assert_eq!(caller.get(&self::path(&link)).await.ok()["clicks"], paths.len());
    assert_eq!(browser.get(&format!("//l/{slug}//qr.svg")).await.headers["content-type"], "image/svg+xml");
    for other in ["l/S.x", "L/S", "l/x/S", "l/S%2F", "l/S%00"] {
        browser.get(&format!("/{}", other.replace('S', slug))).await.problem(404, "not-found");
    }
}

#[tokio::test]
async fn a_browser_gets_a_page_for_a_link_that_does_not_work() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let ended = json!({"url": "https://shop.example/", "expiresAt": "2020-01-01T00:00:00Z"});
    let link = create(&caller, ended).await;
    let mut browser = caller.clone();
    browser
        .headers
        .insert("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8".parse().unwrap());
    for (slug, status) in [("missing-slug", 404), ("x", 404), (link["slug"].as_str().unwrap(), 410)] {
        let page = browser.get(&format!("/l/{slug}")).await;
        assert_eq!(
            (page.status.as_u16(), &page.headers["content-type"]),
            (status, &"text/html; charset=utf-8".parse().unwrap())
        );
        assert!(page.text.starts_with("<!doctype html>") && !page.text.contains("<script"), "{page:?}");
        assert!(page.headers.contains_key("content-security-policy") && page.headers.contains_key("x-request-id"));
        caller.get(&format!("/l/{slug}")).await.problem(status, if status == 404 { "not-found" } else { "link-gone" });
    }
    browser.get("/v1/counters/none").await.problem(404, "not-found");
}

#[tokio::test]
async fn only_a_click_of_a_person_uses_a_link_up() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let link = create(&caller, json!({"url": "https://shop.example/", "maxClicks": 1})).await;
    for agent in ["Microsoft Office Word 2014", "node", "kube-probe/1.29", "whatsapp/2.23.20.0 A", ""] {
        assert_eq!(follow(&app, &link, agent).await.status, 302, "{agent}");
    }
    assert_eq!(follow_with(&app, &link, Method::HEAD, &[("user-agent", FIREFOX)]).await.status, 302);
    assert_eq!(stats(&caller, &link).await["clicks"], 0);
    assert_eq!(follow(&app, &link, FIREFOX).await.status, 302);
    follow(&app, &link, FIREFOX).await.problem(410, "link-gone");
}

#[tokio::test]
async fn clicks_are_counted_by_referrer_country_and_browser() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let link = create(&caller, json!({"url": "https://shop.example/"})).await;
    let news = [("user-agent", FIREFOX), ("referer", "https://news.example/a?secret=1")];
    for _ in 0..3 {
        follow_with(&app, &link, Method::GET, &news).await;
    }
    follow(&app, &link, FIREFOX).await;
    follow(&app, &link, "Twitterbot/1.0").await;
    follow_with(&app, &link, Method::HEAD, &news).await;
    follow_with(&app, &link, Method::GET, &[("user-agent", FIREFOX), ("sec-purpose", "prefetch")]).await;
    let click = async |body| caller.post(&format!("{}/clicks", path(&link)), body).await;
    let recorded =
        click(json!({"referrer": "https://blog.example/", "userAgent": FIREFOX, "country": "se"})).await.ok();
    assert_eq!(recorded, json!({"recorded": true, "clicks": 5}));
    assert_eq!(click(json!({"userAgent": "Googlebot/2.1"})).await.ok(), json!({"recorded": false, "clicks": 5}));

    let stats = stats(&caller, &link).await;
    assert_eq!((&stats["clicks"], &stats["botClicks"]), (&json!(5), &json!(4)));
    assert_eq!(
        stats["referrers"],
        json!([
        {"value": "news.example", "clicks": 3}, {"value": "blog.example", "clicks": 1}, {"value": null, "clicks": 1}])
    );
    assert_eq!(stats["countries"], json!([{"value": null, "clicks": 4}, {"value": "SE", "clicks": 1}]));
    assert_eq!(stats["browsers"], json!([{"value": "Firefox", "clicks": 5}]));
    let daily = stats["daily"].as_array().unwrap();
    assert_eq!((daily.len(), &daily[29]["clicks"], &daily[29]["botClicks"]), (30, &json!(5), &json!(4)));
    let recent = stats["recentClicks"].as_array().unwrap();
    assert_eq!((recent.len(), &recent[0]["bot"], &recent[1]["country"]), (9, &json!(true), &json!("SE")));
    assert!(!stats.to_string().contains("secret"));
}

#[tokio::test]
async fn a_link_never_exceeds_its_click_limit() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let link = create(&caller, json!({"url": "https://shop.example/", "maxClicks": 10})).await;
    let bots = (0..5).map(|_| follow(&app, &link, "Twitterbot/1.0"));
    assert!(futures_util::future::join_all(bots).await.iter().all(|answer| answer.status == 302));
    let people = (0..60).map(|_| follow(&app, &link, FIREFOX));
    let answers = futures_util::future::join_all(people).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 302).count(), 10);
    for gone in answers.into_iter().filter(|answer| answer.status != 302) {
        gone.problem(410, "link-gone");
    }
    caller.post(&format!("{}/clicks", path(&link)), json!({})).await.problem(410, "link-gone");
    let stats = stats(&caller, &link).await;
    assert_eq!(
        (&stats["clicks"], &stats["botClicks"], &stats["daily"][29]["clicks"]),
        (&json!(10), &json!(5), &json!(10))
    );
    let unlimited = json!({"maxClicks": null}).to_string().into_bytes();
    let more = caller.send(Method::PATCH, &path(&link), Some(("application/json", unlimited))).await;
    assert_eq!(more.ok()["maxClicks"], json!(null));
    assert_eq!(follow(&app, &link, FIREFOX).await.status, 302);
}

#[tokio::test]
async fn a_link_can_expire_be_patched_and_be_deleted() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let link = create(&caller, json!({"url": "https://shop.example/", "ttlMs": 86_400_000})).await;
    assert!(link["expiresAt"].is_string());
    assert_eq!(follow(&app, &link, FIREFOX).await.status, 302);
    let patch = async |body: Value| {
        caller.send(Method::PATCH, &path(&link), Some(("application/json", body.to_string().into()))).await
    };
    patch(json!({"expiresAt": "2020-01-01T00:00:00Z"})).await.ok();
    follow(&app, &link, FIREFOX).await.problem(410, "link-gone");
    assert_eq!(stats(&caller, &link).await["clicks"], 1, "statistics remain readable");
    let patched = patch(json!({"expiresAt": null, "title": "Back", "url": "https://shop.example/back"})).await.ok();
    assert_eq!(
        (&patched["title"], &patched["expiresAt"], &patched["clicks"]),
        (&json!("Back"), &json!(null), &json!(1))
    );
    assert_eq!(patch(json!({})).await.ok()["url"], "https://shop.example/back", "omitted members are unchanged");
    assert_eq!(patch(json!({"title": null})).await.ok()["title"], json!(null));
    assert_eq!(follow(&app, &link, FIREFOX).await.headers["location"], "https://shop.example/back");
    caller.delete(&path(&link)).await.ok();
    follow(&app, &link, FIREFOX).await.problem(404, "not-found");
    caller.get(&path(&link)).await.problem(404, "not-found");
    // The same payer can use the slug again; the new link has no data of the old one.
    let again = create(&caller, json!({"url": "https://shop.example/", "slug": link["slug"]})).await;
    assert_eq!(
        (&stats(&caller, &again).await["clicks"], &stats(&caller, &again).await["recentClicks"]),
        (&json!(0), &json!([]))
    );
    let twice = caller.post("/v1/links", json!({"url": "https://shop.example/", "slug": link["slug"]})).await;
    twice.problem(409, "slug-taken");
}

#[tokio::test]
async fn a_qr_code_is_drawn_for_any_slug() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let code = caller.get("/l/any-slug/qr.svg").await;
    assert_eq!(code.headers["content-type"], "image/svg+xml");
    assert!(code.text.contains("<svg"));
    caller.get("/l/x/qr.svg").await.problem(404, "not-found");
}

#[tokio::test]
async fn links_are_listed_newest_first() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    for number in 0..5 {
        create(&caller, json!({"url": format!("https://shop.example/{number}")})).await;
    }
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = caller.get(&format!("/v1/links?limit=2{cursor}")).await.ok();
        seen.extend(page["items"].as_array().unwrap().iter().map(|link| link["url"].as_str().unwrap().to_owned()));
        let Some(next) = page["nextCursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    let expected: Vec<String> = (0..5).rev().map(|number| format!("https://shop.example/{number}")).collect();
    assert_eq!(seen, expected);
    caller.get("/v1/links?cursor=eA").await.problem(422, "invalid-value");
}

#[tokio::test]
async fn invalid_input_is_refused_and_changes_no_data() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let url = "https://shop.example/";
    for (body, pointer) in [
        (json!({"url": url, "slug": "ab"}), "/slug"),
        (json!({"url": url, "slug": "x".repeat(65)}), "/slug"),
        (json!({"url": url, "slug": "a b c"}), "/slug"),
        (json!({"url": url, "slug": "\u{e4}\u{e4}\u{e4}"}), "/slug"),
        (json!({"url": url, "slug": "../.."}), "/slug"),
        (json!({"url": url, "maxClicks": 0}), "/maxClicks"),
        (json!({"url": url, "ttlMs": 999}), "/ttlMs"),
        (json!({"url": url, "ttlMs": 1_000, "expiresAt": "2030-01-01T00:00:00Z"}), "/ttlMs"),
        (json!({"url": url, "title": "x".repeat(513)}), "/title"),
    ] {
        let problem = caller.post("/v1/links", body).await.problem(422, "invalid-value");
        assert_eq!(problem["errors"][0]["pointer"], pointer);
    }
    let ours = format!("{}/l/abc", app.url.replace("127.0.0.1", "127.1"));
    for url in ["javascript:alert(1)", "https://a:b@shop.example/", ours.as_str(), "", &"x".repeat(3_000)] {
        let problem = caller.post("/v1/links", json!({"url": url})).await.problem(422, "url-not-allowed");
        assert_eq!(problem["errors"][0]["pointer"], "/url");
    }
    for body in [json!({}), json!({"url": url, "clicks": 7}), json!({"url": url, "id": "x"})] {
        caller.post("/v1/links", body).await.problem(400, "invalid-json");
    }
    assert_eq!(caller.get("/v1/links").await.ok()["items"], json!([]));
    let link = create(&caller, json!({"url": url})).await;
    caller.post(&format!("{}/clicks", path(&link)), json!({"country": "SWE"})).await.problem(422, "invalid-value");
    caller.get(&format!("{}/stats?days=367", path(&link))).await.problem(422, "invalid-value");
}

#[tokio::test]
async fn old_clicks_are_summed_per_day_and_deleted() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let link = create(&caller, json!({"url": "https://shop.example/"})).await;
    let click = async |country: &str| {
        caller.post(&format!("{}/clicks", path(&link)), json!({"country": country, "userAgent": FIREFOX})).await.ok();
    };
    for country in ["SE", "SE", "NZ"] {
        click(country).await;
    }
    // Move all times back by a hundred days, in one transaction: the sweeper must not see half of the change.
    let mut admin = app.database.admin().await;
    let mut transaction = admin.begin().await.unwrap();
    for update in [
        "update tenant.clicks set clicked_at = clicked_at - interval '100 days' where payer = $1",
        "update tenant.links set rolled_until = rolled_until - interval '100 days', created_at = created_at - interval '100 days',
           last_click_at = last_click_at - interval '100 days' where payer = $1",
    ] {
        sqlx::query(update).bind(caller.payer.as_str()).execute(&mut *transaction).await.unwrap();
    }
    transaction.commit().await.unwrap();
    click("NZ").await;
    let raw = async || -> i64 {
        let count =
            sqlx::query_scalar("select count(*) from tenant.clicks where payer = $1").bind(caller.payer.as_str());
        count.fetch_one(&mut app.database.admin().await).await.unwrap()
    };
    let before = caller.get(&format!("{}/stats?days=200", path(&link))).await.ok();
    app.until(async || raw().await == 1).await;
    let after = caller.get(&format!("{}/stats?days=200", path(&link))).await.ok();
    for kind in ["clicks", "referrers", "countries", "browsers", "daily"] {
        assert_eq!(before[kind], after[kind], "{kind}");
    }
    assert_eq!(after["countries"], json!([{"value": "NZ", "clicks": 2}, {"value": "SE", "clicks": 2}]));
    assert_eq!(stats(&caller, &link).await["countries"], json!([{"value": "NZ", "clicks": 1}]), "within 30 days");
    caller.delete(&path(&link)).await.ok();
    app.until(async || raw().await == 0).await;
}

#[tokio::test]
async fn the_slug_of_a_deleted_link_becomes_free() {
    let app = TestApp::spawn().await;
    let (caller, stranger) = (app.caller().await, app.caller().await);
    let link = create(&caller, json!({"url": "https://shop.example/"})).await;
    caller.delete(&path(&link)).await.ok();
    let mut admin = app.database.admin().await;
    let age = "update slug.slugs set reserved_at = reserved_at - interval '11 minutes' where payer = $1";
    sqlx::query(age).bind(caller.payer.as_str()).execute(&mut admin).await.unwrap();
    let take = json!({"url": "https://stranger.example/", "slug": link["slug"]});
    app.until(async || stranger.post("/v1/links", take.clone()).await.status == 201).await;
    assert_eq!(follow(&app, &link, FIREFOX).await.headers["location"], "https://stranger.example/");
}

#[tokio::test]
async fn the_slug_of_an_old_link_stays_its_payers_for_some_minutes_after_its_deletion() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let link = create(&caller, json!({"url": "https://shop.example/"})).await;
    let mut admin = app.database.admin().await;
    let age = "update slug.slugs set reserved_at = reserved_at - interval '11 minutes' where payer = $1";
    sqlx::query(age).bind(caller.payer.as_str()).execute(&mut admin).await.unwrap();
    caller.delete(&path(&link)).await.ok();
    let free = sqlx::query_scalar("select slug.free($1, $2)").bind(link["slug"].as_str().unwrap());
    let freed: bool = free.bind(caller.payer.as_str()).fetch_one(&mut admin).await.unwrap();
    assert!(!freed);
    let again = json!({"url": "https://shop.example/", "slug": link["slug"]});
    assert_eq!(caller.post("/v1/links", again).await.status, 201, "its payer can use it again");
}

#[tokio::test]
async fn link_visitors_do_not_delay_api_calls() {
    let app = TestApp::on(TestDatabase::own().await);
    let caller = app.caller().await;
    let mut admin = app.database.admin().await;
    admin.execute("begin; lock table slug.slugs in access exclusive mode").await.unwrap();
    let strangers = (0..16).map(|number| {
        let (client, url) = (app.client.clone(), format!("{}/l/nothing-{number}", app.url));
        tokio::spawn(async move { client.get(url).send().await.unwrap().status() })
    });
    let strangers: Vec<_> = strangers.collect();
    // The server has not cached this token.
    caller.increment("a", json!({})).await.ok();
    assert_eq!(caller.get("/readyz").await.status, 200);
    admin.execute("rollback").await.unwrap();
    for stranger in strangers {
        assert!([404, 503].contains(&stranger.await.unwrap().as_u16()));
    }
}
