//! Faults on demand: what networks, proxies and nodes do wrong.

use pve_api::Method;
use regex::Regex;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// What goes wrong.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Kind {
    /// The answer comes late.
    Latency { ms: u64 },
    /// The connection is cut before the request is handled.
    Cut,
    /// The request is handled, and the connection cut before the answer.
    CutAfter,
    /// Half of the body is sent, then the connection is cut.
    HalfBody,
    /// A body that is no JSON.
    Garbage,
    /// An error of something in between, such as a reverse proxy.
    Status {
        code: u16,
        #[serde(default)]
        reason: Option<String>,
        #[serde(default)]
        body: String,
    },
    /// A redirect.
    Redirect {
        url: String,
        #[serde(default = "found")]
        code: u16,
    },
    /// A valid body of at least that many bytes.
    Huge { bytes: usize },
    /// The body comes in small pieces, one per `ms`.
    Drip { ms: u64 },
    /// The request is taken, and nothing ever comes back.
    Hang,
    /// The simulated time moves on before the request is handled.
    Advance { seconds: f64 },
    /// The daemons restart: this request is the first to fail, and all others fail for `ms`.
    Outage {
        ms: u64,
        /// A status to answer, instead of closing the port.
        #[serde(default)]
        answer: Option<u16>,
        /// This request is handled; only its answer is lost.
        #[serde(default)]
        after: bool,
    },
}

fn found() -> u16 {
    302
}

/// A fault and when it strikes.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    method: Option<Method>,
    path: Option<Regex>,
    times: u32,
    skip: u32,
}

/// A task of that type ends otherwise.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TaskFault {
    pub(crate) task: String,
    /// The exit status of the failure; its effects do not happen.
    #[serde(default)]
    pub(crate) error: Option<String>,
    /// Ends with that many warnings.
    #[serde(default)]
    pub(crate) warnings: u32,
    #[serde(default = "once")]
    pub(crate) times: u32,
}

fn once() -> u32 {
    1
}

/// Either sort, as `--fault` or a control line gives it.
pub(crate) enum AnyFault {
    Request(Fault),
    Task(TaskFault),
}

impl AnyFault {
    /// `kind=cut,method=POST,path=/clone$,times=1`, or the same as a JSON object.
    pub(crate) fn parse(text: &str) -> Result<AnyFault, String> {
        if text.trim_start().starts_with('{') {
            let fields =
                serde_json::from_str(text).map_err(|error| format!("fault '{text}': {error}"))?;
            return AnyFault::from_fields(fields);
        }
        let mut fields = Map::new();
        for part in text.split(',') {
            let (key, value) = part.split_once('=').unwrap_or(("kind", part));
            let value = match key {
                "ms" | "code" | "answer" | "bytes" | "times" | "skip" | "warnings" => value
                    .parse::<u64>()
                    .map(|number| json!(number))
                    .map_err(|_| format!("fault '{text}': {key} is not a number"))?,
                "seconds" => value
                    .parse::<f64>()
                    .map(|number| json!(number))
                    .map_err(|_| format!("fault '{text}': {key} is not a number"))?,
                "after" => json!(value == "true"),
                _ => json!(value),
            };
            fields.insert(key.to_owned(), value);
        }
        AnyFault::from_fields(fields)
    }

    pub(crate) fn from_fields(mut fields: Map<String, Value>) -> Result<AnyFault, String> {
        if fields.contains_key("task") {
            return serde_json::from_value(Value::Object(fields))
                .map(AnyFault::Task)
                .map_err(|error| error.to_string());
        }
        let number = |value: Option<Value>, default: u32| {
            value
                .and_then(|value| value.as_u64())
                .and_then(|value| u32::try_from(value).ok())
                .unwrap_or(default)
        };
        let times = number(fields.remove("times"), 1);
        let skip = number(fields.remove("skip"), 0);
        let method = match fields.remove("method") {
            None => None,
            Some(name) => {
                let name = name.as_str().unwrap_or_default();
                Some(Method::parse(name).ok_or_else(|| format!("no such method '{name}'"))?)
            }
        };
        let path = match fields.remove("path") {
            None => None,
            Some(pattern) => Some(
                Regex::new(pattern.as_str().unwrap_or_default())
                    .map_err(|error| format!("path: {error}"))?,
            ),
        };
        let kind =
            serde_json::from_value(Value::Object(fields)).map_err(|error| error.to_string())?;
        Ok(AnyFault::Request(Fault {
            kind,
            method,
            path,
            times,
            skip,
        }))
    }
}

/// The fault that strikes this request, if any.
pub(crate) fn strike(faults: &mut [Fault], method: Method, path: &str) -> Option<Kind> {
    for fault in faults {
        let meant = fault.method.is_none_or(|meant| meant == method)
            && fault
                .path
                .as_ref()
                .is_none_or(|pattern| pattern.is_match(path));
        if !meant || fault.times == 0 {
            continue;
        }
        if fault.skip > 0 {
            fault.skip -= 1;
            continue;
        }
        fault.times -= 1;
        return Some(fault.kind.clone());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_strike_where_and_as_often_as_they_say() {
        let Ok(AnyFault::Request(fault)) =
            AnyFault::parse("kind=cut,method=POST,path=/clone$,times=2,skip=1")
        else {
            panic!("no request fault")
        };
        let mut faults = [fault];
        assert!(strike(&mut faults, Method::Get, "/nodes/pve1/qemu/100/clone").is_none());
        assert!(strike(&mut faults, Method::Post, "/x/clone").is_none());
        assert!(strike(&mut faults, Method::Post, "/x/clone").is_some());
        assert!(strike(&mut faults, Method::Post, "/x/clone").is_some());
        assert!(strike(&mut faults, Method::Post, "/x/clone").is_none());
    }

    #[test]
    fn task_faults_and_mistakes_are_told_apart() {
        assert!(matches!(
            AnyFault::parse("task=qmclone,error=no space left"),
            Ok(AnyFault::Task(_))
        ));
        assert!(matches!(
            AnyFault::parse(r#"{"kind":"status","code":502,"body":"<html>"}"#),
            Ok(AnyFault::Request(_))
        ));
        assert!(AnyFault::parse("kind=nonsense").is_err());
        assert!(AnyFault::parse("kind=latency,ms=soon").is_err());
    }
}
