//! `host-runner policy`

use std::collections::BTreeMap;

use host_runner_policy::{ACTIONS, Confirm, Fallback, PolicyFile, Preset, Rule};
use serde_json::{Value, json};

use super::words::Words;
use super::{CommandError, Context, Process, catalog, output, print};
use crate::cli::{ExplainArgs, Format, Operator, OutputArgs};
use crate::engine::{Embedded, ToolError};
use crate::offer::Fleet;
use crate::render;
use crate::sandbox::{Consent, Decision, Fate, Terms};
use crate::settings::{Settings, SettingsError};

/// Prints the policy in force, for the client of this name if there is one.
pub(crate) fn show(
    operator: &Operator<'_>,
    client: Option<&str>,
    output: &OutputArgs,
) -> Result<(), CommandError> {
    let layers = operator.policy_layers(client)?;
    let mut shown = layers.effective().clone();
    let rules = operator.rules(&shown)?;
    shown.preset.get_or_insert_default();
    shown.read_only.get_or_insert_default();
    shown.confirm.get_or_insert_default();
    let text = shown
        .to_text()
        .map_err(crate::policy::PolicyFileError::Flags)?;
    let allowed = rules.policy.actions.iter().map(|action| action.name());
    let allowed: Vec<_> = match rules.policy.read_only {
        true => allowed.filter(|name| *name == "read").collect(),
        false => allowed.collect(),
    };
    let for_tools = for_tools_alone(&shown, &allowed);
    let mut origins = layers.origins();
    for key in ["preset", "read_only", "confirm"] {
        if !origins.iter().any(|(one, _)| one == key) {
            origins.push((key.to_owned(), "the default".to_owned()));
        }
    }
    if let Some(format @ (Format::Json | Format::Yaml)) = output.chosen() {
        let policy = serde_json::to_value(&shown).unwrap_or_default();
        let origins: serde_json::Map<_, _> = origins
            .into_iter()
            .map(|(key, place)| (key, json!(place)))
            .collect();
        let shown = json!({ "policy": policy, "origins": origins, "allowed_actions": allowed,
            "allowed_for_tools_alone": for_tools });
        return output::structured(format, &shown);
    }
    let origins = origins.iter();
    let origins = origins.map(|(key, place)| format!("#   {key}: {place}\n"));
    let origins: String = origins.collect();
    let for_tools: String = for_tools
        .iter()
        .map(|(tool, actions)| format!("# for {tool} alone: {}\n", actions.join(", ")))
        .collect();
    print(&format!(
        "{}\n\n# where this comes from:\n{}\n# these actions are allowed:\n#   {}\n{for_tools}\
         # no policy can allow: deleting a guest, a storage or a volume, overwriting a guest,\n\
         # changing users or permissions, running commands on a node",
        text.trim_end(),
        render::for_terminal(&origins),
        allowed.join(", ")
    ))
}

/// The actions that only tools which the operator has named may use, by tool.
fn for_tools_alone<'a>(
    file: &'a PolicyFile,
    allowed: &[&str],
) -> BTreeMap<&'a str, Vec<&'static str>> {
    if file.read_only == Some(true) || file.preset == Some(Preset::Observe) {
        return BTreeMap::new();
    }
    let dangerous = ACTIONS.iter().filter(|(action, _)| action.is_dangerous());
    let dangerous = dangerous.map(|(action, _)| action.name());
    let dangerous: Vec<_> = dangerous.filter(|name| !allowed.contains(name)).collect();
    let tools = file.allow_tools.iter().flatten();
    tools
        .filter(|_| !dangerous.is_empty())
        .map(|tool| (tool.as_str(), dangerous.clone()))
        .collect()
}

