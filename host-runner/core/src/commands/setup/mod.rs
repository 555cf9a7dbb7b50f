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

use host_runner_policy::{Preset, quote};
use zeroize::Zeroizing;

use self::answers::Answers;
use self::ask::User;
use self::check::Report;
use self::file::Place;
use self::role::Grant;
use super::{CommandError, client, print};
use crate::cli::{ClientNames, Operator, SetupArgs};
use crate::clients::Client;
use crate::engine::Embedded;
use crate::operator_file::MAX_SECRET_BYTES;
use crate::secret::Secret;
use crate::settings::{Settings, Variable, own_file};

/// The user that is suggested.
const USER: &str = "mcp@pve";
/// The name of the token that is suggested.
const TOKEN: &str = "assistant";
/// The variable that gives the preset.
const PRESET: &str = "PROXMOX_MCP_PRESET";

/// Sets up the connection to Proxmox VE. Asks for what is missing, if there is a terminal.
pub(crate) async fn run(
    operator: &Operator<'_>,
    embedded: Embedded,
    args: &SetupArgs,
) -> Result<(), CommandError> {
    check_arguments(operator, args)?;
    let answers = Answers::given(operator)?;
    let policy = operator.policy()?.preset;
    if args.commands {
        let (user, token) = names(&answers);
        Answers::check_names(&user, &token)?;
        let preset = policy.unwrap_or_default();
        return print(&grant(preset, &user, &token, args).commands());
    }
    let user = User::new();
    let place = Place::new(args)?;
    if !user.can_answer {
        check_complete(&answers, operator, args)?;
    }
    tokio::select! {
        written = write(user, operator, embedded, args, answers, &place) => {
            let preset = written.map_err(with_nothing_written)?.name();
            let path = place.path().display();
            print(&format!("Wrote {path} (only you can read it), with the preset {preset}."))?;
        }
        _ = tokio::signal::ctrl_c() => {
            return Err(CommandError::Interrupted("interrupted: nothing was written".to_owned()));
        }
    }
    tokio::select! {
        finished = finish(user, args, &place) => finished,
        _ = tokio::signal::ctrl_c() => Err(CommandError::Interrupted(
            "interrupted: the settings were written, and not all clients were configured".to_owned(),
        )),
    }
}

/// Asks, tests, and writes the file. Returns the preset that it says.
async fn write(
    user: User,
    operator: &Operator<'_>,
    embedded: Embedded,
    args: &SetupArgs,
    mut answers: Answers,
    place: &Place,
) -> Result<Preset, CommandError> {
    connection(user, &mut answers).await?;
    let preset = preset(user, operator).await?;
    let (settings, report) = tested(user, &mut answers, operator, embedded, args, preset).await?;
    let grant = grant(preset, &settings.user, &settings.token_name, args);
    user.tell(&report.to_text(&grant));
    let policy = policy_lines(operator, preset)?;
    let policy = policy
        .iter()
        .map(|(variable, value)| (*variable, value.as_str()));
    let text = file::text(answers.written(&settings).chain(policy))?;
    if let Some(backup) = place.write(&text)? {
        user.tell(&format!(
            "The earlier file, with its secret, is now {}.",
            backup.display()
        ));
    }
    Ok(preset)
}

/// Says of a failure before the end that nothing has changed.
fn with_nothing_written(error: CommandError) -> CommandError {
    // Behind the cause, in front of the steps that follow it.
    let said = |text: String| match text.split_once('\n') {
        Some((cause, steps)) => format!("{cause}; nothing was written\n{steps}"),
        None => format!("{text}; nothing was written"),
    };
    match error {
        CommandError::Unhealthy(text) => CommandError::Unhealthy(said(text)),
        CommandError::Usage(text) => CommandError::Usage(said(text)),
        other => other,
    }
}

/// Completes the addresses, and says which certificates to accept there. Where the user can
/// answer, another address is asked for if one cannot be used.
async fn connection(user: User, answers: &mut Answers) -> Result<(), CommandError> {
    if let Some(given) = answers.get(Variable::Url).map(answers::addresses) {
        answers.set(Variable::Url, given);
        return certificate::accept(user, answers).await;
    }
    let before = answers.get(Variable::Fingerprint).map(str::to_owned);
    loop {
        let read = |answer: &str| match answers::addresses(answer) {
            given if given.is_empty() => Err("enter an address, such as pve1".to_owned()),
            given => Ok(given),
        };
        let url = user.choose("Address of Proxmox VE, such as pve1", "", read);
        answers.set(Variable::Url, url.await?);
        match certificate::accept(user, answers).await {
            Ok(()) => return Ok(()),
            Err(error @ (CommandError::Unhealthy(_) | CommandError::Settings(_))) => {
                user.tell(&format!("{error}"));
                // Those of the address that was not used.
                answers.set(Variable::Fingerprint, before.clone().unwrap_or_default());
            }
            Err(error) => return Err(error),
        }
    }
}

