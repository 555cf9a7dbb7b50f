//! One Proxmox VE may have several addresses: those of the nodes of its cluster.

use super::proxy::Proxy;
use super::trust::Trust;
use super::variable::{self, Variable};
use crate::digest::Digest;
use crate::origin::Origin;

/// An address of Proxmox VE besides the first one.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    /// Where requests may go.
    pub origin: Origin,
    /// Which certificates are accepted there.
    pub trust: Trust,
    /// What connects to it. None: this process itself.
    pub proxy: Option<Proxy>,
}

/// A certificate that is known by its fingerprint.
#[derive(Debug, Clone)]
pub(super) struct Pin {
    /// The host, or host and port, that shows it. None: any of the addresses.
    host: Option<String>,
    digest: Digest,
}

/// Reads addresses separated by commas or spaces.
pub(super) fn parse_urls(text: &str) -> Result<Vec<Origin>, String> {
    let entries: Vec<_> = entries(text).collect();
    let mut origins = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        let origin = variable::parse_url(entry).map_err(|problem| match entries.len() {
            1 => problem,
            count => format!("has {count} entries, of which number {} {problem}", at + 1),
        })?;
        if origins.contains(&origin) {
            return Err(format!(
                "has {} entries, of which number {} repeats an earlier one",
                entries.len(),
                at + 1
            ));
        }
        origins.push(origin);
    }
    match origins.is_empty() {
        true => Err("names no address".to_owned()),
        false => Ok(origins),
    }
}

/// Reads fingerprints separated by commas or spaces; `HOST=` before one of them says
/// which of the addresses has the certificate.
pub(super) fn parse_pins(text: &str) -> Result<Vec<Pin>, String> {
    let entries: Vec<_> = entries(text).collect();
    if entries.is_empty() {
        return Err("is empty: give the SHA-256 fingerprint of the certificate".to_owned());
    }
    let parse = |(at, entry): (usize, &&str)| {
        let (host, digest) = match entry.split_once('=') {
            Some((host, digest)) => (Some(host.to_ascii_lowercase()), digest),
            None => (None, *entry),
        };
        let digest = Digest::parse(digest).map_err(|error| match entries.len() {
            1 => error.to_string(),
            count => format!("has {count} entries, of which number {} {error}", at + 1),
        })?;
        Ok(Pin { host, digest })
    };
    entries.iter().enumerate().map(parse).collect()
}

/// The fingerprints that count for each of the addresses: its own, or else those that
/// name no address. Fails where an address has none, and where one names no address.
pub(super) fn pins_of(pins: &[Pin], origins: &[Origin]) -> Result<Vec<Vec<Digest>>, String> {
    let is_of = |pin: &Pin, origin: &Origin| {
        let host = pin.host.as_deref();
        host.is_some_and(|host| origin.is_named(host))
    };
    for (at, pin) in pins.iter().enumerate() {
        if pin.host.is_some() && !origins.iter().any(|origin| is_of(pin, origin)) {
            return Err(format!(
                "has {} entries, of which number {} names a host that is not in {}",
                pins.len(),
                at + 1,
                Variable::Url.name()
            ));
        }
    }
    let of_one = |(at, origin): (usize, &Origin)| {
        let own = pins.iter().filter(|pin| is_of(pin, origin));
        let mut digests: Vec<_> = own.map(|pin| pin.digest).collect();
        if digests.is_empty() {
            let general = pins.iter().filter(|pin| pin.host.is_none());
            digests = general.map(|pin| pin.digest).collect();
        }
        match digests.is_empty() {
            true => Err(format!(
                "has no entry for address number {} in {}",
                at + 1,
                Variable::Url.name()
            )),
            false => Ok(digests),
        }
    };
    origins.iter().enumerate().map(of_one).collect()
}

fn entries(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', ' ', '\t', '\r', '\n'])
        .filter(|entry| !entry.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_addresses_are_separated_by_commas() {
        let origins = parse_urls("https://pve1:8006, https://pve2:8006\nhttps://pve3/a").unwrap();
        let shown: Vec<_> = origins.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            ["https://pve1:8006", "https://pve2:8006", "https://pve3/a"]
        );
        for (text, says) in [
            (
                "https://pve1:8006,http://pve2:8006",
                "number 2 does not begin",
            ),
            ("https://pve1:8006,https://PVE1:8006/", "number 2 repeats"),
            (",", "names no address"),
        ] {
            let error = parse_urls(text).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn a_fingerprint_may_name_its_address() {
        let origins = parse_urls("https://pve1:8006,https://[::1]:8006,https://pve3:8006").unwrap();
        let [one, two, other] = ["one", "two", "other"].map(|text| Digest::of(text.as_bytes()));
        let text = format!("PVE1={},[::1]:8006={two},{other}", one.with_colons());
        let pins = pins_of(&parse_pins(&text).unwrap(), &origins).unwrap();
        assert_eq!(pins, [vec![one], vec![two], vec![other]]);
        for (text, says) in [
            (format!("pve4={one} {two}"), "number 1 names a host"),
            (format!("pve1={one} [::1]={two}"), "address number 3"),
        ] {
            let error = pins_of(&parse_pins(&text).unwrap(), &origins).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
        assert!(parse_pins(&format!("pve1:{one}")).is_err());
    }
}
