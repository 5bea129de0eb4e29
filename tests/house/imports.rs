//! Rooms are the folders and files directly in `src/`. Imports go downwards only, and no files import each other in a circle.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::{Source, sources};

/// The rooms from top to bottom. A room imports only rooms below its own line.
const ORDER: &[&[&str]] = &[
    &["main", "lib"],
    &["cli", "fuzzing", "testing"],
    &["config"],
    &["app"],
    &["http"],
    &["slices", "test_kit"],
    &["export"],
    &[
        "counters",
        "credit",
        "links",
        "locks",
        "me",
        "memories",
        "queues",
        "sign_in",
        "sql",
        "sweeper",
        "tokens",
        "transactions",
    ],
    &["call"],
    &["payments"],
    &["turn", "waiting"],
    &["auth", "embeddings", "pay", "sqlite"],
    &["db"],
    &["pip"],
    // Values and services that do not depend on calls.
    &["aside", "quotas", "rates"],
    &["budget", "payer_limit", "redis", "telemetry", "folders"],
    &["chain", "facilitator"],
    &["parse", "x402"],
    &["endpoint", "page", "vector", "wallet"],
    &["problem"],
    &["id", "json", "name", "payer", "search_text", "site", "slug", "time"],
    &["limits", "number"],
];

/// An import: the line of a file, and the path from the root of the crate.
struct Import {
    file: String,
    line: usize,
    path: Vec<String>,
}

/// The modules of a file: `src/call/mod.rs` is `call`, `src/call/tenant.rs` is `call::tenant`.
fn module(file: &str) -> Vec<String> {
    let inner = file.strip_prefix("src/").unwrap().strip_suffix(".rs").unwrap();
    let mut parts: Vec<String> = inner.split('/').map(str::to_owned).collect();
    if parts.last().is_some_and(|last| last == "mod") {
        parts.pop();
    }
    parts
}

/// The code of a file: without comments, texts and unit tests.
fn code(source: &Source) -> Vec<String> {
    let mut lines = Vec::new();
    for line in source.text.lines() {
        if line.trim() == "#[cfg(test)]" {
            break;
        }
        let line = line.split("//").next().unwrap_or_default();
        lines.push(line.to_owned());
    }
    lines
}

/// Expands `a::{b, c::{d, e}}` into its paths.
fn expand(path: &str) -> Vec<String> {
    let Some(open) = path.find('{') else {
        let path = path.split(" as ").next().unwrap_or_default().trim();
        return vec![path.to_owned()];
    };
    let (prefix, rest) = path.split_at(open);
    let inner = rest.trim().strip_prefix('{').unwrap().strip_suffix('}').unwrap();
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (at, c) in inner.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&inner[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&inner[start..]);
    let parts = parts.into_iter().map(str::trim).filter(|part| !part.is_empty());
    parts.flat_map(expand).map(|part| format!("{prefix}{part}")).collect()
}

/// The imports of a file: its `use` items, and the paths that it writes out.
fn imports(source: &Source) -> Vec<Import> {
    let own = module(&source.path);
    let is_folder = source.path.ends_with("mod.rs");
    let mut found = Vec::new();
    let mut add = |line: usize, path: &str| {
        let mut parts: Vec<String> = path.split("::").map(|part| part.trim().to_owned()).collect();
        let first = parts.remove(0);
        let mut base = match first.as_str() {
            "crate" => Vec::new(),
            "self" => own.clone(),
            "super" => own[..own.len() - 1].to_vec(),
            // A child of this room.
            _ if is_folder || own.len() == 1 => own.iter().cloned().chain([first]).collect(),
            _ => return,
        };
        base.extend(parts);
        found.push(Import { file: source.path.clone(), line, path: base });
    };
    let lines = code(source);
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        let start = at;
        let trimmed = line.trim_start();
        let item = trimmed.strip_prefix("pub(crate) ").or(trimmed.strip_prefix("pub(super) ")).unwrap_or(trimmed);
        let item = item.strip_prefix("pub ").unwrap_or(item);
        if let Some(first) = item.strip_prefix("use ") {
            let mut path = first.to_owned();
            while !path.contains(';') {
                at += 1;
                path += &lines[at];
            }
            for path in expand(path.split(';').next().unwrap_or_default()) {
                add(start + 1, &path);
            }
        } else {
            // `$crate` in a macro is expanded elsewhere.
            for (place, _) in line.match_indices("crate::").filter(|(place, _)| !line[..*place].ends_with('$')) {
                let path = line[place..].split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).next();
                add(start + 1, path.unwrap_or_default().trim_end_matches(':'));
            }
        }
        at += 1;
    }
    found
}

