//! What is offered besides the tools: resources, suggestions for arguments,
//! prompts, and views.
//!
//! A component and an operator declare them; this is what is left of that for the tools
//! that are offered, and what it means. Nothing is called here.

mod arguments;
mod pointer;
mod prompt;
mod resource;
mod suggestion;
mod template;
mod view;

use std::collections::BTreeSet;

use host_runner_policy::PromptSection;

pub(crate) use self::arguments::Values;
pub(crate) use self::prompt::{Argument, Prompt};
pub(crate) use self::resource::Resource;
pub(crate) use self::suggestion::{Suggested, SuggestedValues, Suggestion, fitting};
use self::template::UriTemplate;
pub(crate) use self::view::View;

use crate::engine::{self, Tool};

/// The argument that says which of several clusters a call is for. (Firewall tools have a
/// `cluster` of their own: the level of a rule.)
pub(crate) const CLUSTER: &str = "cluster_name";

/// What is offered besides the tools.
#[derive(Debug, Default)]
pub(crate) struct Guide {
    resources: Vec<Resource>,
    suggestions: Vec<Suggestion>,
    prompts: Vec<Prompt>,
    views: Vec<View>,
}

impl Guide {
    /// Of what a component declares, that which the offered tools can serve, and the
    /// operator's own prompts. Such a prompt takes the place of the component's of the
    /// same name. Of what the component gives the same name, the first is offered.
    pub(crate) fn new(declared: engine::Guide, tools: &[Tool], own: &[PromptSection]) -> Self {
        let find = |name: &str| tools.iter().find(|tool| tool.name == name);
        let reading = |name: &str| find(name).filter(|tool| tool.annotations.read_only);
        let suggestions: Vec<_> = declared
            .suggestions
            .into_iter()
            .filter_map(|one| Suggestion::new(reading(&one.tool)?, one))
            .collect();
        let (mut uris, mut names) = (BTreeSet::new(), BTreeSet::new());
        let resources = declared
            .resources
            .into_iter()
            .filter(|one| uris.insert(one.uri_template.clone()) && names.insert(one.name.clone()))
            .filter_map(|one| Resource::new(reading(&one.tool)?, one))
            .map(|resource| resource.listed_by(&suggestions))
            .collect();
        let own: Vec<_> = own.iter().map(Prompt::from).collect();
        let is_own = |name: &str| own.iter().any(|prompt| prompt.name == name);
        let mut names = BTreeSet::new();
        let mut usable = |prompt: &engine::Prompt| {
            prompt::is_sound(prompt)
                && names.insert(prompt.name.clone())
                && !is_own(&prompt.name)
                && prompt.tools.iter().all(|tool| find(tool).is_some())
        };
        let prompts = declared.prompts.into_iter().filter(|one| usable(one));
        let prompts = prompts.map(Prompt::from).collect::<Vec<_>>();
        let (mut uris, mut shown) = (BTreeSet::new(), BTreeSet::new());
        let views = declared.views.into_iter();
        let views = views.filter(|one| uris.insert(one.uri.clone()));
        let views = views.filter_map(|one| View::new(one, tools, &mut shown));
        Self {
            resources,
            suggestions,
            prompts: prompts.into_iter().chain(own).collect(),
            views: views.collect(),
        }
    }

    /// The resources and templates, in the component's order.
    pub(crate) fn resources(&self) -> &[Resource] {
        &self.resources
    }

    /// The prompts: the component's, then the operator's.
    pub(crate) fn prompts(&self) -> &[Prompt] {
        &self.prompts
    }

    /// The resource of a URI, and the values of its variables.
    pub(crate) fn resource(&self, uri: &str) -> Option<(&Resource, Values)> {
        let mut resources = self.resources.iter();
        resources.find_map(|resource| Some((resource, resource.template().values(uri)?)))
    }

    /// The prompt of a name.
    pub(crate) fn prompt(&self, name: &str) -> Option<&Prompt> {
        self.prompts.iter().find(|prompt| prompt.name == name)
    }

    /// The views, in the component's order.
    pub(crate) fn views(&self) -> &[View] {
        &self.views
    }

    /// The view of a URI.
    pub(crate) fn view(&self, uri: &str) -> Option<&View> {
        self.views.iter().find(|view| view.declared().uri == uri)
    }

