//! Which sources give settings, and which of them takes precedence.
//!
//! The address, the token and the certificates to accept are one unit: all of
//! them come from one place. Otherwise a file could send a token from elsewhere
//! to an address of its choice, or weaken how another address is verified. There
//! are four places:
//!
//! 1. The operator's own: the flags, the environment and systemd's credential,
//!    which are all chosen by the user who starts the program. A flag takes
//!    precedence over a variable.
//! 2. The file that the operator names by `--env-file`, or by `--dotenv`.
//! 3. A `.env` that was found in the working directory. It may belong to another
//!    program, so it is used only if neither of the two gives any of these
//!    settings, and never when serving.
//! 4. The user's own file, which `setup` writes. It is used only if no other place
//!    gives any of these settings, and then counts as if it were named.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::level_filters::LevelFilter;
use zeroize::Zeroizing;

use super::error::SettingsError;
use super::flag::FLAGS;
use super::source::{CREDENTIAL, Source};
use super::variable::{self, Detail, FitToken, ResultTokens, Variable};
use crate::digest::Digest;
use crate::env_file;
use crate::log::LogFormat;
use crate::operator_file::{self, MAX_ENV_BYTES};
use crate::system::place;

/// The `.env` of the working directory.
const DOT_ENV: &str = ".env";

/// What one place gives. One of the values may be the secret, so all of them
/// are wiped when they are dropped.
pub(super) type Values = HashMap<Variable, Zeroizing<String>>;

/// Which files to look for settings in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum EnvFile {
    /// None: the command needs no settings of a connection.
    #[default]
    None,
    /// The user's own file, if no other place gives any setting of the connection.
    Own,
    /// The one that the operator names.
    Named(PathBuf),
    /// The `.env` of the working directory, since the operator asks for it. It
    /// may be absent.
    DotEnv,
    /// The `.env` of the working directory, else the user's own file, if no other place
    /// gives any setting of the connection.
    Fallback,
}

/// The settings of all places.
#[derive(Default)]
pub(crate) struct Sources {
    /// What the file of clusters gives for one of them, and where.
    pub(super) cluster: Option<(String, Values)>,
    pub(super) answers: Values,
    pub(super) flags: Values,
    pub(super) environment: Values,
    pub(super) file: Option<(PathBuf, Values)>,
    /// Where systemd's credentials are.
    pub(super) credentials: Option<PathBuf>,
    /// Whether the file was named by the operator.
    pub(super) named: bool,
    /// What the operator should know.
    pub(super) warnings: Vec<String>,
    /// Which file does not count, and why.
    pub(super) passed_over: Option<String>,
}

