//! Schemas of the OpenAPI document: of two with one name, utoipa keeps one without a word.

use std::collections::BTreeMap;

use crate::source::sources;

/// The schemas that a file derives, by the name in the document.
fn schemas(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let (mut derives, mut renamed) = (false, None);
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[derive(") {
            (derives, renamed) = (line.contains("ToSchema"), None);
        } else if let Some(name) = line.strip_prefix("#[schema(as = ") {
            renamed = name.split([',', ')']).next();
        } else if derives {
            let kinds = ["pub struct ", "pub enum ", "struct ", "enum "];
            let name = kinds.iter().find_map(|kind| line.strip_prefix(kind));
            let name = name.and_then(|name| name.split(|c: char| !c.is_alphanumeric()).next());
            if let Some(name) = name.filter(|name| !name.is_empty()) {
                names.push(renamed.take().unwrap_or(name).to_owned());
                derives = false;
            }
        }
    }
    names
}

#[test]
fn every_schema_has_a_name_of_its_own() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in sources("src", ".rs") {
        for name in schemas(&file.text) {
            places.entry(name).or_default().push(file.path.clone());
        }
    }
    assert!(places.len() > 60, "the lint saw schemas: {}", places.len());
    let twice: Vec<String> =
        places.iter().filter(|(_, at)| at.len() > 1).map(|(name, at)| format!("{name}: {}", at.join(", "))).collect();
    assert!(twice.is_empty(), "rename one with `#[schema(as = ..)]`:\n{}", twice.join("\n"));
}
