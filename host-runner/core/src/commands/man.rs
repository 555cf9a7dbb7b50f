//! `host-runner man`

use std::io;
use std::path::Path;

use clap::Command;
use clap_mangen::Man;

use super::{CommandError, print};
use crate::cli::Cli;

/// Prints the page of host-runner, or writes that of each command into a folder.
pub(crate) fn run(folder: Option<&Path>) -> Result<(), CommandError> {
    let mut program = Cli::documented();
    program.build();
    match folder {
        None => print(String::from_utf8_lossy(&page(&program, Cli::NAME)?).trim_end()),
        Some(folder) => {
            std::fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
            write(folder, &program, Cli::NAME)
        }
    }
}

fn write(folder: &Path, command: &Command, name: &str) -> Result<(), CommandError> {
    let path = folder.join(format!("{name}.1"));
    std::fs::write(&path, page(command, name)?).map_err(|error| failed(&path, &error))?;
    for inner in command
        .get_subcommands()
        .filter(|inner| !inner.is_hide_set())
    {
        write(folder, inner, &format!("{name}-{}", inner.get_name()))?;
    }
    Ok(())
}

fn page(command: &Command, name: &str) -> Result<Vec<u8>, CommandError> {
    let mut page = Vec::new();
    let command = command.clone().name(name.to_owned());
    Man::new(command).title(name).render(&mut page)?;
    Ok(page)
}

fn failed(path: &Path, error: &io::Error) -> CommandError {
    CommandError::Usage(format!(
        "the manual pages cannot be written to {}: {error}; give another folder with --out",
        path.display()
    ))
}
