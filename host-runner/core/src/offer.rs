//! The tools that are offered: of the component's, those that the operator
//! lets the client have.

use std::collections::BTreeSet;
use std::sync::Arc;

use host_runner_policy::{DeclaredCalls, purpose};
use serde_json::{Map, Value, json};
use tokio::sync::OnceCell;

use crate::engine::{LoadError, Loader, Plugin, Tool, ToolError};
use crate::policy::Choice;
use crate::redact::{self, Masked};
use crate::render;
use crate::sandbox::{Declared, Terms};

/// In the place of toolsets: all of them.
const ALL_TOOLSETS: &str = "all";
/// In the place of toolsets: those that the component offers by default.
const DEFAULT_TOOLSETS: &str = "default";

/// The component's tools, asked for when they are needed first: they never
/// change.
pub(crate) struct Catalog {
    loader: Loader,
    choice: Choice,
    offer: OnceCell<Offer>,
    instructions: OnceCell<String>,
}

/// The tools that may be listed and called, in the component's order.
#[derive(Debug)]
pub(crate) struct Offer {
    tools: Vec<Tool>,
    withheld: Vec<(Tool, Reason)>,
}

/// Why a tool is not offered.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Reason {
    Dangerous,
    Writes,
    /// The policy refuses all that it is for.
    Refused(String),
    /// Its toolset is off, as the operator chose none.
    OffByDefault,
    NotChosen,
}

/// A name that cannot be called.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum NotOffered {
    /// The component has no tool of this name.
    #[error("unknown tool {name:?}{}: tools/list shows the available tools", perhaps(.nearest))]
    Unknown {
        /// What was asked for.
        name: String,
        /// The nearest name that is offered.
        nearest: Option<String>,
    },
    /// It is dangerous, and was not allowed.
    #[error(
        "the tool {0:?} is turned off because its arguments do not show its effects: this \
         server's operator can enable it with --allow-tool {0}"
    )]
    Dangerous(String),
    /// It writes, and the server only reads.
    #[error("the tool {0:?} is turned off because this server's policy only lets reads through")]
    Writes(String),
    /// The policy refuses all that it is for.
    #[error("the tool {name:?} is turned off because its requests would all be refused: {reason}")]
    Refused {
        /// The tool.
        name: String,
        /// Why, and what changes it.
        reason: String,
    },
    /// Its toolset is off, as the operator chose none.
    #[error(
        "the tool {name:?} is turned off because its toolset {toolset:?} is not on by default: \
         this server's operator can turn it on with --toolsets default,{toolset}"
    )]
    OffByDefault {
        /// The tool.
        name: String,
        /// Its toolset.
        toolset: String,
    },
    /// The operator did not choose it.
    #[error(
        "the tool {name:?} is turned off: this server's operator chose other tools or toolsets, \
         and can add it by its toolset {toolset:?}, or by its name where tools are chosen by name"
    )]
    NotChosen {
        /// The tool.
        name: String,
        /// Its toolset.
        toolset: String,
    },
}

/// A choice that cannot be offered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OfferError {
    /// The component cannot be used.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The component does not list its tools.
    #[error("{}", render::error_text(.0))]
    Tools(ToolError),
    /// The policy names what there is not.
    #[error("{flag} names no {kind} of this component: {name:?}{}", perhaps(.nearest))]
    Name {
        /// Where.
        flag: &'static str,
        /// A tool or a toolset.
        kind: &'static str,
        /// The name.
        name: String,
        /// The nearest one that there is.
        nearest: Option<String>,
    },
    /// Nothing is left.
    #[error("the policy leaves no tool to offer: look at toolsets, tools and exclude_tools")]
    Nothing,
}

impl Catalog {
    /// The tools of this component that the policy lets through.
    pub(crate) fn new(loader: Loader, choice: Choice) -> Self {
        Self {
            loader,
            choice,
            offer: OnceCell::new(),
            instructions: OnceCell::new(),
        }
    }

    /// Learns all that the instructions say, if that was not done yet.
    pub(crate) async fn read_instructions(&self) {
        let read = || async {
            let Ok(instructions) = self.loader.instructions().await else {
                return Err(());
            };
            instructions.map_err(|error| {
                tracing::warn!("there are no instructions: {}", render::error_text(&error));
            })
        };
        // Without them, a client has the tools' own descriptions.
        let _ = self.instructions.get_or_try_init(read).await;
        // What is wrong with the offer is said elsewhere.
        let _ = self.offer().await;
    }

