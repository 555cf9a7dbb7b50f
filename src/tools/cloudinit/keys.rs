//! SSH public keys in cloud-init settings.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// A public key: `ssh-ed25519 AAAA… comment`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::tools) struct SshKey {
    kind: String,
    data: String,
    comment: String,
}

impl SshKey {
    /// Reads a line as a `.pub` file holds it. Options such as `command="…"`
    /// before the type are refused: cloud-init would hand them on.
    pub(in crate::tools) fn parse(line: &str) -> Result<Self, String> {
        let line = line.trim();
        if line.contains(char::is_control) {
            return Err("must be one line: give each key on its own".into());
        }
        if line.contains("PRIVATE KEY") {
            return Err(
                "must be a public key, not a private one: give the .pub file's line".into(),
            );
        }
        let mut words = line.split_whitespace();
        let kind = words.next().unwrap_or_default();
        if !KINDS.contains(&kind) {
            return Err(format!(
                "must start with the key's type, one of {}, as a .pub file's line does",
                KINDS.join(", ")
            ));
        }
        let data = words.next().unwrap_or_default();
        let comment = words.collect::<Vec<_>>().join(" ");
        let wire = BASE64
            .decode(data)
            .map_err(|_| "has no base64 after its type: it was cut or changed".to_owned())?;
        check_wire(kind, &wire)?;
        // The comment ends up in a YAML list as it is.
        if comment.contains(": ") || comment.contains(" #") || comment.ends_with(':') {
            return Err(
                "has a comment with \": \" or \" #\", which cloud-init would misread: take it out"
                    .into(),
            );
        }
        Ok(Self {
            kind: kind.to_owned(),
            data: data.to_owned(),
            comment,
        })
    }

    /// `ssh-ed25519 comment`, or the key's last characters where it has none.
    pub(in crate::tools) fn name(&self) -> String {
        if self.comment.is_empty() {
            let end = self.data.trim_end_matches('=');
            let end = end.get(end.len().saturating_sub(8)..).unwrap_or(end);
            format!("{} …{end}", self.kind)
        } else {
            format!("{} {}", self.kind, self.comment)
        }
    }

    /// Its line, as a `.pub` file has it.
    pub(in crate::tools) fn line(&self) -> String {
        format!("{} {} {}", self.kind, self.data, self.comment)
            .trim_end()
            .to_owned()
    }
}

/// The value of `sshkeys`: percent-encoded once, a blank as `%20` and never
/// `+`. The form's own encoding comes on top of it.
pub(in crate::tools) fn encode(keys: &[SshKey]) -> String {
    let lines: String = keys.iter().map(|key| key.line() + "\n").collect();
    utf8_percent_encode(&lines, PLAIN).to_string()
}

/// The lines of a value of `sshkeys`.
pub(super) fn decode(value: &str) -> Vec<String> {
    percent_decode_str(value)
        .decode_utf8_lossy()
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

/// How a key that is set already is named in a report, whether or not this tool would
/// accept it.
pub(super) fn name(line: &str) -> String {
    SshKey::parse(line).map_or_else(|_| crate::text::cut(line, 40), |key| key.name())
}

/// Proxmox takes `[-%a-zA-Z0-9_.!~*'()]`.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The types that OpenSSH 10 still accepts.
const KINDS: &[&str] = &[
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

/// OpenSSH writes the padding, and reads keys without it too.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The shortest RSA key that OpenSSH accepts.
const LEAST_RSA_BITS: usize = 1024;

/// Checks the fields inside: Proxmox has ssh-keygen read each key, and refuses
/// the whole list without saying which one is wrong.
fn check_wire(kind: &str, wire: &[u8]) -> Result<(), String> {
    let broken = || "is damaged: its data ends early or is too long".to_owned();
    let mut fields = Vec::new();
    let mut rest = wire;
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk::<4>().ok_or_else(broken)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| broken())?;
        let (field, after) = after.split_at_checked(length).ok_or_else(broken)?;
        fields.push(field);
        rest = after;
    }
    let (inner, fields) = fields.split_first().ok_or_else(broken)?;
    if *inner != kind.as_bytes() {
        return Err(format!("says {kind}, but contains a key of another type"));
    }
    let curve_fits = |curve: &[u8], point: &[u8]| {
        let bytes = match curve {
            b"nistp256" => 32,
            b"nistp384" => 48,
            _ => 66,
        };
        kind.as_bytes()
            .windows(curve.len())
            .any(|part| part == curve)
            && curve.len() == b"nistp256".len()
            && point.len() == 1 + 2 * bytes
            && point.first() == Some(&4)
    };
    let fits = match (kind, fields) {
        ("ssh-ed25519", [key]) => key.len() == 32,
        ("ssh-rsa", [exponent, modulus]) => !exponent.is_empty() && bits(modulus) >= LEAST_RSA_BITS,
        ("sk-ssh-ed25519@openssh.com", [key, application]) => {
            key.len() == 32 && !application.is_empty()
        }
        ("sk-ecdsa-sha2-nistp256@openssh.com", [curve, point, application]) => {
            curve_fits(curve, point) && !application.is_empty()
        }
        (_, [curve, point]) => curve_fits(curve, point),
        _ => false,
    };
    if fits {
        return Ok(());
    }
    Err(if kind == "ssh-rsa" {
        format!("is damaged, or shorter than the {LEAST_RSA_BITS} bits that OpenSSH takes")
    } else {
        broken()
    })
}

