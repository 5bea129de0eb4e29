"""Writes the program that calls the client of openapi-generator, rust: an arm for each function of the client."""

import re
from pathlib import Path

sources = sorted(Path("clients/rust/src/apis").glob("*_api.rs"))
function = re.compile(r"pub async fn (?:r#)?(\w+)\(configuration: &configuration::Configuration(?:, )?(.*?)\) -> Result<(.*?), Error<")
arms = []
for source in sources:
    for name, parameters, result in function.findall(source.read_text()):
        values = []
        for parameter in filter(None, parameters.split(", ")):
            name_of, of_type = (part.strip() for part in parameter.split(":", 1))
            name_of = name_of.removeprefix("r#")
            if of_type.startswith("Option<models::") and "Body" not in of_type:
                values.append("body(&call)?")
            elif of_type.startswith("Option<"):
                values.append("None")
            elif of_type.startswith("models::"):
                values.append("body(&call)?.ok_or(\"no body\")?")
            elif of_type == "&str":
                values.append(f'&param(&call, "{name_of}")')
            elif of_type == "std::path::PathBuf":
                values.append("std::path::PathBuf::new()")
            else:
                values.append(f'param(&call, "{name_of}").parse()?')
        arguments = ", ".join(["&configuration", *values])
        arms.append(f'        "{name}" => json(apis::{source.stem}::{name}({arguments}).await{".map(drop)" if "reqwest::Response" in result else ""}),')

Path("clients/rust/src/main.rs").write_text(
    """#![recursion_limit = "512"]
use openapi::apis::{self, configuration::Configuration};
use serde_json::{Value, json};

type Failure = Box<dyn std::error::Error>;

fn param(call: &Value, name: &str) -> String {
    call["params"][name].as_str().unwrap_or_default().to_owned()
}

fn body<T: serde::de::DeserializeOwned>(call: &Value) -> Result<Option<T>, Failure> {
    Ok(serde_json::from_value(call["body"].clone())?)
}

fn json<T: serde::Serialize, E: std::fmt::Debug>(result: Result<T, apis::Error<E>>) -> Result<Value, Failure> {
    let result = result.map_err(|error| format!("{error:?}"))?;
    Ok(serde_json::to_value(result)?)
}

fn snake(name: &str) -> String {
    name.chars().flat_map(|c| if c.is_ascii_uppercase() { vec!['_', c.to_ascii_lowercase()] } else { vec![c] }).collect()
}

async fn send(call: Value) -> Result<Value, Failure> {
    let mut configuration = Configuration::new();
    configuration.base_path = call["url"].as_str().unwrap_or_default().to_owned();
    configuration.bearer_access_token = call["token"].as_str().map(str::to_owned);
    match snake(call["operation"].as_str().unwrap_or_default()).as_str() {
"""
    + "\n".join(arms)
    + """
        other => Err(format!("no function {other}").into()),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    for line in std::io::stdin().lines() {
        let call = serde_json::from_str(&line.unwrap()).unwrap();
        let answer = match send(call).await {
            Ok(result) => json!({"result": result}),
            Err(error) => json!({"error": error.to_string()}),
        };
        println!("{answer}");
    }
}
"""
)
