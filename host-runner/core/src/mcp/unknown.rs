//! Errors about unknown names.

use rmcp::ErrorData;
use serde_json::json;

use crate::guide::Guide;

/// The longest name or URI that an error repeats.
const MAX_SHOWN_CHARS: usize = 200;

/// The error for a URI that names no resource.
pub(super) fn unknown_resource(guide: &Guide, uri: &str) -> ErrorData {
    let known = match guide.resources() {
        [] => "this server offers none".to_owned(),
        _ => format!("this server offers {}", guide.uris()),
    };
    let message = format!("unknown resource {:?}: {known}", cut(uri));
    ErrorData::resource_not_found(message, Some(json!({ "uri": cut(uri) })))
}

/// The start of a text.
pub(super) fn cut(text: &str) -> &str {
    let end = text.char_indices().nth(MAX_SHOWN_CHARS);
    end.and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}

/// The error for a name that no prompt has.
pub(super) fn unknown_prompt(guide: &Guide, name: &str) -> ErrorData {
    let known: Vec<_> = guide
        .prompts()
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    let known = match known.is_empty() {
        true => "this server offers none".to_owned(),
        false => format!("this server offers {}", known.join(", ")),
    };
    ErrorData::invalid_params(format!("unknown prompt {:?}: {known}", cut(name)), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_repeat_only_the_start() {
        assert_eq!(cut("pve://x"), "pve://x");
        assert_eq!(cut(&"é".repeat(300)).chars().count(), MAX_SHOWN_CHARS);
        let error = unknown_resource(&Guide::default(), &"a".repeat(1_000_000));
        assert!(error.message.len() < 300, "{}", error.message);
        assert!(error.message.contains("offers none"), "{}", error.message);
    }
}
