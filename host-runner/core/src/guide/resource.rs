//! A resource: the result of a tool that reads.

use serde_json::{Map, Value};

use super::CLUSTER;
use super::arguments::{Values, argument, object};
use super::pointer;
use super::suggestion::Suggestion;
use super::template::UriTemplate;
use crate::digest::Digest;
use crate::engine::{ResourceTemplate, Tool};

/// A resource, or one for each value of a variable.
#[derive(Debug)]
pub(crate) struct Resource {
    template: UriTemplate,
    declared: ResourceTemplate,
    fixed: Map<String, Value>,
    schema: Value,
}

impl Resource {
    /// None for one that nothing can be read of.
    pub(super) fn new(tool: &Tool, declared: ResourceTemplate) -> Option<Self> {
        Some(Self {
            template: UriTemplate::new(&declared.uri_template)?,
            fixed: object(&declared.arguments_json)?,
            schema: serde_json::from_str(&tool.input_schema).ok()?,
            declared,
        })
    }

    /// It is listed only where its only variable has suggested values that depend on
    /// nothing else.
    pub(super) fn listed_by(mut self, suggestions: &[Suggestion]) -> Self {
        let mut variables = self.template.variables();
        let listing = match (variables.next(), variables.next()) {
            (Some(variable), None) => suggestions.iter().find(|one| one.argument() == variable),
            _ => None,
        };
        let can_be_listed = listing.is_some_and(|one| one.needs_nothing());
        drop(variables);
        self.declared.listed &= can_be_listed;
        self
    }

    /// Its URI, or the template of its URIs.
    pub(crate) fn template(&self) -> &UriTemplate {
        &self.template
    }

    /// As the component describes it.
    pub(crate) fn declared(&self) -> &ResourceTemplate {
        &self.declared
    }

    /// The tool whose result it is.
    pub(crate) fn tool(&self) -> &str {
        &self.declared.tool
    }

    /// The variable by whose values it is listed.
    pub(crate) fn listed_variable(&self) -> Option<&str> {
        self.template
            .variables()
            .next()
            .filter(|_| self.declared.listed)
    }

    /// The arguments of the tool.
    pub(crate) fn arguments(&self, values: &Values) -> Map<String, Value> {
        let mut arguments = self.fixed.clone();
        for (name, value) in values {
            arguments.insert(name.clone(), argument(&self.schema, name, value));
        }
        arguments
    }

    /// The cluster whose resource it is, where there are several.
    pub(crate) fn cluster(&self) -> Option<&Value> {
        self.fixed.get(CLUSTER)
    }

    /// What it shows of the tool's result.
    pub(crate) fn content(&self, mut result: Value) -> Value {
        for pointer in &self.declared.omitted {
            pointer::remove(&mut result, pointer);
        }
        result
    }

    /// What differs only where its content differs in more than what changes all the
    /// time.
    pub(crate) fn digest(&self, mut content: Value) -> Digest {
        for pointer in &self.declared.volatile {
            pointer::remove(&mut content, pointer);
        }
        Digest::of_json(&content)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_changes_all_the_time_is_not_a_change() {
        let resource = Resource {
            template: UriTemplate::new("pve://guests/{vmid}").unwrap(),
            declared: ResourceTemplate {
                uri_template: String::new(),
                name: String::new(),
                title: String::new(),
                description: String::new(),
                tool: String::new(),
                arguments_json: String::new(),
                omitted: vec!["/secretive".to_owned()],
                volatile: vec!["/uptime".to_owned(), "/cpu/used".to_owned()],
                listed: false,
            },
            fixed: Map::new(),
            schema: Value::Null,
        };
        let read = |result: Value| resource.content(result);
        let first = read(json!({"status": "on", "uptime": 1, "cpu": {"used": 2}, "secretive": 1}));
        assert_eq!(
            first,
            json!({"status": "on", "uptime": 1, "cpu": {"used": 2}})
        );
        let later = read(json!({"uptime": 9, "cpu": {"used": 7}, "status": "on"}));
        let other = read(json!({"status": "off", "uptime": 9, "cpu": {}}));
        assert_eq!(resource.digest(first.clone()), resource.digest(later));
        assert_ne!(resource.digest(first), resource.digest(other));
    }
}