    /// How to use the tools, and which ones there could be, for a model; empty where
    /// that is not known.
    pub(crate) fn instructions(&self) -> String {
        let of_component = self.instructions.get().cloned().unwrap_or_default();
        let of_offer = self.offer.get().map(Offer::toolsets_that_are_off);
        let parts = [of_component, of_offer.unwrap_or_default()];
        let parts = parts.into_iter().filter(|part| !part.is_empty());
        parts.collect::<Vec<_>>().join("\n")
    }

    /// The component.
    pub(crate) async fn plugin(&self) -> Result<Arc<Plugin>, LoadError> {
        self.loader.plugin().await
    }

    /// Does ahead of time what the first request would have to wait for.
    pub(crate) async fn prepare(&self) {
        self.loader.prepare().await;
    }

    /// The tools that would be offered if the operator had chosen none. None
    /// where the component cannot be used.
    pub(crate) async fn without_choice(&self) -> Vec<Tool> {
        let Ok(tools) = self.loader.list_tools().await else {
            return Vec::new();
        };
        let tools = tools.unwrap_or_default();
        let choice = Choice::default();
        let offered = tools.into_iter();
        offered
            .filter(|tool| choice.withholds(tool).is_none())
            .collect()
    }

    /// What is offered.
    pub(crate) async fn offer(&self) -> Result<&Offer, OfferError> {
        let list = || async {
            let tools = self.loader.list_tools().await?;
            Offer::new(tools.map_err(OfferError::Tools)?, &self.choice)
        };
        self.offer.get_or_try_init(list).await
    }
}

impl Offer {
    /// Leaves out what the policy does not let through.
    pub(crate) fn new(tools: Vec<Tool>, choice: &Choice) -> Result<Self, OfferError> {
        let names = || tools.iter().map(|tool| tool.name.as_str());
        let toolsets = || {
            let named = tools.iter().map(|tool| tool.toolset.as_str());
            named.chain([ALL_TOOLSETS, DEFAULT_TOOLSETS])
        };
        let (none, some) = (BTreeSet::new(), |set: &Option<BTreeSet<String>>| {
            set.clone()
        });
        check(
            "toolsets",
            "toolset",
            &some(&choice.toolsets).unwrap_or(none.clone()),
            toolsets,
        )?;
        check("tools", "tool", &some(&choice.tools).unwrap_or(none), names)?;
        check("exclude-tools", "tool", &choice.exclude, names)?;
        check("allow-tool", "tool", &choice.allowed, names)?;

        let mut offer = Self {
            tools: Vec::new(),
            withheld: Vec::new(),
        };
        for tool in tools {
            match choice.withholds(&tool) {
                None => offer.tools.push(tool),
                Some(reason) => offer.withheld.push((tool, reason)),
            }
        }
        if offer.tools.is_empty() {
            return Err(OfferError::Nothing);
        }
        Ok(offer)
    }

    /// Those that are offered.
    pub(crate) fn tools(&self) -> &[Tool] {
        &self.tools
    }

    /// The tool of this name, if it may be called.
    pub(crate) fn find(&self, name: &str) -> Result<&Tool, NotOffered> {
        if let Some(tool) = self.tools.iter().find(|tool| tool.name == name) {
            return Ok(tool);
        }
        let withheld = self.withheld.iter().find(|(tool, _)| tool.name == name);
        let name = name.to_owned();
        Err(match withheld {
            None => NotOffered::Unknown {
                nearest: nearest(&name, self.tools.iter().map(|tool| tool.name.as_str())),
                name,
            },
            Some((_, Reason::Dangerous)) => NotOffered::Dangerous(name),
            Some((_, Reason::Writes)) => NotOffered::Writes(name),
            Some((_, Reason::Refused(reason))) => NotOffered::Refused {
                reason: reason.clone(),
                name,
            },
            Some((tool, Reason::OffByDefault)) => NotOffered::OffByDefault {
                toolset: tool.toolset.clone(),
                name,
            },
            Some((tool, Reason::NotChosen)) => NotOffered::NotChosen {
                toolset: tool.toolset.clone(),
                name,
            },
        })
    }

    /// Which toolsets are off with what they hold, for a model that would
    /// otherwise look for their tools; empty where none is. One sentence.
    pub(crate) fn toolsets_that_are_off(&self) -> String {
        let mut sets: Vec<(&str, Vec<&str>)> = Vec::new();
        for tool in self.off_by_default() {
            match sets.iter_mut().find(|(name, _)| *name == tool.toolset) {
                Some((_, tools)) => tools.push(&tool.name),
                None => sets.push((&tool.toolset, vec![&tool.name])),
            }
        }
        if sets.is_empty() {
            return String::new();
        }
        let sets = sets
            .iter()
            .map(|(name, tools)| format!("{name} ({})", tools.join(", ")));
        format!(
            "Toolsets that are off: {}. Only this server's operator can turn them on, for example \
             with --toolsets default,NAME.",
            sets.collect::<Vec<_>>().join("; ")
        )
    }

