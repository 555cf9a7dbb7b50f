//! `host-runner setup`: from an address and a token to a file of settings that works.
//!
//! Each step is checked before the next one, and the file is written last. The token is sent
//! only after the certificate was accepted.

mod answers;
mod ask;
mod certificate;
mod check;
mod file;
mod role;

use std::io::Read as _;
use std::path::Path;

use host_runner_policy::Preset;
use serde_json::json;
use zeroize::Zeroizing;

use self::answers::Answers;
use self::ask::User;
use self::file::Place;
use self::role::Grant;
use super::{CommandError, print};
use crate::cli::{Operator, SetupArgs};
use crate::engine::Embedded;
use crate::operator_file::MAX_SECRET_BYTES;
use crate::settings::{Settings, Variable};

/// The user that is suggested.
const USER: &str = "mcp@pve";
/// The name of the token that is suggested.
const TOKEN: &str = "assistant";

/// Sets up the connection to Proxmox VE. Asks for what is missing, if there is a terminal.
pub(crate) async fn run(
    operator: &Operator<'_>,
    embedded: Embedded,
    args: &SetupArgs,
) -> Result<(), CommandError> {
    tokio::select! {
        result = steps(operator, embedded, args) => result,
        _ = tokio::signal::ctrl_c() => Err(CommandError::Interrupted("interrupted: nothing was written".to_owned())),
    }
}

async fn steps(
    operator: &Operator<'_>,
    embedded: Embedded,
    args: &SetupArgs,
) -> Result<(), CommandError> {
    check_arguments(operator, args)?;
    let mut answers = Answers::given(operator)?;
    if args.commands {
        let preset = operator.policy()?.preset.unwrap_or_default();
        let (user, token) = names(&answers);
        return print(&grant(preset, &user, &token, args).commands());
    }
    let user = User::new();
    let place = Place::new(args)?;
    if !user.can_answer {
        check_complete(&answers, operator, args)?;
    }
    if answers.get(Variable::Url).is_none() {
        let url = user.ask("Address of Proxmox VE, such as pve1", "").await?;
        answers.set(Variable::Url, url);
    }
    certificate::accept(user, &mut answers).await?;
    let preset = preset(user, operator).await?;
    token(user, &mut answers, operator, args, preset).await?;
    let settings = answers.settings()?;
    user.tell("Testing the token…");
    let report = check::check(operator, embedded, &settings, preset).await?;
    let grant = grant(preset, &settings.user, &settings.token_name, args);
    user.tell(&report.to_text(&grant));
    let text = file::text(answers.written(&settings))?;
    let backup = place.write(&text)?;
    if let Some(backup) = backup {
        user.tell(&format!("The earlier file is now {}.", backup.display()));
    }
    print(&next_steps(place.path(), preset)?)
}

/// Refuses options that contradict what this does.
fn check_arguments(operator: &Operator<'_>, args: &SetupArgs) -> Result<(), CommandError> {
    let refused = |text: &str| Err(CommandError::Usage(text.to_owned()));
    if operator.options.demo {
        return refused("--demo needs no setup: leave one of the two out");
    }
    if operator.given(Variable::Clusters).is_some() {
        return refused(
            "setup is for one cluster: leave out --clusters, and refer to the settings that it \
             writes in the file of clusters",
        );
    }
    let verifies = operator
        .given(Variable::VerifySsl)
        .is_none_or(|value| value.eq_ignore_ascii_case("true") || value == "1");
    if !verifies {
        return refused(
            "setup accepts no certificate unverified: leave out --verify-ssl, and pass --fingerprint \
             or --ca-file if no public authority has signed it",
        );
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/-_.".contains(c);
    match args.path.starts_with('/') && args.path.chars().all(is_plain) {
        true => Ok(()),
        false => refused("--path is a path of Proxmox's permissions: /, /pool/NAME or /vms/VMID"),
    }
}

/// Without a terminal, all has to be given. Names everything that is missing.
fn check_complete(
    answers: &Answers,
    operator: &Operator<'_>,
    args: &SetupArgs,
) -> Result<(), CommandError> {
    let token = answers.get(Variable::TokenId);
    let owned = token.is_some_and(|token| token.contains('!'));
    let mut missing = Vec::new();
    if answers.get(Variable::Url).is_none() {
        missing.push("--url");
    }
    if answers.get(Variable::User).is_none() && !owned {
        missing.push("--user");
    }
    if token.is_none() {
        missing.push("--token-id");
    }
    if args.token_secret_file.is_none() && !operator.gives_secret() {
        missing.push("--token-secret-file (or PROXMOX_TOKEN_SECRET)");
    }
    match missing.is_empty() {
        true => Ok(()),
        false => Err(CommandError::Usage(format!(
            "there is no terminal to ask at, so give {}",
            missing.join(", ")
        ))),
    }
}

fn grant<'a>(preset: Preset, user: &'a str, token: &'a str, args: &'a SetupArgs) -> Grant<'a> {
    let path = args.path.as_str();
    Grant {
        preset,
        user,
        token,
        path,
    }
}

