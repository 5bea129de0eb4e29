//! Filters on metadata: `{"key": value}`, `{"key": {"$gt": 5}}`, `$and`, `$or`, `$not`.
//!
//! A filter is translated into one `jsonpath`, which is a parameter of the statement: no SQL text is built. In
//! `jsonpath`, a condition on a value of another type is `unknown`, neither true nor false. So negations are pushed
//! down to the conditions, where "not" means "false or unknown".

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::json::read_members;

/// Maximum number of levels of a filter.
const DEPTH_MAX: usize = 16;
/// Maximum number of conditions of a filter. Each value of an `$in` counts as one more.
const CONDITIONS_MAX: usize = 256;
/// Comparisons of a filter that count as one unit of weight.
const COMPARISONS_WEIGHT: usize = 8;
/// Size limit of a key or text in a filter, in bytes.
const TEXT_BYTES_MAX: usize = 1_024;
/// Maximum number of comparisons that a filter becomes. A search makes them for each memory in scope.
const COMPARISONS_MAX: usize = 1_024;
/// Size limit of the `jsonpath`, in bytes.
const PATH_BYTES_MAX: usize = 64 << 10;
/// Maximum number of levels of a key: the maximum depth of metadata.
const KEY_LEVELS_MAX: usize = crate::json::DEPTH_MAX;
/// A key of more parts is read as one name or as a path, and in no other way.
const PARTS_JOINED_MAX: usize = 4;

/// Filter on the metadata of memories. Each member is a key of the metadata with the value that it must equal, or with
/// an object of conditions. All members and all conditions must hold.
///
/// The key `a.b` is the member `a.b`, or member `b` of the object in `a`. In a key with two or three dots, each dot may
/// be a part of a name or lead into an object: `attributes.http.method` also finds the member `http.method` of the object
/// in `attributes`. A key with more dots is one name or leads into objects at each dot. If a memory has several such
/// members, a condition holds if it holds for one of them.
///
/// - `$eq`, `$ne`: is equal, is not equal.
/// - `$gt`, `$gte`, `$lt`, `$lte`: compares with a number or a text.
/// - `$in`: is equal to one value of a list.
/// - `$contains`: a list, or a list inside it, has the value; or a text has the given part.
/// - `$and`, `$or`: all filters, or at least one filter, of a non-empty list must hold.
/// - `$not`: the filter must not hold.
///
/// A condition holds for a list if it holds for one of its values; `$ne` and `$not` are negations of that. A missing
/// key equals `null` and nothing else.
///
/// Limits: 16 levels, 256 conditions (each value of an `$in` counts as one more), keys and texts of 1,024 bytes, keys
/// of 64 levels, and 64 KiB for the whole filter as `jsonpath`. A filter makes at most 1,024 comparisons: one for each
/// condition, 2 if its key has one dot, 4 with two dots, 8 with three, 2 with more.
#[derive(Clone, Debug, ToSchema)]
#[schema(value_type = Object, example = json!({"kind": "preference", "confidence": {"$gte": 0.5}}))]
pub struct Filter(Compiled);

#[derive(Clone, Debug)]
struct Compiled {
    path: String,
    equals: Vec<(String, Value)>,
    comparisons: usize,
}

impl Filter {
    /// Equalities, as key and value, that hold for every match.
    #[must_use]
    pub fn equals(&self) -> &[(String, Value)] {
        &self.0.equals
    }

    /// How much work it is to test a memory, in simple calls.
    pub(super) fn weight(&self) -> usize {
        self.0.comparisons / COMPARISONS_WEIGHT
    }
}

/// The `jsonpath` of the filter.
impl Serialize for Filter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.path)
    }
}

impl<'de> Deserialize<'de> for Filter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(read_members(deserializer)?).map_err(D::Error::custom)
    }
}

impl TryFrom<Map<String, Value>> for Filter {
    type Error = String;

    fn try_from(members: Map<String, Value>) -> Result<Self, String> {
        let mut reader = Reader { conditions: 0, comparisons: 0, equals: Vec::new() };
        let expression = reader.filter(members, 1, true)?;
        let mut path = String::new();
        expression.write(false, &mut path);
        if path.len() > PATH_BYTES_MAX {
            return Err(format!("must be shorter: it becomes {} bytes, and the limit is {PATH_BYTES_MAX}", path.len()));
        }
        let Reader { equals, comparisons, .. } = reader;
        Ok(Self(Compiled { path, equals, comparisons }))
    }
}

