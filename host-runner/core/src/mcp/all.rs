//! A call of a tool that reads, for all clusters at once.

use std::sync::Arc;
use std::time::Duration;

use rmcp::model::{CallToolResult, ContentBlock};
use serde_json::{Map, Value, json};
use tokio::task::JoinSet;

use super::inner::Inner;
use super::running::{Caller, Event, Running};
use super::tool::{to_error, to_result};
use crate::ceiling::Ceiling;
use crate::engine::{Tool, ToolError, ToolResult};
use crate::offer::{Member, RESULTS};
use crate::render;
use crate::settings::Detail;

/// How long the results of the other clusters wait for one that does not answer: Proxmox VE
/// itself gives up on a node after 30 s.
const PATIENCE: Duration = Duration::from_secs(40);

/// What each cluster has answered, in the order of their names.
pub(super) struct Results(Vec<(Arc<str>, Result<ToolResult, ToolError>)>);

impl Inner {
    /// Calls a tool for all these clusters, and waits for all of them. If the future is
    /// dropped, the calls are cancelled.
    pub(super) async fn call_all(
        &self,
        tool: &Tool,
        members: &[Member],
        arguments: &str,
        caller: &Caller,
        shown: (Ceiling, Detail),
    ) -> Results {
        let shown = (shown.0.shared_by(members.len()), shown.1);
        let mut results: Vec<_> = Vec::new();
        let mut running = JoinSet::new();
        for (at, member) in members.iter().enumerate() {
            let started = async {
                let own = member.find(&tool.name).await?;
                let arguments = arguments.to_owned();
                let call = self.start(&member.catalog, own, arguments, false, caller, shown);
                call.await
            };
            let late = || ToolError::Unreachable("there was no answer in time".to_owned());
            results.push((Arc::clone(&member.name), Err(late())));
            match started.await {
                Ok(call) => {
                    running.spawn(async move { (at, ended(call).await) });
                }
                Err(error) => set(&mut results, at, Err(error)),
            }
        }
        let all = async {
            while let Some(answer) = running.join_next().await {
                if let Ok((at, answer)) = answer {
                    set(&mut results, at, answer);
                }
            }
        };
        // Those that have not answered keep their error.
        let _ = tokio::time::timeout(PATIENCE, all).await;
        Results(results)
    }
}

type Answers = Vec<(Arc<str>, Result<ToolResult, ToolError>)>;

fn set(results: &mut Answers, at: usize, answer: Result<ToolResult, ToolError>) {
    if let Some((_, result)) = results.get_mut(at) {
        *result = answer;
    }
}

async fn ended(mut call: Running) -> Result<ToolResult, ToolError> {
    loop {
        // Nothing that reads asks anybody.
        if let Event::Ended(answer) = call.next().await {
            return answer;
        }
    }
}

impl Results {
    /// As a client of MCP gets them: a section of the text for each cluster, or the JSON. An error only if
    /// no cluster has answered.
    pub(super) fn shown(self, tool: &Tool, (ceiling, detail): (Ceiling, Detail)) -> CallToolResult {
        let ceiling = ceiling.shared_by(self.0.len());
        let (mut sections, mut structured, mut any) = (Vec::new(), Vec::new(), false);
        for (name, answer) in self.0 {
            let shown = answer.and_then(|result| to_result(tool, result, detail, ceiling));
            let is_answer = shown.is_ok();
            any |= is_answer;
            let shown = shown.unwrap_or_else(|error| to_error(&error));
            let text = shown.content.first().and_then(|block| block.as_text());
            let text = text.map(|text| text.text.clone()).unwrap_or_default();
            sections.push(match is_answer {
                true => format!("## {name}\n{text}"),
                false => format!("## {name}: no result\n{text}"),
            });
            structured.push(match shown.structured_content {
                Some(result) if is_answer => json!({ "cluster": &*name, "result": result }),
                _ => json!({ "cluster": &*name, "error": text }),
            });
        }
        let sections = sections.join("\n\n");
        if !any {
            return CallToolResult::error(vec![ContentBlock::text(sections)]);
        }
        let structured = json!({ RESULTS: structured });
        let text = match detail {
            Detail::Concise => sections,
            Detail::Full => structured.to_string(),
        };
        let mut result = CallToolResult::success(vec![ContentBlock::text(text)]);
        result.structured_content = Some(structured);
        result
    }

    /// The structured result. An error only if no cluster has answered.
    pub(super) fn structured(self) -> Result<Map<String, Value>, ToolError> {
        let (mut structured, mut first) = (Vec::new(), None);
        let mut any = false;
        for (name, answer) in self.0 {
            match answer.and_then(|result| render::structured(&result)) {
                Ok(result) => {
                    any = true;
                    structured.push(json!({ "cluster": &*name, "result": result }));
                }
                Err(error) => {
                    let text = render::error_text(&error);
                    structured.push(json!({ "cluster": &*name, "error": text }));
                    first = first.or(Some(error));
                }
            }
        }
        match first {
            Some(error) if !any => Err(error),
            _ => Ok(Map::from_iter([(RESULTS.to_owned(), structured.into())])),
        }
    }
}
