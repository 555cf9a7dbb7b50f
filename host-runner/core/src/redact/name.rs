//! What the name of a value says about it.

use serde_json::Value;

/// Replaces a secret.
pub(super) const HIDDEN: &str = "(hidden)";

/// Whether what has this name is a secret. Public keys are none.
pub(super) fn is_secret_name(name: &str) -> bool {
    const PARTS: [&str; 10] = [
        "password",
        "passwd",
        "passphrase",
        "passcode",
        "secret",
        "token",
        "ticket",
        "credential",
        "cookie",
        "authorization",
    ];
    const WORDS: [&str; 6] = ["pass", "pwd", "pw", "psk", "otp", "totp"];
    const ENDS: [&str; 3] = ["key", "keys", "keyring"];
    const HARMLESS_ENDS: [&str; 3] = ["tokenid", "tokenname", "configkeys"];

    let letters: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|character| character.to_ascii_lowercase())
        .collect();
    if HARMLESS_ENDS.iter().any(|end| letters.ends_with(end)) {
        return false;
    }
    let is_public = letters.starts_with("ssh") || letters.contains("pub");
    PARTS.iter().any(|part| letters.contains(part))
        || (!is_public && ENDS.iter().any(|end| letters.ends_with(end)))
        || words(name).any(|word| WORDS.contains(&word.as_str()))
}

/// The words in `some_name`, `some-name` and `someName`.
fn words(name: &str) -> impl Iterator<Item = String> {
    let mut words = vec![String::new()];
    let mut was_small = false;
    for character in name.chars() {
        let starts = character.is_ascii_uppercase() && was_small;
        if starts || !character.is_ascii_alphanumeric() {
            words.push(String::new());
        }
        if character.is_ascii_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.push(character.to_ascii_lowercase());
        }
        was_small = character.is_ascii_lowercase();
    }
    words.into_iter()
}

/// The input of a command, the content of a file, the settings of a plugin: these
/// may contain secrets.
pub(super) fn is_payload(name: &str, value: &Value) -> bool {
    match name {
        "stdin" | "input-data" | "input_data" | "pin" | "header" => true,
        // A list of kinds, where a storage is meant.
        "content" | "data" => !value.as_str().is_some_and(|text| {
            let is_plain = |b: u8| b.is_ascii_lowercase() || b == b',';
            text.len() <= 64 && text.bytes().all(is_plain)
        }),
        _ => false,
    }
}

/// A command line, as an argument list or in one text.
pub(super) fn is_command(name: &str) -> bool {
    matches!(name, "command" | "cmd" | "argv" | "args" | "extra-args")
}
