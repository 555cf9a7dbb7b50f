//! The settings: where Proxmox VE is and with which token to talk to it.
//!
//! A flag beats the environment, which beats the file given by `--env-file`,
//! which beats a `.env` in the working directory. An empty value counts as
//! none. The token's secret may also be in a file of its own, or a systemd
//! credential, which comes last.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::digest::Digest;
use crate::env_file;
use crate::sandbox::{Origin, OriginError};
use crate::secret::Secret;

/// The name of the systemd credential that holds the token's secret.
const CREDENTIAL: &str = "proxmox-token-secret";

/// A file that is larger holds something else than a secret.
const MAX_SECRET_BYTES: usize = 4096;

/// Where Proxmox VE is, and with which token to talk to it.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The only place that a request may go to.
    pub origin: Origin,
    /// The token's owner, such as `root@pam`.
    pub user: String,
    /// The token's name, without its owner.
    pub token_name: String,
    /// The token's secret.
    pub token_secret: Secret,
    /// Which certificates are accepted.
    pub trust: Trust,
}

/// Which certificates of Proxmox VE are accepted.
#[derive(Debug, Clone)]
pub(crate) enum Trust {
    /// Those that the system's roots, or one of these PEM certificates, vouch
    /// for.
    Verified {
        /// `PROXMOX_CA_FILE`, as read.
        ca: Option<CaFile>,
    },
    /// These alone, and as they are: neither their issuer nor their host name
    /// nor their time matters.
    Pinned(Vec<Digest>),
    /// All of them.
    Unverified,
}

/// The certificates that `PROXMOX_CA_FILE` names.
#[derive(Clone)]
pub(crate) struct CaFile {
    /// Where they were read from, for messages.
    pub name: String,
    /// The certificates, in PEM.
    pub pem: Vec<u8>,
}

/// Settings that cannot be used. Each message is one line that names the
/// variable and gives an example.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    /// Some that have no default are not there.
    #[error(
        "{} not set: give {} in the environment or in a .env file, for example {}",
        names(.0),
        if .0.len() == 1 { "it" } else { "them" },
        examples(.0)
    )]
    Missing(Vec<Variable>),
    /// One cannot be understood.
    #[error("{} ({origin}) {problem}, for example {}", .variable.name(), examples(&[*.variable]))]
    Malformed {
        /// Which one.
        variable: Variable,
        /// Where it came from.
        origin: Place,
        /// What is wrong with it. Holds no secret.
        problem: String,
    },
    /// The secret is given in two ways, and none of them is the better one.
    #[error(
        "PROXMOX_TOKEN_SECRET and PROXMOX_TOKEN_SECRET_FILE are both given ({}): keep one of \
         them, for example {}",
        .0,
        examples(&[Variable::TokenSecretFile])
    )]
    TwoSecrets(Place),
    /// The file given by `--env-file` cannot be read.
    #[error("cannot read {}: {reason}", .path.display())]
    EnvFile {
        /// The file.
        path: PathBuf,
        /// Why. Holds nothing from the file.
        reason: String,
    },
}

/// One setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Variable {
    /// `PROXMOX_URL`
    Url,
    /// `PROXMOX_USER`
    User,
    /// `PROXMOX_TOKEN_ID`
    TokenId,
    /// `PROXMOX_TOKEN_SECRET`
    TokenSecret,
    /// `PROXMOX_TOKEN_SECRET_FILE`
    TokenSecretFile,
    /// `PROXMOX_VERIFY_SSL`
    VerifySsl,
    /// `PROXMOX_FINGERPRINT`
    Fingerprint,
    /// `PROXMOX_CA_FILE`
    CaFile,
}

/// Where a setting came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// A flag of the command line.
    Flag,
    /// The environment.
    Environment,
    /// A file of `NAME=value` lines.
    File(PathBuf),
    /// A credential that systemd hands over.
    Credential,
}

/// What one place gives. One of the values may be the secret, so all of them
/// are wiped when they are dropped.
type Values = HashMap<Variable, Zeroizing<String>>;