/// All files, by their modules.
fn files() -> BTreeMap<Vec<String>, Source> {
    sources("src", ".rs").into_iter().map(|source| (module(&source.path), source)).collect()
}

/// The module that an import names. The last parts of its path are items in it.
fn target(files: &BTreeMap<Vec<String>, Source>, import: &Import) -> Option<Vec<String>> {
    (1..=import.path.len()).rev().map(|length| import.path[..length].to_vec()).find(|path| files.contains_key(path))
}

fn level(room: &str) -> usize {
    ORDER.iter().position(|rooms| rooms.contains(&room)).unwrap_or_else(|| panic!("src/{room} has no place in ORDER"))
}

#[test]
fn rooms_import_downwards_only() {
    let files = files();
    let mut upwards = Vec::new();
    let mut seen = 0;
    for (module, source) in &files {
        for import in imports(source) {
            let Some(target) = target(&files, &import) else { continue };
            let (from, to) = (module[0].as_str(), target[0].as_str());
            seen += 1;
            if from != to && level(from) >= level(to) {
                let path = import.path.join("::");
                upwards.push(format!("{}:{}: `{path}`: {from} is not above {to}", import.file, import.line));
            }
        }
    }
    assert!(seen > 300, "the lint saw imports: {seen}");
    assert!(upwards.is_empty(), "imports must go downwards:\n{}", upwards.join("\n"));
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let files = files();
    let mut edges: BTreeMap<&Vec<String>, BTreeMap<Vec<String>, String>> = BTreeMap::new();
    for (module, source) in &files {
        for import in imports(source) {
            if let Some(target) = target(&files, &import).filter(|target| target != module) {
                let place = format!("{}:{}", import.file, import.line);
                edges.entry(module).or_default().entry(target).or_insert(place);
            }
        }
    }
    let mut done = BTreeSet::new();
    for module in files.keys() {
        let mut path = Vec::new();
        if let Some(circle) = circle(module, &edges, &mut path, &mut done) {
            panic!("files import each other in a circle:\n{}", circle.join("\n"));
        }
    }
}

/// The imports of a circle that a module is in or leads to.
fn circle(
    module: &Vec<String>,
    edges: &BTreeMap<&Vec<String>, BTreeMap<Vec<String>, String>>,
    path: &mut Vec<(Vec<String>, String)>,
    done: &mut BTreeSet<Vec<String>>,
) -> Option<Vec<String>> {
    if let Some(start) = path.iter().position(|(passed, _)| passed == module) {
        return Some(path[start..].iter().map(|(_, place)| place.clone()).collect());
    }
    if done.contains(module) {
        return None;
    }
    for (target, place) in edges.get(module).into_iter().flatten() {
        path.push((module.clone(), format!("{place} imports {}", target.join("::"))));
        if let Some(found) = circle(target, edges, path, done) {
            return Some(found);
        }
        path.pop();
    }
    done.insert(module.clone());
    None
}

/// `of_sweeper` and `Proof::of_signature` create proofs without a token. Every other room gets its proofs from `auth`.
#[test]
fn only_the_sweeper_and_payments_create_proofs_without_a_token() {
    let makers = |maker: &str| -> Vec<String> {
        let found = files().into_values().filter(|source| code(source).iter().any(|line| line.contains(maker)));
        found.map(|source| source.path).collect()
    };
    assert_eq!(makers("of_sweeper"), ["src/auth/proof.rs", "src/sweeper/tenant.rs"]);
    assert_eq!(makers("Proof::of_signature"), ["src/payments/paid.rs", "src/payments/sign_in.rs"]);
}
