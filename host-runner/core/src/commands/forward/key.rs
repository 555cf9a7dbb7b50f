//! The key that a client presents in place of the token's secret.
//!
//! Every user of the machine reaches a loopback address, and so does every web
//! page in a browser on it: the key distinguishes the operator's own client
//! from them.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use host_runner_policy::lookup;
use http::HeaderValue;
use rustls::crypto::ring;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::operator_file::{self, MAX_SECRET_BYTES};
use crate::system::{place, private};

/// A shorter key could be guessed.
const MIN_CHARS: usize = 32;
/// What a key is made of, in bytes of chance.
const RANDOM_BYTES: usize = 32;

/// A client's key, of which only the digest is kept.
pub(super) struct Key([u8; 32]);

/// Where the key is kept if the operator names no file.
pub(super) fn default_file() -> Result<PathBuf, String> {
    let state = place::state().map_err(|why| {
        format!("cannot choose a place for the key, as {why}: name a file with --key-file")
    })?;
    Ok(state.join("proxmox-mcp").join("forward-key"))
}

impl Key {
    /// The key in a file, which is made with a new key if it does not exist.
    /// The message of an error holds nothing from the file.
    pub(super) fn read_or_make(path: &Path) -> Result<Self, String> {
        let refused = |why: String| format!("cannot use the key file {}: {why}", path.display());
        match make(path) {
            Ok(()) => tracing::info!("made a new key in {}", path.display()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(refused(format!("it cannot be made ({error})"))),
        }
        let bytes = operator_file::read_private(path, MAX_SECRET_BYTES);
        let bytes = bytes.map_err(|error| refused(format!("it {error}")))?;
        let text = bytes.trim_ascii();
        let is_plain = text.iter().all(u8::is_ascii_graphic);
        if text.len() < MIN_CHARS || !is_plain {
            return Err(refused(format!(
                "its content is not a key of at least {MIN_CHARS} characters without spaces: \
                 remove it, and a new one is made"
            )));
        }
        Ok(Self::new(text))
    }

    fn new(text: &[u8]) -> Self {
        Self(Sha256::digest(text).into())
    }

    /// Whether an `Authorization` header holds the key: `PVEAPIToken=user@realm!name=KEY`.
    /// Takes constant time.
    pub(super) fn is_in(&self, authorization: &HeaderValue) -> bool {
        let given = authorization
            .as_bytes()
            .strip_prefix(lookup::TOKEN_SCHEME.as_bytes())
            .and_then(|token| {
                let at = token.iter().position(|&byte| byte == b'=')?;
                token.get(at + 1..)
            });
        given.is_some_and(|given| bool::from(Self::new(given).0.ct_eq(&self.0)))
    }
}

/// Writes a new key into a new file that its owner alone can read.
fn make(path: &Path) -> io::Result<()> {
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        private::create_folder(folder)?;
    }
    let mut file = private::create(path)?;
    let mut random = Zeroizing::new([0_u8; RANDOM_BYTES]);
    ring::default_provider()
        .secure_random
        .fill(&mut *random)
        .map_err(|_| io::Error::other("the system gives no random bytes"))?;
    let mut text = Zeroizing::new(String::with_capacity(2 * RANDOM_BYTES + 1));
    for byte in *random {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from_digit(digit.into(), 16).unwrap_or('0'));
        }
    }
    text.push('\n');
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789abcdef0123456789abcdef";

    fn opens(key: &Key, header: &str) -> bool {
        key.is_in(&HeaderValue::from_str(header).unwrap())
    }

    #[test]
    fn only_the_whole_key_opens() {
        let key = Key::new(KEY.as_bytes());
        assert!(opens(&key, &format!("PVEAPIToken=root@pam!mcp={KEY}")));
        assert!(opens(&key, &format!("PVEAPIToken=other@pve!x={KEY}")));
        for header in [
            String::new(),
            KEY.to_owned(),
            format!("Bearer {KEY}"),
            format!("PVEAPIToken={KEY}"),
            format!("PVEAPIToken=root@pam!mcp={KEY}0"),
            format!("PVEAPIToken=root@pam!mcp={}", &KEY[1..]),
            format!("PVEAPIToken=root@pam!mcp={} ", KEY.to_uppercase()),
            "PVEAPIToken=root@pam!mcp=".to_owned(),
            format!("pveapitoken=root@pam!mcp={KEY}"),
        ] {
            assert!(!opens(&key, &header), "{header}");
        }
    }

    #[test]
    fn a_missing_file_is_made_private_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/key");
        let first = Key::read_or_make(&path).unwrap();
        let file = std::fs::File::open(&path).unwrap();
        assert!(private::is_private(&file).unwrap());
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.trim().len(), 2 * RANDOM_BYTES);
        assert_eq!(Key::read_or_make(&path).unwrap().0, first.0);
        assert_ne!(
            Key::read_or_make(&folder.path().join("other")).unwrap().0,
            first.0
        );
    }

    #[cfg(unix)]
    #[test]
    fn files_that_hold_no_private_key_are_refused() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        for (content, mode, why) in [
            (KEY, 0o604, "chmod 600"),
            (KEY, 0o602, "chmod 600"),
            (KEY, 0o660, "chmod 600"),
            ("short", 0o600, "32 characters"),
            ("", 0o600, "32 characters"),
            (
                "two keys in a file, which is not one",
                0o600,
                "32 characters",
            ),
        ] {
            std::fs::write(&path, content).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let error = Key::read_or_make(&path).map(drop).unwrap_err();
            assert!(error.contains(why), "{error}");
            assert!(content.is_empty() || !error.contains(content), "{error}");
        }
        let error = Key::read_or_make(folder.path()).map(drop).unwrap_err();
        assert!(error.contains("not a regular file"), "{error}");
    }
}
