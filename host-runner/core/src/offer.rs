//! The tools that are offered: of the component's, those that the operator
//! lets the client have.

mod fleet;
mod merged;
mod unknown;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use host_runner_policy::fit::Held;
use host_runner_policy::{ALL_TOOLSETS, DEFAULT_TOOLSETS, DeclaredCalls, purpose};
use serde_json::{Map, Value, json};
use tokio::sync::OnceCell;
use tokio::time::error::Elapsed;
use tokio::time::timeout;

pub(crate) use self::fleet::{Fleet, Member, Target};
pub(crate) use self::merged::RESULTS;
pub(crate) use self::unknown::{instead, nearest_tool};

use crate::engine::{self, LoadError, Loader, Plugin, Tool, ToolError};
use crate::guide::{self, Guide};
use crate::likeness;
use crate::policy::Choice;
use crate::redact::{self, Masked};
use crate::render;
use crate::sandbox::{Declared, Terms};
use crate::settings::FitToken;

/// Whether there is something of each kind besides the tools.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Declares {
    pub(crate) resources: bool,
    pub(crate) prompts: bool,
    pub(crate) views: bool,
}

/// The component's tools, asked for when they are needed first: they never
/// change.
pub(crate) struct Catalog {
    loader: Loader,
    choice: Choice,
    /// What the policy lets through, whatever the token may do.
    unfitted: OnceCell<Arc<Offer>>,
    /// Whether tools have to fit the token.
    fit: FitToken,
    /// What the token may do; None where that is not known, or does not matter.
    held: OnceCell<Option<Held>>,
    /// Never changes once it was given.
    offer: OnceCell<Arc<Offer>>,
    /// What the component declares besides the tools.
    declared: OnceCell<engine::Guide>,
    /// What of that is offered, with the operator's own prompts.
    guide: OnceCell<Guide>,
    instructions: OnceCell<String>,
    /// What the instructions say of tools that are not offered.
    notes: OnceCell<String>,
}

/// How long the first list of tools waits until Proxmox says what the token may do.
const LIST_PATIENCE: Duration = Duration::from_millis(300);
/// How long the greeting waits for it: less, since clients measure the start by it. The
/// list may then leave out tools that the instructions do not name; an error says why.
const GREETING_PATIENCE: Duration = Duration::from_millis(100);

/// The tools that may be listed and called, in the component's order.
#[derive(Debug, Clone)]
pub(crate) struct Offer {
    tools: Vec<Tool>,
    withheld: Vec<(Tool, Reason)>,
    /// The toolsets that are on, as `--toolsets` takes them.
    toolsets: String,
}

/// All that clients are shown.
pub(crate) struct Surface<'a> {
    pub instructions: String,
    pub tools: &'a [Tool],
    pub guide: Guide,
}

/// Why a tool is not offered.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Reason {
    Dangerous,
    Writes,
    /// The policy refuses all that it is for.
    Refused(String),
    /// The token has these privileges nowhere.
    Lacks(String),
    /// Its toolset is off, as the operator chose none.
    OffByDefault,
    /// Its toolset is off, as the operator chose others.
    Off,
    NotChosen,
}

