//! The arguments of a call.

use serde_json::{Map, Value};

use crate::bindings::{ArgumentProblem, InvalidArguments, ToolError};

/// The arguments of a call.
pub(crate) struct Arguments(pub(crate) Map<String, Value>);

impl Arguments {
    pub(crate) fn parse(json: &str) -> Result<Self, ToolError> {
        let json = if json.is_empty() { "{}" } else { json };
        match serde_json::from_str(json) {
            Ok(Value::Object(arguments)) => Ok(Self(arguments)),
            _ => Err(invalid("", "the arguments are no JSON object")),
        }
    }

    /// A required text.
    pub(crate) fn text(&self, name: &str) -> Result<&str, ToolError> {
        self.0
            .get(name)
            .and_then(Value::as_str)
            .ok_or_else(|| invalid(&format!("/{name}"), "a string is needed"))
    }

    /// A required number.
    pub(crate) fn number(&self, name: &str) -> Result<usize, ToolError> {
        self.0
            .get(name)
            .and_then(Value::as_u64)
            .and_then(|number| usize::try_from(number).ok())
            .ok_or_else(|| invalid(&format!("/{name}"), "a number is needed"))
    }

    /// Names with lists of texts.
    pub(crate) fn lists(&self, name: &str) -> Vec<(&str, &str)> {
        let lists = self.0.get(name).and_then(Value::as_object);
        let lists = lists.into_iter().flatten();
        lists
            .flat_map(|(key, values)| {
                let values = values.as_array().into_iter().flatten();
                values.filter_map(|value| Some((key.as_str(), value.as_str()?)))
            })
            .collect()
    }

    /// A text that may be left out.
    pub(crate) fn optional_text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }
}

pub(crate) fn invalid(pointer: &str, message: &str) -> ToolError {
    ToolError::InvalidArguments(InvalidArguments {
        message: message.to_owned(),
        problems: vec![ArgumentProblem {
            pointer: pointer.to_owned(),
            message: message.to_owned(),
        }],
    })
}
