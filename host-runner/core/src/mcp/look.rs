//! Calls of tools that read, for what a client asks for by another method than
//! `tools/call`. They are calls like any other: offer, policy, scope, limits and audit
//! log apply.

use std::sync::Arc;

use rmcp::ErrorData;
use serde_json::{Map, Value, json};

use super::inner::Inner;
use super::refusal::blame;
use super::running::{Caller, Event};
use super::suggestions::Cell;
use crate::ceiling::Ceiling;
use crate::engine::ToolError;
use crate::guide::{CLUSTER, SuggestedValues, Suggestion, Values};
use crate::render;
use crate::settings::Detail;

/// Why a read failed.
#[derive(Debug)]
pub(super) enum LookError {
    /// The server's settings cannot be used.
    Fault(String),
    /// The component cannot be used, so nothing was called.
    Start(ToolError),
    /// The tool failed.
    Tool(ToolError),
}

impl Inner {
    /// The structured result of a tool.
    pub(super) async fn look(
        &self,
        tool: &str,
        arguments: Map<String, Value>,
        ceiling: Ceiling,
        caller: &Caller,
    ) -> Result<Value, LookError> {
        if let Some(fault) = &self.fault {
            return Err(LookError::Fault(fault.clone()));
        }
        self.backlog.room().await;
        let offer = self.catalog.offer().await;
        let offer = offer.map_err(|error| LookError::Fault(error.to_string()))?;
        let tool = offer
            .find(tool)
            .map_err(|error| LookError::Tool(ToolError::UnknownTool(error.to_string())))?;
        let mut arguments = arguments;
        let target = self.catalog.target(tool, &mut arguments).await;
        let arguments = Value::Object(arguments).to_string();
        let target = target.map_err(LookError::Tool)?;
        let one = target.one(tool).await.map_err(LookError::Tool)?;
        let of_all = || LookError::Tool(ToolError::Internal("this is of one cluster".to_owned()));
        let (catalog, own) = one.ok_or_else(of_all)?;
        let shown = (ceiling, Detail::Full);
        let call = self.start(catalog, own, arguments, false, caller, shown);
        let call = call.await;
        let mut call = call.map_err(LookError::Start)?;
        loop {
            // Nothing that reads asks anybody.
            if let Event::Ended(answer) = call.next().await {
                let answer = answer.and_then(|result| render::structured(&result));
                return answer.map(Value::Object).map_err(LookError::Tool);
            }
        }
    }

    /// The values of an argument in a cluster, while these others are known. Those that were read without
    /// an entry in the audit log are not kept: who asks next must get one.
    pub(super) async fn suggested(
        &self,
        suggestion: &Suggestion,
        known: &Values,
        cluster: Option<&Value>,
        caller: &Caller,
    ) -> Result<Arc<SuggestedValues>, LookError> {
        let Some(mut arguments) = suggestion.arguments(known) else {
            return Ok(Arc::default());
        };
        if let Some(cluster) = cluster {
            arguments.insert(CLUSTER.to_owned(), cluster.clone());
        }
        let key = Value::Object(arguments.clone());
        let of = caller.remote.as_ref();
        let user = of.and_then(|of| of.user.as_deref()).unwrap_or_default();
        let key = format!("{} {user} {key}", suggestion.argument());
        let cell = match caller.occasion {
            Some(_) => self.suggestions.cell(key),
            None => Cell::default(),
        };
        let read = || async {
            let mut values = SuggestedValues::default();
            let mut next = Some(arguments);
            while let Some(arguments) = next {
                let again = arguments.clone();
                let result = self.look(suggestion.tool(), arguments, Ceiling::unread(), caller);
                suggestion.add(&result.await?, &mut values);
                next = suggestion.next(again, &values);
            }
            Ok(Arc::new(values))
        };
        cell.get_or_try_init(read).await.cloned()
    }
}

impl LookError {
    /// What the client gets, for the resource of a URI where it is about one.
    pub(super) fn into_error(self, uri: Option<&str>) -> ErrorData {
        let error = match self {
            Self::Fault(fault) => return ErrorData::internal_error(blame(&fault), None),
            Self::Tool(error) | Self::Start(error) => error,
        };
        let text = render::error_text(&error);
        let data = uri.map(|uri| json!({ "uri": uri }));
        match error {
            ToolError::NotFound(_) if uri.is_some() => ErrorData::resource_not_found(text, data),
            ToolError::InvalidArguments(_) | ToolError::NotFound(_) | ToolError::UnknownTool(_) => {
                ErrorData::invalid_params(text, data)
            }
            _ => ErrorData::internal_error(text, data),
        }
    }

    /// For the log.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Fault(fault) => fault.clone(),
            Self::Tool(error) | Self::Start(error) => render::error_text(error),
        }
    }

    /// Whether the cause may be gone soon, and says nothing of what was asked for. A refusal
    /// is one of these: the scope of a request that cannot be looked up in time is refused.
    pub(super) fn passes(&self) -> bool {
        match self {
            Self::Fault(_) | Self::Start(_) => true,
            Self::Tool(error) => matches!(
                error,
                ToolError::Unreachable(_)
                    | ToolError::Unauthorized(_)
                    | ToolError::Internal(_)
                    | ToolError::Denied(_)
                    | ToolError::Conflict(_)
            ),
        }
    }

    /// Whether the policy or the state of a guest forbids it, while other reads may succeed.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Tool(ToolError::Denied(_) | ToolError::Conflict(_))
        )
    }

    /// Whether a tool was called, so that the audit log can have an entry.
    pub(super) fn was_called(&self) -> bool {
        matches!(self, Self::Tool(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_gone_counts_as_gone() {
        let text = || "why".to_owned();
        for error in [
            ToolError::Unreachable(text()),
            ToolError::Denied(text()),
            ToolError::Conflict(text()),
            ToolError::Internal(text()),
        ] {
            assert!(LookError::Tool(error).passes());
        }
        assert!(!LookError::Tool(ToolError::NotFound(text())).passes());
        assert!(LookError::Tool(ToolError::Denied(text())).is_refusal());
        assert!(!LookError::Tool(ToolError::Unreachable(text())).is_refusal());
        // Nothing is in the audit log yet.
        assert!(!LookError::Fault(text()).was_called());
        assert!(!LookError::Start(ToolError::Internal(text())).was_called());
        assert!(LookError::Tool(ToolError::Denied(text())).was_called());
    }
}