/// A name that cannot be called.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum NotOffered {
    /// The component has no tool of this name.
    #[error("unknown tool {name:?}{}: tools/list shows the available tools", instead(.name, .nearest))]
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
    /// The token has no privilege for it.
    #[error(
        "the tool {name:?} is turned off because the token does not have the privilege \
         {privileges} on any path: grant it and restart this server, or start it with --fit-token=off"
    )]
    Lacks {
        /// The tool.
        name: String,
        /// What is missing.
        privileges: String,
    },
    /// Its toolset is off.
    #[error(
        "the tool {name:?} is turned off because its toolset {toolset:?} is off: this server's \
         operator can turn it on with --toolsets {chosen},{toolset}"
    )]
    Off {
        /// The tool.
        name: String,
        /// Its toolset.
        toolset: String,
        /// The toolsets that are on.
        chosen: String,
    },
    /// The operator did not choose it.
    #[error("the tool {0:?} is turned off: this server's operator chose other tools")]
    NotChosen(String),
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
    #[error("{flag}: unknown {kind} {name:?}{}", perhaps(.nearest))]
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
    /// A tool has an argument or a result that is needed to call several clusters.
    #[error(
        "the tool {0:?} has a name for itself that is needed to say which cluster a call is for: run a server for each cluster"
    )]
    Cluster(String),
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
            unfitted: OnceCell::new(),
            fit: FitToken::Off,
            held: OnceCell::new(),
            offer: OnceCell::new(),
            declared: OnceCell::new(),
            guide: OnceCell::new(),
            instructions: OnceCell::new(),
            notes: OnceCell::new(),
        }
    }

    /// Only those of them that fit the token.
    pub(crate) fn fitting(self, fit: FitToken) -> Self {
        Self { fit, ..self }
    }

    /// What the token may do, where Proxmox says so and tools have to fit it. Asked for
    /// once.
    pub(crate) async fn held_privileges(&self) -> Option<&Held> {
        let ask = || async {
            match self.fit {
                FitToken::Off => None,
                FitToken::Auto | FitToken::On => self.loader.held_privileges().await,
            }
        };
        self.held.get_or_init(ask).await.as_ref()
    }

    /// The same. None also where Proxmox takes longer, unless the operator wants to wait.
    async fn held_within(&self, patience: Duration) -> Result<Option<&Held>, Elapsed> {
        let held = self.held_privileges();
        match self.fit {
            FitToken::On => Ok(held.await),
            FitToken::Auto | FitToken::Off => timeout(patience, held).await,
        }
    }

    /// Fails where nothing could be offered, whatever the token may do.
    pub(crate) async fn check(&self) -> Result<(), OfferError> {
        self.unfitted().await.map(drop)
    }

    async fn unfitted(&self) -> Result<&Arc<Offer>, OfferError> {
        let list = || async {
            let tools = self.loader.list_tools().await?;
            Offer::new(tools.map_err(OfferError::Tools)?, &self.choice).map(Arc::new)
        };
        self.unfitted.get_or_try_init(list).await
    }

    /// Learns all that the instructions say, if that was not done yet. Whether all of it is
    /// known.
    pub(crate) async fn read_instructions(&self) -> bool {
        let read = || async {
            let Ok(instructions) = self.loader.instructions().await else {
                return Err(());
            };
            instructions.map_err(|error| {
                tracing::warn!("there are no instructions: {}", render::error_text(&error));
            })
        };
        // Without them, a client has the tools' own descriptions.
        let has_instructions = self.instructions.get_or_try_init(read).await.is_ok();
        // Where it cannot be loaded, the list of tools fails, too.
        let has_declared = self.declared().await.is_ok();
        let notes = || async {
            let offer = match self.held_within(GREETING_PATIENCE).await {
                Ok(_) => self.offer().await,
                Err(_) => self.unfitted().await.map(Arc::as_ref),
            };
            offer.map(Offer::notes)
        };
        // A faulty offer is reported by what needs it: the list of tools, and each call.
        let has_notes = self.notes.get_or_try_init(notes).await.is_ok();
        has_instructions && has_declared && has_notes
    }

    /// How to use the tools, and which ones there could be, for a model; empty where
    /// that is not known.
    pub(crate) fn instructions(&self) -> String {
        let of_component = self.instructions.get().cloned().unwrap_or_default();
        joined([of_component, self.notes.get().cloned().unwrap_or_default()])
    }

    /// What is offered besides the tools.
    pub(crate) async fn guide(&self) -> Result<&Guide, OfferError> {
        let read = || async { self.guide_for(self.offer().await?).await };
        self.guide.get_or_try_init(read).await
    }

    /// Whether a URI may be one of a resource, as far as that can be said without waiting:
    /// no, as long as nothing was read of a component that is not embedded.
    pub(crate) fn may_have(&self, uri: &str) -> bool {
        if let Some(guide) = self.guide.get() {
            return guide.resource(uri).is_some();
        }
        match self.declared.get() {
            Some(declared) => guide::declares(declared, uri),
            None => {
                let embedded = self.loader.embedded_guide();
                embedded.is_some_and(|declared| guide::declares(&declared, uri))
            }
        }
    }

    /// What there may be besides the tools: capabilities are announced before it is known
    /// which tools are offered.
    pub(crate) fn declares(&self) -> Declares {
        let declared = self.declared.get();
        let has_own_prompts = !self.choice.prompts.is_empty();
        Declares {
            resources: declared.is_none_or(|declared| !declared.resources.is_empty()),
            prompts: has_own_prompts || declared.is_none_or(|one| !one.prompts.is_empty()),
            views: declared.is_none_or(|declared| !declared.views.is_empty()),
        }
    }

    async fn guide_for(&self, offer: &Offer) -> Result<Guide, OfferError> {
        let declared = self.declared().await?.clone();
        Ok(Guide::new(declared, offer.tools(), &self.choice.prompts))
    }

    /// Nothing, where the component cannot say it.
    async fn declared(&self) -> Result<&engine::Guide, LoadError> {
        let read = || async {
            let declared = self.loader.guide().await?;
            Ok(declared.unwrap_or_else(|error| {
                let problem = render::error_text(&error);
                tracing::warn!("the component offers no resources, prompts or views: {problem}");
                engine::Guide {
                    resources: Vec::new(),
                    suggestions: Vec::new(),
                    prompts: Vec::new(),
                    views: Vec::new(),
                }
            }))
        };
        self.declared.get_or_try_init(read).await
    }

    /// All that clients are shown, whatever the token may do.
    pub(crate) async fn surface(&self) -> Result<Surface<'_>, OfferError> {
        let offer = self.unfitted().await?;
        let instructions = self.loader.instructions().await?;
        let instructions = instructions.map_err(OfferError::Tools)?;
        Ok(Surface {
            instructions: joined([instructions, offer.notes()]),
            tools: offer.tools(),
            guide: self.guide_for(offer).await?,
        })
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

    /// The same, where that is known already.
    pub(crate) fn offered(&self) -> Option<&Offer> {
        self.offer.get().map(Arc::as_ref)
    }

    /// What is offered.
    pub(crate) async fn offer(&self) -> Result<&Offer, OfferError> {
        let list = || async {
            let offer = self.unfitted().await?;
            let held = self.held_within(LIST_PATIENCE).await;
            let held = held.ok().flatten();
            Ok(held.map_or_else(|| Arc::clone(offer), |held| Arc::new(offer.fitted(held))))
        };
        self.offer.get_or_try_init(list).await.map(Arc::as_ref)
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
            toolsets: match &choice.toolsets {
                None => DEFAULT_TOOLSETS.to_owned(),
                Some(names) => names
                    .iter()
                    .map(String::as_str)
                    .collect::<Vec<_>>()
                    .join(","),
            },
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

    /// Also leaves out what needs privileges that a token does not hold. If that would
    /// leave nothing, all stay: the errors of the tools say what to grant.
    fn fitted(&self, held: &Held) -> Self {
        let mut offer = Self {
            tools: Vec::new(),
            ..self.clone()
        };
        for tool in &self.tools {
            match held.missing_for(tool.purpose()) {
                None => offer.tools.push(tool.clone()),
                Some(lacks) => offer.withheld.push((tool.clone(), Reason::Lacks(lacks))),
            }
        }
        match offer.tools.is_empty() {
            true => self.clone(),
            false => offer,
        }
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
                nearest: nearest_tool(&name, &self.tools),
                name,
            },
            Some((_, Reason::Dangerous)) => NotOffered::Dangerous(name),
            Some((_, Reason::Writes)) => NotOffered::Writes(name),
            Some((_, Reason::Refused(reason))) => NotOffered::Refused {
                reason: reason.clone(),
                name,
            },
            Some((_, Reason::Lacks(privileges))) => NotOffered::Lacks {
                privileges: privileges.clone(),
                name,
            },
            Some((tool, Reason::OffByDefault | Reason::Off)) => NotOffered::Off {
                toolset: tool.toolset.clone(),
                chosen: self.toolsets.clone(),
                name,
            },
            Some((_, Reason::NotChosen)) => NotOffered::NotChosen(name),
        })
    }

    /// What a model should know of the tools that are not offered, so that it does not
    /// look for them. A line for each reason.
    pub(crate) fn notes(&self) -> String {
        let withheld = |part: fn(&'_ Tool, &'_ Reason) -> Option<String>| {
            let groups = self
                .withheld
                .iter()
                .filter_map(move |(tool, reason)| Some((part(tool, reason)?, tool.name.as_str())));
            grouped(groups)
        };
        let off = withheld(|tool, reason| {
            matches!(reason, Reason::OffByDefault | Reason::Off).then(|| tool.toolset.clone())
        });
        let refused: Vec<&str> = self
            .withheld
            .iter()
            .filter(|(_, reason)| matches!(reason, Reason::Refused(_)))
            .map(|(tool, _)| tool.name.as_str())
            .collect();
        let lacking = withheld(|_, reason| match reason {
            Reason::Lacks(privileges) => Some(privileges.clone()),
            _ => None,
        });
        let mut notes = Vec::new();
        if self
            .withheld
            .iter()
            .any(|(_, reason)| *reason == Reason::Writes)
        {
            notes.push("This server only reads: no tool changes anything.".to_owned());
        }
        if !off.is_empty() {
            notes.push(format!(
                "Toolsets that are off: {off}. Only this server's operator can turn them on, for \
                 example with --toolsets {},NAME.",
                self.toolsets
            ));
        }
        if !refused.is_empty() {
            notes.push(format!(
                "Tools that the policy turns off: {}.",
                refused.join(", ")
            ));
        }
        if !lacking.is_empty() {
            notes.push(format!(
                "Privileges that the token lacks, and the tools that need them: {lacking}."
            ));
        }
        notes.join("\n")
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
    /// What it declares, for the policy.
    pub(crate) fn purpose(&self) -> purpose::Tool<'_> {
        purpose::Tool {
            calls: &self.calls,
            reads: self.annotations.read_only,
            // The request of a dangerous action is for these tools alone.
            dangerous: self.annotations.dangerous,
        }
    }

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
        let is_off = match &self.toolsets {
            // Whoever names a tool wants it, whatever its toolset.
            None if tool.by_default || named || self.tools.is_some() => None,
            None => Some(Reason::OffByDefault),
            Some(sets) => {
                let is_on = sets.contains(&tool.toolset)
                    || sets.contains(ALL_TOOLSETS)
                    || sets.contains(DEFAULT_TOOLSETS) && tool.by_default;
                (!is_on).then_some(Reason::Off)
            }
        };
        if self.exclude.contains(&tool.name) || !self.tools.as_ref().is_none_or(in_tools) {
            Some(Reason::NotChosen)
        } else if self.read_only && !tool.annotations.read_only {
            Some(Reason::Writes)
        } else if tool.annotations.dangerous && !named && !self.all_dangerous {
            Some(Reason::Dangerous)
        } else if !tool.previews
            && !named
            && let Some(reason) = self.refuses(tool)
        {
            Some(Reason::Refused(reason))
        } else {
            is_off
        }
    }

    /// Why the policy refuses whatever the tool is for. None if it may allow something.
    pub(crate) fn refuses(&self, tool: &Tool) -> Option<String> {
        self.policy.as_ref()?.never_allows(tool.purpose())
    }
}

