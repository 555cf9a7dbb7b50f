//! The settings: where Proxmox VE is and with which token to talk to it.
//!
//! An empty value counts as not given. No message contains a value: where two
//! of them are swapped, an error must not show the secret. Names of files are
//! the exception, if they look like names of files.

mod address;
mod clusters;
mod error;
mod flag;
mod flag_value;
mod http;
mod listing;
mod oauth;
mod proxy;
mod secret_source;
mod source;
mod sources;
mod traces;
mod trust;
mod variable;

pub(crate) use self::address::Address;
pub(crate) use self::clusters::{ALL_CLUSTERS, OfCluster};
pub(crate) use self::error::SettingsError;
#[cfg(test)]
pub(crate) use self::flag::FLAGS;
pub(crate) use self::flag_value::{FlagValue, early_flags};
pub(crate) use self::http::{HealthSettings, HttpSettings, TlsFiles, TokenSource};
pub(crate) use self::oauth::{IssuerSettings, OAuthSettings};
pub(crate) use self::proxy::Proxy;
pub(crate) use self::source::Source;
pub(crate) use self::sources::{EnvFile, Sources, own_file};
pub(crate) use self::traces::TracesSettings;
pub(crate) use self::trust::{CaFile, ClientCertificate, Trust};
pub(crate) use self::variable::{
    Detail, FitToken, ResultTokens, Variable, file_name, is_like_a_secret, mask_secrets,
    parse_log_level, poll_seconds,
};

use std::path::Path;
use std::sync::Arc;

use crate::origin::Origin;
use crate::secret::Secret;

/// Where Proxmox VE is, and with which token to talk to it.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The first address, and the only one that a component sees.
    pub origin: Origin,
    /// The token's owner, such as `root@pam`.
    pub user: String,
    /// The token's name, without its owner.
    pub token_name: String,
    /// The token's secret.
    pub token_secret: Secret,
    /// Which certificates are accepted there.
    pub trust: Trust,
    /// What to show to a server that asks for a certificate.
    pub client_certificate: Option<ClientCertificate>,
    /// What connects to Proxmox VE. None: this process itself.
    pub proxy: Option<Proxy>,
    /// The other addresses of the same cluster. Requests go to these and the first, and
    /// nowhere else.
    pub others: Vec<Address>,
    /// The cluster's name, where there are several.
    pub cluster: Option<Arc<str>>,
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

        let origins = sources.parse(Variable::Url, address::parse_urls)?;
        let user = sources.parse_optional(Variable::User, variable::parse_user)?;
        let (owner, token_name) = sources.parse(Variable::TokenId, variable::parse_token_id)?;
        let token_secret = sources.token_secret()?;
        let malformed = |variable, problem: &str| {
            let place = sources.get(variable).map(|(_, place)| place);
            let place = place.unwrap_or(Source::Environment);
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
        let pins = sources.parse_optional(Variable::Fingerprint, |text| {
            address::pins_of(&address::parse_pins(text)?, &origins)
        })?;
        let trusts: Vec<_> = match pins {
            Some(pins) => pins.into_iter().map(Trust::Pinned).collect(),
            None => {
                let trust = match verify {
                    true => Trust::Verified { ca },
                    false => Trust::Unverified,
                };
                vec![trust; origins.len()]
            }
        };
        let addresses = origins.into_iter().zip(trusts).map(|(origin, trust)| {
            let proxy = proxy::from_sources(sources, &origin)?;
            Ok(Address {
                origin,
                trust,
                proxy,
            })
        });
        let addresses: Vec<_> = addresses.collect::<Result<_, SettingsError>>()?;
        let mut addresses = addresses.into_iter();
        let Some(Address {
            origin,
            trust,
            proxy,
        }) = addresses.next()
        else {
            return Err(sources.missing(vec![Variable::Url]));
        };
        Ok(Self {
            client_certificate: client_certificate(sources)?,
            proxy,
            others: addresses.collect(),
            cluster: None,
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
            client_certificate: None,
            proxy: None,
            others: Vec::new(),
            cluster: None,
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

fn client_certificate(sources: &Sources) -> Result<Option<ClientCertificate>, SettingsError> {
    let certificate = sources.parse_optional(Variable::ClientCert, variable::read_ca_file)?;
    let key = sources.parse_optional(Variable::ClientKey, |path| {
        let allowed = sources.may_name(Path::new(path));
        allowed.map_err(|problem| format!("names {}, which {problem}", file_name(path)))?;
        variable::read_client_key(path)
    })?;
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok(Some(ClientCertificate { certificate, key })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(sources.missing(vec![Variable::ClientKey])),
        (None, Some(_)) => Err(sources.missing(vec![Variable::ClientCert])),
    }
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use std::path::PathBuf;

    use super::source::CREDENTIAL;
    use super::sources::Values;
    use super::*;
    use crate::digest::Digest;

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
                Variable::LogFormat => {
                    let error = sources(&swapped).log_format().unwrap_err().to_string();
                    assert!(!error.contains(SECRET), "{error}");
                }
                Variable::FitToken => {
                    let error = sources(&swapped).fit_token().unwrap_err().to_string();
                    assert!(!error.contains(SECRET), "{error}");
                }
                Variable::Detail => {
                    let error = sources(&swapped).detail().unwrap_err().to_string();
                    assert!(!error.contains(SECRET), "{error}");
                }
                Variable::ResultTokens => {
                    let error = sources(&swapped).result_tokens().unwrap_err().to_string();
                    assert!(!error.contains(SECRET), "{error}");
                }
                Variable::PollSeconds => {
                    let error = sources(&swapped).poll().unwrap_err().to_string();
                    assert!(!error.contains(SECRET), "{error}");
                }
                Variable::ToolsChecksum => {
                    let sources = sources(&swapped);
                    let error = sources.tools_checksum().unwrap_err().to_string();
                    assert!(!error.contains(SECRET), "{error}");
                }
                Variable::Policy | Variable::Clusters => {}
                Variable::Traces | Variable::TracesCaFile => {
                    let error = TracesSettings::from_sources(&sources(&swapped)).unwrap_err();
                    let error = error.to_string();
                    assert!(!error.contains(SECRET), "{error}");
                }
                of_http
                    if of_http.name().starts_with("PROXMOX_MCP_HTTP")
                        || of_http.name().starts_with("PROXMOX_MCP_TLS")
                        || of_http.name().starts_with("PROXMOX_MCP_OAUTH") =>
                {
                    let on = [
                        (Variable::Http, "127.0.0.1:8080"),
                        (Variable::HttpUrl, Variable::HttpUrl.example()),
                        (Variable::OAuthIssuers, Variable::OAuthIssuers.example()),
                    ];
                    let given: Vec<_> = on.iter().chain(&swapped).copied().collect();
                    if let Err(error) = HttpSettings::from_sources(&sources(&given)) {
                        let error = error.to_string();
                        assert!(!error.contains(SECRET), "{error}");
                    }
                }
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
            ("PROXMOX_MCP_FITTOKEN", Variable::FitToken),
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
             run `host-runner setup`, or give them in the environment or in a file named by --env-file, for example \
             PROXMOX_URL=https://pve.example.com:8006 PROXMOX_USER=mcp@pve \
             PROXMOX_TOKEN_ID=assistant \
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
            (Variable::ClientCert, "/nonexistent/client.pem"),
            (Variable::ClientKey, "/nonexistent/client.key"),
            (Variable::Proxy, "https://proxy.example.com:3128"),
            (Variable::Proxy, "proxy.example.com:3128"),
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
