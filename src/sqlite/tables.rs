//! Tables of SQL that are not in the payer's database: the payer's counters, links, locks, jobs, queues and memories.

use std::sync::Arc;

use chrono::{DateTime, SecondsFormat};
use serde_bytes::ByteBuf;
use serde_json::value::RawValue;

use super::value::Value;

/// A table: its columns are the members of the items of a list, in snake case.
pub(crate) struct Table {
    pub name: &'static str,
    columns: &'static [(&'static str, Kind)],
}

/// The kind of a column.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Integer,
    Real,
    Boolean,
    /// In UTC, as ISO 8601 with microseconds.
    Time,
    /// As the text of its JSON.
    Json,
}

/// The rows of a table.
pub(super) type Rows = Arc<Vec<Vec<Value>>>;

/// All tables. Their places are their numbers in the messages of workers.
pub(crate) const TABLES: [Table; 6] = [
    Table {
        name: "pb_counters",
        columns: &[
            ("name", Kind::Text),
            ("value", Kind::Integer),
            ("min", Kind::Integer),
            ("max", Kind::Integer),
            ("created_at", Kind::Time),
            ("updated_at", Kind::Time),
        ],
    },
    Table {
        name: "pb_links",
        columns: &[
            ("slug", Kind::Text),
            ("url", Kind::Text),
            ("title", Kind::Text),
            ("clicks", Kind::Integer),
            ("max_clicks", Kind::Integer),
            ("expires_at", Kind::Time),
            ("created_at", Kind::Time),
            ("updated_at", Kind::Time),
        ],
    },
    Table {
        name: "pb_locks",
        columns: &[
            ("name", Kind::Text),
            ("fence", Kind::Integer),
            ("acquired_at", Kind::Time),
            ("expires_at", Kind::Time),
            ("metadata", Kind::Json),
        ],
    },
    Table {
        name: "pb_jobs",
        columns: &[
            ("id", Kind::Text),
            ("queue", Kind::Text),
            ("payload", Kind::Json),
            ("priority", Kind::Integer),
            ("status", Kind::Text),
            ("attempts", Kind::Integer),
            ("max_attempts", Kind::Integer),
            ("backoff_ms", Kind::Integer),
            ("run_at", Kind::Time),
            ("lease_expires_at", Kind::Time),
            ("dedup_key", Kind::Text),
            ("group", Kind::Text),
            ("result", Kind::Json),
            ("error", Kind::Json),
            ("created_at", Kind::Time),
            ("updated_at", Kind::Time),
            ("finished_at", Kind::Time),
        ],
    },
    Table {
        name: "pb_queues",
        columns: &[
            ("queue", Kind::Text),
            ("pending", Kind::Integer),
            ("delayed", Kind::Integer),
            ("running", Kind::Integer),
            ("completed", Kind::Integer),
            ("dead", Kind::Integer),
            ("total", Kind::Integer),
            ("oldest_pending_at", Kind::Time),
        ],
    },
    Table {
        name: "pb_memories",
        columns: &[
            ("id", Kind::Text),
            ("namespace", Kind::Text),
            ("content", Kind::Text),
            ("metadata", Kind::Json),
            ("tags", Kind::Json),
            ("importance", Kind::Real),
            ("has_embedding", Kind::Boolean),
            ("embedding_model", Kind::Text),
            ("dimensions", Kind::Integer),
            ("expires_at", Kind::Time),
            ("created_at", Kind::Time),
            ("updated_at", Kind::Time),
        ],
    },
];

/// The number of a table. SQLite ignores the case of names.
pub(crate) fn number(name: &str) -> Option<usize> {
    TABLES.iter().position(|table| table.name.eq_ignore_ascii_case(name))
}

impl Table {
    /// The statement that declares it.
    pub fn schema(&self) -> String {
        let columns = self.columns.iter().map(|(name, kind)| format!("\"{name}\" {}", kind.declared()));
        format!("CREATE TABLE {} ({})", self.name, columns.collect::<Vec<_>>().join(", "))
    }

    /// Reads rows: a JSON array of objects. `None` if it is something else.
    pub fn rows(&self, json: &str) -> Option<Rows> {
        let items: Vec<std::collections::HashMap<String, &RawValue>> = serde_json::from_str(json).ok()?;
        let row = |item: &std::collections::HashMap<String, &RawValue>| {
            let value = |(name, kind): &(&str, Kind)| match item.get(&member(name)) {
                None => Some(Value::Null),
                Some(json) => kind.value(json),
            };
            self.columns.iter().map(value).collect::<Option<Vec<Value>>>()
        };
        items.iter().map(row).collect::<Option<Vec<_>>>().map(Arc::new)
    }
}

/// The member of an item that a column has: `created_at` is `createdAt`.
fn member(column: &str) -> String {
    let mut words = column.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |member, word| {
        let (initial, rest) = word.split_at_checked(1).unwrap_or_default();
        member + &initial.to_ascii_uppercase() + rest
    })
}

impl Kind {
    /// The type that its column declares.
    fn declared(self) -> &'static str {
        match self {
            Self::Text | Self::Time | Self::Json => "TEXT",
            Self::Integer | Self::Boolean => "INTEGER",
            Self::Real => "REAL",
        }
    }

    /// The value of a member.
    fn value(self, json: &RawValue) -> Option<Value> {
        let json = json.get();
        if json == "null" {
            return Some(Value::Null);
        }
        let text = |text: &str| Value::Text(ByteBuf::from(text.as_bytes()));
        match self {
            Self::Text => serde_json::from_str::<String>(json).ok().as_deref().map(text),
            Self::Integer => serde_json::from_str(json).ok().map(Value::Integer),
            Self::Real => serde_json::from_str(json).ok().map(Value::Real),
            Self::Boolean => serde_json::from_str::<bool>(json).ok().map(|value| Value::Integer(value.into())),
            Self::Time => {
                let time = serde_json::from_str::<String>(json).ok()?;
                let time = DateTime::parse_from_rfc3339(&time).ok()?.to_utc();
                Some(text(&time.to_rfc3339_opts(SecondsFormat::Micros, true)))
            }
            Self::Json => Some(text(json)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::Text(ByteBuf::from(text.as_bytes()))
    }

    #[test]
    fn items_become_rows() {
        let jobs = &TABLES[number("PB_Jobs").unwrap()];
        let json = r#"[{"id": "1", "payload": {"n": 12345678901234567890}, "maxAttempts": 3, "result": null,
            "createdAt": "2026-11-27T20:10:33.123456+00:00", "lease": "secret"}]"#;
        let rows = jobs.rows(json).unwrap();
        let of = |column: &str| {
            let place = jobs.columns.iter().position(|(name, _)| *name == column).unwrap();
            rows[0][place].clone()
        };
        assert_eq!(of("payload"), text(r#"{"n": 12345678901234567890}"#));
        assert_eq!((of("max_attempts"), of("result"), of("group")), (Value::Integer(3), Value::Null, Value::Null));
        assert_eq!(of("created_at"), text("2026-11-27T20:10:33.123456Z"));
        assert!(!rows[0].contains(&text("secret")));
        assert_eq!((jobs.rows("{}"), jobs.rows(r#"[{"id": 1}]"#)), (None, None));
    }
}
