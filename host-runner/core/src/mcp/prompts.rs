//! `prompts/list` and `prompts/get`.

use rmcp::ErrorData;
use rmcp::model::{
    GetPromptRequestParams, GetPromptResult, Prompt as McpPrompt, PromptArgument, PromptMessage,
    Role,
};

use super::inner::Inner;
use super::unknown::unknown_prompt;
use crate::guide::{Argument, Prompt};

impl Inner {
    /// A prompt with its arguments filled in.
    pub(super) async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
    ) -> Result<GetPromptResult, ErrorData> {
        let guide = self.guide().await?;
        let prompt = guide.prompt(&request.name);
        let prompt = prompt.ok_or_else(|| unknown_prompt(guide, &request.name))?;
        let values = request.arguments.unwrap_or_default();
        let text = prompt.fill(&values);
        let text = text.map_err(|error| ErrorData::invalid_params(error.to_string(), None))?;
        let message = PromptMessage::new_text(Role::User, text);
        let result = GetPromptResult::new(vec![message]);
        Ok(match prompt.description.is_empty() {
            true => result,
            false => result.with_description(&prompt.description),
        })
    }
}

/// A prompt as clients see it.
pub(super) fn to_mcp(prompt: &Prompt) -> McpPrompt {
    let argument = |one: &Argument| {
        let mut argument = PromptArgument::new(&one.name).with_required(one.required);
        argument.title = some(&one.title);
        argument.description = some(&one.description);
        argument
    };
    let arguments: Vec<_> = prompt.arguments.iter().map(argument).collect();
    let arguments = (!arguments.is_empty()).then_some(arguments);
    let description = some(&prompt.description);
    McpPrompt::new(&prompt.name, description, arguments).with_title(&prompt.title)
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