/// The places that settings are looked for in.
#[derive(Default)]
pub(crate) struct Sources {
    flags: Values,
    environment: Values,
    files: Vec<(PathBuf, Values)>,
    /// systemd's credentials.
    credentials: Option<PathBuf>,
}

impl Settings {
    /// Reads and checks the settings.
    pub(crate) fn from_sources(sources: &Sources) -> Result<Self, SettingsError> {
        let token = sources.get(Variable::TokenId);
        let owned_token = token.as_ref().is_some_and(|(value, _)| value.contains('!'));
        let required = [
            Variable::Url,
            Variable::User,
            Variable::TokenId,
            Variable::TokenSecret,
        ];
        let missing: Vec<_> = required
            .into_iter()
            .filter(|&variable| match variable {
                Variable::TokenSecret => !sources.has_token_secret(),
                variable => sources.get(variable).is_none(),
            })
            .filter(|&variable| !(variable == Variable::User && owned_token))
            .collect();
        if !missing.is_empty() {
            return Err(SettingsError::Missing(missing));
        }

        let origin = sources.parse(Variable::Url, |text| {
            Origin::parse(text).map_err(|error: OriginError| error.to_string())
        })?;
        let user = sources.parse_optional(Variable::User, parse_user)?;
        let (owner, token_name) = sources.parse(Variable::TokenId, parse_token_id)?;
        let token_secret = sources.token_secret()?;
        let user = match (user, owner) {
            (Some(user), Some(owner)) if user != owner => {
                return Err(sources.malformed(
                    Variable::TokenId,
                    format!("is a token of {owner}, but PROXMOX_USER is {user}"),
                ));
            }
            (Some(user), _) | (None, Some(user)) => user,
            (None, None) => return Err(SettingsError::Missing(vec![Variable::User])),
        };
        let verify = sources
            .parse_optional(Variable::VerifySsl, parse_bool)?
            .unwrap_or(true);
        let ca = sources.parse_optional(Variable::CaFile, read_ca_file)?;
        let pins = sources.parse_optional(Variable::Fingerprint, parse_fingerprints)?;
        let trust = match pins {
            Some(pins) => Trust::Pinned(pins),
            None if verify => Trust::Verified { ca },
            None => Trust::Unverified,
        };
        Ok(Self {
            origin,
            user,
            token_name,
            token_secret,
            trust,
        })
    }

    /// For looking at what would be sent, where nothing is.
    pub(crate) fn nowhere() -> Self {
        Self {
            origin: Origin::nowhere(),
            user: "nobody@pve".to_owned(),
            token_name: "none".to_owned(),
            token_secret: Secret::new(String::new()),
            trust: Trust::Verified { ca: None },
        }
    }

    /// What the component gets to see of the settings: never the secret.
    pub(crate) fn guest_environment(&self) -> Vec<(String, String)> {
        vec![
            (Variable::Url.name().to_owned(), self.origin.to_string()),
            (Variable::User.name().to_owned(), self.user.clone()),
            (Variable::TokenId.name().to_owned(), self.token_name.clone()),
        ]
    }
}