fn bits(number: &[u8]) -> usize {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).map_or(0, |digits| {
        digits.len() * 8
            - digits
                .first()
                .map_or(0, |first| first.leading_zeros() as usize)
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use base64::engine::general_purpose;
    use proptest::prelude::*;

    /// A well-formed key of one of the kinds, whose bytes come from a seed.
    pub(crate) fn key(kind: usize, seed: u8, comment: &str) -> String {
        let kind = KINDS[kind % KINDS.len()];
        let bytes = |count: usize| vec![seed | 1; count];
        let point = |count: usize| [vec![4], bytes(2 * count)].concat();
        let fields: Vec<Vec<u8>> = match kind {
            "ssh-ed25519" => vec![bytes(32)],
            "ssh-rsa" => vec![vec![1, 0, 1], [vec![0, 0x80], bytes(255)].concat()],
            "ecdsa-sha2-nistp256" => vec![b"nistp256".to_vec(), point(32)],
            "ecdsa-sha2-nistp384" => vec![b"nistp384".to_vec(), point(48)],
            "ecdsa-sha2-nistp521" => vec![b"nistp521".to_vec(), point(66)],
            "sk-ssh-ed25519@openssh.com" => vec![bytes(32), b"ssh:".to_vec()],
            _ => vec![b"nistp256".to_vec(), point(32), b"ssh:".to_vec()],
        };
        let mut wire = Vec::new();
        for field in std::iter::once(kind.as_bytes().to_vec()).chain(fields) {
            wire.extend((field.len() as u32).to_be_bytes());
            wire.extend(field);
        }
        let data = general_purpose::STANDARD.encode(wire);
        format!("{kind} {data} {comment}").trim_end().to_owned()
    }

    #[test]
    fn every_kind_is_read() {
        for (kind, name) in KINDS.iter().enumerate() {
            let line = key(kind, 7, "me@home");
            let key = SshKey::parse(&line).unwrap();
            assert_eq!(key.name(), format!("{name} me@home"));
        }
        let real =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJustATestKeyJustATestKeyJustATestKeyJustATe";
        assert_eq!(SshKey::parse(real).unwrap().name(), "ssh-ed25519 …yJustATe");
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let good = key(0, 7, "");
        let data = good.split(' ').nth(1).unwrap();
        for (line, why) in [
            ("", "must start with"),
            ("ssh-ed25519", "ends early"),
            ("ssh-ed25519 notakey test", "base64"),
            ("ssh-dss AAAA", "must start with"),
            (&format!("command=\"sh\" {good}"), "must start with"),
            (&format!("ssh-rsa {data}"), "another type"),
            (&format!("ssh-ed25519 {}", &data[..40]), "ends early"),
            (&format!("{good}\nssh-rsa AAAA"), "one line"),
            (&format!("{good} a: b"), "comment"),
            (&format!("{good} a #b"), "comment"),
            ("-----BEGIN OPENSSH PRIVATE KEY-----", "private"),
        ] {
            let message = SshKey::parse(line).unwrap_err();
            assert!(message.contains(why), "{line}: {message}");
        }
    }

    #[test]
    fn encoded_once_with_no_plus() {
        let keys = [SshKey::parse(&key(0, 1, "a+b c@d")).unwrap()];
        let value = encode(&keys);
        assert!(value.starts_with("ssh-ed25519%20AAAA"));
        assert!(value.ends_with("%20a%2Bb%20c%40d%0A"), "{value}");
    }

    proptest! {
        /// Any list of keys survives, and its value is one that Proxmox takes.
        #[test]
        fn round_trip(keys in prop::collection::vec((0usize..7, any::<u8>(), "[\\PC&&[^:#]]{0,20}"), 0..6)) {
            let lines: Vec<String> = keys
                .iter()
                .map(|(kind, seed, comment)| key(*kind, *seed, comment))
                .collect();
            let keys: Vec<SshKey> = lines.iter().map(|line| SshKey::parse(line).unwrap()).collect();
            let value = encode(&keys);
            prop_assert!(value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-%_.!~*'()".contains(&b)));
            let back: Vec<SshKey> = decode(&value)
                .iter()
                .map(|line| SshKey::parse(line).unwrap())
                .collect();
            prop_assert_eq!(back, keys);
        }

        #[test]
        fn any_text_is_read(text in any::<String>(), data in any::<Vec<u8>>()) {
            let _ = SshKey::parse(&text);
            let _ = SshKey::parse(&format!("ssh-rsa {}", general_purpose::STANDARD.encode(data)));
            let _ = decode(&text);
        }
    }
}