    /// The tool of this name, if the operator may call it, for whom no toolset is off by
    /// default.
    pub(crate) fn find_for_operator(&self, name: &str) -> Result<&Tool, NotOffered> {
        let mut off = self.off_by_default();
        match off.find(|tool| tool.name == name) {
            Some(tool) => Ok(tool),
            None => self.find(name),
        }
    }

    /// Whether the operator allows a dangerous tool, even if its toolset is off.
    pub(crate) fn allows_danger(&self) -> bool {
        let mut tools = self.tools.iter().chain(self.off_by_default());
        tools.any(|tool| tool.annotations.dangerous)
    }

    fn off_by_default(&self) -> impl Iterator<Item = &Tool> {
        let is_off = |reason: &Reason| *reason == Reason::OffByDefault;
        let withheld = self.withheld.iter();
        withheld.filter_map(move |(tool, reason)| is_off(reason).then_some(tool))
    }

    /// The tool of this name, whether it is offered or not.
    pub(crate) fn any(&self, name: &str) -> Option<&Tool> {
        let withheld = self.withheld.iter().map(|(tool, _)| tool);
        self.tools
            .iter()
            .chain(withheld)
            .find(|tool| tool.name == name)
    }
}

impl Tool {
    /// What its annotations and the calls that it declares mean to the sandbox.
    pub(crate) fn terms(&self) -> Terms {
        let declared = Declared {
            tool: self.name.clone(),
            calls: DeclaredCalls::new(&self.calls),
        };
        Terms {
            read_only: self.annotations.read_only,
            dangerous: self.annotations.dangerous,
            declared: Some(Arc::new(declared)),
            ..Terms::default()
        }
    }
}

/// A call's arguments without what is secret in them, for the audit log.
pub(crate) fn masked(tool: &Tool, arguments: &str) -> Masked {
    let arguments = serde_json::from_str(arguments).unwrap_or_default();
    let schema = serde_json::from_str(&tool.input_schema).unwrap_or_default();
    redact::arguments(&arguments, &marking(schema, &tool.secret_arguments))
}

/// A schema in which the arguments that a component names as secret are so.
fn marking(schema: Value, secret: &[String]) -> Value {
    let mut root = match schema {
        Value::Object(root) => root,
        _ => Map::new(),
    };
    let mut properties = match root.remove("properties") {
        Some(Value::Object(properties)) => properties,
        _ => Map::new(),
    };
    for name in secret {
        properties.insert(name.clone(), json!({"writeOnly": true}));
    }
    root.insert("properties".to_owned(), Value::Object(properties));
    Value::Object(root)
}

impl Choice {
    fn withholds(&self, tool: &Tool) -> Option<Reason> {
        let named = self.allowed.contains(&tool.name);
        let in_tools = |tools: &BTreeSet<String>| tools.contains(&tool.name);
        let is_chosen = self.tools.as_ref().is_none_or(in_tools)
            && self.toolsets.as_ref().is_none_or(|sets| {
                sets.contains(&tool.toolset)
                    || sets.contains(ALL_TOOLSETS)
                    || sets.contains(DEFAULT_TOOLSETS) && tool.by_default
            });
        // Whoever names a tool wants it, whatever its toolset.
        let is_on = tool.by_default || named || self.toolsets.is_some() || self.tools.is_some();
        if self.exclude.contains(&tool.name) || !is_chosen {
            Some(Reason::NotChosen)
        } else if self.read_only && !tool.annotations.read_only {
            Some(Reason::Writes)
        } else if tool.annotations.dangerous && !named && !self.all_dangerous {
            Some(Reason::Dangerous)
        } else if let Some(reason) = self.refuses(tool).filter(|_| !tool.previews && !named) {
            Some(Reason::Refused(reason))
        } else if !is_on {
            Some(Reason::OffByDefault)
        } else {
            None
        }
    }

    /// Why the policy refuses whatever the tool is for. None if it may allow something.
    pub(crate) fn refuses(&self, tool: &Tool) -> Option<String> {
        self.policy.as_ref()?.never_allows(purpose::Tool {
            calls: &tool.calls,
            reads: tool.annotations.read_only,
            // The request of a dangerous action is for these tools alone.
            dangerous: tool.annotations.dangerous,
        })
    }
}