impl Sources {
    /// The environment, the file given by `--env-file`, and the `.env` of the
    /// working directory.
    pub(crate) fn new(env_file: Option<&Path>) -> Result<Self, SettingsError> {
        let mut sources = Self {
            environment: Variable::ALL
                .into_iter()
                .filter_map(|variable| {
                    let value = std::env::var(variable.name()).ok()?;
                    Some((variable, Zeroizing::new(value)))
                })
                .collect(),
            credentials: std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from),
            ..Self::default()
        };
        if let Some(path) = env_file {
            let values = read_env_file(path).map_err(|reason| SettingsError::EnvFile {
                path: path.to_owned(),
                reason,
            })?;
            sources.files.push((path.to_owned(), values));
        }
        let dot_env = Path::new(".env");
        if dot_env.is_file() {
            // Nobody asked for this file: it may belong to another project.
            match read_env_file(dot_env) {
                Ok(values) => sources.files.push((dot_env.to_owned(), values)),
                Err(reason) => tracing::warn!("ignoring .env in the working directory: {reason}"),
            }
        }
        Ok(sources)
    }

    /// Adds what a flag gives.
    pub(crate) fn flag(&mut self, variable: Variable, value: Option<&str>) {
        if let Some(value) = value {
            self.flags
                .insert(variable, Zeroizing::new(value.to_owned()));
        }
    }

    fn has_token_secret(&self) -> bool {
        self.get(Variable::TokenSecret).is_some()
            || self.get(Variable::TokenSecretFile).is_some()
            || self.credential().is_some()
    }

    fn token_secret(&self) -> Result<Secret, SettingsError> {
        for (place, values) in self.places() {
            let value = given(values, Variable::TokenSecret);
            let file = given(values, Variable::TokenSecretFile);
            let (variable, secret) = match (value, file) {
                (None, None) => continue,
                (Some(_), Some(_)) => return Err(SettingsError::TwoSecrets(place)),
                (Some(value), None) => {
                    if let Place::File(path) = &place {
                        warn_of_readers(path);
                    }
                    (Variable::TokenSecret, parse_secret(value))
                }
                (None, Some(path)) => {
                    let secret = read_secret(Path::new(path));
                    let problem = |problem| format!("names {}, which {problem}", quoted(path));
                    (Variable::TokenSecretFile, secret.map_err(problem))
                }
            };
            return secret.map_err(|problem| SettingsError::Malformed {
                variable,
                origin: place,
                problem,
            });
        }
        let Some(path) = self.credential() else {
            return Err(SettingsError::Missing(vec![Variable::TokenSecret]));
        };
        read_secret(&path).map_err(|problem| SettingsError::Malformed {
            variable: Variable::TokenSecret,
            origin: Place::Credential,
            problem,
        })
    }

    fn credential(&self) -> Option<PathBuf> {
        let path = self.credentials.as_ref()?.join(CREDENTIAL);
        path.exists().then_some(path)
    }

    /// The places, the one that counts most first.
    fn places(&self) -> impl Iterator<Item = (Place, &Values)> {
        let files = self
            .files
            .iter()
            .map(|(path, values)| (Place::File(path.clone()), values));
        [
            (Place::Flag, &self.flags),
            (Place::Environment, &self.environment),
        ]
        .into_iter()
        .chain(files)
    }

    fn get(&self, variable: Variable) -> Option<(&str, Place)> {
        self.places()
            .find_map(|(place, values)| Some((given(values, variable)?, place)))
    }

    fn parse<T>(
        &self,
        variable: Variable,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, SettingsError> {
        self.parse_optional(variable, parse)?
            .ok_or_else(|| SettingsError::Missing(vec![variable]))
    }

    fn parse_optional<T>(
        &self,
        variable: Variable,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, SettingsError> {
        let Some((value, _)) = self.get(variable) else {
            return Ok(None);
        };
        parse(value)
            .map(Some)
            .map_err(|problem| self.malformed(variable, problem))
    }

    fn malformed(&self, variable: Variable, problem: String) -> SettingsError {
        SettingsError::Malformed {
            variable,
            origin: self
                .get(variable)
                .map_or(Place::Environment, |(_, place)| place),
            problem,
        }
    }
}

impl Variable {
    /// All of them.
    pub(crate) const ALL: [Self; 8] = [
        Self::Url,
        Self::User,
        Self::TokenId,
        Self::TokenSecret,
        Self::TokenSecretFile,
        Self::VerifySsl,
        Self::Fingerprint,
        Self::CaFile,
    ];

    /// Its name in the environment.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Url => "PROXMOX_URL",
            Self::User => "PROXMOX_USER",
            Self::TokenId => "PROXMOX_TOKEN_ID",
            Self::TokenSecret => "PROXMOX_TOKEN_SECRET",
            Self::TokenSecretFile => "PROXMOX_TOKEN_SECRET_FILE",
            Self::VerifySsl => "PROXMOX_VERIFY_SSL",
            Self::Fingerprint => "PROXMOX_FINGERPRINT",
            Self::CaFile => "PROXMOX_CA_FILE",
        }
    }

    fn example(self) -> &'static str {
        match self {
            Self::Url => "https://pve.example.com:8006",
            Self::User => "root@pam",
            Self::TokenId => "mcp",
            Self::TokenSecret => "12345678-90ab-cdef-1234-567890abcdef",
            Self::TokenSecretFile => "/etc/proxmox-mcp/token-secret",
            Self::VerifySsl => "true",
            Self::Fingerprint => {
                "3F:A8:0C:51:9E:77:D2:4B:16:E0:8D:63:BA:2F:94:C5:\
                 07:F1:5D:38:AC:E9:42:80:1B:D6:73:2E:C4:59:0F:A7"
            }
            Self::CaFile => "/etc/pve/pve-root-ca.pem",
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("from the command line"),
            Self::Environment => f.write_str("from the environment"),
            Self::File(path) => write!(f, "from {}", path.display()),
            Self::Credential => write!(f, "from the systemd credential {CREDENTIAL}"),
        }
    }
}

