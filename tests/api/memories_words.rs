//! Which words of a memory a search finds.

use payerbase::db::migrate::Login;
use serde_json::{Value, json};
use sqlx::Executor as _;

use crate::support::{Caller, TestApp, TestDatabase};

/// Contents, each with queries that must find it.
const FOUND: &[(&str, &[&str])] = &[
    ("She likes tea/coffee in the morning", &["tea", "coffee", "tea/coffee"]),
    ("We met in Lisbon.Her flight was late", &["Lisbon", "her flight"]),
    ("Runs on node.js and deno", &["node", "js", "node.js", "NODE.JS"]),
    ("The bug is in src/parser/tokens.rs today", &["parser", "tokens", "src/parser/tokens.rs", "rs"]),
    ("Look into /etc/nginx/nginx.conf", &["nginx", "etc", "conf"]),
    ("C:\\Users\\ada\\notes.txt holds it", &["ada", "users", "notes"]),
    ("Write to ada@lovelace.example", &["lovelace", "ada", "ada@lovelace.example"]),
    (
        "See https://docs.acme.example/guides/install-linux?os=debian#top",
        &["install", "linux", "acme", "guides", "debian"],
    ),
    ("Had covid-19 last spring", &["covid", "19", "covid-19"]),
    ("Her birthday is 2026-11-23", &["23", "2026", "2026-11-23", "11"]),
    ("Released as v2.14.3-beta", &["14", "2.14.3", "beta"]),
    ("Returns Vec<Payment> or an error", &["Payment", "vec", "Vec<Payment>"]),
    ("A <b>bold</b> claim", &["bold", "b"]),
    ("Open 24/7 for R&D", &["24", "7", "24/7"]),
    ("It was -19 degrees, a 3.5% drop", &["19", "3.5", "5"]),
    ("mail=yes;spam=no|maybe", &["yes", "spam", "maybe"]),
    ("user_id and http_request_total", &["user", "total", "http_request_total"]),
    ("key:value pairs (a+b)*c", &["value", "a", "b"]),
    ("ch\u{e1}/caf\u{e9} da manh\u{e3}", &["caf\u{e9}", "ch\u{e1}", "cafe", "cha", "manha"]),
    ("H\u{e0} N\u{1ed9}i in May", &["ha noi", "H\u{e0} N\u{1ed9}i", "noi"]),
    ("\u{130}stanbul", &["istanbul", "\u{130}stanbul", "ISTANBUL"]),
    ("\u{39f}\u{394}\u{39f}\u{3a3}", &["\u{3bf}\u{3b4}\u{3cc}\u{3c2}", "\u{3bf}\u{3b4}\u{3bf}\u{3c2}"]),
    ("\u{623}\u{62d}\u{645}\u{62f}", &["\u{627}\u{62d}\u{645}\u{62f}"]),
    ("\u{451}\u{43b}\u{43a}\u{430}", &["\u{435}\u{43b}\u{43a}\u{430}"]),
    (
        "\u{c11c}\u{c6b8}\u{c5d0}\u{c11c} \u{d68c}\u{c758}\u{ac00} \u{c788}\u{b2e4}",
        &["\u{c11c}\u{c6b8}", "\u{d68c}\u{c758}"],
    ),
    ("\u{cee4}\u{d53c}\u{b97c} \u{c88b}\u{c544}\u{d55c}\u{b2e4}", &["\u{cee4}\u{d53c}"]),
    ("\u{6771}\u{4eac}\u{90fd}\u{306b}\u{4f4f}\u{3080}", &["\u{6771}\u{4eac}"]),
    ("zero\u{200b}width", &["width", "zero"]),
];

#[tokio::test]
async fn words_that_are_joined_by_signs_are_found() {
    let app = TestApp::spawn().await;
    for language in ["english", "simple"] {
        let app = TestApp::set(app.database.clone(), |settings| settings.calls.language = language.to_owned());
        let caller = app.caller().await;
        caller.remember("noise", json!({"content": "Nothing of the kind"})).await.ok();
        for (n, (content, _)) in FOUND.iter().enumerate() {
            caller.remember(&n.to_string(), json!({"content": content})).await.ok();
        }
        for (n, (content, queries)) in FOUND.iter().enumerate() {
            for query in *queries {
                let found = caller.found(json!({"query": query, "limit": 100})).await;
                assert!(found.contains(&n.to_string()), "{query} in {content}: {found:?}");
                assert!(!found.contains(&"noise".to_owned()), "{query}");
            }
        }
    }
}

/// The whole ranks above its parts.
#[tokio::test]
async fn a_joined_word_as_it_stands_ranks_first() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    for (id, content) in [("parts", "a js book about a node"), ("whole", "a book about node.js and trees")] {
        caller.remember(id, json!({"content": content})).await.ok();
    }
    assert_eq!(caller.found(json!({"query": "node.js"})).await, ["whole", "parts"]);
}