/// Tells what the policy says of a call or of a request.
pub(crate) async fn explain(
    operator: &Operator<'_>,
    embedded: Embedded,
    args: &ExplainArgs,
) -> Result<(), CommandError> {
    let words = Words::read(&args.arguments)?;
    let (context, offline) = match operator.settings() {
        _ if operator.options.demo => (Context::new(operator, embedded).await?, false),
        Ok(_) => (Context::new(operator, embedded).await?, false),
        Err(SettingsError::Missing { .. }) => {
            let settings = Settings::nowhere();
            let process = Process::new(operator, embedded);
            let context = Context {
                catalog: Fleet::of_one(catalog(operator, &process, &settings)?),
                settings,
                demo: None,
            };
            (context, true)
        }
        Err(error) => return Err(error.into()),
    };
    let mut explanation = match args.tool.split_once(' ') {
        Some((method, target)) => of_request(&context, method, target, words).await?,
        None => of_tool(&context, &args.tool, words, offline).await?,
    };
    let file = operator.policy()?;
    explanation.confirm = file.confirm.unwrap_or_default();
    explanation.fallback = file.confirm_fallback.unwrap_or_default();
    output::show(&args.output, &explanation.to_json(), || {
        explanation.to_text()
    })?;
    match explanation.is_allowed() {
        true => Ok(()),
        false => Err(CommandError::Reported(1)),
    }
}

/// What came of a dry run.
struct Explanation {
    /// What was asked about.
    subject: String,
    /// Why the tool is not offered at all.
    not_offered: Option<String>,
    decisions: Vec<Decision>,
    /// What the policy's scope names and the cluster does not have.
    warnings: Vec<String>,
    /// How the tool ended where no change was shown.
    end: Option<String>,
    /// No request was sent, because there are no settings.
    offline: bool,
    /// Which changes the user is asked about.
    confirm: Confirm,
    /// What happens where the client cannot ask.
    fallback: Fallback,
}

async fn of_tool(
    context: &Context,
    name: &str,
    words: Words,
    offline: bool,
) -> Result<Explanation, CommandError> {
    let offer = context.catalog.offer().await?;
    let not_offered = offer.find(name).err().map(|error| error.to_string());
    let mut explanation = Explanation {
        // The arguments may hold a password.
        subject: name.to_owned(),
        not_offered,
        decisions: Vec::new(),
        warnings: Vec::new(),
        end: None,
        offline,
        confirm: Confirm::Never,
        fallback: Fallback::Refuse,
    };
    // The verdicts about its requests are shown all the same.
    let Some(tool) = offer.any(name) else {
        return Ok(explanation);
    };
    let arguments = words.for_tool(tool)?;
    let plugin = context.catalog.plugin().await?;
    let terms = Terms {
        consent: Consent::Given,
        dry_run: true,
        offline,
        dangerous: tool.annotations.dangerous && explanation.not_offered.is_none(),
        ..tool.terms()
    };
    let gate = plugin.gate(terms, None);
    let end = plugin.call_tool(name, &arguments, &gate).await;
    explanation.decisions = gate.decisions();
    if !offline {
        explanation.warnings = plugin.missing_of_scope().await.to_vec();
    }
    let shown = explanation.decisions.iter().any(Decision::decides);
    explanation.end = match end {
        Ok(_) => Some("the tool ends without changing anything".to_owned()),
        Err(_) if shown => None,
        Err(ToolError::InvalidArguments(error)) => {
            return Err(CommandError::Tool(ToolError::InvalidArguments(error)));
        }
        Err(_) if offline => None,
        Err(error) => Some(format!("the tool ends: {}", render::error_text(&error))),
    };
    Ok(explanation)
}

async fn of_request(
    context: &Context,
    method: &str,
    target: &str,
    words: Words,
) -> Result<Explanation, CommandError> {
    let form = words.into_form()?;
    let subject = format!("{method} {target}");
    let malformed = || CommandError::Request(subject.clone());
    let plugin = context.catalog.plugin().await?;
    // A dangerous action is for the tools alone that the operator allows.
    let offer = context.catalog.offer().await?;
    let dangerous = offer.allows_danger();
    let terms = Terms {
        consent: Consent::Given,
        dry_run: true,
        offline: true,
        dangerous,
        ..Terms::default()
    };
    let gate = plugin.gate(terms, None);
    let request = gate
        .request(method, target.trim(), &form)
        .ok_or_else(malformed)?;
    // The answer is in the decisions.
    let _ = gate.send(request, None).await;
    Ok(Explanation {
        subject,
        not_offered: None,
        decisions: gate.decisions(),
        warnings: Vec::new(),
        end: None,
        offline: false,
        confirm: Confirm::Never,
        fallback: Fallback::Refuse,
    })
}