impl Sources {
    /// Collects what the flags, the environment and a file give.
    pub(crate) fn collect(
        flags: &[(Variable, Option<&str>)],
        env_file: &EnvFile,
    ) -> Result<Self, SettingsError> {
        let mut sources = Self {
            credentials: std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from),
            ..Self::default()
        };
        for (variable, value) in flags {
            if let Some(value) = value {
                let value = Zeroizing::new((*value).to_owned());
                sources.flags.insert(*variable, value);
            }
        }
        sources.read_environment(std::env::vars_os())?;
        sources.read_file(env_file)?;
        sources.check_unit()?;
        Ok(sources)
    }

    /// These alone.
    pub(crate) fn of_answers(
        values: impl IntoIterator<Item = (Variable, Zeroizing<String>)>,
    ) -> Self {
        Self {
            answers: values.into_iter().collect(),
            ..Self::default()
        }
    }

    /// What is given for a setting, unchecked.
    pub(crate) fn text(&self, variable: Variable) -> Option<&str> {
        self.get(variable).map(|(value, _)| value)
    }

    /// The options whose values in the file have no effect.
    fn ineffective_flags(&self) -> Vec<&'static str> {
        let flags = FLAGS.iter().filter(|flag| {
            let given = self.get(Variable::Flag(flag));
            let is_of_file = matches!(given, Some((_, Source::File(_))));
            is_of_file && (!self.named || flag.only_environment)
        });
        flags.map(|flag| flag.name).collect()
    }

    /// What the operator should know, to be logged.
    pub(crate) fn warnings(&self) -> impl Iterator<Item = &str> {
        self.warnings.iter().map(String::as_str)
    }

    /// What to log.
    pub(crate) fn log_level(&self) -> Result<Option<LevelFilter>, SettingsError> {
        self.parse_optional(Variable::Log, variable::parse_log_level)
    }

    /// As what to log it.
    pub(crate) fn log_format(&self) -> Result<Option<LogFormat>, SettingsError> {
        self.parse_optional(Variable::LogFormat, variable::parse_log_format)
    }

    /// Whether to leave out tools for which the token has no privilege.
    pub(crate) fn fit_token(&self) -> Result<Option<FitToken>, SettingsError> {
        self.parse_optional(Variable::FitToken, variable::parse_fit_token)
    }

    /// How often watched resources are read.
    pub(crate) fn poll(&self) -> Result<Option<Duration>, SettingsError> {
        self.parse_optional(Variable::PollSeconds, variable::parse_poll_seconds)
    }

    /// The most tokens that a model may read of one result.
    pub(crate) fn result_tokens(&self) -> Result<Option<ResultTokens>, SettingsError> {
        self.parse_optional(Variable::ResultTokens, ResultTokens::parse)
    }

    /// How much of a result its text has.
    pub(crate) fn detail(&self) -> Result<Option<Detail>, SettingsError> {
        self.parse_optional(Variable::Detail, variable::parse_detail)
    }

    /// The checksum that the tools must have.
    pub(crate) fn tools_checksum(&self) -> Result<Option<Digest>, SettingsError> {
        self.parse_optional(Variable::ToolsChecksum, variable::parse_checksum)
    }

    /// The same, whatever is wrong with the other settings: it has to hold then, too. A file
    /// that cannot be used is an error if it names this setting.
    pub(crate) fn tools_checksum_alone(
        env_file: &EnvFile,
    ) -> Result<Option<Digest>, SettingsError> {
        let name = Variable::ToolsChecksum.name();
        let mut sources = Self::default();
        // Those that say what to connect to decide about the user's own file. One that is not
        // UTF-8 is reported elsewhere.
        let counts = |given: &str| {
            let variable = Variable::named(given);
            given == name
                || variable
                    .is_some_and(|one| one.is_of_the_connection() || one == Variable::Clusters)
        };
        let own = std::env::vars_os().filter(|(given, value)| {
            let given = given.to_str();
            given.is_some_and(counts) && (given == Some(name) || value.to_str().is_some())
        });
        sources.read_environment(own)?;
        sources.checksum_with(env_file)
    }

    /// The checksum of the environment, else of a file.
    fn checksum_with(mut self, env_file: &EnvFile) -> Result<Option<Digest>, SettingsError> {
        if let Some(checksum) = self.tools_checksum()? {
            return Ok(Some(checksum));
        }
        match self.read_file(env_file) {
            Ok(()) => self.tools_checksum(),
            Err(error) if names(env_file, Variable::ToolsChecksum) => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// The files of policies that are named, the one that counts most first.
    pub(crate) fn policies(&self) -> impl Iterator<Item = (&Path, Source)> {
        self.places().filter_map(|(place, values)| {
            Some((Path::new(given(values, Variable::Policy)?), place))
        })
    }

    /// The file that counts, if there is one that the operator did not name.
    pub(crate) fn unnamed_file(&self) -> Option<&Path> {
        let (path, _) = self.file.as_ref()?;
        (!self.named).then_some(path)
    }

    /// What a setting is, and which place gives it.
    pub(super) fn get(&self, variable: Variable) -> Option<(&str, Source)> {
        self.places()
            .find_map(|(place, values)| Some((given(values, variable)?, place)))
    }

    /// The places, the one that counts most first.
    pub(super) fn places(&self) -> impl Iterator<Item = (Source, &Values)> {
        let cluster = self.cluster.iter();
        let cluster = cluster.map(|(place, values)| (Source::Cluster(place.clone()), values));
        let file = self.file.iter();
        let file = file.map(|(path, values)| (Source::File(path.clone()), values));
        let own = [
            (Source::Answer, &self.answers),
            (Source::Flag, &self.flags),
            (Source::Environment, &self.environment),
        ];
        cluster.chain(own).chain(file)
    }

    /// The credential, if there is one and it may be used: not with a `.env` that
    /// was found and not named, which would choose the address that it is sent to.
    pub(super) fn credential(&self) -> Option<PathBuf> {
        if self.unnamed_file().is_some() {
            return None;
        }
        let path = self.credentials.as_ref()?.join(CREDENTIAL);
        path.exists().then_some(path)
    }

    pub(super) fn parse<T>(
        &self,
        variable: Variable,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, SettingsError> {
        self.parse_optional(variable, parse)?
            .ok_or_else(|| self.missing(vec![variable]))
    }

    pub(super) fn parse_optional<T>(
        &self,
        variable: Variable,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, SettingsError> {
        let Some((value, place)) = self.get(variable) else {
            return Ok(None);
        };
        variable::check(value)
            .and_then(|()| parse(value))
            .map(Some)
            .map_err(|problem| SettingsError::malformed(variable, place, problem))
    }

    pub(super) fn missing(&self, variables: Vec<Variable>) -> SettingsError {
        // `setup` writes a file of the connection, and nothing else.
        if !variables.iter().all(|one| one.is_of_the_connection()) {
            return SettingsError::Absent(variables);
        }
        SettingsError::Missing {
            variables,
            passed_over: self.passed_over.clone(),
        }
    }

    /// Fails for a setting that is not UTF-8: without it, another value would count.
    fn read_environment(
        &mut self,
        environment: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<(), SettingsError> {
        for (name, value) in environment {
            let Some(name) = name.to_str() else { continue };
            if variable::is_unknown(name) {
                self.warn_of(name, "in the environment");
            }
            let Some(variable) = Variable::named(name) else {
                continue;
            };
            let value = value.into_string().map_err(|_| {
                let problem = "is not text in UTF-8".to_owned();
                SettingsError::malformed(variable, Source::Environment, problem)
            })?;
            self.environment.insert(variable, Zeroizing::new(value));
        }
        self.warnings.sort_unstable();
        Ok(())
    }

    fn read_file(&mut self, env_file: &EnvFile) -> Result<(), SettingsError> {
        let dot_env = Path::new(DOT_ENV);
        let (path, named) = match env_file {
            EnvFile::Named(path) => (path.as_path(), true),
            EnvFile::DotEnv if exists(dot_env) => (dot_env, true),
            EnvFile::Fallback if exists(dot_env) => (dot_env, false),
            EnvFile::Own | EnvFile::Fallback => {
                if exists(dot_env) {
                    self.passed_over = Some(
                        ".env in the working directory is not read when serving: name it by \
                         --env-file, or pass --dotenv"
                            .to_owned(),
                    );
                }
                return self.read_own_file();
            }
            EnvFile::None | EnvFile::DotEnv => return Ok(()),
        };
        let (values, unknown) = match read_env_file(path) {
            Ok(read) => read,
            // It may belong to another program.
            Err(reason) if !named => {
                self.warnings
                    .push(format!("ignoring .env in the working directory: {reason}"));
                return self.read_own_file();
            }
            Err(reason) => {
                return Err(SettingsError::EnvFile {
                    path: path.to_owned(),
                    reason,
                });
            }
        };
        if !named && let Some(place) = self.elsewhere() {
            self.passed_over = Some(
                ".env in the working directory is read only if none of these settings is given \
                 elsewhere: pass it with --env-file, or pass --dotenv"
                    .to_owned(),
            );
            if !values.is_empty() {
                let names: Vec<_> = in_order(&values).map(Variable::name).collect();
                self.warnings.push(format!(
                    "ignoring .env in the working directory, which gives {}, since settings come \
                     {place}: name it by --env-file, or pass --dotenv, to use it instead",
                    names.join(", ")
                ));
            }
            return Ok(());
        }
        let says_where = of_the_connection(&values).next().is_some()
            || given(&values, Variable::Clusters).is_some();
        if !named && !says_where {
            self.read_own_file()?;
            if let (Some((own, _)), false) = (&self.file, values.is_empty()) {
                let names: Vec<_> = in_order(&values).map(Variable::name).collect();
                self.warnings.push(format!(
                    "ignoring .env in the working directory, which gives {}, since {} says what to \
                     connect to: name it by --env-file, or pass --dotenv, to use it instead",
                    names.join(", "),
                    own.display()
                ));
            }
        }
        if self.file.is_none() {
            self.take_file(path, named, values, unknown);
        }
        Ok(())
    }

    /// The file that `setup` writes, unless another place says what to connect to.
    fn read_own_file(&mut self) -> Result<(), SettingsError> {
        let Some(path) = own_file().filter(|path| exists(path)) else {
            return Ok(());
        };
        if self.get(Variable::Clusters).is_some() {
            return Ok(());
        }
        if let Some(place) = self.elsewhere() {
            self.passed_over = Some(format!(
                "{} is not read, since other settings of the connection come {place}",
                path.display()
            ));
            return Ok(());
        }
        let (values, unknown) = read_env_file(&path).map_err(|reason| SettingsError::EnvFile {
            path: path.clone(),
            reason,
        })?;
        self.take_file(&path, true, values, unknown);
        Ok(())
    }

    /// What a file gives is what counts.
    fn take_file(&mut self, path: &Path, named: bool, values: Values, unknown: Vec<String>) {
        for name in unknown {
            self.warn_of(&name, &format!("in {}", path.display()));
        }
        self.file = Some((path.to_owned(), values));
        self.named = named;
        for name in self.ineffective_flags() {
            let what = match named {
                true => "give it in the environment, or as a flag",
                false => "name the file by --env-file, or pass --dotenv",
            };
            self.warnings.push(format!(
                "ignoring {name} in {}, where it has no effect: {what}",
                path.display()
            ));
        }
    }

    /// A place other than a file that gives a setting of the connection.
    fn elsewhere(&self) -> Option<Source> {
        let gives = |values: &Values| of_the_connection(values).next().is_some();
        if gives(&self.flags) {
            return Some(Source::Flag);
        }
        if gives(&self.environment) {
            return Some(Source::Environment);
        }
        self.credential().map(|_| Source::Credential)
    }

    /// Refuses settings of the connection that come from two places. The same
    /// value in both is not a contradiction.
    fn check_unit(&self) -> Result<(), SettingsError> {
        let Some((path, file)) = &self.file else {
            return Ok(());
        };
        let inside: Vec<_> = of_the_connection(file).collect();
        if inside.is_empty() {
            return Ok(());
        }
        let mut outside = Vec::new();
        for variable in Variable::ALL {
            let flag = given(&self.flags, variable).map(|value| (value, Source::Flag));
            let value = given(&self.environment, variable);
            let value = flag.or_else(|| Some((value?, Source::Environment)));
            let Some((value, place)) = value else {
                continue;
            };
            if variable.is_of_the_connection() && given(file, variable) != Some(value) {
                outside.push((variable, place));
            }
        }
        match outside.is_empty() {
            true => Ok(()),
            false => Err(SettingsError::Mixed {
                outside,
                inside,
                path: path.clone(),
            }),
        }
    }

    fn warn_of(&mut self, name: &str, place: &str) {
        let name: String = name.escape_debug().take(64).collect();
        let hint = variable::nearest(&name)
            .map_or_else(String::new, |known| format!(" (perhaps {})", known.name()));
        let warning = format!("ignoring the unknown setting {name} {place}{hint}");
        self.warnings.push(warning);
    }
}

/// The user's own file of settings, which `setup` writes by default; None if the environment
/// does not say where the user's files are.
pub(crate) fn own_file() -> Option<PathBuf> {
    Some(place::config()?.join("proxmox-mcp").join("env"))
}

/// What a place gives for a setting, if anything.
pub(super) fn given(values: &Values, variable: Variable) -> Option<&str> {
    let value = values.get(&variable)?.trim();
    (!value.is_empty()).then_some(value)
}

/// The settings of the connection that a place gives.
fn of_the_connection(values: &Values) -> impl Iterator<Item = Variable> {
    in_order(values).filter(|variable| variable.is_of_the_connection())
}

fn in_order(values: &Values) -> impl Iterator<Item = Variable> {
    Variable::ALL
        .into_iter()
        .filter(|variable| given(values, *variable).is_some())
}

/// Whether there is anything of this name, even a link that leads nowhere.
fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Whether the name of a setting is anywhere in a file, which may be malformed.
fn names(env_file: &EnvFile, variable: Variable) -> bool {
    let mut paths: Vec<PathBuf> = Vec::new();
    if let EnvFile::Named(path) = env_file {
        paths.push(path.clone());
    }
    if matches!(env_file, EnvFile::DotEnv | EnvFile::Fallback) {
        paths.push(PathBuf::from(DOT_ENV));
    }
    if matches!(env_file, EnvFile::Own | EnvFile::Fallback) {
        paths.extend(own_file());
    }
    paths.iter().any(|path| {
        let text = operator_file::read(path, 16 * MAX_ENV_BYTES);
        text.is_ok_and(|text| String::from_utf8_lossy(&text).contains(variable.name()))
    })
}

/// The settings in a file, and the names in it that are like those of settings.
/// The reason of a failure holds nothing from the file.
fn read_env_file(path: &Path) -> Result<(Values, Vec<String>), String> {
    let text = operator_file::read(path, MAX_ENV_BYTES).map_err(|error| error.to_string())?;
    let (mut values, mut unknown, mut twice) = (Values::new(), Vec::new(), None);
    env_file::parse(&text, |name, value| {
        let value = Zeroizing::new(value);
        match Variable::named(name) {
            None if variable::is_unknown(name) => unknown.push(name.to_owned()),
            None => {}
            Some(variable) => {
                let before = values.insert(variable, value);
                twice = twice.or(before.map(|_| variable));
            }
        }
    })
    .map_err(|error| error.to_string())?;
    match twice {
        Some(variable) => Err(format!("it gives {} more than once", variable.name())),
        None => Ok((values, unknown)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checksum(environment: &str, file: &str) -> Result<Option<Digest>, SettingsError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("settings.env");
        std::fs::write(&path, file).unwrap();
        let value = Zeroizing::new(environment.to_owned());
        let sources = Sources {
            environment: Values::from([(Variable::ToolsChecksum, value)]),
            ..Sources::default()
        };
        sources.checksum_with(&EnvFile::Named(path))
    }

    #[test]
    fn a_setting_that_is_not_utf8_is_an_error_that_names_it() {
        use std::os::unix::ffi::OsStringExt as _;

        let read = |name: &str| {
            let value = OsString::from_vec(b"hush\xff".to_vec());
            let environment = [(OsString::from(name), value)];
            Sources::default().read_environment(environment.into_iter())
        };
        let error = read("PROXMOX_MCP_POLICY").unwrap_err().to_string();
        assert!(error.contains("PROXMOX_MCP_POLICY"), "{error}");
        assert!(error.contains("UTF-8"), "{error}");
        assert!(!error.contains("hush"), "{error}");
        // Other programs may do what they like.
        read("LS_COLORS").unwrap();
    }

    /// What is wrong with other settings does not turn the comparison off.
    #[test]
    fn the_checksum_holds_whatever_else_is_wrong() {
        let digest = Digest::of(b"tools");
        let line = format!("PROXMOX_MCP_TOOLS_CHECKSUM={digest}\n");
        assert_eq!(checksum("", &line).unwrap(), Some(digest));
        assert_eq!(
            checksum("", &format!("{line}PROXMOX_MCP_DETAIL=wrong\n")).unwrap(),
            Some(digest)
        );
        assert_eq!(checksum(&digest.to_string(), "= =").unwrap(), Some(digest));
        assert_eq!(checksum("", "PROXMOX_URL=x\n").unwrap(), None);
        // Faulty, and none is given.
        assert_eq!(
            checksum("", "PROXMOX_USER=a\nPROXMOX_USER=b\n").unwrap(),
            None
        );
        // One is given and cannot be read.
        checksum("abc", "").unwrap_err();
        checksum("", "PROXMOX_MCP_TOOLS_CHECKSUM=abc\n").unwrap_err();
        checksum("", &format!("{line}{line}")).unwrap_err();
    }
}
