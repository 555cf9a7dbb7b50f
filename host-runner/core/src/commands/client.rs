//! `client`: the configuration of MCP clients.

mod file;
mod named_files;

use std::io;
use std::path::{Path, PathBuf};

use clap::{Parser as _, ValueEnum as _};
use host_runner_policy::quote;
use serde_json::{Map, Value, json};

use self::file::{Original, replace};
use self::named_files::Named;
use super::{CommandError, output, print};
use crate::cli::{Cli, ClientArgs, ENTRY, Options};
use crate::clients::{
    self, Client, Entry, Launch, MergeError, Merged, Surroundings, System, Token, holds_token,
};
use crate::settings::{mask_secrets, own_file};

/// Prints or writes the configuration.
pub(crate) fn run(options: &Options, args: &ClientArgs) -> Result<(), CommandError> {
    let Some(client) = args.client else {
        return list(args);
    };
    check_options(options, args)?;
    args.http.as_deref().map_or(Ok(()), check_url)?;
    let launch = launch(options, args, client)?;
    let entry = clients::entry(client, &args.name, &launch);
    let command = Command::Typed {
        with_options: !args.options.is_empty(),
    };
    if args.write {
        let by_hand = client.steps(args.http.is_some()).is_some();
        return write(client, &entry, args.project, args.replace, by_hand, command);
    }
    let http = args.http.as_deref();
    show(client, &entry, args.project, http, command)
}

/// Which command does what a message advises.
#[derive(Clone, Copy)]
enum Command<'a> {
    /// The one that was typed, with options of the server behind `--` or without.
    Typed { with_options: bool },
    /// `client`, with this file of settings.
    WithSettings(&'a str),
}

impl Command<'_> {
    /// How to say that the command is run with these flags.
    fn with(self, client: Client, flags: &str) -> String {
        match self {
            Self::Typed {
                with_options: false,
            } => format!("add {flags} to this command"),
            Self::Typed { with_options: true } => {
                format!("add {flags} to this command, in front of --,")
            }
            Self::WithSettings(path) => format!(
                "run `host-runner client {} --env-file {} {flags}`",
                client.id(),
                quote(path)
            ),
        }
    }
}

/// Refuses an address that no client can use, or that has a secret in it. It is checked here,
/// not by clap, whose errors repeat the value.
fn check_url(text: &str) -> Result<(), CommandError> {
    const EXAMPLE: &str = "http://127.0.0.1:8080/mcp";
    let wrong = |what: &str| Err(CommandError::Usage(format!("--http {what}")));
    let Ok(url) = url::Url::parse(text) else {
        return wrong(&format!(
            "is not a URL with http:// or https://, such as {EXAMPLE}"
        ));
    };
    if !matches!(url.scheme(), "http" | "https") {
        return wrong(&format!(
            "must begin with http:// or https://, such as {EXAMPLE}"
        ));
    }
    match url.username().is_empty() && url.password().is_none() {
        true => Ok(()),
        false => wrong(
            "has a user or password in its URL, which would be in the client's file: leave it \
             out, and name the environment variable with the client's token by --token-env",
        ),
    }
}

/// Refuses options that would not be in the entry, and those behind `--` that the server would
/// refuse.
fn check_options(options: &Options, args: &ClientArgs) -> Result<(), CommandError> {
    let mut lost = options.policy.besides_preset();
    lost.extend(options.policy.preset().map(|_| "preset".to_owned()));
    lost.extend(options.policy.file().map(|_| "policy".to_owned()));
    if !lost.is_empty() {
        return Err(CommandError::Usage(format!(
            "the entry would not have {}: write options of the server behind --, such as `-- \
             --preset observe`",
            lost.join(", ")
        )));
    }
    let words = [Cli::NAME.to_owned()]
        .into_iter()
        .chain(args.options.clone());
    match Cli::try_parse_from(words) {
        Ok(_) => Ok(()),
        Err(error) => {
            let text = error.to_string();
            let what = text.lines().next().unwrap_or_default();
            let what = what.trim_start_matches("error: ");
            Err(CommandError::Usage(format!("behind --: {what}")))
        }
    }
}

/// The files that configure a client here.
fn files(client: Client, project: bool) -> Result<Vec<PathBuf>, CommandError> {
    if project {
        let folder = std::env::current_dir()?;
        return Ok(clients::project_file(client, &folder).into_iter().collect());
    }
    let variable = |name: &str| {
        let value = std::env::var_os(name).filter(|value| !value.is_empty());
        value.map(PathBuf::from)
    };
    let entries = |folder: &Path| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    };
    let around = Surroundings {
        system: System::this(),
        variable: &variable,
        entries: &entries,
    };
    Ok(clients::user_files(client, &around))
}