impl fmt::Debug for CaFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CaFile").field(&self.name).finish()
    }
}

fn names(variables: &[Variable]) -> String {
    let names: Vec<_> = variables.iter().map(|variable| variable.name()).collect();
    match names.split_last() {
        None => String::new(),
        Some((only, [])) => format!("{only} is"),
        Some((last, others)) => format!("{} and {last} are", others.join(", ")),
    }
}

fn examples(variables: &[Variable]) -> String {
    let examples: Vec<_> = variables
        .iter()
        .map(|variable| format!("{}={}", variable.name(), variable.example()))
        .collect();
    examples.join(" ")
}

fn parse_user(text: &str) -> Result<String, String> {
    let Some((name, realm)) = text.rsplit_once('@') else {
        return Err(format!("has no realm: {}", quoted(text)));
    };
    if text.contains('!') {
        return Err("names a token, whose place is PROXMOX_TOKEN_ID".to_owned());
    }
    if name.is_empty() || realm.is_empty() || !is_header_safe(text) {
        return Err(format!("is not a user with a realm: {}", quoted(text)));
    }
    Ok(text.to_owned())
}

/// The owner, if named, and the token's own name.
fn parse_token_id(text: &str) -> Result<(Option<String>, String), String> {
    if text.contains('=') {
        return Err(
            "holds more than the token's name: its secret's place is PROXMOX_TOKEN_SECRET"
                .to_owned(),
        );
    }
    let (owner, name) = match text.split_once('!') {
        None => (None, text),
        Some((owner, name)) => {
            let owner = parse_user(owner)
                .map_err(|_| "does not name the token's owner as user@realm!name".to_owned())?;
            (Some(owner), name)
        }
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if name.is_empty() || !name.chars().all(plain) {
        return Err(format!("is not the name of a token: {}", quoted(text)));
    }
    Ok((owner, name.to_owned()))
}

fn parse_secret(text: &str) -> Result<Secret, String> {
    if text.contains('!') && text.contains('=') {
        return Err("holds more than the secret: give the part after '='".to_owned());
    }
    if !is_header_safe(text) {
        return Err("holds characters that no token secret has".to_owned());
    }
    Ok(Secret::new(text.to_owned()))
}

/// The secret that stands in a file of its own.
fn read_secret(path: &Path) -> Result<Secret, String> {
    // As large as it may get at once: growing would leave copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(2 * MAX_SECRET_BYTES));
    let file = File::open(path).map_err(|error| format!("cannot be read: {error}"))?;
    file.take(MAX_SECRET_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() > MAX_SECRET_BYTES {
        return Err("holds more than a token's secret".to_owned());
    }
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| "holds characters that no token secret has".to_owned())?;
    if text.trim().is_empty() {
        return Err("is empty".to_owned());
    }
    warn_of_readers(path);
    parse_secret(text.trim())
}

/// Says so where everybody on this machine can read or change a file with the
/// secret.
fn warn_of_readers(path: &Path) {
    let Ok(metadata) = path.metadata() else {
        return;
    };
    if metadata.is_file() && metadata.permissions().mode() & 0o006 != 0 {
        tracing::warn!(
            "every user of this machine can read or change {0}, which holds the token's secret: \
             chmod 600 {0}",
            path.display()
        );
    }
}

fn parse_fingerprints(text: &str) -> Result<Vec<Digest>, String> {
    let entries: Vec<_> = text
        .split([',', ' ', '\t', '\r', '\n'])
        .filter(|entry| !entry.is_empty())
        .collect();
    if entries.is_empty() {
        return Err("names no fingerprint".to_owned());
    }
    let parse = |(at, entry): (usize, &&str)| {
        Digest::parse(entry).map_err(|error| match entries.len() {
            1 => error.to_string(),
            count => format!("has {count} entries, of which number {} {error}", at + 1),
        })
    };
    entries.iter().enumerate().map(parse).collect()
}

fn parse_bool(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(format!("is neither true nor false: {}", quoted(text))),
    }
}