/// Syntax tree of a filter.
enum Expression {
    All(Vec<Expression>),
    Any(Vec<Expression>),
    Not(Box<Expression>),
    /// A predicate of `jsonpath`.
    Condition(String),
}

impl Expression {
    fn write(&self, is_negated: bool, path: &mut String) {
        match self {
            Self::Not(inner) => inner.write(!is_negated, path),
            Self::All(parts) | Self::Any(parts) if parts.len() == 1 => {
                parts.iter().for_each(|part| part.write(is_negated, path));
            }
            Self::All(parts) | Self::Any(parts) if parts.is_empty() => {
                path.push_str(if matches!(self, Self::All(_)) == is_negated { "(1 != 1)" } else { "(1 == 1)" });
            }
            Self::All(parts) | Self::Any(parts) => {
                let joint = if matches!(self, Self::All(_)) == is_negated { " || " } else { " && " };
                for (place, part) in parts.iter().enumerate() {
                    path.push_str(if place == 0 { "(" } else { joint });
                    part.write(is_negated, path);
                }
                path.push(')');
            }
            Self::Condition(predicate) if is_negated => {
                path.push_str(&format!("(!({predicate}) || (({predicate}) is unknown))"));
            }
            Self::Condition(predicate) => path.push_str(&format!("({predicate})")),
        }
    }
}

struct Reader {
    conditions: usize,
    comparisons: usize,
    equals: Vec<(String, Value)>,
}

impl Reader {
    /// `is_required`: whether every match satisfies this part.
    fn filter(&mut self, members: Map<String, Value>, depth: usize, is_required: bool) -> Result<Expression, String> {
        if depth > DEPTH_MAX {
            return Err(format!("must be nested at most {DEPTH_MAX} levels deep"));
        }
        let mut parts = Vec::new();
        for (key, value) in members {
            parts.push(match (key.as_str(), value) {
                ("$and", Value::Array(filters)) if !filters.is_empty() => {
                    let filters = filters.into_iter().map(|filter| self.inner("$and", filter, depth, is_required));
                    Expression::All(filters.collect::<Result<_, _>>()?)
                }
                ("$or", Value::Array(filters)) if !filters.is_empty() => {
                    let filters = filters.into_iter().map(|filter| self.inner("$or", filter, depth, false));
                    Expression::Any(filters.collect::<Result<_, _>>()?)
                }
                ("$not", filter) => Expression::Not(Box::new(self.inner("$not", filter, depth, false)?)),
                ("$and" | "$or", _) => return Err(format!("must have a list of at least one filter in `{key}`")),
                (operator, _) if operator.starts_with('$') => {
                    let operator = shortened(operator);
                    return Err(format!(
                        "must use `$and`, `$or` or `$not` around keys of the metadata, not `{operator}`"
                    ));
                }
                (_, Value::Object(conditions)) => self.conditions(&key, conditions, is_required)?,
                (_, Value::Array(_)) => {
                    let key = shortened(&key);
                    return Err(format!(
                        "must compare `{key}` with one value: `$in` is for lists, `$contains` for a part"
                    ));
                }
                (_, value) => self.condition(&key, "$eq", value, is_required)?,
            });
        }
        Ok(Expression::All(parts))
    }

    fn inner(&mut self, of: &str, filter: Value, depth: usize, is_required: bool) -> Result<Expression, String> {
        let Value::Object(members) = filter else {
            return Err(format!("must have a filter, which is an object, in `{of}`"));
        };
        self.filter(members, depth + 1, is_required)
    }

    fn conditions(
        &mut self,
        key: &str,
        conditions: Map<String, Value>,
        is_required: bool,
    ) -> Result<Expression, String> {
        if conditions.is_empty() {
            return Err(format!("must have a condition for `{}`", shortened(key)));
        }
        let conditions = conditions.into_iter();
        let conditions = conditions.map(|(operator, value)| self.condition(key, &operator, value, is_required));
        conditions.collect::<Result<_, _>>().map(Expression::All)
    }