/// Completes the token and tests it. Where the user can answer, another one is asked for if
/// it is not accepted.
async fn tested(
    user: User,
    answers: &mut Answers,
    operator: &Operator<'_>,
    embedded: Embedded,
    args: &SetupArgs,
    preset: Preset,
) -> Result<(Settings, Report), CommandError> {
    let names_token = user.can_answer && answers.get(Variable::TokenId).is_none();
    let mut shown = None;
    let asks_secret = match args.token_secret_file.as_deref() {
        // What is typed there is not shown.
        Some(file) => user.can_answer && file == Path::new("-"),
        None => !operator.gives_secret(),
    };
    loop {
        if names_token {
            token(user, answers).await?;
            let (owner, name) = names(answers);
            let commands = grant(preset, &owner, &name, args).commands();
            if shown.as_ref() != Some(&commands) {
                user.tell(&format!(
                    "If this token does not exist yet, create it. These commands give it the \
                     privileges for this preset, on a node, as root:\n\n{commands}\n"
                ));
                shown = Some(commands);
            }
        }
        let secret = match asks_secret {
            true => user.choose_secret("Secret of the token").await?,
            false => secret(answers, operator, args)?,
        };
        answers.set(Variable::TokenSecret, secret);
        match tested_once(user, answers, operator, embedded, preset).await {
            Err(error @ (CommandError::Unhealthy(_) | CommandError::Settings(_)))
                if user.can_answer && asks_secret =>
            {
                user.tell(&format!("{error}"));
            }
            done => return done,
        }
    }
}

async fn tested_once(
    user: User,
    answers: &Answers,
    operator: &Operator<'_>,
    embedded: Embedded,
    preset: Preset,
) -> Result<(Settings, Report), CommandError> {
    let settings = answers.settings()?;
    user.tell("Testing the token…");
    let report = check::check(operator, embedded, &settings, preset).await?;
    Ok((settings, report))
}

/// What the file says of the policy: its file, if one was given, and otherwise the preset.
fn policy_lines(
    operator: &Operator<'_>,
    preset: Preset,
) -> Result<Vec<(Variable, String)>, CommandError> {
    let mut lines = Vec::new();
    let flags = &operator.options.policy;
    let of_environment = operator.given(Variable::Policy).map(Path::new);
    let policy = flags.file().or(of_environment);
    if let Some(path) = policy {
        let path = std::path::absolute(path)?;
        lines.push((Variable::Policy, path.display().to_string()));
    }
    let is_in_file =
        policy.is_some() && flags.preset().is_none() && operator.policy()?.preset.is_some();
    if let Some(variable) = Variable::named(PRESET)
        && !is_in_file
    {
        lines.push((variable, preset.name().to_owned()));
    }
    Ok(lines)
}

/// Refuses options that contradict what this does, or that it would not write.
fn check_arguments(operator: &Operator<'_>, args: &SetupArgs) -> Result<(), CommandError> {
    let refused = |text: &str| Err(CommandError::Usage(text.to_owned()));
    let others = operator.options.policy.besides_preset();
    if !others.is_empty() {
        return Err(CommandError::Usage(format!(
            "of the policy, setup writes only the preset and the path of a policy file, not {}: \
             put that into a policy file and pass it with --policy",
            others.join(", ")
        )));
    }
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
    match is_permission_path(&args.path) {
        true => Ok(()),
        false => refused("--path is a path of Proxmox's permissions: /, /pool/NAME or /vms/VMID"),
    }
}

/// Whether a role for an assistant can be granted there.
fn is_permission_path(path: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/-_.".contains(c);
    if let Some(pool) = path.strip_prefix("/pool/") {
        return !pool.is_empty() && pool.chars().all(is_plain);
    }
    let vmid = path.strip_prefix("/vms/");
    path == "/" || vmid.is_some_and(|vmid| vmid.parse::<u32>().is_ok())
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
    if given.is_some() || !user.can_answer {
        return Ok(given.unwrap_or_default());
    }
    user.tell(
        "What may the assistant do?\n  observe  read only\n  operate  also changes that are \
         reversible or only add something\n  admin    also changes that can interrupt guests or \
         lose data",
    );
    let read = |answer: &str| {
        let known = Preset::ALL.into_iter().find(|(_, name)| *name == answer);
        let known = known.map(|(preset, _)| preset);
        known.ok_or_else(|| "choose observe, operate or admin".to_owned())
    };
    user.choose("Preset", Preset::default().name(), read).await
}

