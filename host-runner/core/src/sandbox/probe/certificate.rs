//! What a certificate says, for a person who has to find out why it is not accepted.
//!
//! Nothing here decides whether it is: that is `tls` alone. What cannot be read is left out.

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_NIST_EC_P521,
    OID_PKCS1_RSAENCRYPTION, OID_SIG_ED448, OID_SIG_ED25519,
};
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::PublicKey;
use x509_parser::time::ASN1Time;
use x509_parser::x509::{SubjectPublicKeyInfo, X509Name};

use crate::digest::Digest;

/// The most names that are shown.
const MAX_NAMES: usize = 32;
/// The most characters of one.
const MAX_LENGTH: usize = 256;

/// A certificate as a server has presented it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Certificate {
    /// Whose it is, as `CN=pve1, O=Example`.
    pub subject: String,
    /// Who has signed it.
    pub issuer: String,
    /// Whether both are the same.
    pub self_signed: bool,
    /// The host names and IP addresses that it is for.
    pub names: Vec<String>,
    /// Since when it is valid, in RFC 3339.
    #[serde(serialize_with = "rfc3339")]
    pub not_before: Option<SystemTime>,
    /// Until when it is valid, in RFC 3339.
    #[serde(serialize_with = "rfc3339")]
    pub not_after: Option<SystemTime>,
    /// The kind and size of its key, as `RSA 2048`.
    pub key: String,
    /// As Proxmox VE shows it: `AA:BB:…`.
    pub fingerprint_sha256: String,
}

impl Certificate {
    /// Reads one in DER.
    pub(super) fn read(der: &[u8]) -> Self {
        let mut certificate = Self {
            subject: String::new(),
            issuer: String::new(),
            self_signed: false,
            names: Vec::new(),
            not_before: None,
            not_after: None,
            key: "unknown".to_owned(),
            fingerprint_sha256: Digest::of(der).with_colons(),
        };
        if let Ok((_, read)) = X509Certificate::from_der(der) {
            certificate.fill(&read);
        }
        certificate
    }

    fn fill(&mut self, read: &X509Certificate<'_>) {
        let (issuer, subject) = (read.issuer(), read.subject());
        (self.issuer, self.subject) = (name(issuer), name(subject));
        self.self_signed = issuer.as_raw() == subject.as_raw();
        let validity = read.validity();
        self.not_before = time(validity.not_before);
        self.not_after = time(validity.not_after);
        self.key = key(read.public_key()).unwrap_or_else(|| "unknown".to_owned());
        let alternatives = read.subject_alternative_name().ok().flatten();
        let names = alternatives.iter().flat_map(|one| &one.value.general_names);
        self.names = names.filter_map(host).take(MAX_NAMES).collect();
    }

    /// Whether it is for this host. An address of IPv6 has no brackets.
    pub(super) fn is_for(&self, host: &str) -> bool {
        let rest_of = |name: &str| name.split_once('.').map(|(_, rest)| rest.to_lowercase());
        let is_address = host.parse::<IpAddr>().is_ok();
        self.names.iter().any(|name| match name.strip_prefix("*.") {
            Some(rest) => {
                !is_address && rest_of(host).is_some_and(|own| own == rest.to_lowercase())
            }
            None => name.eq_ignore_ascii_case(host),
        })
    }
}

/// A host name or an IP address.
fn host(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(shortened(name)),
        GeneralName::IPAddress(bytes) => {
            let short = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let address = short.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from));
            address.ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

/// A distinguished name, in its order.
fn name(name: &X509Name<'_>) -> String {
    shortened(&name.to_string())
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_LENGTH) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// The kind of a key.
fn key(key: &SubjectPublicKeyInfo<'_>) -> Option<String> {
    let kind = &key.algorithm.algorithm;
    if *kind == OID_PKCS1_RSAENCRYPTION {
        let Ok(PublicKey::RSA(rsa)) = key.parsed() else {
            return None;
        };
        let zeros = rsa.modulus.iter().take_while(|byte| **byte == 0).count();
        return Some(format!("RSA {}", (rsa.modulus.len() - zeros) * 8));
    }
    if *kind == OID_KEY_TYPE_EC_PUBLIC_KEY {
        let curve = key.algorithm.parameters.as_ref()?.as_oid().ok()?;
        let known = [
            (OID_EC_P256, "ECDSA P-256"),
            (OID_NIST_EC_P384, "ECDSA P-384"),
            (OID_NIST_EC_P521, "ECDSA P-521"),
        ];
        let found = known.iter().find(|(oid, _)| *oid == curve);
        return Some(found.map_or("ECDSA", |(_, name)| name).to_owned());
    }
    let known = [(OID_SIG_ED25519, "Ed25519"), (OID_SIG_ED448, "Ed448")];
    let found = known.iter().find(|(oid, _)| oid == kind);
    found.map(|(_, name)| (*name).to_owned())
}

/// None before 1970.
fn time(time: ASN1Time) -> Option<SystemTime> {
    let seconds = u64::try_from(time.timestamp()).ok()?;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// A time for people, to the second.
pub(super) fn shown(time: SystemTime) -> String {
    // Later years have more digits.
    match time < UNIX_EPOCH + Duration::from_secs(253_402_300_800) {
        true => humantime::format_rfc3339_seconds(time).to_string(),
        false => "after the year 9999".to_owned(),
    }
}

fn rfc3339<S: serde::Serializer>(time: &Option<SystemTime>, to: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => to.serialize_some(&shown(*time)),
        None => to.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    #[test]
    fn all_parts_of_a_certificate_are_read() {
        let names = [
            "pve1.example.com",
            "*.example.org",
            "192.0.2.7",
            "2001:db8::7",
        ];
        let mut params = CertificateParams::new(names.map(str::to_owned)).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        let subject = &mut params.distinguished_name;
        subject.push(DnType::CommonName, "pve1");
        subject.push(DnType::OrganizationName, "Exämple");
        params.not_before = rcgen::date_time_ymd(2024, 2, 29);
        params.not_after = rcgen::date_time_ymd(2051, 12, 31);
        let key = KeyPair::generate().unwrap();
        let der = params.self_signed(&key).unwrap().der().to_vec();
        let read = Certificate::read(&der);
        assert_eq!(read.subject, "CN=pve1, O=Exämple");
        assert_eq!(read.issuer, read.subject);
        assert!(read.self_signed);
        assert_eq!(read.names, names);
        assert_eq!(read.key, "ECDSA P-256");
        assert_eq!(shown(read.not_before.unwrap()), "2024-02-29T00:00:00Z");
        assert_eq!(shown(read.not_after.unwrap()), "2051-12-31T00:00:00Z");
        for host in [
            "PVE1.example.com",
            "a.example.org",
            "192.0.2.7",
            "2001:db8::7",
        ] {
            assert!(read.is_for(host), "{host}");
        }
        for host in ["pve1", "example.org", "a.b.example.org", "192.0.2.8"] {
            assert!(!read.is_for(host), "{host}");
        }
    }

    proptest! {
        /// A server may present any bytes.
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Certificate::read(&bytes);
        }

        /// The same, where most of a certificate is right.
        #[test]
        fn a_broken_certificate_is_read_without_a_panic(at in 0_usize..400, byte: u8) {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(["pve1".to_owned()]).unwrap();
            let mut der = params.self_signed(&key).unwrap().der().to_vec();
            let length = der.len();
            der[at % length] = byte;
            let _ = Certificate::read(&der);
        }
    }
}
