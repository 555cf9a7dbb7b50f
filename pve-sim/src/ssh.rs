//! Public SSH keys, checked as `ssh-keygen -l` does.

const TYPES: [&str; 7] = [
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

/// Every line must be a key, with options before it or not.
pub(crate) fn check_keys(text: &str) -> Result<(), String> {
    let mut lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    if lines.all(is_key) {
        Ok(())
    } else {
        Err("SSH public key validation error".into())
    }
}

fn is_key(line: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    words.windows(2).any(|pair| match pair {
        [kind, blob] => TYPES.contains(kind) && blob_names(blob, kind),
        _ => false,
    })
}

/// The blob starts with the length and the name of its type, and contains more than that.
fn blob_names(blob: &str, kind: &str) -> bool {
    let Some(bytes) = base64(blob) else {
        return false;
    };
    let Some((length, rest)) = bytes.split_at_checked(4) else {
        return false;
    };
    let Ok(length) = <[u8; 4]>::try_from(length).map(u32::from_be_bytes) else {
        return false;
    };
    let named = rest
        .split_at_checked(length as usize)
        .is_some_and(|(name, key)| name == kind.as_bytes() && key.len() >= 32);
    named && (kind != "ssh-ed25519" || bytes.len() == 51)
}

/// Standard base64, padded or not.
fn base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    let (mut bits, mut held) = (0u32, 0);
    for digit in digits.bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held & 0xff).ok()?);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJustATestKeyJustATestKeyJustATestKeyJustATe";

    #[test]
    fn keys_are_checked_line_by_line() {
        assert_eq!(check_keys(KEY), Ok(()));
        assert_eq!(
            check_keys(&format!("{KEY} me@here\n# note\n\n{KEY}\n")),
            Ok(())
        );
        assert_eq!(check_keys(&format!("no-pty {KEY}")), Ok(()));
        assert!(check_keys("ssh-ed25519 notakey test").is_err());
        assert!(check_keys("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJust test").is_err());
        assert!(check_keys(&KEY.replace("ssh-ed25519 ", "ssh-rsa ")).is_err());
    }
}