fn list(args: &ClientArgs) -> Result<(), CommandError> {
    let mut lines = Vec::new();
    let mut clients = Vec::new();
    for client in Client::value_variants() {
        let mut files = Vec::new();
        for path in self::files(*client, args.project)? {
            let state = state(*client, &path, &args.name);
            lines.push(format!("{:<16}{} ({state})", client.id(), path.display()));
            files.push(json!({ "path": path.display().to_string(), "state": state }));
        }
        let in_project = clients::project_file(*client, Path::new(""));
        match in_project {
            _ if !files.is_empty() => {}
            Some(path) if !args.project => lines.push(format!(
                "{:<16}{} in a project (--project)",
                client.id(),
                path.display()
            )),
            _ => lines.push(format!("{:<16}set up by hand", client.id())),
        }
        clients.push(json!({ "client": client.id(), "files": files }));
    }
    lines.push(
        "\nhost-runner client NAME prints the configuration, with --write it is written."
            .to_owned(),
    );
    output::show(&args.output, &json!({ "clients": clients }), || {
        lines.join("\n")
    })
}

/// Whether a client's file has an entry of this name.
fn state(client: Client, path: &Path, name: &str) -> String {
    let probe = Launch::Http {
        url: String::new(),
        token: None,
    };
    let entry = clients::entry(client, name, &probe);
    match Original::read(path) {
        Ok(None) => "no file".to_owned(),
        Ok(Some(original)) => match clients::existing(&original.text, &entry) {
            Ok(Some(_)) => format!("has an entry {name}"),
            Ok(None) => format!("has no entry {name}"),
            Err(error) => format!("cannot be used: {error}"),
        },
        Err(error) => format!("cannot be read: {error}"),
    }
}

/// How the client reaches the server.
fn launch(options: &Options, args: &ClientArgs, client: Client) -> Result<Launch, CommandError> {
    if let Some(url) = &args.http {
        let token = args.token_env.as_ref();
        let token = token.map(|variable| token_of(variable, args.write && holds_token(client)));
        return Ok(Launch::Http {
            url: url.clone(),
            token: token.transpose()?,
        });
    }
    let env_file = match options.named_env_file() {
        Some(path) => Some(path.canonicalize().map_err(|error| {
            CommandError::Usage(format!(
                "cannot find --env-file {}: {error}",
                path.display()
            ))
        })?),
        None if options.reads_dotenv() => Path::new(".env").canonicalize().ok(),
        None => own_file().and_then(|path| path.canonicalize().ok()),
    };
    if env_file.is_none() && Path::new(".env").exists() {
        eprint_line(
            "# .env in this folder may belong to another program: to use it, pass --env-file .env",
        );
    }
    let is_elsewhere = args.options.iter().any(|option| {
        let name = option.split('=').next().unwrap_or_default();
        matches!(
            name,
            "--demo" | "--demo-state" | "--env-file" | "--dotenv" | "--clusters"
        )
    });
    let env_file = env_file.filter(|_| !options.demo && !is_elsewhere);
    if env_file.is_none() && !options.demo && args.options.is_empty() {
        let what =
            "there is no file of settings: run `host-runner setup`, or name one with --env-file";
        match args.write {
            true => return Err(CommandError::Usage(what.to_owned())),
            false => eprint_line(&format!("# {what}")),
        }
    }
    let env_file = env_file.map(|path| text_of(&path)).transpose()?;
    let named = env_file.as_deref().map(Named::read).transpose()?;
    let named = named.unwrap_or_default();
    for warning in &named.warnings {
        eprint_line(&format!("# {warning}"));
    }
    let env_file = env_file.map(|path| ["--env-file".to_owned(), path]);
    let mut arguments: Vec<String> = Vec::new();
    let command = match args.docker {
        true => {
            let docker = "run -i --rm --read-only --cap-drop=ALL --security-opt=no-new-privileges";
            arguments.extend(docker.split(' ').map(str::to_owned));
            arguments.extend(named.volumes);
            arguments.extend(env_file.into_iter().flatten());
            arguments.push(args.image.clone());
            "docker".to_owned()
        }
        false => {
            arguments.extend(env_file.into_iter().flatten());
            this_program()?
        }
    };
    match &options.demo_state {
        Some(_) if args.docker => {
            return Err(CommandError::Usage(
                "with --docker, --demo-state would be lost with the container: leave one of the \
                 two out"
                    .to_owned(),
            ));
        }
        Some(path) => {
            let path = text_of(&std::path::absolute(path)?)?;
            arguments.extend(["--demo-state".to_owned(), path]);
        }
        None if options.demo => arguments.push("--demo".to_owned()),
        None => {}
    }
    arguments.extend(args.options.iter().cloned());
    Ok(Launch::Program {
        command,
        args: arguments,
    })
}