fn check<'a, I: Iterator<Item = &'a str>>(
    flag: &'static str,
    kind: &'static str,
    chosen: &BTreeSet<String>,
    known: impl Fn() -> I,
) -> Result<(), OfferError> {
    match chosen
        .iter()
        .find(|name| !known().any(|known| known == *name))
    {
        None => Ok(()),
        Some(name) => Err(OfferError::Name {
            flag,
            kind,
            name: name.clone(),
            nearest: nearest(name, known()),
        }),
    }
}

fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    known
        .map(|known| (strsim::jaro_winkler(name, known), known))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, known)| known.to_owned())
}

/// A hint at what may have been meant.
pub(crate) fn perhaps(nearest: &Option<String>) -> String {
    nearest
        .as_ref()
        .map_or_else(String::new, |nearest| format!(" (perhaps {nearest:?})"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Annotations;

    fn tool(name: &str, dangerous: bool) -> Tool {
        Tool {
            name: name.to_owned(),
            title: String::new(),
            description: String::new(),
            toolset: "set".to_owned(),
            by_default: true,
            previews: false,
            input_schema: "{}".to_owned(),
            secret_arguments: Vec::new(),
            output_schema: "{}".to_owned(),
            calls: Vec::new(),
            annotations: Annotations {
                read_only: name == "look",
                destructive: true,
                idempotent: false,
                open_world: false,
                dangerous,
            },
        }
    }

    fn names(offer: &Offer) -> Vec<&str> {
        offer
            .tools()
            .iter()
            .map(|tool| tool.name.as_str())
            .collect()
    }

    fn offer(choice: &Choice) -> Result<Offer, OfferError> {
        let tools = vec![tool("write", false), tool("run", true), tool("look", false)];
        Offer::new(tools, choice)
    }

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn arguments_that_the_component_names_as_secret_are_hidden() {
        let tool = Tool {
            input_schema: r#"{"type":"object","properties":{"word":{"type":"string"}}}"#.to_owned(),
            secret_arguments: vec!["word".to_owned(), "other".to_owned()],
            ..tool("write", false)
        };
        let shown = masked(&tool, r#"{"word":"hush","other":[7],"plain":"seen"}"#);
        assert_eq!(
            shown.0,
            json!({"word": "(hidden)", "other": "(hidden)", "plain": "seen"})
        );
    }

    #[test]
    fn dangerous_tools_need_the_operators_word() {
        let found = offer(&Choice::default()).unwrap();
        assert_eq!(names(&found), ["write", "look"]);
        assert!(matches!(found.find("run"), Err(NotOffered::Dangerous(_))));

        let allowed = set(&["run"]);
        let found = offer(&Choice {
            allowed,
            ..Choice::default()
        });
        assert_eq!(names(&found.unwrap()), ["write", "run", "look"]);
        let found = offer(&Choice {
            all_dangerous: true,
            ..Choice::default()
        });
        assert!(found.unwrap().find("run").is_ok());
    }

    #[test]
    fn read_only_offers_no_tool_that_writes() {
        let found = offer(&Choice {
            read_only: true,
            all_dangerous: true,
            ..Choice::default()
        });
        let found = found.unwrap();
        assert_eq!(names(&found), ["look"]);
        assert!(matches!(found.find("write"), Err(NotOffered::Writes(_))));
    }

    #[test]
    fn names_are_chosen_and_excluded() {
        let found = offer(&Choice {
            tools: Some(set(&["write", "look"])),
            exclude: set(&["write"]),
            ..Choice::default()
        });
        let found = found.unwrap();
        assert_eq!(names(&found), ["look"]);
        assert!(matches!(
            found.find("write"),
            Err(NotOffered::NotChosen { .. })
        ));
    }

    #[test]
    fn a_name_that_means_nothing_is_an_error() {
        let error = offer(&Choice {
            exclude: set(&["wite"]),
            ..Choice::default()
        });
        assert_eq!(
            error.unwrap_err().to_string(),
            "exclude-tools names no tool of this component: \"wite\" (perhaps \"write\")"
        );
        let error = offer(&Choice {
            toolsets: Some(set(&["zzz"])),
            ..Choice::default()
        });
        assert_eq!(
            error.unwrap_err().to_string(),
            "toolsets names no toolset of this component: \"zzz\""
        );
        let found = offer(&Choice::default()).unwrap();
        assert_eq!(
            found.find("lok").unwrap_err().to_string(),
            "unknown tool \"lok\" (perhaps \"look\"): tools/list shows the available tools"
        );
    }
}
