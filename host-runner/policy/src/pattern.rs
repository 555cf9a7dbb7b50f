//! An expert's rule: a method and a path with wildcards.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use pve_api::{API_PATH, Call, Method};

use super::request::ApiRequest;

/// `GET /nodes/*/disks/**`: `*` is any segment, `**` at the end any number of
/// them, also none. The method may be `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    method: Option<Method>,
    segments: Vec<String>,
    open: bool,
}

impl Pattern {
    /// Whether it covers a request.
    pub fn matches(&self, request: &ApiRequest) -> bool {
        let segments = request.segments.iter().map(String::as_str);
        self.compare(request.method, segments, is_same)
    }

    /// Whether it covers every request of a call.
    pub(crate) fn covers(&self, call: &Call) -> bool {
        self.compare(call.method(), call.segments(), is_same)
    }

    /// Whether it covers a request of a call.
    pub(crate) fn overlaps(&self, call: &Call) -> bool {
        self.compare(call.method(), call.segments(), |wanted, segment| {
            is_same(wanted, segment) || segment.starts_with('{')
        })
    }

    fn compare<'a>(
        &self,
        method: Method,
        mut segments: impl Iterator<Item = &'a str>,
        fits: impl Fn(&str, &str) -> bool,
    ) -> bool {
        self.method.is_none_or(|own| own == method)
            && self
                .segments
                .iter()
                .all(|wanted| segments.next().is_some_and(|segment| fits(wanted, segment)))
            && (self.open || segments.next().is_none())
    }
}

fn is_same(wanted: &str, segment: &str) -> bool {
    wanted == "*" || wanted == segment
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong =
            |why: &str| format!("{text:?} {why}: write a rule as \"GET /nodes/*/disks/**\"");
        let (method, path) = text
            .trim()
            .split_once(' ')
            .ok_or_else(|| wrong("has no method"))?;
        let method = match method {
            "*" => None,
            method => Some(Method::parse(method).ok_or_else(|| {
                wrong("has a method that is not one of GET, POST, PUT, DELETE or *")
            })?),
        };
        let path = path.trim();
        let below = path.strip_prefix(API_PATH);
        let path = below
            .filter(|path| path.starts_with('/'))
            .unwrap_or(path)
            .strip_prefix('/')
            .ok_or_else(|| wrong("has a path without a leading slash"))?;
        let (path, open) = match path.strip_suffix("**") {
            Some(path) => (path.strip_suffix('/').unwrap_or(path), true),
            None => (path, false),
        };
        let segments: Vec<String> = if path.is_empty() {
            Vec::new()
        } else {
            path.split('/').map(str::to_owned).collect()
        };
        let plain = |segment: &String| {
            segment == "*"
                || !segment.is_empty()
                    && !segment.contains(['*', '%', '?', '#', '\\'])
                    && segment.chars().all(|c| c.is_ascii_graphic())
        };
        if !segments.iter().all(plain) || (segments.is_empty() && !open) {
            return Err(wrong("has an empty segment, or a wildcard within one"));
        }
        Ok(Self {
            method,
            segments,
            open,
        })
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Pattern {
    fn schema_name() -> Cow<'static, str> {
        "Pattern".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": r"^(GET|POST|PUT|DELETE|\*) /[^%?#\\ ]*$"
        })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} /{}",
            self.method.map_or("*", Method::as_str),
            self.segments.join("/")
        )?;
        if self.open {
            f.write_str(if self.segments.is_empty() {
                "**"
            } else {
                "/**"
            })?;
        }
        Ok(())
    }
}
