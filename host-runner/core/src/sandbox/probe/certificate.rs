//! What a certificate says, for a person who has to find out why it is not accepted.
//!
//! Nothing here decides whether it is: that is `tls` alone. What cannot be read is left out.

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::der::{
    BIT_STRING, BMP_STRING, GENERALIZED_TIME, INTEGER, OCTET_STRING, OID, Reader, SEQUENCE, SET,
    UTC_TIME,
};
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
        // As far as it can be read.
        let _ = certificate.fill(der);
        certificate
    }

    fn fill(&mut self, der: &[u8]) -> Option<()> {
        let mut body = Reader::new(der).enter(SEQUENCE)?.enter(SEQUENCE)?;
        // The version may be left out before the serial number.
        if body.next()?.0 != INTEGER {
            body.expect(INTEGER)?;
        }
        body.expect(SEQUENCE)?;
        let issuer = body.expect(SEQUENCE)?;
        let mut validity = body.enter(SEQUENCE)?;
        self.not_before = validity.next().and_then(time);
        self.not_after = validity.next().and_then(time);
        let subject = body.expect(SEQUENCE)?;
        (self.issuer, self.subject) = (name(issuer), name(subject));
        self.self_signed = issuer == subject;
        self.key = key(body.expect(SEQUENCE)?).unwrap_or_else(|| "unknown".to_owned());
        let (_, extensions) = body.find(|(tag, _)| *tag == 0xa3)?;
        let alternatives = Reader::new(extensions)
            .enter(SEQUENCE)?
            .find_map(|(_, extension)| alternatives(extension))?;
        let names = Reader::new(alternatives).enter(SEQUENCE)?;
        self.names = names.filter_map(host).take(MAX_NAMES).collect();
        Some(())
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

/// The content of the extension with host names, if this is it.
fn alternatives(extension: &[u8]) -> Option<&[u8]> {
    let mut parts = Reader::new(extension);
    (parts.expect(OID)? == [0x55, 0x1d, 0x11]).then_some(())?;
    parts
        .find(|(tag, _)| *tag == OCTET_STRING)
        .map(|(_, content)| content)
}

/// A host name or an IP address.
fn host((tag, content): (u8, &[u8])) -> Option<String> {
    match tag {
        0x82 => Some(shortened(String::from_utf8_lossy(content).into_owned())),
        0x87 => match content.len() {
            4 => <[u8; 4]>::try_from(content).ok().map(IpAddr::from),
            _ => <[u8; 16]>::try_from(content).ok().map(IpAddr::from),
        }
        .map(|address| address.to_string()),
        _ => None,
    }
}

/// A distinguished name, in its order.
fn name(content: &[u8]) -> String {
    let parts = Reader::new(content).filter_map(|(tag, set)| {
        let mut pair = (tag == SET)
            .then(|| Reader::new(set).enter(SEQUENCE))
            .flatten()?;
        let kind = match pair.expect(OID)? {
            [0x55, 0x04, 0x03] => "CN",
            [0x55, 0x04, 0x06] => "C",
            [0x55, 0x04, 0x07] => "L",
            [0x55, 0x04, 0x08] => "ST",
            [0x55, 0x04, 0x0a] => "O",
            [0x55, 0x04, 0x0b] => "OU",
            [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x01] => "emailAddress",
            _ => "?",
        };
        let (tag, value) = pair.next()?;
        let value = match tag {
            BMP_STRING => {
                let pairs = value.chunks_exact(2).map(|pair| match pair {
                    [high, low] => u16::from_be_bytes([*high, *low]),
                    _ => 0,
                });
                String::from_utf16_lossy(&pairs.collect::<Vec<_>>())
            }
            _ => String::from_utf8_lossy(value).into_owned(),
        };
        Some(format!("{kind}={}", shortened(value)))
    });
    parts.take(MAX_NAMES).collect::<Vec<_>>().join(", ")
}

fn shortened(text: String) -> String {
    match text.char_indices().nth(MAX_LENGTH) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// The kind of a key.
fn key(content: &[u8]) -> Option<String> {
    let mut parts = Reader::new(content);
    let mut algorithm = parts.enter(SEQUENCE)?;
    let kind = match algorithm.expect(OID)? {
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01] => {
            // The first byte counts unused bits.
            let bits = parts.expect(BIT_STRING)?.get(1..)?;
            let modulus = Reader::new(bits).enter(SEQUENCE)?.expect(INTEGER)?;
            let zeros = modulus.iter().take_while(|byte| **byte == 0).count();
            format!("RSA {}", modulus.len().saturating_sub(zeros) * 8)
        }
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01] => match algorithm.expect(OID)? {
            [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07] => "ECDSA P-256".to_owned(),
            [0x2b, 0x81, 0x04, 0x00, 0x22] => "ECDSA P-384".to_owned(),
            [0x2b, 0x81, 0x04, 0x00, 0x23] => "ECDSA P-521".to_owned(),
            _ => "ECDSA".to_owned(),
        },
        [0x2b, 0x65, 0x70] => "Ed25519".to_owned(),
        [0x2b, 0x65, 0x71] => "Ed448".to_owned(),
        _ => return None,
    };
    Some(kind)
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`; certificates use no other form. None before 1970.
fn time((tag, content): (u8, &[u8])) -> Option<SystemTime> {
    let text = std::str::from_utf8(content).ok()?.strip_suffix('Z')?;
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then_some(())?;
    let (year, rest) = match tag {
        UTC_TIME => {
            let year: i64 = text.get(..2)?.parse().ok()?;
            let century = if year < 50 { 2000 } else { 1900 };
            (century + year, text.get(2..)?)
        }
        GENERALIZED_TIME => (text.get(..4)?.parse().ok()?, text.get(4..)?),
        _ => return None,
    };
    let part = |at: usize| -> Option<i64> { rest.get(at..at + 2)?.parse().ok() };
    let (month, day) = (part(0)?, part(2)?);
    (rest.len() == 10 && (1..=12).contains(&month)).then_some(())?;
    let seconds = part(4)? * 3600 + part(6)? * 60 + part(8)?;
    let seconds = days(year, month, day) * 86_400 + seconds;
    UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(seconds).ok()?))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`, as servers say the time.
pub(super) fn http_date(text: &str) -> Option<SystemTime> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let (_, text) = text.split_once(", ")?;
    let mut words = text.strip_suffix(" GMT")?.split(' ');
    let day: u8 = words.next()?.parse().ok()?;
    let month = words.next().filter(|month| month.len() == 3)?;
    let month = MONTHS.find(month).filter(|at| at % 3 == 0)?;
    let month = i64::try_from(month).ok()? / 3 + 1;
    let year: i64 = words.next()?.parse().ok()?;
    let mut clock = words.next()?.split(':').map(str::parse::<u8>);
    let mut part = || Some(i64::from(clock.next()?.ok()?));
    let of_day = part()? * 3600 + part()? * 60 + part()?;
    (1970..=9999).contains(&year).then_some(())?;
    let day = i64::from(day);
    let seconds = u64::try_from(days(year, month, day) * 86_400 + of_day).ok()?;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// Days since 1970 of a date in the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March, so that the leap day is the last one.
    let year = year - i64::from(month <= 2);
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
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

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (tag, text, expected) in [
            (UTC_TIME, "700101000000Z", Some(0)),
            (UTC_TIME, "491231235959Z", Some(2_524_607_999)),
            (GENERALIZED_TIME, "20000301000000Z", Some(951_868_800)),
            (GENERALIZED_TIME, "19500101000000Z", None),
            (GENERALIZED_TIME, "20001301000000Z", None),
            (UTC_TIME, "7001010000Z", None),
            (UTC_TIME, "700101000000+0100", None),
        ] {
            let seconds = time((tag, text.as_bytes()))
                .map(|time| time.duration_since(UNIX_EPOCH).unwrap().as_secs());
            assert_eq!(seconds, expected, "{text}");
        }
    }

    #[test]
    fn the_date_of_a_server_is_read() {
        let seconds = |text| http_date(text)?.duration_since(UNIX_EPOCH).ok();
        let read = seconds("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        assert_eq!(read.as_secs(), 784_111_777);
        for text in [
            "",
            "yesterday",
            "Sun, 06 Nov 1994",
            "Sun, 06 Xyz 1994 08:49:37 GMT",
        ] {
            assert_eq!(seconds(text), None, "{text}");
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