impl Decision {
    /// Whether it answers the question: a change, or a refusal.
    fn decides(&self) -> bool {
        !self.verdict.allowed || self.fate == Fate::Withheld
    }

    /// Whether the user would be asked before it.
    fn asks(&self, confirm: Confirm) -> bool {
        self.verdict.allowed
            && self.method != "GET"
            && match confirm {
                Confirm::Never => false,
                Confirm::Destructive => self.verdict.meaning.is_destructive(),
                Confirm::Writes => true,
            }
    }

    fn to_line(&self, confirm: Confirm, fallback: Fallback) -> String {
        let fate = match self.fate {
            Fate::Sent(Some(status)) => format!("allowed, sent, answered {status}"),
            Fate::Sent(None) => "allowed, sent, not answered".to_owned(),
            _ if self.verdict.allowed => "allowed, not sent".to_owned(),
            _ => "refused".to_owned(),
        };
        let (rule, reason) = (self.verdict.rule, &self.verdict.reason);
        let question = if self.asks(confirm) {
            let otherwise = match fallback {
                Fallback::Refuse => "refused",
                Fallback::Allow => "allowed",
            };
            format!(
                "\n  needs the user's consent by rule {}, and is {otherwise} where the client cannot \
                 ask",
                Rule::Confirm
            )
        } else {
            String::new()
        };
        format!(
            "{}\n  {fate} by rule {rule}: {reason}{question}",
            self.subject()
        )
    }

    fn to_json(&self, confirm: Confirm) -> Value {
        let params = self.params.iter();
        let params: serde_json::Map<_, _> = params
            .map(|(name, value)| (name.clone(), json!(value)))
            .collect();
        json!({
            "method": self.method,
            "path": self.path,
            "params": params,
            "allowed": self.verdict.allowed,
            "asks_user": self.asks(confirm),
            "sent": matches!(self.fate, Fate::Sent(_)),
            "rule": self.verdict.rule.name(),
            "reason": self.verdict.reason,
        })
    }
}

impl Explanation {
    fn is_allowed(&self) -> bool {
        let refused = |decision: &Decision| !decision.verdict.allowed;
        self.not_offered.is_none() && !self.decisions.iter().any(refused)
    }

    fn to_text(&self) -> String {
        let mut lines = vec![self.subject.clone()];
        if let Some(reason) = &self.not_offered {
            lines.push(format!("not offered by rule tools: {reason}"));
        }
        let decisions = self.decisions.iter();
        lines.extend(decisions.map(|one| one.to_line(self.confirm, self.fallback)));
        lines.extend(self.end.clone());
        lines.extend(self.warnings.iter().map(|line| format!("warning: {line}")));
        if self.offline && !self.decisions.iter().any(Decision::decides) {
            lines.push(
                "nothing was sent because no settings were given: with settings, the dry run \
                 continues to the first change (see `host-runner --help`)"
                    .to_owned(),
            );
        }
        lines.push(match self.is_allowed() {
            true => "verdict: allowed, as far as the dry run goes".to_owned(),
            false => "verdict: refused".to_owned(),
        });
        lines.join("\n")
    }

    fn to_json(&self) -> Value {
        let requests = self.decisions.iter().map(|one| one.to_json(self.confirm));
        json!({
            "subject": self.subject,
            "allowed": self.is_allowed(),
            "not_offered": self.not_offered,
            "requests": requests.collect::<Vec<_>>(),
            "end": self.end,
            "warnings": self.warnings,
            "offline": self.offline,
        })
    }
}
