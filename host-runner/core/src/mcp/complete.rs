//! `completion/complete`: values for the variables of resources and the arguments of
//! prompts.

use rmcp::ErrorData;
use rmcp::model::{CompleteRequestParams, CompleteResult, CompletionInfo, Reference};

use serde_json::Value;

use super::inner::Inner;
use super::running::Caller;
use super::unknown::{cut, unknown_prompt, unknown_resource};
use crate::guide::{Guide, SuggestedValues, Values, fitting};

impl Inner {
    /// Values that fit what the user has typed so far. None where nothing lists them,
    /// or while an argument that they depend on is not known.
    pub(super) async fn complete(
        &self,
        request: CompleteRequestParams,
        caller: &Caller,
    ) -> Result<CompleteResult, ErrorData> {
        let guide = self.guide().await?;
        let argument = request.argument.name.as_str();
        check(guide, &request.r#ref, argument)?;
        let cluster = cluster(guide, &request.r#ref);
        if cluster.is_none() && self.catalog.is_several() {
            // It is not known of which cluster a prompt will be.
            return completion(&SuggestedValues::default(), "");
        }
        let Some(suggestion) = guide.suggestion(argument) else {
            return completion(&SuggestedValues::default(), "");
        };
        let context = request.context.and_then(|context| context.arguments);
        let known: Values = context.unwrap_or_default().into_iter().collect();
        let values = self.suggested(suggestion, &known, cluster, caller).await;
        let values = values.map_err(|error| error.into_error(None))?;
        completion(&values, &request.argument.value)
    }
}

/// The cluster of a resource, where there are several.
fn cluster<'a>(guide: &'a Guide, of: &Reference) -> Option<&'a Value> {
    let Reference::Resource(of) = of else {
        return None;
    };
    let mut resources = guide.resources().iter();
    resources
        .find(|one| one.template().as_str() == of.uri)?
        .cluster()
}

/// Fails unless there is such an argument.
fn check(guide: &Guide, of: &Reference, argument: &str) -> Result<(), ErrorData> {
    let names: Vec<&str> = match of {
        Reference::Resource(of) => {
            let mut resources = guide.resources().iter();
            let resource = resources.find(|one| one.template().as_str() == of.uri);
            let resource = resource.ok_or_else(|| unknown_resource(guide, &of.uri))?;
            resource.template().variables().collect()
        }
        Reference::Prompt(of) => {
            let prompt = guide.prompt(&of.name);
            let prompt = prompt.ok_or_else(|| unknown_prompt(guide, &of.name))?;
            prompt
                .arguments
                .iter()
                .map(|one| one.name.as_str())
                .collect()
        }
        _ => return Err(ErrorData::invalid_params("unknown kind of reference", None)),
    };
    match names.contains(&argument) {
        true => Ok(()),
        false => {
            let names = match names.is_empty() {
                true => "it takes none".to_owned(),
                false => format!("it takes {}", names.join(", ")),
            };
            let message = format!("unknown argument {:?}: {names}", cut(argument));
            Err(ErrorData::invalid_params(message, None))
        }
    }
}

/// Those that fit. Their number is known only where the tool has listed all there are.
fn completion(values: &SuggestedValues, typed: &str) -> Result<CompleteResult, ErrorData> {
    let fitting = fitting(&values.all, typed);
    let total = fitting.len();
    let shown = fitting.into_iter().take(CompletionInfo::MAX_VALUES);
    let mut info = CompletionInfo::new(shown.map(|one| one.value.clone()).collect())
        .map_err(|error| ErrorData::internal_error(error, None))?;
    info.total = u32::try_from(total).ok().filter(|_| !values.is_cut);
    info.has_more = Some(values.is_cut || total > CompletionInfo::MAX_VALUES);
    Ok(CompleteResult::new(info))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guide::Suggested;

    fn suggested(values: &[(&str, &str)], is_cut: bool) -> SuggestedValues {
        let to_suggested = |(value, label): &(&str, &str)| Suggested {
            value: (*value).to_owned(),
            label: (!label.is_empty()).then(|| (*label).to_owned()),
        };
        let mut suggested = SuggestedValues::default();
        suggested.all = values.iter().map(to_suggested).collect();
        suggested.is_cut = is_cut;
        suggested
    }

    fn complete(values: &[(&str, &str)], typed: &str) -> CompletionInfo {
        let values = suggested(values, false);
        completion(&values, typed).unwrap().completion
    }

    #[test]
    fn a_list_that_is_cut_has_more_and_no_total() {
        let values = suggested(&[("100", "")], true);
        for typed in ["", "100", "999"] {
            let info = completion(&values, typed).unwrap().completion;
            assert_eq!((info.total, info.has_more), (None, Some(true)), "{typed}");
        }
    }

    #[test]
    fn values_come_before_names() {
        let values = [("100", "web-2"), ("201", "db"), ("2", "Web")];
        assert_eq!(complete(&values, "2").values, ["201", "2", "100"]);
        assert_eq!(complete(&values, "WEB").values, ["100", "2"]);
        assert_eq!(complete(&values, " ").values.len(), 3);
        assert!(complete(&values, "x").values.is_empty());
    }

    #[test]
    fn no_more_than_a_hundred_are_shown() {
        let many: Vec<_> = (100..350).map(|vmid: u32| vmid.to_string()).collect();
        let many: Vec<_> = many.iter().map(|vmid| (vmid.as_str(), "")).collect();
        let info = complete(&many, "");
        assert_eq!(info.values.len(), 100);
        assert_eq!((info.total, info.has_more), (Some(250), Some(true)));
        let info = complete(&many, "34");
        assert_eq!((info.total, info.has_more), (Some(10), Some(false)));
    }
}
