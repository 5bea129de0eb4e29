//! Common parts of the tests against a model.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;

use super::Answer;

/// The expected answer of a call: the members to compare, or the code of a problem.
pub type Expected = Result<Value, &'static str>;

/// Runs random cases, all with the same setup.
pub fn run_cases<S, T: std::fmt::Debug>(
    set_up: impl Future<Output = S>,
    strategy: &impl Strategy<Value = T>,
    case: impl AsyncFn(&S, T) -> Result<(), TestCaseError>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let set_up = runtime.block_on(set_up);
    let mut runner = TestRunner::new(Config { cases: 64, failure_persistence: None, ..Config::default() });
    runner.run(strategy, |input| runtime.block_on(case(&set_up, input))).unwrap();
}

/// The body of an answer, or the code of a problem.
pub fn outcome(answer: Answer) -> Result<Value, String> {
    if answer.status.is_success() {
        return Ok(answer.ok());
    }
    Err(answer.json()["code"].as_str().unwrap().to_owned())
}

/// The members of `answer` that `expected` has.
pub fn narrowed(answer: Value, expected: &Value) -> Value {
    match (answer, expected) {
        (Value::Object(mut answer), Value::Object(expected)) => expected
            .iter()
            .map(|(key, expected)| (key.clone(), narrowed(answer.remove(key).unwrap_or_default(), expected)))
            .collect(),
        (Value::Array(answers), Value::Array(expected)) if answers.len() == expected.len() => {
            answers.into_iter().zip(expected).map(|(answer, expected)| narrowed(answer, expected)).collect()
        }
        (answer, _) => answer,
    }
}

/// Compares an answer with the model's.
pub fn compare(answer: Answer, expected: &Expected, op: &impl std::fmt::Debug) -> Result<(), TestCaseError> {
    let answer = outcome(answer);
    match expected {
        Ok(expected) => {
            prop_assert_eq!(answer.map(|answer| narrowed(answer, expected)), Ok(expected.clone()), "{:?}", op)
        }
        Err(code) => prop_assert_eq!(answer, Err((*code).to_owned()), "{:?}", op),
    }
    Ok(())
}