    /// The view that shows a tool's results.
    pub(crate) fn view_of(&self, tool: &str) -> Option<&View> {
        let shows = |view: &&View| view.declared().tools.iter().any(|name| name == tool);
        self.views.iter().find(shows)
    }

    /// Where the values of an argument come from.
    pub(crate) fn suggestion(&self, argument: &str) -> Option<&Suggestion> {
        self.suggestions
            .iter()
            .find(|one| one.argument() == argument)
    }

    /// The URIs and templates that can be read, for an error.
    pub(crate) fn uris(&self) -> String {
        let uris = self.resources.iter().map(|one| one.template().as_str());
        uris.collect::<Vec<_>>().join(", ")
    }
}

/// A resource of one of several clusters: the cluster's name is the first part of its
/// address. None if the component declares no address or no arguments for it.
pub(crate) fn of_cluster(
    mut declared: engine::ResourceTemplate,
    name: &str,
) -> Option<engine::ResourceTemplate> {
    let (scheme, rest) = declared.uri_template.split_once("://")?;
    declared.uri_template = format!("{scheme}://{name}/{rest}");
    let mut arguments = arguments::object(&declared.arguments_json)?;
    arguments.insert(CLUSTER.to_owned(), name.into());
    declared.arguments_json = serde_json::Value::Object(arguments).to_string();
    declared.name = format!("{name}-{}", declared.name);
    declared.title = format!("{} ({name})", declared.title);
    Some(declared)
}

/// The address of a cluster's resource without the cluster's name.
pub(crate) fn within_cluster(uri: &str, name: &str) -> Option<String> {
    let (scheme, rest) = uri.split_once("://")?;
    let rest = rest.strip_prefix(name)?.strip_prefix('/')?;
    Some(format!("{scheme}://{rest}"))
}

