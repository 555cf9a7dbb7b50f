//! A command line that cannot be parsed: the error for the client, and the options that
//! still count.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _};

use clap::{CommandFactory as _, Parser as _};

use super::Cli;
use crate::settings::mask_secrets;

/// What to tell the client of such a command line. None
/// where a person typed it, or asked for help: then clap says it all.
pub(crate) fn client_fault(error: &clap::Error) -> Option<String> {
    let mut commands = Cli::command();
    commands.build();
    // Another command than `serve` has no client.
    let is_command = |arg: String| {
        let named = commands.find_subcommand(&arg);
        named.is_some_and(|command| command.get_name() != "serve")
    };
    let has_command = std::env::args_os()
        .skip(1)
        .any(|arg| arg.into_string().is_ok_and(is_command));
    if !error.use_stderr() || has_command || io::stdin().is_terminal() {
        return None;
    }
    let text = error.render().to_string();
    let lines = text.lines().map(str::trim);
    let lines = lines.take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For "));
    let lines: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
    let text = lines.join("; ");
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    Some(format!(
        "the command line of host-runner cannot be used: {}",
        mask_secrets(text)
    ))
}

impl Cli {
    /// Of a command line that cannot be understood, what says which tools clients may be
    /// shown: the checksum, and the file of settings that may give one. None where the
    /// checksum itself cannot be understood.
    pub(crate) fn serving(arguments: impl IntoIterator<Item = OsString>) -> Option<Self> {
        let mut kept = vec![OsString::from("host-runner")];
        let mut has_checksum = false;
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let text = argument.to_string_lossy().into_owned();
            let (name, value) = match text.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (text.as_str(), None),
            };
            // No other option begins like this one, so a misspelt one is meant.
            let is_checksum = name.starts_with("--tools-");
            has_checksum |= is_checksum;
            if is_checksum || matches!(name, "--env-file" | "--dotenv") {
                kept.push(argument);
                let next = (value.is_none() && name != "--dotenv").then(|| arguments.next());
                kept.extend(next.flatten());
            }
        }
        match Self::try_parse_from(kept) {
            Ok(cli) => Some(cli),
            Err(_) if has_checksum => None,
            Err(_) => Some(Self::parse_from(["host-runner"])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::settings::EnvFile;

    /// Whatever is wrong with the rest of a command line, its checksum counts.
    #[test]
    fn a_faulty_command_line_keeps_its_checksum() {
        let serving = |args: &[&str]| Cli::serving(args.iter().map(OsString::from));
        let digest = Digest::of(b"tools");
        let text = digest.to_string();
        let joined = format!("--tools-checksum={text}");
        for args in [
            &["--url", &joined, "--nonsense"][..],
            &["--nonsense", "--tools-checksum", &text, "--memory-mib=0"],
            &["--env-file=x", &joined, "--cpu-seconds"],
        ] {
            let cli = serving(args).unwrap();
            assert_eq!(cli.options.tools_checksum, Some(digest), "{args:?}");
        }
        for args in [
            &["--tools-checksum=abc"][..],
            &["--tools-checksum"],
            &[&joined, &joined],
            &["--tools-cheksum", &text],
        ] {
            assert!(serving(args).is_none(), "{args:?}");
        }
        let cli = serving(&["--nonsense", "--env-file", "x.env"]).unwrap();
        assert_eq!(cli.env_file(), EnvFile::Named("x.env".into()));
        assert!(serving(&["--nonsense", "--env-file"]).is_some());
    }
}