/// A tsvector holds 1 MiB: the longest contents of words with signs and accents stay below.
#[tokio::test]
async fn the_longest_contents_are_stored_with_their_words() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let drawn = |n: u32, letters: &[&str]| -> String {
        let mut n = n.wrapping_mul(2_654_435_761);
        (0..3)
            .map(|_| {
                n = n.rotate_left(9).wrapping_mul(31);
                letters[n as usize % letters.len()]
            })
            .collect()
    };
    let ascii: Vec<&str> = "a b c d e f g h i j k l m n o p q r s t u v w x y z".split(' ').collect();
    let accents = ["\u{e9}", "\u{e0}", "\u{fc}", "\u{f1}", "\u{e7}", "\u{159}", "a", "b", "n", "r"];
    let hangul = ["\u{c11c}", "\u{c6b8}", "\u{d68c}", "\u{c758}", "\u{cee4}", "\u{d53c}"];
    for (letters, signs) in [
        (&ascii[..], &["-", " "][..]),
        (&ascii, &["/", "."]),
        (&ascii, &[".", "@", ".", " "]),
        (&accents, &["-", " "]),
        (&accents, &[" "]),
        (&accents, &["ings ", "/", "ing "]),
        (&hangul, &[" ", ""]),
    ] {
        let mut content = String::from("first ");
        let mut chars = content.chars().count();
        for n in 0.. {
            let word = drawn(n, letters) + signs[n as usize % signs.len()];
            chars += word.chars().count();
            if chars > 100_000 {
                break;
            }
            content += &word;
        }
        caller.remember("long", json!({"content": content})).await.ok();
        assert_eq!(caller.found(json!({"query": "first"})).await, ["long"]);
    }
}

/// What an earlier version stored is found too: the sweeper makes its words again, and changes nothing else.
#[tokio::test]
async fn words_of_memories_from_an_earlier_version_are_made_again() {
    let database = TestDatabase::own().await;
    let app = TestApp::on(database.clone());
    let callers: Vec<Caller> = vec![app.caller().await, app.caller().await];
    let mut before = Vec::new();
    for caller in &callers {
        for n in 0..120 {
            let content =
                if n % 2 == 0 { format!("tea/coffee {n}") } else { "\u{c11c}\u{c6b8}\u{c5d0}\u{c11c}".to_owned() };
            caller.remember(&format!("{n:03}"), json!({"content": content})).await.ok();
        }
        before.push(caller.get("/v1/memories?limit=1000").await.ok());
    }
    // The words and the functions' state just after the upgrade.
    let mut admin = database.admin().await;
    admin
        .execute(
            "update tenant.memories set words = to_tsvector('simple', content);
             create or replace function tenant.has_old_turns() returns boolean language sql immutable as 'select true'",
        )
        .await
        .unwrap();
    let finds = async |caller: &Caller, query: &str| -> usize {
        caller.found(json!({"query": query, "limit": 100})).await.len()
    };
    assert_eq!(finds(&callers[0], "coffee").await, 0);
    payerbase::db::migrate::migrate(&database.admin, payerbase::schema(), Login::Existing).await.unwrap();
    app.until(async || {
        let mut admin = database.admin().await;
        let left = sqlx::query_scalar::<_, i64>("select count(*) from tenant.memory_rewording");
        left.fetch_one(&mut admin).await.unwrap() == 0
    })
    .await;
    for (caller, before) in callers.iter().zip(&before) {
        assert_eq!(finds(caller, "coffee").await, 60);
        assert_eq!(finds(caller, "\u{c6b8}\u{c5d0}").await, 60);
        assert_eq!(
            &caller.get("/v1/memories?limit=1000").await.ok(),
            before,
            "nothing else changed, not even `updatedAt`"
        );
    }
    // A server of the earlier version, which still runs, stores without parts.
    let payer = callers[0].payer.as_str();
    let old = json!({
        "id": "010", "content": "milk/sugar", "metadata": {}, "tags": [], "importance": 0.5, "namespace": "default",
        "isMade": false, "searchText": {"language": "english"}
    });
    let turn = "select results[1] from rpc.turn($1, array[$1], array['storeMemory'], array[$2], array[null], 1000)";
    let stored: String =
        sqlx::query_scalar(turn).bind(payer).bind(old.to_string()).fetch_one(&mut admin).await.unwrap();
    assert!(serde_json::from_str::<Value>(&stored).unwrap()["ok"].is_object(), "{stored}");
    app.until(async || finds(&callers[0], "sugar").await == 1).await;
}
