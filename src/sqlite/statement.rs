//! Statements and migrations, as callers send them.

use std::fmt;

use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::limits::{SQL_BYTES_MAX, SQL_PARAMETERS_MAX};
use super::value::Value;

/// A part of a call. All parts are one transaction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Task {
    Statement(Statement),
    /// Runs the statements of a migration, unless it has run before.
    Migration(Migration),
    /// Describes the tables.
    Schema,
    /// Replaces the database by the one in this file. It is the only task of its call.
    Import(ByteBuf),
}

impl Task {
    /// The migration that it is.
    pub fn migration(&self) -> Option<&Migration> {
        match self {
            Self::Migration(migration) => Some(migration),
            Self::Statement(_) | Self::Schema | Self::Import(_) => None,
        }
    }
}

/// A migration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Migration {
    pub id: String,
    /// One or more statements.
    pub sql: String,
}

/// A statement and its parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Statement {
    pub sql: String,
    pub params: Params,
    /// Whether it must not write.
    pub only_reads: bool,
}

/// The parameters of a statement.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) enum Params {
    #[default]
    None,
    /// By place, from 1.
    List(Vec<Value>),
    /// By name, with or without the `:`, `@` or `$` before it.
    Named(Vec<(String, Value)>),
}

impl Params {
    /// Reads a list or an object.
    pub fn from_json<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Params;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an array or an object")
            }

            fn visit_unit<E: Error>(self) -> Result<Params, E> {
                Ok(Params::None)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Params, A::Error> {
                let mut values = Vec::new();
                while let Some(FromJson(value)) = access.next_element()? {
                    has_room(values.len())?;
                    values.push(value);
                }
                Ok(Params::List(values))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Params, A::Error> {
                let mut values: Vec<(String, Value)> = Vec::new();
                while let Some((name, FromJson(value))) = access.next_entry::<String, FromJson>()? {
                    has_room(values.len())?;
                    if values.iter().any(|(other, _)| *other == name) {
                        return Err(A::Error::custom(format!("duplicate field `{name}`")));
                    }
                    values.push((name, value));
                }
                Ok(Params::Named(values))
            }
        }

        deserializer.deserialize_any(Any)
    }
}

fn has_room<E: Error>(count: usize) -> Result<(), E> {
    match count < SQL_PARAMETERS_MAX {
        true => Ok(()),
        false => Err(E::custom(format!("must be at most {SQL_PARAMETERS_MAX} values"))),
    }
}

struct FromJson(Value);

impl<'de> Deserialize<'de> for FromJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::from_json(deserializer).map(Self)
    }
}

/// Reads the text of a statement.
pub(crate) fn sql_from_json<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let sql = String::deserialize(deserializer)?;
    if !(1..=SQL_BYTES_MAX).contains(&sql.len()) {
        return Err(D::Error::custom(format!("must be 1 to {SQL_BYTES_MAX} bytes of UTF-8")));
    }
    match sql.contains('\0') {
        true => Err(D::Error::custom("must not contain U+0000")),
        false => Ok(sql),
    }
}