fn read_ca_file(text: &str) -> Result<CaFile, String> {
    let pem = std::fs::read(text).map_err(|error| {
        format!(
            "names a file that cannot be read: {}: {error}",
            quoted(text)
        )
    })?;
    Ok(CaFile {
        name: text.to_owned(),
        pem,
    })
}

/// What a place gives for a setting, if anything.
fn given(values: &Values, variable: Variable) -> Option<&str> {
    let value = values.get(&variable)?.trim();
    (!value.is_empty()).then_some(value)
}

fn read_env_file(path: &Path) -> Result<Values, String> {
    let mut values = Values::new();
    env_file::read(path, |name, value| {
        let value = Zeroizing::new(value);
        let variable = Variable::ALL
            .into_iter()
            .find(|variable| variable.name() == name);
        if let Some(variable) = variable {
            values.insert(variable, value);
        }
    })?;
    Ok(values)
}

fn is_header_safe(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn quoted(text: &str) -> String {
    format!("{text:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "8a7f3c1e-aaaa-bbbb-cccc-0123456789ab";

    fn sources(environment: &[(Variable, &str)]) -> Sources {
        let complete = [
            (Variable::Url, "https://pve.example.com:8006"),
            (Variable::User, "root@pam"),
            (Variable::TokenId, "mcp"),
            (Variable::TokenSecret, SECRET),
        ];
        Sources {
            environment: values(complete.iter().chain(environment)),
            ..Sources::default()
        }
    }

    fn values<'a>(pairs: impl IntoIterator<Item = &'a (Variable, &'a str)>) -> Values {
        let value = |text: &str| Zeroizing::new(text.to_owned());
        pairs
            .into_iter()
            .map(|(variable, text)| (*variable, value(text)))
            .collect()
    }

    fn problem(environment: &[(Variable, &str)]) -> String {
        let error = Settings::from_sources(&sources(environment)).unwrap_err();
        let text = error.to_string();
        assert!(!text.contains(SECRET), "{text}");
        assert!(!text.contains('\n'), "{text}");
        text
    }

    #[test]
    fn flag_beats_environment_beats_files_in_order() {
        let file =
            |name: &str, value: &str| (PathBuf::from(name), values(&[(Variable::User, value)]));
        let mut sources = Sources {
            files: vec![file("given.env", "given@pam"), file(".env", "dot@pam")],
            ..Sources::default()
        };
        let user = |sources: &Sources| sources.get(Variable::User).unwrap().0.to_owned();
        assert_eq!(user(&sources), "given@pam");
        sources
            .environment
            .extend(values(&[(Variable::User, "environment@pam")]));
        assert_eq!(user(&sources), "environment@pam");
        sources.flag(Variable::User, Some("flag@pam"));
        assert_eq!(user(&sources), "flag@pam");
        sources.flag(Variable::User, Some("  "));
        assert_eq!(user(&sources), "environment@pam");
    }

    #[test]
    fn complete_settings() {
        let settings = Settings::from_sources(&sources(&[])).unwrap();
        assert_eq!(settings.user, "root@pam");
        assert_eq!(settings.token_name, "mcp");
        assert!(matches!(settings.trust, Trust::Verified { ca: None }));
        let shown = format!("{settings:?} {:?}", settings.guest_environment());
        assert!(!shown.contains(SECRET), "{shown}");
        assert_eq!(
            settings.guest_environment(),
            [
                ("PROXMOX_URL", "https://pve.example.com:8006"),
                ("PROXMOX_USER", "root@pam"),
                ("PROXMOX_TOKEN_ID", "mcp"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }

    #[test]
    fn full_token_id_names_the_user() {
        let settings = Settings::from_sources(&sources(&[
            (Variable::User, ""),
            (Variable::TokenId, "ops@pve!ai"),
        ]))
        .unwrap();
        assert_eq!(
            (settings.user.as_str(), settings.token_name.as_str()),
            ("ops@pve", "ai")
        );
        let text = problem(&[(Variable::TokenId, "ops@pve!ai")]);
        assert!(
            text.contains("ops@pve") && text.contains("root@pam"),
            "{text}"
        );
    }

    #[test]
    fn missing_ones_are_all_named() {
        let error = Settings::from_sources(&Sources::default()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "PROXMOX_URL, PROXMOX_USER, PROXMOX_TOKEN_ID and PROXMOX_TOKEN_SECRET are not set: \
             give them in the environment or in a .env file, for example \
             PROXMOX_URL=https://pve.example.com:8006 PROXMOX_USER=root@pam PROXMOX_TOKEN_ID=mcp \
             PROXMOX_TOKEN_SECRET=12345678-90ab-cdef-1234-567890abcdef"
        );
        let text = problem(&[(Variable::TokenSecret, " ")]);
        assert!(
            text.starts_with("PROXMOX_TOKEN_SECRET is not set"),
            "{text}"
        );
    }

    #[test]
    fn malformed_ones_are_named_with_an_example() {
        for (variable, value) in [
            (Variable::Url, "http://pve.example.com:8006"),
            (Variable::Url, "pve.example.com:8006"),
            (Variable::Url, "https://user:pw@pve.example.com"),
            (Variable::User, "root"),
            (Variable::User, "root@pam!mcp"),
            (Variable::User, "@pam"),
            (Variable::TokenId, "root!mcp"),
            (
                Variable::TokenId,
                "mcp=8a7f3c1e-aaaa-bbbb-cccc-0123456789ab",
            ),
            (Variable::TokenId, "m cp"),
            (Variable::TokenSecret, "8a7f 3c1e"),
            (
                Variable::TokenSecret,
                "root@pam!mcp=8a7f3c1e-aaaa-bbbb-cccc-0123456789ab",
            ),
            (Variable::TokenSecret, "8a7f\n3c1e"),
            (Variable::VerifySsl, "maybe"),
            (Variable::CaFile, "/nonexistent/ca.pem"),
            (Variable::Fingerprint, "AA:BB"),
            (Variable::Fingerprint, " , "),
            (Variable::Fingerprint, SECRET),
        ] {
            let text = problem(&[(variable, value)]);
            assert!(text.starts_with(variable.name()), "{text}");
            assert!(
                text.ends_with(&format!("{}={}", variable.name(), variable.example())),
                "{text}"
            );
        }
    }

    #[test]
    fn verification_can_be_turned_off() {
        for value in ["false", "0", "no", "False", "NO"] {
            let settings =
                Settings::from_sources(&sources(&[(Variable::VerifySsl, value)])).unwrap();
            assert!(matches!(settings.trust, Trust::Unverified), "{value}");
        }
        for value in ["true", "1", "yes", ""] {
            let settings =
                Settings::from_sources(&sources(&[(Variable::VerifySsl, value)])).unwrap();
            assert!(matches!(settings.trust, Trust::Verified { .. }), "{value}");
        }
    }

    #[test]
    fn pins_alone_decide() {
        let (one, other) = (Digest::of(b"one"), Digest::of(b"other"));
        for between in [",", " ", "\n", ", ", "\r\n\t"] {
            let both = format!("{}{between}{other}", one.with_colons());
            for verify in ["", "true", "false"] {
                let sources = sources(&[
                    (Variable::Fingerprint, &both),
                    (Variable::VerifySsl, verify),
                ]);
                let settings = Settings::from_sources(&sources).unwrap();
                let Trust::Pinned(pins) = settings.trust else {
                    panic!("{:?}", settings.trust);
                };
                assert_eq!(pins, [one, other]);
            }
        }
        // One bad pin of several is named.
        let text = problem(&[(Variable::Fingerprint, &format!("{one}, AB:CD"))]);
        assert!(text.contains("2 entries, of which number 2"), "{text}");
    }

    #[test]
    fn a_secret_may_be_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let name = path.display().to_string();
        let read = |content: &[u8]| {
            std::fs::write(&path, content).unwrap();
            let given = [
                (Variable::TokenSecret, ""),
                (Variable::TokenSecretFile, &name),
            ];
            match Settings::from_sources(&sources(&given)) {
                Ok(settings) => Ok(settings.token_secret.expose_after("")),
                Err(error) => Err(error.to_string()),
            }
        };
        for end in ["", "\n", "\r\n", " \n\n"] {
            let secret = read(format!("{SECRET}{end}").as_bytes()).unwrap();
            assert_eq!(secret, SECRET.as_bytes());
        }
        let long = "a".repeat(MAX_SECRET_BYTES + 1);
        let bad = [
            b"\xff".as_slice(),
            b"",
            b"\n",
            b"8a7f 3c1e",
            long.as_bytes(),
        ];
        for content in bad {
            let text = read(content).unwrap_err();
            assert!(text.starts_with("PROXMOX_TOKEN_SECRET_FILE ("), "{text}");
            assert!(text.len() < 300, "{text}");
        }
        std::fs::remove_file(&path).unwrap();
        let text = problem(&[
            (Variable::TokenSecret, ""),
            (Variable::TokenSecretFile, &name),
        ]);
        assert!(text.contains("cannot be read"), "{text}");
    }

    #[test]
    fn one_place_gives_one_secret() {
        let text = problem(&[(Variable::TokenSecretFile, "/nonexistent")]);
        for name in ["PROXMOX_TOKEN_SECRET ", "PROXMOX_TOKEN_SECRET_FILE "] {
            assert!(text.contains(name), "{text}");
        }
        // Of two places the first counts, and the other is not looked at.
        let mut sources = sources(&[]);
        let file = values(&[(Variable::TokenSecretFile, "/nonexistent")]);
        sources.files.push((PathBuf::from(".env"), file));
        Settings::from_sources(&sources).unwrap();
    }

    #[test]
    fn a_credential_comes_last() {
        let folder = tempfile::tempdir().unwrap();
        let mut sources = sources(&[(Variable::TokenSecret, "")]);
        sources.credentials = Some(folder.path().to_owned());
        let secret = |sources: &Sources| {
            let settings = Settings::from_sources(sources);
            settings.map(|settings| settings.token_secret.expose_after(""))
        };
        assert!(matches!(secret(&sources), Err(SettingsError::Missing(_))));
        std::fs::write(folder.path().join(CREDENTIAL), "of-systemd\n").unwrap();
        assert_eq!(secret(&sources).unwrap(), "of-systemd");
        let given = values(&[(Variable::TokenSecret, SECRET)]);
        sources.files.push((PathBuf::from("given.env"), given));
        assert_eq!(secret(&sources).unwrap(), SECRET);
    }
}
