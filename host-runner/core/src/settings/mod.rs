//! The settings: where Proxmox VE is and with which token to talk to it.
//!
//! An empty value counts as none. No message holds a value: whoever swaps two
//! of them must not see the secret in an error. The names of files are the
//! exception, as far as they are names of files.

mod sources;
mod variable;

use std::fmt;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

pub(crate) use self::sources::{EnvFile, Sources};
pub(crate) use self::variable::{Variable, file_name, mask_secrets};

use self::sources::{CREDENTIAL, given};
use self::variable::is_like_a_secret;
use crate::digest::Digest;
use crate::sandbox::Origin;
use crate::secret::Secret;

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
/// variable and says what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    /// Some that have no default are not there.
    #[error(
        "{} not set: give {} in the environment or in a file named by --env-file, for example {}{}",
        names(.variables),
        if .variables.len() == 1 { "it" } else { "them" },
        examples(.variables),
        .passed_over.map_or_else(String::new, |why| format!("; .env in the working directory {why}"))
    )]
    Missing {
        /// Which.
        variables: Vec<Variable>,
        /// Why a `.env` in the working directory does not count.
        passed_over: Option<&'static str>,
    },
    /// One cannot be understood.
    #[error("{} ({origin}) {problem}, for example {}", .variable.name(), examples(&[*.variable]))]
    Malformed {
        /// Which one.
        variable: Variable,
        /// Where it came from.
        origin: Place,
        /// What is wrong with it. Holds no value.
        problem: String,
    },
    /// The settings of the connection come from two places.
    #[error(
        "{}, but {} from {file}: address, token and certificates must come from one place, so \
         give all of them in {file}, or all of them outside of it",
        from_outside(.outside),
        names(.inside),
        file = .path.display()
    )]
    Mixed {
        /// Those that the operator gives beside the file.
        outside: Vec<(Variable, Place)>,
        /// Those that the file gives.
        inside: Vec<Variable>,
        /// The file.
        path: PathBuf,
    },
    /// The secret is given in two ways, and neither has precedence.
    #[error(
        "PROXMOX_TOKEN_SECRET and PROXMOX_TOKEN_SECRET_FILE are both given ({}): keep one of \
         them, for example {}",
        .0,
        examples(&[Variable::TokenSecretFile])
    )]
    TwoSecrets(Place),
    /// The file given by `--env-file` cannot be used.
    #[error("cannot use the settings in {}: {reason}", .path.display())]
    EnvFile {
        /// The file.
        path: PathBuf,
        /// Why. Holds nothing from the file.
        reason: String,
    },
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

impl Settings {
    /// Reads and checks the settings.
    pub(crate) fn from_sources(sources: &Sources) -> Result<Self, SettingsError> {
        let owned_token = sources
            .get(Variable::TokenId)
            .is_some_and(|(value, _)| value.contains('!'));
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
            return Err(sources.missing(missing));
        }

        let origin = sources.parse(Variable::Url, variable::parse_url)?;
        let user = sources.parse_optional(Variable::User, variable::parse_user)?;
        let (owner, token_name) = sources.parse(Variable::TokenId, variable::parse_token_id)?;
        let token_secret = sources.token_secret()?;
        let malformed = |variable, problem: &str| {
            let place = sources.get(variable).map(|(_, place)| place);
            let place = place.unwrap_or(Place::Environment);
            SettingsError::malformed(variable, place, problem.to_owned())
        };
        if is_like_a_secret(&token_name) && !token_secret.is_a(is_like_a_secret) {
            return Err(malformed(
                Variable::TokenId,
                "looks like the token's secret, and the secret does not: they may be swapped",
            ));
        }
        if token_secret.is_a(|secret| secret == token_name) {
            return Err(malformed(
                Variable::TokenId,
                "is the same as the token's secret: give the token's name",
            ));
        }
        let user = match (user, owner) {
            (Some(user), Some(owner)) if user != owner => {
                return Err(malformed(
                    Variable::TokenId,
                    "names another owner than PROXMOX_USER: leave out one of the two",
                ));
            }
            (Some(user), _) | (None, Some(user)) => user,
            (None, None) => return Err(sources.missing(vec![Variable::User])),
        };
        let verify = sources
            .parse_optional(Variable::VerifySsl, variable::parse_bool)?
            .unwrap_or(true);
        let ca = sources.parse_optional(Variable::CaFile, variable::read_ca_file)?;
        let pins = sources.parse_optional(Variable::Fingerprint, variable::parse_fingerprints)?;
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

impl SettingsError {
    /// Whether values of the environment are what cannot be used.
    pub(crate) fn is_of_environment(&self) -> bool {
        match self {
            Self::Malformed { origin, .. } | Self::TwoSecrets(origin) => {
                *origin == Place::Environment
            }
            Self::Mixed { outside, .. } => outside
                .iter()
                .any(|(_, place)| *place == Place::Environment),
            Self::Missing { .. } | Self::EnvFile { .. } => false,
        }
    }

