//! Resources: what can be read without calling a tool by name.

use rmcp::ErrorData;
use rmcp::model::{
    ReadResourceResult, Resource as McpResource, ResourceContents, ResourceTemplate as McpTemplate,
};
use serde_json::Value;

use super::inner::Inner;
use super::look::LookError;
use super::running::Caller;
use super::unknown::unknown_resource;
use super::views;
use crate::guide::{Guide, Resource, Suggested, Values};

/// What every resource is.
const MIME_TYPE: &str = "application/json";

/// The resources that could be listed.
pub(super) struct Listed {
    pub(super) all: Vec<McpResource>,
    /// The templates whose resources could not, and why.
    pub(super) missing: Vec<String>,
}

/// What was read.
pub(super) struct Read {
    pub(super) result: ReadResourceResult,
    /// It stays as it is while the process lives.
    pub(super) is_fixed: bool,
}

impl Inner {
    /// All resources: those of a template that is listed, too.
    pub(super) async fn resources(&self, caller: &Caller) -> Result<Listed, ErrorData> {
        let guide = self.guide().await?;
        let (mut all, mut missing) = (Vec::new(), Vec::new());
        for resource in guide.resources() {
            if resource.template().variables().next().is_none() {
                all.extend(to_mcp(resource, &Values::new(), None));
                continue;
            }
            match self.resources_of(guide, resource, caller).await {
                Ok(listed) => all.extend(listed),
                Err(error) => {
                    let template = resource.template().as_str();
                    missing.push(format!("{template}: {}", error.text()));
                }
            }
        }
        Ok(Listed { all, missing })
    }

    /// The resources of a template; none of one that is not listed.
    pub(super) async fn resources_of(
        &self,
        guide: &Guide,
        resource: &Resource,
        caller: &Caller,
    ) -> Result<Vec<McpResource>, LookError> {
        let variable = resource.listed_variable();
        let listing = variable.and_then(|variable| Some((variable, guide.suggestion(variable)?)));
        let Some((variable, suggestion)) = listing else {
            return Ok(Vec::new());
        };
        let none = Values::new();
        let values = self.suggested(suggestion, &none, resource.cluster(), caller);
        let values = values.await?;
        if values.is_cut {
            self.said_cut.call_once(|| {
                tracing::warn!(
                    "resources/list leaves out some resources of {}: the tool {} lists only the \
                     first {}; they can be read all the same",
                    resource.template().as_str(),
                    suggestion.tool(),
                    values.all.len()
                );
            });
        }
        let resources = values.all.iter().filter_map(|one| {
            let known = Values::from([(variable.to_owned(), one.value.clone())]);
            to_mcp(resource, &known, Some(one))
        });
        Ok(resources.collect())
    }

    /// The content of a resource.
    pub(super) async fn content(
        &self,
        resource: &Resource,
        values: &Values,
        caller: &Caller,
    ) -> Result<Value, LookError> {
        let arguments = resource.arguments(values);
        let result = self.look(resource.tool(), arguments, self.ceiling, caller);
        let result = result.await?;
        Ok(resource.content(result))
    }

    /// Reads the resource of a URI, or the view.
    pub(super) async fn read_resource(
        &self,
        uri: &str,
        caller: &Caller,
    ) -> Result<Read, ErrorData> {
        let guide = self.guide().await?;
        if let Some(view) = guide.view(uri) {
            return Ok(Read {
                result: views::content(view),
                is_fixed: true,
            });
        }
        let found = guide.resource(uri);
        let (resource, values) = found.ok_or_else(|| unknown_resource(guide, uri))?;
        let content = self.content(resource, &values, caller).await;
        let content = content.map_err(|error| error.into_error(Some(uri)))?;
        let content = ResourceContents::text(content.to_string(), uri).with_mime_type(MIME_TYPE);
        Ok(Read {
            result: ReadResourceResult::new(vec![content]),
            is_fixed: false,
        })
    }
}

/// The templates, as clients see them.
pub(super) fn templates(guide: &Guide) -> Vec<McpTemplate> {
    let resources = guide.resources().iter();
    let templates = resources.filter(|one| one.template().variables().next().is_some());
    let to_mcp = |resource: &Resource| {
        let declared = resource.declared();
        McpTemplate::new(resource.template().as_str(), &declared.name)
            .with_title(&declared.title)
            .with_description(&declared.description)
            .with_mime_type(MIME_TYPE)
    };
    templates.map(to_mcp).collect()
}

/// The single resources, as clients see them.
pub(super) fn singles(guide: &Guide) -> Vec<McpResource> {
    let resources = guide.resources().iter();
    let singles = resources.filter(|one| one.template().variables().next().is_none());
    singles
        .filter_map(|one| to_mcp(one, &Values::new(), None))
        .collect()
}

/// A resource, of a template with the value that it is listed by.
fn to_mcp(resource: &Resource, values: &Values, of: Option<&Suggested>) -> Option<McpResource> {
    let declared = resource.declared();
    let uri = resource.template().expand(values)?;
    let (name, title) = match of {
        None => (declared.name.clone(), declared.title.clone()),
        Some(Suggested { value, label }) => (
            format!("{} {value}", declared.name),
            match label {
                Some(label) => format!("{label} ({} {value})", declared.name),
                None => format!("{} {value}", declared.title),
            },
        ),
    };
    Some(
        McpResource::new(uri, name)
            .with_title(title)
            .with_description(&declared.description)
            .with_mime_type(MIME_TYPE),
    )
}