/// The texts that are not empty, each in its own paragraph.
fn joined(texts: [String; 2]) -> String {
    let texts = texts.into_iter().filter(|text| !text.is_empty());
    texts.collect::<Vec<_>>().join("\n")
}

/// `one (a, b); two (c)`, of pairs of a group and a member, in their order.
fn grouped<'a>(pairs: impl Iterator<Item = (String, &'a str)>) -> String {
    let mut groups: Vec<(String, Vec<&str>)> = Vec::new();
    for (group, member) in pairs {
        match groups.iter_mut().find(|(name, _)| *name == group) {
            Some((_, members)) => members.push(member),
            None => groups.push((group, vec![member])),
        }
    }
    let groups = groups.iter();
    let groups = groups.map(|(name, members)| format!("{name} ({})", members.join(", ")));
    groups.collect::<Vec<_>>().join("; ")
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
    let known = known.map(|known| (known, known));
    likeness::nearest(name, 0.7, known).map(str::to_owned)
}

/// A hint at what may have been meant.
fn perhaps(nearest: &Option<String>) -> String {
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
                destructive: name != "look",
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
        assert!(matches!(found.find("write"), Err(NotOffered::NotChosen(_))));
    }

    #[test]
    fn a_name_that_means_nothing_is_an_error() {
        let error = offer(&Choice {
            exclude: set(&["wite"]),
            ..Choice::default()
        });
        assert_eq!(
            error.unwrap_err().to_string(),
            "exclude-tools: unknown tool \"wite\" (perhaps \"write\")"
        );
        let error = offer(&Choice {
            toolsets: Some(set(&["zzz"])),
            ..Choice::default()
        });
        assert_eq!(
            error.unwrap_err().to_string(),
            "toolsets: unknown toolset \"zzz\""
        );
        let found = offer(&Choice::default()).unwrap();
        assert_eq!(
            found.find("lok").unwrap_err().to_string(),
            "unknown tool \"lok\" (perhaps \"look\"): tools/list shows the available tools"
        );
        // Nobody is led to a destructive tool.
        assert_eq!(
            found.find("wite").unwrap_err().to_string(),
            "unknown tool \"wite\": tools/list shows the available tools"
        );
    }
}
