//! Why a server cannot be used: the cause first, then what to change.

use std::time::SystemTime;

use rustls::CertificateError;
use serde::Serialize;

use super::certificate::{Certificate, shown};
use super::target::Target;
use crate::sandbox::failure::FailureKind;
use crate::sandbox::tls::{Rejected, WHERE_TO_COMPARE};
use crate::settings::Trust;

/// How far a probe has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stage {
    /// The name is resolved.
    Dns,
    /// A connection is made.
    Tcp,
    /// TLS, with the certificate.
    Tls,
    /// A request without a token is answered.
    Http,
}

/// Why it came no further, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Cause {
    /// The host name does not exist, or no name server answers.
    NameNotFound,
    /// Nothing listens on the port.
    Refused,
    /// No answer in time.
    Timeout,
    /// There is no route to the host.
    Unreachable,
    /// The proxy does not connect to the server.
    Proxy,
    /// The server ends the connection.
    Closed,
    /// The port speaks HTTP without TLS.
    PlainHttp,
    /// The port speaks something else.
    NotTls,
    /// Nobody vouches for the certificate.
    SelfSigned,
    /// Its issuer is not trusted.
    UnknownAuthority,
    /// `PROXMOX_CA_FILE` has not signed it.
    OtherAuthority,
    /// It has expired.
    Expired,
    /// It is not valid yet.
    NotYetValid,
    /// It is for other host names.
    WrongName,
    /// It is not the one in `PROXMOX_FINGERPRINT`.
    StalePin,
    /// The server requires a certificate of the client, and none is configured.
    ClientCertificateRequired,
    /// The server does not accept the client's certificate.
    ClientCertificateRefused,
    /// Another fault of the certificate.
    Certificate,
    /// Another fault of TLS.
    Tls,
    /// What comes back is not HTTP.
    NotHttp,
}

/// Why a server cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Fault {
    /// Where the probe has ended.
    pub stage: Stage,
    /// Why, for programs.
    pub cause: Cause,
    /// Why, in a sentence without its end.
    pub what: String,
    /// What to change.
    pub next: String,
}

impl Fault {
    pub(super) fn new(
        stage: Stage,
        cause: Cause,
        what: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self {
            stage,
            cause,
            what: what.into(),
            next: next.into(),
        }
    }

    /// A connection that was not made to an address.
    pub(super) fn of_connection(kind: FailureKind, what: String, target: &Target<'_>) -> Self {
        let port = target.origin.port();
        let (cause, next) = match kind {
            FailureKind::ConnectionRefused => (
                Cause::Refused,
                format!(
                    "check the host and the port in PROXMOX_URL ({port}; Proxmox VE listens on \
                     8006), and on the node `systemctl status pveproxy`"
                ),
            ),
            FailureKind::ConnectTimeout => (
                Cause::Timeout,
                format!(
                    "check that the node is on, and that firewalls between here and the node allow \
                     TCP port {port}"
                ),
            ),
            FailureKind::Proxy => (Cause::Proxy, "check PROXMOX_PROXY".to_owned()),
            FailureKind::ConnectionClosed => (
                Cause::Closed,
                "check that the port is that of Proxmox VE (8006)".to_owned(),
            ),
            _ => (
                Cause::Unreachable,
                "check the host in PROXMOX_URL and this machine's network".to_owned(),
            ),
        };
        Self::new(Stage::Tcp, cause, what, next)
    }

    /// A fault of TLS that is not about the server's certificate.
    pub(super) fn of_tls(kind: Option<FailureKind>, what: String, target: &Target<'_>) -> Self {
        let has_certificate = target.client_certificate.is_some();
        let (cause, next) = match kind {
            Some(FailureKind::Tls(Some(alert))) if is_of_client(alert) => match has_certificate {
                true => (
                    Cause::ClientCertificateRefused,
                    "check PROXMOX_CLIENT_CERT: whether the server trusts its issuer, and until \
                     when it is valid",
                ),
                false => (
                    Cause::ClientCertificateRequired,
                    "set PROXMOX_CLIENT_CERT and PROXMOX_CLIENT_KEY",
                ),
            },
            Some(FailureKind::ConnectionClosed) => (
                Cause::Closed,
                "check that the port is that of Proxmox VE (8006)",
            ),
            Some(FailureKind::Certificate) => {
                (Cause::Certificate, "give the server another certificate")
            }
            _ => (
                Cause::Tls,
                "check what listens there: Proxmox VE speaks TLS 1.2 and 1.3",
            ),
        };
        Self::new(Stage::Tls, cause, what, next)
    }