    fn condition(&mut self, key: &str, operator: &str, value: Value, is_required: bool) -> Result<Expression, String> {
        let places = places(key)?;
        self.count(&places)?;
        let any = |predicate: &dyn Fn(&str) -> String| {
            Expression::Any(places.iter().map(|place| Expression::Condition(predicate(place))).collect())
        };
        let compared = |sign: &str| {
            let value = ordered(operator, &value)?;
            Ok(any(&|place| format!("{place} {sign} {value}")))
        };
        match operator {
            "$eq" => {
                let equal = equal(&places, operator, &value)?;
                if is_required && !value.is_null() && places.len() == 1 {
                    self.equals.push((key.to_owned(), value));
                }
                Ok(equal)
            }
            "$ne" => Ok(Expression::Not(Box::new(equal(&places, operator, &value)?))),
            "$gt" => compared(">"),
            "$gte" => compared(">="),
            "$lt" => compared("<"),
            "$lte" => compared("<="),
            "$in" => {
                let Value::Array(values) = value else { return Err("must have a list of values in `$in`".to_owned()) };
                let mut parts = Vec::new();
                for value in values {
                    self.count(&places)?;
                    parts.push(equal(&places, operator, &value)?);
                }
                Ok(Expression::Any(parts))
            }
            "$contains" => {
                let value = scalar(operator, &value)?;
                let in_list = |place: &str| format!("{place}.type() == \"array\" && {place}[*] == {value}");
                Ok(match value.starts_with('"') {
                    true => any(&|place| {
                        let in_text = format!("{place}.type() == \"string\" && {place} like_regex {value} flag \"q\"");
                        format!("({}) || ({in_text})", in_list(place))
                    }),
                    false => any(&in_list),
                })
            }
            _ => Err(format!(
                "must use `$eq`, `$ne`, `$gt`, `$gte`, `$lt`, `$lte`, `$in` or `$contains` for a key, not `{}`; \
                 write `key.member` for a member of an object",
                shortened(operator)
            )),
        }
    }