/// Asks for the token's user and name. Either answer may be both: `user@realm!name`.
async fn token(user: User, answers: &mut Answers) -> Result<(), CommandError> {
    let (owner, name) = names(answers);
    let read = |answer: &str| {
        let (owner, given) = match answer.split_once('!') {
            Some((owner, given)) => (owner, Some(given)),
            None => (answer, None),
        };
        match owner.split_once('@') {
            Some((name, realm)) if !name.is_empty() && !realm.is_empty() => {
                checked(owner, given.unwrap_or(TOKEN))?;
                Ok((owner.to_owned(), given.map(str::to_owned)))
            }
            _ => Err("a user is written with its realm, such as mcp@pve".to_owned()),
        }
    };
    let question = "User that owns the token";
    let (owner, given) = user.choose(question, &owner, read).await?;
    let given = match given {
        Some(given) => (owner, given),
        None => {
            let read = |answer: &str| {
                let (owner, name) = match answer.split_once('!') {
                    Some((owner, name)) => (owner, name),
                    None => (owner.as_str(), answer),
                };
                checked(owner, name)?;
                Ok((owner.to_owned(), name.to_owned()))
            };
            user.choose("Name of the token", &name, read).await?
        }
    };
    answers.set(Variable::User, given.0);
    answers.set(Variable::TokenId, given.1);
    Ok(())
}

/// Fails with what is wrong with the names of a user and a token.
fn checked(owner: &str, name: &str) -> Result<(), String> {
    Answers::check_names(owner, name).map_err(|error| error.to_string())
}

/// The token's secret from where the flags and the environment say that it is.
fn secret(
    answers: &Answers,
    operator: &Operator<'_>,
    args: &SetupArgs,
) -> Result<Zeroizing<String>, CommandError> {
    if let Some(path) = &args.token_secret_file {
        if path == Path::new("-") {
            return from_stdin();
        }
        let (owner, name) = names(answers);
        let mut alone = Answers::default();
        alone.set(Variable::Url, "https://pve:8006".to_owned());
        alone.set(Variable::User, owner);
        alone.set(Variable::TokenId, name);
        alone.set(Variable::TokenSecretFile, path.display().to_string());
        return Ok(exposed(&alone.settings()?.token_secret));
    }
    let given = operator.secret()?.ok_or_else(|| {
        CommandError::Usage(
            "the secret of the token is missing: give --token-secret-file".to_owned(),
        )
    })?;
    Ok(exposed(&given))
}

fn exposed(secret: &Secret) -> Zeroizing<String> {
    secret.expose(|text| Zeroizing::new(text.to_owned()))
}

fn from_stdin() -> Result<Zeroizing<String>, CommandError> {
    let most = u64::try_from(MAX_SECRET_BYTES).unwrap_or(u64::MAX);
    let mut text = Zeroizing::new(String::new());
    std::io::stdin().take(most).read_to_string(&mut text)?;
    match text.trim() {
        "" => Err(CommandError::Usage(
            "stdin holds no secret: pass the secret of the token there".to_owned(),
        )),
        secret => Ok(Zeroizing::new(secret.to_owned())),
    }
}

/// Configures the clients that were named, and says how to go on.
async fn finish(user: User, args: &SetupArgs, place: &Place) -> Result<(), CommandError> {
    let clients = match args.clients.is_empty() && user.can_answer {
        true => chosen(user).await?,
        false => args.clients.iter().flat_map(|one| one.0.clone()).collect(),
    };
    let env_file = env_file(place.path());
    let mut failed = false;
    for client in &clients {
        if let Err(error) = client::connect(*client, place.path(), args.replace) {
            let name = client.id();
            user.tell(&format!(
                "error: {error}\nThe settings were written. When that is mended, run: host-runner \
                 client {name}{env_file} --write"
            ));
            failed = true;
        }
    }
    print(&next_steps(&env_file, clients.is_empty()))?;
    match failed {
        true => Err(CommandError::Reported(1)),
        false => Ok(()),
    }
}

/// Asks which clients to configure.
async fn chosen(user: User) -> Result<Vec<Client>, CommandError> {
    let found: Vec<_> = client::installed()?.into_iter().map(Client::id).collect();
    user.tell(&match found.is_empty() {
        true => "No client that `host-runner client` knows was found here.".to_owned(),
        false => format!("Clients that were found here: {}.", found.join(", ")),
    });
    let read = |answer: &str| answer.parse::<ClientNames>();
    let question = "Clients to configure, separated by commas, or none";
    match user.choose(question, "", read).await {
        Ok(names) => Ok(names.0),
        // Nobody answers any more: the settings are written all the same.
        Err(CommandError::Usage(text)) if text == ask::ENDED => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// The option that names the file which was written, unless it is found without.
fn env_file(path: &Path) -> String {
    match own_file().as_deref() == Some(path) {
        true => String::new(),
        false => format!(" --env-file {}", quote(&path.display().to_string())),
    }
}

/// How to use what was written.
fn next_steps(env_file: &str, without_client: bool) -> String {
    let mut lines = vec![format!("Check it:\n  host-runner doctor{env_file}")];
    if without_client {
        lines.push(format!(
            "Configure a client (`host-runner client` lists them):\n  host-runner client \
             cursor{env_file} --write"
        ));
    }
    lines.join("\n")
}
