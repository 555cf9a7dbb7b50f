//! From a function's arguments to a call.

use adapter_common::{Answer, Failure};
use serde_json::{Map, Value};

/// The arguments of a call, as the tools component takes them.
#[derive(Debug, Default)]
pub(crate) struct Arguments(Map<String, Value>);

impl Arguments {
    /// An argument that the function has a parameter for.
    pub(crate) fn required(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    /// An argument out of `options`. Fails where it is given twice: which one
    /// is meant cannot be known.
    pub(crate) fn option(&mut self, name: &str, value: impl Into<Value>) -> Result<(), String> {
        match self.0.insert(name.to_owned(), value.into()) {
            None => Ok(()),
            Some(_) => Err(format!(
                "error (invalid-arguments): the option {:?} is given more than once",
                name.replace('_', "-")
            )),
        }
    }

    /// Calls the tool: its result as JSON text, or an error as text.
    #[cfg(target_family = "wasm")]
    pub(crate) fn call(self, tool: &str) -> Result<String, String> {
        outcome(adapter_common::call(
            tool,
            &Value::Object(self.0).to_string(),
        ))
    }
}

/// Hosts show an error as the text that it is, so it says that it is one.
fn outcome(result: Result<Answer, Failure>) -> Result<String, String> {
    match result {
        Ok(answer) => Ok(answer.structured),
        Err(failure) => Err(format!("error ({}): {}", failure.kind, failure.text())),
    }
}

/// A record's fields; those that are null are left out.
pub(crate) fn record<const N: usize>(fields: [(&str, Value); N]) -> Value {
    fields
        .into_iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| (name.to_owned(), value))
        .collect::<Map<_, _>>()
        .into()
}

#[cfg(test)]
mod tests {
    use adapter_common::Kind;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_empty_is_given_and_what_is_absent_is_not() {
        let mut arguments = Arguments::default().required("vmid", 100_u64);
        arguments.option("description", String::new()).unwrap();
        arguments.option("wait", false).unwrap();
        arguments.option("tags", Vec::<String>::new()).unwrap();
        assert_eq!(
            Value::Object(arguments.0),
            json!({ "vmid": 100, "description": "", "wait": false, "tags": [] })
        );
        let fields = [
            ("nic", "net0".into()),
            ("ipv4", Option::<String>::None.into()),
        ];
        assert_eq!(record(fields).to_string(), r#"{"nic":"net0"}"#);
    }

    #[test]
    fn an_option_given_twice_is_refused() {
        let mut arguments = Arguments::default();
        arguments.option("timeout_seconds", 1_u64).unwrap();
        let error = arguments.option("timeout_seconds", 2_u64).unwrap_err();
        assert!(
            error.contains("\"timeout-seconds\" is given more than once"),
            "{error}"
        );
    }

    #[test]
    fn an_error_reads_as_one() {
        let failure = Failure::new(Kind::NotFound, "there is no guest 999");
        assert_eq!(
            outcome(Err(failure)),
            Err("error (not-found): there is no guest 999".to_owned())
        );
    }
}