/// Whether a URI may be one of a resource that a component declares.
pub(crate) fn declares(declared: &engine::Guide, uri: &str) -> bool {
    let templates = declared
        .resources
        .iter()
        .filter_map(|one| UriTemplate::new(&one.uri_template));
    templates
        .into_iter()
        .any(|template| template.values(uri).is_some())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::engine::Annotations;

    fn tool(name: &str, read_only: bool) -> Tool {
        Tool {
            name: name.to_owned(),
            title: String::new(),
            description: String::new(),
            toolset: "set".to_owned(),
            by_default: true,
            previews: false,
            input_schema: r#"{"type":"object","properties":{"vmid":{"type":"integer"},"name":{"type":"string"}}}"#
                .to_owned(),
            secret_arguments: Vec::new(),
            output_schema: "{}".to_owned(),
            calls: Vec::new(),
            annotations: Annotations {
                read_only,
                destructive: false,
                idempotent: true,
                open_world: false,
                dangerous: false,
            },
        }
    }

    fn resource(uri: &str, tool: &str) -> engine::ResourceTemplate {
        engine::ResourceTemplate {
            uri_template: uri.to_owned(),
            name: uri.to_owned(),
            title: "Guest".to_owned(),
            description: String::new(),
            tool: tool.to_owned(),
            arguments_json: r#"{"fixed":true}"#.to_owned(),
            omitted: Vec::new(),
            volatile: Vec::new(),
            listed: true,
        }
    }

    fn suggestion(tool: &str) -> engine::Suggestion {
        engine::Suggestion {
            argument: "vmid".to_owned(),
            tool: tool.to_owned(),
            arguments_json: "{}".to_owned(),
            values: "/guests".to_owned(),
            field: "vmid".to_owned(),
            label: Some("name".to_owned()),
            given: Vec::new(),
            total: Some("/total".to_owned()),
        }
    }

    fn prompt(name: &str, tools: &[&str]) -> engine::Prompt {
        engine::Prompt {
            name: name.to_owned(),
            title: name.to_owned(),
            description: String::new(),
            tools: tools.iter().map(|tool| (*tool).to_owned()).collect(),
            arguments: Vec::new(),
            text: "the component's".to_owned(),
        }
    }

    fn view(uri: &str, tools: &[&str]) -> engine::View {
        engine::View {
            uri: uri.to_owned(),
            title: String::new(),
            description: String::new(),
            tools: tools.iter().map(|tool| (*tool).to_owned()).collect(),
            html: "<!doctype html>".to_owned(),
        }
    }

    fn with_arguments(name: &str, names: &[&str]) -> engine::Prompt {
        let argument = |name: &&str| engine::PromptArgument {
            name: (*name).to_owned(),
            title: String::new(),
            description: String::new(),
            required: false,
            otherwise: String::new(),
        };
        engine::Prompt {
            arguments: names.iter().map(argument).collect(),
            ..prompt(name, &["look"])
        }
    }

    fn guide(own: &str) -> Guide {
        let declared = engine::Guide {
            resources: vec![
                resource("pve://guests/{vmid}", "look"),
                resource("pve://gone/{vmid}", "gone"),
                resource("pve://stop/{vmid}", "stop"),
                resource("not a uri {", "look"),
                // Declared before.
                resource("pve://guests/{vmid}", "look"),
                engine::ResourceTemplate {
                    name: "pve://guests/{vmid}".to_owned(),
                    ..resource("pve://same_name/{vmid}", "look")
                },
            ],
            suggestions: vec![suggestion("look")],
            prompts: vec![
                prompt("review", &["look", "stop"]),
                prompt("missing", &["look", "gone"]),
                prompt("review", &["look"]),
                prompt("No name", &["look"]),
                with_arguments("twice", &["vmid", "vmid"]),
                with_arguments("odd", &["v m"]),
            ],
            views: vec![
                view("ui://look", &["gone", "look"]),
                view("ui://gone", &["gone"]),
                view("https://look", &["stop"]),
                view("ui://stop", &["look", "stop"]),
                // Declared before.
                view("ui://look", &["stop"]),
            ],
        };
        let file = host_runner_policy::PolicyFile::parse(own).unwrap();
        let tools = [tool("look", true), tool("stop", false)];
        Guide::new(declared, &tools, &file.prompts)
    }

    #[test]
    fn only_what_offered_tools_that_read_can_serve_is_there() {
        let guide = guide("");
        assert_eq!(guide.uris(), "pve://guests/{vmid}");
        let names: Vec<_> = guide.prompts().iter().map(|one| &one.name).collect();
        assert_eq!(names, ["review"]);
        let (found, values) = guide.resource("pve://guests/100").unwrap();
        assert_eq!(found.tool(), "look");
        assert_eq!(
            Value::Object(found.arguments(&values)),
            json!({"fixed": true, "vmid": 100})
        );
        let (found, values) = guide.resource("pve://guests/web").unwrap();
        assert_eq!(found.arguments(&values)["vmid"], "web");
        assert!(guide.resource("pve://guests/").is_none());
        assert!(guide.resource("pve://guests/100/x").is_none());
    }

    #[test]
    fn a_view_is_one_of_an_offered_tool_and_a_tool_has_one() {
        let guide = guide("");
        let uris = guide.views().iter().map(|one| one.declared().uri.as_str());
        assert_eq!(uris.collect::<Vec<_>>(), ["ui://look", "ui://stop"]);
        let of = |tool| guide.view_of(tool).map(|view| view.declared().uri.as_str());
        assert_eq!(of("look"), Some("ui://look"));
        assert_eq!(of("stop"), Some("ui://stop"));
        assert_eq!(of("gone"), None);
        assert!(guide.view("ui://gone").is_none());
    }

    #[test]
    fn a_uri_is_checked_against_what_is_declared() {
        let declared = engine::Guide {
            resources: vec![resource("pve://guests/{vmid}", "look")],
            suggestions: Vec::new(),
            prompts: Vec::new(),
            views: Vec::new(),
        };
        assert!(declares(&declared, "pve://guests/100"));
        assert!(!declares(&declared, "pve://nothing"));
        let long = format!("pve://guests/{}", "1".repeat(2048));
        assert!(!declares(&declared, &long));
    }

    #[test]
    fn an_operators_prompt_takes_the_place_of_a_component_s() {
        let guide = guide(
            "[[prompts]]\nname = \"review\"\ntext = \"mine\"\n\
             [[prompts]]\nname = \"more\"\ntext = \"more\"",
        );
        let texts: Vec<_> = guide.prompts().iter().map(|one| &one.text).collect();
        assert_eq!(texts, ["mine", "more"]);
    }
}