    /// A certificate that is not accepted.
    pub(super) fn of_certificate(
        rejected: &Rejected,
        chain: &[Certificate],
        target: &Target<'_>,
        now: SystemTime,
    ) -> Self {
        let Some(leaf) = chain.first() else {
            return Self::of_tls(None, rejected.to_string(), target);
        };
        let (cause, what, next) = match rejected {
            Rejected::NotPinned { .. } => stale_pin(leaf, target),
            Rejected::Unverified { cause, .. } => match cause {
                CertificateError::UnknownIssuer => unknown_issuer(leaf, target),
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                    expired(chain, now)
                }
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                    not_yet_valid(leaf, now)
                }
                CertificateError::NotValidForName
                | CertificateError::NotValidForNameContext { .. } => wrong_name(leaf, target),
                other if is_of_authority(other) => match leaf.self_signed {
                    // As `openssl req -x509` makes them.
                    true => unknown_issuer(leaf, target),
                    false => of_authority(leaf),
                },
                other => (
                    Cause::Certificate,
                    format!("the certificate is not accepted: {other}"),
                    or_pin("give the server another certificate", leaf),
                ),
            },
        };
        let others = match rejected {
            Rejected::NotPinned { .. } => Vec::new(),
            Rejected::Unverified { .. } => besides(cause, leaf, target, now),
        };
        let what = match others.is_empty() {
            true => what,
            false => format!("{what}; besides, {}", others.join(", and ")),
        };
        Self::new(Stage::Tls, cause, what, next)
    }
}

/// Whether an alert is about the certificate of the client.
fn is_of_client(alert: u8) -> bool {
    // bad_certificate to access_denied, decrypt_error, certificate_required.
    matches!(alert, 42..=46 | 48 | 49 | 51 | 116)
}

/// Whether it is the certificate of an authority, which no server may show as its own. The
/// library has no other sign of it.
fn is_of_authority(error: &CertificateError) -> bool {
    match error {
        CertificateError::Other(other) => other.0.to_string() == "CaUsedAsEndEntity",
        _ => false,
    }
}

fn of_authority(leaf: &Certificate) -> (Cause, String, String) {
    (
        Cause::Certificate,
        format!(
            "the certificate ({}) is that of an authority, not of a server",
            leaf.subject
        ),
        or_pin("give the server a certificate without CA:TRUE", leaf),
    )
}

fn stale_pin(leaf: &Certificate, target: &Target<'_>) -> (Cause, String, String) {
    let expected = match target.trust {
        Trust::Pinned(pins) => pins.iter().map(|pin| pin.with_colons()).collect(),
        _ => Vec::new(),
    };
    let since = leaf.not_before.map_or_else(String::new, |since| {
        format!(", valid since {}", shown(since))
    });
    (
        Cause::StalePin,
        format!(
            "the certificate is not the one in PROXMOX_FINGERPRINT: expected {}, but the server \
             has {}{since}",
            expected.join(" or "),
            leaf.fingerprint_sha256
        ),
        format!(
            "if the certificate was renewed, compare the fingerprint and set \
             PROXMOX_FINGERPRINT={} (with several addresses, ADDRESS=FINGERPRINT for each, separated \
             by commas); {WHERE_TO_COMPARE}",
            leaf.fingerprint_sha256
        ),
    )
}