    fn count(&mut self, places: &[String]) -> Result<(), String> {
        self.conditions += 1;
        self.comparisons += places.len();
        if self.conditions > CONDITIONS_MAX {
            return Err(format!("must have at most {CONDITIONS_MAX} conditions"));
        }
        match self.comparisons <= COMPARISONS_MAX {
            true => Ok(()),
            false => Err(format!(
                "must have at most {COMPARISONS_MAX} comparisons: a condition is 2 if its key has one dot, 4 with two \
                 dots, 8 with three"
            )),
        }
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

/// The `jsonpath` accessors of a key: the places where its value may be. A key without dots has one.
fn places(key: &str) -> Result<Vec<String>, String> {
    let parts: Vec<&str> = short(key)?.split('.').collect();
    if parts.len() > KEY_LEVELS_MAX {
        return Err(format!("must have keys of at most {KEY_LEVELS_MAX} levels"));
    }
    let path = |names: &[String]| -> String {
        names.iter().fold("$".to_owned(), |path, name| format!("{path}.{}", Value::from(name.as_str())))
    };
    if parts.len() > PARTS_JOINED_MAX {
        let names: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
        return Ok(vec![path(&names), path(&[key.to_owned()])]);
    }
    // Each part is a name of its own, or is joined to the part before.
    let mut readings: Vec<Vec<String>> = vec![Vec::new()];
    for part in parts {
        let joined: Vec<Vec<String>> = readings
            .iter()
            .filter_map(|names| {
                let (last, before) = names.split_last()?;
                Some([before, &[format!("{last}.{part}")]].concat())
            })
            .collect();
        readings.iter_mut().for_each(|names| names.push(part.to_owned()));
        readings.extend(joined);
    }
    Ok(readings.iter().map(|names| path(names)).collect())
}

fn short(text: &str) -> Result<&str, String> {
    match text.len() <= TEXT_BYTES_MAX {
        true => Ok(text),
        false => Err(format!("must have keys and texts of at most {TEXT_BYTES_MAX} bytes")),
    }
}

/// A missing key equals `null`: the value is at none of the places.
fn equal(places: &[String], operator: &str, value: &Value) -> Result<Expression, String> {
    let value = scalar(operator, value)?;
    let condition = |predicate: String| Expression::Condition(predicate);
    let mut parts: Vec<Expression> = places.iter().map(|place| condition(format!("{place} == {value}"))).collect();
    if value == "null" {
        parts.push(Expression::All(places.iter().map(|place| condition(format!("!exists({place})"))).collect()));
    }
    Ok(Expression::Any(parts))
}

fn scalar(operator: &str, value: &Value) -> Result<String, String> {
    match value {
        // A string has the same syntax in `jsonpath` and in JSON.
        Value::String(text) => short(text).map(|text| Value::from(text).to_string()),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        Value::Array(_) | Value::Object(_) => {
            Err(format!("must have texts, numbers, booleans or null in `{operator}`"))
        }
    }
}

fn ordered(operator: &str, value: &Value) -> Result<String, String> {
    match value {
        Value::String(_) | Value::Number(_) => scalar(operator, value),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            Err(format!("must have a number or a text in `{operator}`"))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(filter: Value) -> Result<Filter, String> {
        serde_json::from_value(filter).map_err(|error| error.to_string())
    }

    #[test]
    fn required_equalities_are_collected() {
        let filter = json!({
            "a": 1, "b": {"$eq": "x", "$ne": "y"}, "c.d": 1, "e": null,
            "$and": [{"f": true}, {"$not": {"g": 1}}], "$or": [{"h": 1}]
        });
        let required: Vec<String> = parse(filter).unwrap().equals().iter().map(|(key, _)| key.clone()).collect();
        assert_eq!(required, ["a", "b", "f"]);
    }

    #[test]
    fn a_dot_is_a_part_of_a_name_or_leads_into_an_object() {
        let of = |key: &str| places(key).unwrap();
        assert_eq!(of("a"), [r#"$."a""#]);
        assert_eq!(of("a.b"), [r#"$."a"."b""#, r#"$."a.b""#]);
        let all = [r#"$."a"."b"."c""#, r#"$."a.b"."c""#, r#"$."a"."b.c""#, r#"$."a.b.c""#];
        assert_eq!(of("a.b.c"), all);
        assert_eq!(of("a.b.c.d").len(), 8);
        assert_eq!(of("a.b.c.d.e"), [r#"$."a"."b"."c"."d"."e""#, r#"$."a.b.c.d.e""#]);
    }

    #[test]
    fn quotes_are_escaped() {
        let filter = parse(json!({"a\"b": "\" || 1 == 1 || \"\\"})).unwrap();
        assert_eq!(filter.0.path, r#"($."a\"b" == "\" || 1 == 1 || \"\\")"#);
    }

    #[test]
    fn malformed_filters_are_refused() {
        assert!(parse(json!({".".repeat(63): 1})).is_ok());
        let nested = |levels: usize| (1..levels).fold(json!({"a": 1}), |inner, _| json!({"$not": inner}));
        assert!(parse(nested(16)).is_ok());
        let many = |keys: usize| (0..keys).map(|key| (key.to_string(), json!(1))).collect::<Map<_, _>>();
        assert!(parse(many(256).into()).is_ok());
        assert!(parse(json!({"a.b.c": {"$in": vec![1; 255]}})).is_ok());
        assert!(parse(json!({"a.b.c.d": {"$in": vec![1; 127]}})).is_ok());
        for bad in [
            json!({"$where": "1"}),
            json!({"a": {"$regex": "x"}}),
            json!({"a": {"b": 1}}),
            json!({"a": {}}),
            json!({"a": [1]}),
            json!({"a": {"$in": 1}}),
            json!({"a": {"$in": [[1]]}}),
            json!({"a": {"$gt": true}}),
            json!({"a": {"$not": {"$eq": 1}}}),
            json!({"$and": []}),
            json!({"$or": {"a": 1}}),
            json!({"$and": [1]}),
            json!({"$not": [{"a": 1}]}),
            json!({"a": "x".repeat(1_025)}),
            json!({"x".repeat(1_025): 1}),
            json!({".x".repeat(600): 1}),
            json!({".".repeat(64): 1}),
            json!({"a": {"$in": vec![1; 256]}}),
            json!({"a": {"$in": vec!["x".repeat(1_000); 80]}}),
            json!({"a.b.c.d": {"$in": vec![1; 128]}}),
            nested(17),
            nested(100),
            many(10_000).into(),
        ] {
            let error = parse(bad.clone()).expect_err(&bad.to_string());
            assert!(error.starts_with("must "), "{error}");
        }
    }
}
