//! The addresses that a node fetches from.

use url::Url;

/// Whether an address has one reading only: the parsers of Proxmox, of `wget`
/// and of Perl disagree about the others.
pub(crate) fn is_plain(address: &str) -> bool {
    let lower = address.get(..8).unwrap_or(address).to_ascii_lowercase();
    let rest = match () {
        () if lower.starts_with("https://") => address.get(8..),
        () if lower.starts_with("http://") => address.get(7..),
        () => None,
    };
    let plain = |b: u8| b.is_ascii_graphic() && !b"\\\"<>^`{|}".contains(&b);
    rest.is_some_and(|rest| {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        address.bytes().all(plain)
            && authority.matches('@').count() <= 1
            && !host.is_empty()
            && !host.contains('%')
            && Url::parse(address).is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_with_another_reading_are_not_plain() {
        for address in [
            "",
            "example.com",
            "ftp://example.com",
            "file:///etc/passwd",
            "https://",
            "https:///a",
            "https:example.com",
            "http:/example.com",
            "https://a@b@example.com/",
            "https://example.com\\@127.0.0.1/",
            "https://%31%32%37.0.0.1/",
            "https://exa mple.com",
            "https://example.com/\n",
            "https://ex\u{e4}mple.com",
            "https://\u{ff11}27.0.0.1/",
            "https://[::1",
            "https://example.com/\u{a0}",
        ] {
            assert!(!is_plain(address), "{address:?}");
        }
        assert!(is_plain("https://example.com:8443/a%20b/c.iso?d=e&f=g#h"));
    }
}
