//! What a call has returned, and when two outcomes are the same.

use serde_json::Value;

use crate::support::Answer;

/// Reals may differ by this part: the last digits of a mathematical function depend on the build of SQLite.
const TOLERANCE: f64 = 1e-12;
/// Members of a result that are compared, if both results have them.
const MEMBERS: [&str; 3] = ["rows", "rowsAffected", "lastInsertRowid"];

/// The result of each statement, or SQLite's message.
pub type Outcome = Result<Vec<Value>, Refused>;

#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    pub message: String,
    /// The number of the statement in its call.
    pub index: usize,
}

/// The outcome of a call. Panics with a problem that is not SQLite's.
pub fn outcome(answer: &Answer, request: &Value) -> Outcome {
    let mut body = answer.json();
    if answer.status.is_success() {
        let results = body["results"].take();
        return Ok(if let Value::Array(results) = results { results } else { vec![body] });
    }
    assert_eq!(body["code"], "sql-error", "{request}\n\n{body}");
    let pointer = body["errors"][0]["pointer"].as_str().unwrap();
    let index = pointer.split('/').find_map(|part| part.parse().ok()).unwrap_or_default();
    Err(Refused { message: body["detail"].as_str().unwrap().to_owned(), index })
}

/// What differs, with the statement.
pub fn difference(statements: &[&str], ours: &Outcome, native: &Outcome) -> Option<String> {
    match (ours, native) {
        (Err(ours), Err(native)) if ours == native => None,
        (Ok(ours), Ok(native)) => {
            assert_eq!(ours.len(), native.len(), "{statements:#?}");
            let mut each = statements.iter().zip(ours.iter().zip(native));
            let (statement, (ours, native)) = each.find(|(_, (ours, native))| !are_same(ours, native))?;
            Some(format!("{statement}\n\nours: {ours}\n\nnative: {native}\n\nof the call {statements:#?}"))
        }
        (Ok(_) | Err(_), _) => Some(format!("{statements:#?}\n\nours: {ours:?}\n\nnative: {native:?}")),
    }
}

fn are_same(ours: &Value, native: &Value) -> bool {
    let names = ours["columns"].as_array().unwrap().iter().map(|column| &column["name"]);
    let mut members = MEMBERS.iter().filter(|member| ours.get(**member).is_some());
    names.eq(native["columns"].as_array().unwrap())
        && members.all(|member| same_values(&ours[*member], &native[*member]))
}

/// Whether values are equal, except for the last digits of reals.
pub fn same_values(ours: &Value, native: &Value) -> bool {
    match (ours, native) {
        (Value::Array(ours), Value::Array(native)) => {
            ours.len() == native.len() && ours.iter().zip(native).all(|(ours, native)| same_values(ours, native))
        }
        (Value::Number(left), Value::Number(right)) if left.is_f64() && right.is_f64() => {
            let (left, right) = (left.as_f64().unwrap(), right.as_f64().unwrap());
            left == right || (left - right).abs() <= TOLERANCE * left.abs().max(right.abs())
        }
        _ => ours == native,
    }
}
