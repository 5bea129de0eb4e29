//! A problem that occurred.

use std::borrow::Cow;

use actix_web::http::header::HeaderValue;
use serde::{Deserialize as _, Serialize};
use serde_json::{Map, Value};

use super::catalogue::Code;
use crate::number::Integers;
use crate::time::Time;

/// One invalid value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct InvalidField {
    /// Position of the value: a JSON pointer (RFC 6901) into the body. Path and query parameters count as members.
    #[schema(example = "/amount")]
    pub pointer: String,
    /// Reason why the value is invalid.
    #[schema(example = "must be an integer of 64 bits")]
    pub detail: String,
}

/// The members that are wide integers: values and bounds of counters, and fences.
const WIDE_MEMBERS: &[&str] = &["value", "min", "max", "fence"];

/// A JSON pointer (RFC 6901).
pub(crate) fn pointer<T: AsRef<str>>(path: impl IntoIterator<Item = T>) -> String {
    path.into_iter().map(|segment| format!("/{}", segment.as_ref().replace('~', "~0").replace('/', "~1"))).collect()
}

/// A problem that occurred. It is boxed, because most results contain one.
#[derive(Clone, Debug)]
pub struct Problem(Box<Occurrence>);

#[derive(Clone, Debug)]
struct Occurrence {
    code: Code,
    detail: Cow<'static, str>,
    errors: Vec<InvalidField>,
    members: Map<String, Value>,
    allow: Option<HeaderValue>,
}

impl Problem {
    /// A problem with the title and the advice of its code.
    #[must_use]
    pub fn new(code: Code) -> Self {
        let detail = Cow::Borrowed(code.advice());
        Self(Box::new(Occurrence { code, detail, errors: Vec::new(), members: Map::new(), allow: None }))
    }

    /// Replaces the advice by a text about this occurrence.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.0.detail = detail.into();
        self
    }

    /// Adds one invalid value.
    #[must_use]
    pub fn field(mut self, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        self.0.errors.push(InvalidField { pointer: pointer.into(), detail: detail.into() });
        self
    }

    /// Puts a prefix before the pointers of its invalid values.
    #[must_use]
    pub fn within(mut self, pointer: &str) -> Self {
        for error in &mut self.0.errors {
            error.pointer.insert_str(0, pointer);
        }
        self
    }

    /// Its invalid values.
    pub(crate) fn errors_mut(&mut self) -> &mut [InvalidField] {
        &mut self.0.errors
    }

    /// Adds a member.
    #[must_use]
    pub fn member(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.members.insert(name.to_owned(), value.into());
        self
    }

    /// The problem of a path that takes other methods, which `allow` lists.
    #[must_use]
    pub fn method_not_allowed(allow: &str) -> Self {
        let mut problem = Self::new(Code::MethodNotAllowed).detail(format!("The path supports {allow}."));
        problem.0.allow = HeaderValue::from_str(allow).ok();
        problem
    }

    /// Writes its members that are wide integers so.
    #[must_use]
    pub fn with_integers(mut self, integers: Integers) -> Self {
        if integers == Integers::Strings {
            for (name, value) in &mut self.0.members {
                if WIDE_MEMBERS.contains(&name.as_str()) && value.is_number() {
                    *value = value.to_string().into();
                }
            }
        }
        self
    }

    /// The problem that a method in SQL returned: `{"code": .., "detail"?: .., "errors"?: [..], ..members}`.
    #[must_use]
    pub fn from_sql(mut members: Map<String, Value>) -> Self {
        let slug = members.remove("code");
        let Some(code) = slug.as_ref().and_then(Value::as_str).and_then(Code::from_slug) else {
            tracing::error!(?slug, "a method answered a problem that is not in the catalogue");
            return Self::new(Code::Internal);
        };
        let mut problem = Self::new(code);
        if let Some(Value::String(detail)) = members.remove("detail") {
            problem.0.detail = Cow::Owned(detail);
        }
        if let Some(errors) = members.remove("errors") {
            problem.0.errors = serde_json::from_value(errors).unwrap_or_default();
        }
        for (name, value) in &mut members {
            // PostgreSQL and Rust write times differently.
            if name.ends_with("At")
                && let Ok(time) = Time::deserialize(&*value)
            {
                *value = serde_json::json!(time);
            }
        }
        problem.0.members = members;
        problem
    }

    /// Its code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// One of its members.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.members.get(name)
    }

    /// The methods that the path takes, for the header `Allow`.
    #[must_use]
    pub fn allow(&self) -> Option<&HeaderValue> {
        self.0.allow.as_ref()
    }

    /// What went wrong. The invalid values, unless this occurrence has a text: many clients show nothing else.
    fn shown_detail(&self) -> Cow<'_, str> {
        let Occurrence { code, detail, errors, .. } = &*self.0;
        if errors.is_empty() || detail != code.advice() {
            return Cow::Borrowed(detail);
        }
        let causes = errors.iter().map(|InvalidField { pointer, detail }| match pointer.as_str() {
            "" => format!("{detail}."),
            pointer => format!("{pointer}: {detail}."),
        });
        Cow::Owned(causes.collect::<Vec<_>>().join(" "))
    }

    /// The members of the answer. `instance` is the id of the request.
    #[must_use]
    pub fn body(&self, instance: Option<String>) -> Map<String, Value> {
        let mut body = Map::new();
        let code = self.0.code;
        body.insert("type".into(), format!("/problems#{}", code.slug()).into());
        body.insert("title".into(), code.title().into());
        body.insert("status".into(), code.status().as_u16().into());
        body.insert("detail".into(), self.shown_detail().into());
        if let Some(id) = instance {
            body.insert("instance".into(), id.into());
        }
        body.insert("code".into(), code.slug().into());
        if !self.0.errors.is_empty() {
            body.insert("errors".into(), serde_json::json!(self.0.errors));
        }
        body.extend(self.0.members.clone());
        body
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.0.code.slug(), self.shown_detail())
    }
}

impl std::error::Error for Problem {}