/// The user and the token's name as far as they are known, otherwise the suggested ones.
fn names(answers: &Answers) -> (String, String) {
    let user = answers.get(Variable::User);
    let token = answers.get(Variable::TokenId);
    let (owner, name) = match token.and_then(|token| token.split_once('!')) {
        Some((owner, name)) => (Some(owner), Some(name)),
        None => (None, token),
    };
    let user = user.or(owner).unwrap_or(USER);
    (user.to_owned(), name.unwrap_or(TOKEN).to_owned())
}

/// How much the assistant may do: what the policy says, or the user.
async fn preset(user: User, operator: &Operator<'_>) -> Result<Preset, CommandError> {
    let given = operator.policy()?.preset;
    if let (None, true) = (given, user.can_answer) {
        user.tell(
            "What may the assistant do?\n  observe  read only\n  operate  also changes that are \
             reversible or only add something\n  admin    also changes that can interrupt guests or \
             lose data",
        );
        let answer = user.ask("Preset", Preset::default().name()).await?;
        let known = Preset::ALL.into_iter().find(|(_, name)| *name == answer);
        return known.map(|(preset, _)| preset).ok_or_else(|| {
            CommandError::Usage(
                "unknown preset: choose observe, operate or admin; nothing was written".to_owned(),
            )
        });
    }
    Ok(given.unwrap_or_default())
}

/// Completes the token's user, name and secret.
async fn token(
    user: User,
    answers: &mut Answers,
    operator: &Operator<'_>,
    args: &SetupArgs,
    preset: Preset,
) -> Result<(), CommandError> {
    let (owner, name) = names(answers);
    let asks = user.can_answer && answers.get(Variable::TokenId).is_none();
    if asks {
        let commands = grant(preset, &owner, &name, args).commands();
        user.tell(&format!(
            "If there is no token for the assistant yet, create one. These commands give it the \
             privileges for this preset:\n\n{commands}\n"
        ));
    }
    if answers.get(Variable::User).is_none() && asks {
        let answer = user.ask("User that owns the token", &owner).await?;
        answers.set(Variable::User, answer);
    }
    if asks {
        let answer = user.ask("Name of the token", &name).await?;
        answers.set(Variable::TokenId, answer);
    }
    let secret = match &args.token_secret_file {
        Some(path) if path == Path::new("-") => from_stdin()?,
        Some(path) => {
            let mut alone = Answers::default();
            alone.set(Variable::Url, "pve".to_owned());
            alone.set(Variable::User, owner);
            alone.set(Variable::TokenId, name);
            alone.set(Variable::TokenSecretFile, path.display().to_string());
            exposed(&alone.settings()?)
        }
        None => match operator.secret()? {
            Some(secret) => secret.expose(|text| Zeroizing::new(text.to_owned())),
            None => user.ask_secret("Secret of the token").await?,
        },
    };
    answers.set(Variable::TokenSecret, secret);
    Ok(())
}

fn exposed(settings: &Settings) -> Zeroizing<String> {
    let secret = &settings.token_secret;
    secret.expose(|text| Zeroizing::new(text.to_owned()))
}

fn from_stdin() -> Result<Zeroizing<String>, CommandError> {
    let most = u64::try_from(MAX_SECRET_BYTES).unwrap_or(u64::MAX);
    let mut text = Zeroizing::new(String::new());
    std::io::stdin().take(most).read_to_string(&mut text)?;
    Ok(Zeroizing::new(text.trim().to_owned()))
}

/// What was written, and how to use it.
fn next_steps(path: &Path, preset: Preset) -> Result<String, CommandError> {
    let program = std::env::current_exe()?;
    let preset = format!("--preset={}", preset.name());
    let path = path.display().to_string();
    let server = json!({
        "mcpServers": {
            "proxmox": {
                "command": program.display().to_string(),
                "args": ["serve", "--env-file", path, preset],
            }
        }
    });
    Ok(format!(
        "Wrote {path} (mode 0600).\n\nCheck it:\n  host-runner --env-file {quoted} {preset} call \
         list_nodes\n\nThe configuration of an MCP client that reads mcpServers:\n{server:#}",
        quoted = quoted(&path),
    ))
}

/// A word of a shell's command line.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/-_.".contains(c);
    match text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}