    fn malformed(variable: Variable, origin: Place, problem: String) -> Self {
        Self::Malformed {
            variable,
            origin,
            problem,
        }
    }
}

impl Sources {
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
                    let secret = variable::check(value);
                    let secret = secret.and_then(|()| variable::parse_secret(value));
                    (Variable::TokenSecret, secret)
                }
                (None, Some(path)) => {
                    let secret = self.may_name(Path::new(path));
                    let secret = secret.and_then(|()| variable::read_secret(Path::new(path)));
                    let problem = |problem| format!("names {}, which {problem}", file_name(path));
                    (Variable::TokenSecretFile, secret.map_err(problem))
                }
            };
            return secret.map_err(|problem| SettingsError::malformed(variable, place, problem));
        }
        let Some(path) = self.credential() else {
            return Err(self.missing(vec![Variable::TokenSecret]));
        };
        variable::read_secret(&path).map_err(|problem| {
            SettingsError::malformed(Variable::TokenSecret, Place::Credential, problem)
        })
    }

    /// Whether the file that counts may name this one as the secret's. One that
    /// nobody named may not: it could have any file sent to an address of its
    /// own.
    fn may_name(&self, secret: &Path) -> Result<(), String> {
        if self.unnamed_file().is_none() {
            return Ok(());
        }
        let folder = Path::new(".").canonicalize();
        let secret = secret.canonicalize();
        match (folder, secret) {
            (Ok(folder), Ok(secret)) if !secret.starts_with(&folder) => Err(
                "is outside the working directory, which is not allowed in a .env that was found \
                 there: pass --dotenv if you trust it"
                    .to_owned(),
            ),
            // Reading it will say what is wrong.
            _ => Ok(()),
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

/// Which settings come from where outside of a file.
fn from_outside(settings: &[(Variable, Place)]) -> String {
    let of = |wanted: &Place| -> Vec<_> {
        let settings = settings.iter().filter(|(_, place)| place == wanted);
        settings.map(|(variable, _)| *variable).collect()
    };
    let places = [Place::Flag, Place::Environment];
    let texts = places.iter().map(|place| (of(place), place));
    let texts = texts.filter(|(variables, _)| !variables.is_empty());
    let texts: Vec<_> = texts
        .map(|(variables, place)| format!("{} {place}", names(&variables)))
        .collect();
    texts.join(" and ")
}

fn examples(variables: &[Variable]) -> String {
    let examples: Vec<_> = variables
        .iter()
        .map(|variable| format!("{}={}", variable.name(), variable.example()))
        .collect();
    examples.join(" ")
}

/// Says so where everybody on this machine can read or change a file with the
/// secret.
fn warn_of_readers(path: &Path) {
    let Ok(metadata) = path.metadata() else {
        return;
    };
    if metadata.is_file() && metadata.permissions().mode() & 0o006 != 0 {
        tracing::warn!(
            "every user of this machine can read or change {0}, which holds the token's secret \
             (chmod 600 {0} prevents that)",
            path.display()
        );
    }
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::sources::Values;
    use super::*;

    const SECRET: &str = "8a7f3c1e-aaaa-bbbb-cccc-0123456789ab";

    const COMPLETE: [(Variable, &str); 4] = [
        (Variable::Url, "https://pve.example.com:8006"),
        (Variable::User, "root@pam"),
        (Variable::TokenId, "mcp"),
        (Variable::TokenSecret, SECRET),
    ];

    fn sources(environment: &[(Variable, &str)]) -> Sources {
        Sources {
            environment: values(COMPLETE.iter().chain(environment)),
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
    fn a_flag_beats_the_environment() {
        let mut sources = Sources::default();
        let user = |sources: &Sources| sources.get(Variable::User).unwrap().0.to_owned();
        sources.environment = values(&[(Variable::User, "environment@pam")]);
        assert_eq!(user(&sources), "environment@pam");
        sources.flags = values(&[(Variable::User, "flag@pam")]);
        assert_eq!(user(&sources), "flag@pam");
        sources.flags = values(&[(Variable::User, "  ")]);
        assert_eq!(user(&sources), "environment@pam");
    }

    /// Whatever two values are swapped, no message holds the secret, and
    /// nothing would be sent.
    #[test]
    fn swapped_values_are_refused_without_being_shown() {
        for other in Variable::ALL {
            if other == Variable::TokenSecret || other == Variable::TokenSecretFile {
                continue;
            }
            let value = COMPLETE
                .into_iter()
                .find(|(variable, _)| *variable == other)
                .map_or(other.example(), |(_, value)| value);
            let swapped = [(other, SECRET), (Variable::TokenSecret, value)];
            match other {
                Variable::Log => {
                    let error = sources(&swapped).log_level().unwrap_err().to_string();
                    assert!(!error.contains(SECRET), "{error}");
                }
                Variable::Policy => {}
                _ => drop(problem(&swapped)),
            }
        }
        problem(&[
            (Variable::TokenSecret, ""),
            (Variable::TokenSecretFile, SECRET),
        ]);
        problem(&[(Variable::TokenId, SECRET)]);
    }

    /// Each form of a token that people write is explained.
    #[test]
    fn forms_of_a_token_are_explained() {
        let quoted = format!("\"{SECRET}\"");
        let header = format!("PVEAPIToken=root@pam!t={SECRET}");
        let whole = format!("root@pam!t={SECRET}");
        for (variable, value, says) in [
            (Variable::TokenSecret, quoted.as_str(), "in quotes"),
            (Variable::TokenSecret, &header, "whole header"),
            (Variable::TokenSecret, &whole, "more than the secret"),
            (
                Variable::TokenSecret,
                "${PVE_SECRET}",
                "refers to another variable",
            ),
            (
                Variable::TokenSecret,
                "$PVE_SECRET",
                "refers to another variable",
            ),
            (Variable::TokenSecret, "root@pam!t", "PROXMOX_TOKEN_ID"),
            (Variable::TokenSecret, "root@pam", "PROXMOX_USER"),
            (
                Variable::TokenSecret,
                "https://pve.example.com",
                "PROXMOX_URL",
            ),
            (Variable::TokenId, &whole, "PROXMOX_TOKEN_SECRET"),
            (Variable::TokenId, &header, "PROXMOX_TOKEN_SECRET"),
            (Variable::TokenId, "root@pam", "user@realm!name"),
            (Variable::TokenId, "'mcp'", "in quotes"),
            (Variable::User, "root", "no realm"),
            (Variable::User, "root@pam!t", "PROXMOX_TOKEN_ID"),
            (Variable::User, &whole, "PROXMOX_TOKEN_ID"),
            (Variable::Url, "'https://pve.example.com'", "in quotes"),
            (Variable::Url, "root@pam", "PROXMOX_USER"),
        ] {
            let text = problem(&[(variable, value)]);
            assert!(text.starts_with(variable.name()), "{text}");
            assert!(text.contains(says), "{variable:?}: {text}");
        }
        for (user, token) in [
            ("user.name@corp.example@entra-id.corp", "tok"),
            ("", "user.name@company-example.com!terraform-token"),
            ("DOMAIN\\user@ad", "a.b_c-d"),
        ] {
            let given = [(Variable::User, user), (Variable::TokenId, token)];
            Settings::from_sources(&sources(&given)).unwrap();
        }
    }

    #[test]
    fn secrets_are_covered_up_in_what_others_say() {
        let text = format!("é {SECRET}={SECRET} 8a7f3c1e-aaaa");
        assert_eq!(mask_secrets(&text), "é ***=*** 8a7f3c1e-aaaa");
    }

    #[test]
    fn unknown_names_have_a_nearest_one() {
        for (name, nearest) in [
            ("PROXMOX_VERIFY_TLS", Variable::VerifySsl),
            ("PROXMOX_FINGERPRNT", Variable::Fingerprint),
            ("PROXMOX_TOKEN_SECRET_FILES", Variable::TokenSecretFile),
            ("PROXMOX_TOKENID", Variable::TokenId),
            ("proxmox_url", Variable::Url),
            ("PROXMOX_HOST", Variable::Url),
            ("PROXMOX_MCP_POLICY_FILE", Variable::Policy),
            ("PROXMOX_MCP_LOG_LEVEL", Variable::Log),
        ] {
            assert!(variable::is_unknown(name), "{name}");
            assert_eq!(variable::nearest(name), Some(nearest), "{name}");
        }
        for name in ["PROXMOX_URL", "PROXMOX", "PATH", "MY_PROXMOX_URL"] {
            assert!(!variable::is_unknown(name), "{name}");
        }
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
        assert!(text.contains("another owner than PROXMOX_USER"), "{text}");
    }

    #[test]
    fn missing_ones_are_all_named() {
        let error = Settings::from_sources(&Sources::default()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "PROXMOX_URL, PROXMOX_USER, PROXMOX_TOKEN_ID and PROXMOX_TOKEN_SECRET are not set: \
             give them in the environment or in a file named by --env-file, for example \
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
        let long = "a".repeat(crate::operator_file::MAX_SECRET_BYTES + 1);
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
        assert!(matches!(
            secret(&sources),
            Err(SettingsError::Missing { .. })
        ));
        std::fs::write(folder.path().join(CREDENTIAL), "of-systemd\n").unwrap();
        assert_eq!(secret(&sources).unwrap(), "of-systemd");
        sources
            .environment
            .extend(values(&[(Variable::TokenSecret, SECRET)]));
        assert_eq!(secret(&sources).unwrap(), SECRET);

        // A file that the operator named may go with it, another one not.
        let mut rest = values(&COMPLETE);
        rest.remove(&Variable::TokenSecret);
        let mut sources = Sources {
            file: Some((PathBuf::from(".env"), rest)),
            credentials: Some(folder.path().to_owned()),
            ..Sources::default()
        };
        assert!(matches!(
            secret(&sources),
            Err(SettingsError::Missing { .. })
        ));
        sources.named = true;
        assert_eq!(secret(&sources).unwrap(), "of-systemd");
    }
}