fn token_of(variable: &str, needs_value: bool) -> Result<Token, CommandError> {
    let value = match needs_value {
        true => Some(std::env::var(variable).map_err(|_| {
            CommandError::Usage(format!(
                "this client reads no environment variables, so its file has to contain the \
                 token: set {variable} to it and run this again"
            ))
        })?),
        false => None,
    };
    Ok(Token {
        variable: variable.to_owned(),
        value,
    })
}

/// A path as configurations have it.
fn text_of(path: &Path) -> Result<String, CommandError> {
    let text = path.to_str().ok_or_else(|| {
        let path = path.display();
        CommandError::Usage(format!(
            "{path} is not valid UTF-8, which no client can start: move it"
        ))
    })?;
    // The form that Windows gives canonical paths, which some programs cannot use.
    Ok(text.strip_prefix(r"\\?\").unwrap_or(text).to_owned())
}

fn show(
    client: Client,
    entry: &Entry,
    project: bool,
    http: Option<&str>,
    command: Command<'_>,
) -> Result<(), CommandError> {
    if let Some(steps) = client.steps(http.is_some()) {
        eprint_line(steps);
        return match (client, http) {
            (Client::Goose, _) => print(&goose(entry)),
            (Client::OpenWebui, Some(url)) => print(url),
            (Client::ClaudeDesktop, Some(_)) => Err(CommandError::Reported(1)),
            _ => print(clients::written(entry).trim_end()),
        };
    }
    let files = files(client, project)?;
    for path in &files {
        eprint_line(&format!("# {}: {}", client.title(), path.display()));
    }
    if let (true, Some(path)) = (
        files.is_empty(),
        clients::project_file(client, Path::new("")),
    ) {
        eprint_line(&format!(
            "# {}: {} in a project's folder. To write it, {} in that folder.",
            client.title(),
            path.display(),
            command.with(client, "--project --write")
        ));
    }
    eprint_line(&format!("# {}", client.note()));
    print(clients::written(entry).trim_end())
}

/// What is said of the configuration, apart from it: stdout has nothing else, so that it can
/// be sent to a file.
fn eprint_line(text: &str) {
    use std::io::Write as _;
    // There is nowhere else to say it.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// An extension of Goose, in YAML, of which JSON is a part.
fn goose(entry: &Entry) -> String {
    let field = |name: &str| entry.value.get(name).cloned().unwrap_or_default();
    let mut lines = vec![
        "extensions:".to_owned(),
        format!("  {}:", entry.name),
        "    enabled: true".to_owned(),
        format!("    name: {}", entry.name),
    ];
    match entry.value.get("url") {
        Some(url) => {
            lines.push("    type: streamable_http".to_owned());
            lines.push(format!("    uri: {url}"));
            if let Some(headers) = entry.value.get("headers") {
                lines.push(format!("    headers: {headers}"));
            }
        }
        None => {
            lines.push("    type: stdio".to_owned());
            lines.push(format!("    cmd: {}", field("command")));
            lines.push(format!("    args: {}", field("args")));
        }
    }
    lines.push("    timeout: 300".to_owned());
    lines.join("\n")
}

/// The clients whose own file is there, or the folder that it belongs to.
pub(super) fn installed() -> Result<Vec<Client>, CommandError> {
    let home = std::env::home_dir();
    let is_own = |folder: &Path| Some(folder) != home.as_deref() && folder.is_dir();
    let mut found = Vec::new();
    for client in Client::value_variants() {
        let files = files(*client, false)?;
        let mut files = files.iter();
        if files.any(|file| file.is_file() || file.parent().is_some_and(is_own)) {
            found.push(*client);
        }
    }
    Ok(found)
}

/// Puts an entry with this file of settings into a client's file, or shows what to do where
/// there is no such file.
pub(super) fn connect(client: Client, env_file: &Path, replaces: bool) -> Result<(), CommandError> {
    let env_file = text_of(env_file)?;
    let launch = Launch::Program {
        command: this_program()?,
        args: vec!["--env-file".to_owned(), env_file.clone()],
    };
    let entry = clients::entry(client, ENTRY, &launch);
    let command = Command::WithSettings(&env_file);
    if client.steps(false).is_some() || files(client, false)?.is_empty() {
        print(&format!("{}:", client.title()))?;
        return show(client, &entry, false, None, command);
    }
    write(client, &entry, false, replaces, false, command)
}

/// The path of this program.
fn this_program() -> Result<String, CommandError> {
    text_of(&std::env::current_exe()?.canonicalize()?)
}

fn write(
    client: Client,
    entry: &Entry,
    project: bool,
    replaces: bool,
    by_hand: bool,
    command: Command<'_>,
) -> Result<(), CommandError> {
    let files = files(client, project)?;
    if files.is_empty() || by_hand {
        let what = match (project, client) {
            _ if by_hand => {
                "has no file that can be written; without --write, this prints what to do"
            }
            (true, _) => "has no file in a project: leave out --project",
            (false, Client::Continue) => "has a file in a project only: add --project",
            (false, _) => "has no file here: set HOME, or APPDATA on Windows",
        };
        return Err(CommandError::Usage(format!("{} {what}", client.title())));
    }
    for path in files {
        write_file(client, &path, entry, replaces, command)?;
    }
    print(client.note())
}

fn write_file(
    client: Client,
    path: &Path,
    entry: &Entry,
    replaces: bool,
    command: Command<'_>,
) -> Result<(), CommandError> {
    let shown = path.display();
    let failed = |error: io::Error| CommandError::Usage(format!("cannot use {shown}: {error}"));
    let original = Original::read(path).map_err(failed)?;
    let text = original.as_ref().map_or("", |original| &original.text);
    let (text, before) = match clients::merge(text, entry, replaces) {
        Ok(Merged::Unchanged) => {
            return print(&format!("{shown} has this entry already: no change needed"));
        }
        Ok(Merged::Changed { text, before }) => (text, before),
        Err(MergeError::Other { name, before }) => {
            print(&difference(Some(&before), &entry.value))?;
            // The command that was typed has the first of them already.
            let replacing = match command {
                Command::Typed { .. } => "--replace",
                Command::WithSettings(_) => "--write --replace",
            };
            return Err(CommandError::Usage(format!(
                "{shown} has another entry named {name}: {} to replace it, or choose another name \
                 with --name; this file was not changed",
                command.with(client, replacing)
            )));
        }
        Err(error) => {
            return Err(CommandError::Usage(format!(
                "{shown} cannot be changed: {error}; nothing was written"
            )));
        }
    };
    let backup = replace(path, original.as_ref(), &text, entry.holds_secret).map_err(failed)?;
    print(&format!("{shown}: {}.{}", entry.section, entry.name))?;
    print(&difference(before.as_ref(), &entry.value))?;
    match backup {
        Some(backup) => print(&format!("The file as it was: {}", backup.display())),
        None => Ok(()),
    }
}

/// The lines of an entry that are removed and added, without secrets.
fn difference(before: Option<&Value>, after: &Value) -> String {
    let text = |value: &Value| serde_json::to_string_pretty(&masked(value)).unwrap_or_default();
    let (old, new) = (before.map(text).unwrap_or_default(), text(after));
    let removed = old.lines().map(|line| format!("- {line}"));
    let added = new.lines().map(|line| format!("+ {line}"));
    removed.chain(added).collect::<Vec<_>>().join("\n")
}

/// Arguments, without the values of those whose names are like that of a secret.
fn without_secrets(arguments: &Value) -> Value {
    const NAMES: [&str; 8] = [
        "pass", "secret", "token", "key", "auth", "bearer", "cred", "header",
    ];
    let mut hides_next = false;
    let arguments = arguments.as_array().into_iter().flatten().map(|argument| {
        let text = argument.as_str().unwrap_or_default();
        let (name, value) = text.split_once(['=', ':']).unwrap_or((text, ""));
        let lower = name.to_ascii_lowercase();
        let is_secret = name == "-H" || NAMES.iter().any(|one| lower.contains(one));
        let hidden = std::mem::replace(&mut hides_next, is_secret && value.is_empty());
        match (
            hidden && !text.starts_with('-'),
            is_secret && !value.is_empty(),
        ) {
            (true, _) => "…".into(),
            (false, true) => format!("{name}=…").into(),
            (false, false) => mask_secrets(text).into(),
        }
    });
    Value::Array(arguments.collect())
}

/// The same, with what is known to contain no secrets; all else is hidden.
fn masked(value: &Value) -> Value {
    let Some(members) = value.as_object() else {
        return "…".into();
    };
    let members = members.iter().map(|(key, value)| {
        let shown = match (key.as_str(), value) {
            (_, Value::Bool(_) | Value::Number(_) | Value::Null) => value.clone(),
            ("args", Value::Array(_)) => without_secrets(value),
            ("type" | "transport" | "command" | "cmd" | "path", Value::String(text)) => {
                mask_secrets(text).into()
            }
            ("url" | "uri" | "httpUrl" | "serverUrl", Value::String(text)) => address(text),
            ("command", Value::Object(_)) => masked(value),
            (_, Value::Object(inner)) => {
                let names = inner.keys().map(|name| (name.clone(), "…".into()));
                Value::Object(names.collect::<Map<_, _>>())
            }
            _ => "…".into(),
        };
        (key.clone(), shown)
    });
    Value::Object(members.collect::<Map<_, _>>())
}

/// An address without what may be a secret in it.
fn address(text: &str) -> Value {
    let Ok(mut url) = url::Url::parse(text) else {
        return "…".into();
    };
    if url.query().is_some() {
        url.set_query(Some("…"));
    }
    // What has no host has none of the two.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.to_string().into()
}