fn unknown_issuer(leaf: &Certificate, target: &Target<'_>) -> (Cause, String, String) {
    let file = match target.trust {
        Trust::Verified { ca: Some(file) } => Some(&file.name),
        _ => None,
    };
    match (leaf.self_signed, file) {
        (true, None) => (
            Cause::SelfSigned,
            format!("the certificate is self-signed ({})", leaf.subject),
            pin(leaf),
        ),
        (true, Some(file)) => (
            Cause::SelfSigned,
            format!(
                "the certificate is self-signed ({}) and is not in PROXMOX_CA_FILE ({file})",
                leaf.subject
            ),
            pin(leaf),
        ),
        (false, Some(file)) => (
            Cause::OtherAuthority,
            format!(
                "no authority in PROXMOX_CA_FILE ({file}) has signed the certificate: its issuer \
                 is {}",
                leaf.issuer
            ),
            or_pin(
                "give the CA certificate of this issuer (that of a cluster is \
                 /etc/pve/pve-root-ca.pem on its nodes), and have the server present the \
                 intermediate certificates",
                leaf,
            ),
        ),
        (false, None) => (
            Cause::UnknownAuthority,
            format!(
                "the issuer of the certificate is not trusted: {}",
                leaf.issuer
            ),
            or_pin(
                "set PROXMOX_CA_FILE to a copy of its CA certificate (that of a cluster is \
                 /etc/pve/pve-root-ca.pem on its nodes)",
                leaf,
            ),
        ),
    }
}

fn expired(chain: &[Certificate], now: SystemTime) -> (Cause, String, String) {
    let is_expired = |one: &&Certificate| one.not_after.is_some_and(|end| end < now);
    let which = chain.iter().find(is_expired).or(chain.first());
    let subject = which.map_or("", |one| one.subject.as_str());
    let end = which.and_then(|one| one.not_after);
    (
        Cause::Expired,
        format!(
            "the certificate ({subject}) has expired: it was valid until {}, and this machine's \
             clock says {}",
            end.map_or_else(|| "an unknown time".to_owned(), shown),
            shown(now)
        ),
        match chain.first() {
            Some(leaf) => or_pin(
                "renew the certificate (on a node with the cluster's own certificates, `pvecm \
                 updatecerts --force`); if this machine's clock is wrong, set it",
                leaf,
            ),
            None => String::new(),
        },
    )
}

fn not_yet_valid(leaf: &Certificate, now: SystemTime) -> (Cause, String, String) {
    let start = leaf.not_before;
    (
        Cause::NotYetValid,
        format!(
            "the certificate is not valid yet: it is valid from {}, and this machine's clock says \
             {}",
            start.map_or_else(|| "an unknown time".to_owned(), shown),
            shown(now)
        ),
        "check the clock of this machine, and that of the machine that made the certificate \
         (`timedatectl` shows both)"
            .to_owned(),
    )
}

fn wrong_name(leaf: &Certificate, target: &Target<'_>) -> (Cause, String, String) {
    let host = target.origin.host();
    let what = match leaf.names.is_empty() {
        true => format!("the certificate has no host name, so it is not for {host}"),
        false => format!(
            "the certificate is not for {host}, but for {}",
            leaf.names.join(", ")
        ),
    };
    let next = match leaf.names.is_empty() {
        true => "give the server a certificate with its name".to_owned(),
        false => "use one of these names in PROXMOX_URL, or give the server a certificate for \
                  this name"
            .to_owned(),
    };
    (Cause::WrongName, what, or_pin(&next, leaf))
}

/// What else is wrong with a certificate that is not accepted.
fn besides(cause: Cause, leaf: &Certificate, target: &Target<'_>, now: SystemTime) -> Vec<String> {
    let mut others = Vec::new();
    if cause != Cause::SelfSigned && leaf.self_signed {
        others.push("it is self-signed".to_owned());
    }
    if let Some(end) = leaf.not_after.filter(|end| *end < now)
        && cause != Cause::Expired
    {
        others.push(format!("it has expired on {}", shown(end)));
    }
    let host = target.origin.host().trim_matches(['[', ']']);
    if cause != Cause::WrongName && !leaf.is_for(host) {
        others.push(match leaf.names.is_empty() {
            true => format!("it is not for {host}: it has no names"),
            false => format!("it is not for {host}, but for {}", leaf.names.join(", ")),
        });
    }
    others
}

fn pin(leaf: &Certificate) -> String {
    format!(
        "compare its fingerprint, and set PROXMOX_FINGERPRINT={} if it is that of the node; \
         {WHERE_TO_COMPARE}",
        leaf.fingerprint_sha256
    )
}

fn or_pin(first: &str, leaf: &Certificate) -> String {
    format!("{first}; or {}", pin(leaf))
}
