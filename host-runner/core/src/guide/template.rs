//! URI templates of RFC 6570, level 1: names in braces, each one segment or less.

use super::arguments::Values;

/// A URI template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UriTemplate {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Variable(String),
}

/// The longest URI that is read.
const MAX_URI_BYTES: usize = 2048;

impl UriTemplate {
    /// Reads a template. None if it is not one of level 1, or has variables that cannot
    /// be told apart.
    pub(super) fn new(text: &str) -> Option<Self> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((literal, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}')?;
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') {
                return None;
            }
            match literal.is_empty() {
                // Two variables without anything between them.
                true if matches!(parts.last(), Some(Part::Variable(_))) => return None,
                true => {}
                false => parts.push(Part::Literal(literal.to_owned())),
            }
            parts.push(Part::Variable(name.to_owned()));
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.to_owned()));
        }
        let (scheme, _) = text.split_once("://")?;
        let is_scheme = !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_lowercase());
        let is_plain = text.bytes().all(|b| b.is_ascii_graphic());
        (is_scheme && is_plain).then(|| Self {
            text: text.to_owned(),
            parts,
        })
    }

    /// As it was declared.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// The names of its variables.
    pub(crate) fn variables(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Variable(name) => Some(name.as_str()),
            Part::Literal(_) => None,
        })
    }

    /// The values of its variables in a URI of this template. Whatever a URI may
    /// contain may be percent-encoded in them or not.
    pub(crate) fn values(&self, uri: &str) -> Option<Values> {
        let mut rest = uri;
        let mut values = Values::new();
        let mut parts = self.parts.iter().peekable();
        if uri.len() > MAX_URI_BYTES {
            return None;
        }
        while let Some(part) = parts.next() {
            match part {
                Part::Literal(literal) => rest = rest.strip_prefix(literal.as_str())?,
                Part::Variable(name) => {
                    let end = match parts.peek() {
                        Some(Part::Literal(next)) => rest.find(next.as_str())?,
                        _ => rest.len(),
                    };
                    let (value, after) = rest.split_at_checked(end)?;
                    if value.is_empty() || value.contains(['/', '?', '#']) {
                        return None;
                    }
                    values.insert(name.clone(), decoded(value)?);
                    rest = after;
                }
            }
        }
        rest.is_empty().then_some(values)
    }

    /// The URI with these values. None if one is missing.
    pub(crate) fn expand(&self, values: &Values) -> Option<String> {
        let mut uri = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(literal) => uri.push_str(literal),
                Part::Variable(name) => encode(values.get(name)?, &mut uri),
            }
        }
        Some(uri)
    }
}

fn encode(value: &str, uri: &mut String) {
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                uri.push(char::from(byte));
            }
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
}

/// None for what is not text in UTF-8, and for characters that no name has.
fn decoded(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let (high, low) = (digit(rest.next())?, digit(rest.next())?);
                u8::try_from(high * 16 + low).ok()?
            }
            byte => byte,
        });
    }
    let text = String::from_utf8(bytes).ok()?;
    (!text.chars().any(char::is_control)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(text: &str) -> UriTemplate {
        UriTemplate::new(text).unwrap()
    }

    #[test]
    fn values_are_read_as_they_are_written() {
        let log = template("pve://tasks/{upid}/log");
        let upid = "UPID:pve1:0000A1:0B:65F0:qmstart:100:root@pam!t:";
        let values = Values::from([("upid".to_owned(), upid.to_owned())]);
        let uri = log.expand(&values).unwrap();
        assert!(uri.contains("UPID%3Apve1"), "{uri}");
        assert_eq!(log.values(&uri).unwrap(), values);
        // As people write it.
        assert_eq!(
            log.values(&format!("pve://tasks/{upid}/log")).unwrap(),
            values
        );
        let names: Vec<_> = log.variables().collect();
        assert_eq!(names, ["upid"]);
        let odd = Values::from([("upid".to_owned(), "a/b ü%".to_owned())]);
        assert_eq!(log.values(&log.expand(&odd).unwrap()).unwrap(), odd);
    }

    #[test]
    fn other_uris_do_not_match() {
        let log = template("pve://tasks/{upid}/log");
        for uri in [
            "pve://tasks//log",
            "pve://tasks/a/b/log",
            "pve://tasks/a/log/",
            "pve://tasks/a",
            "pve://tasks/%zz/log",
            "pve://tasks/%ff/log",
            "pve://tasks/a%0Ab/log",
            "pve://tasks/a?b/log",
            "PVE://tasks/a/log",
            &format!("pve://tasks/{}/log", "a".repeat(MAX_URI_BYTES)),
        ] {
            assert_eq!(log.values(uri), None, "{uri}");
        }
        let cluster = template("pve://cluster");
        assert_eq!(cluster.values("pve://cluster"), Some(Values::new()));
        assert_eq!(cluster.values("pve://cluster/"), None);
        assert_eq!(log.expand(&Values::new()), None);
    }

    #[test]
    fn other_templates_are_refused() {
        for text in [
            "{a}",
            "pve:x",
            "pve://{",
            "pve://{+a}",
            "pve://{a}{b}",
            "pve://a b",
            "://a",
        ] {
            assert_eq!(UriTemplate::new(text), None, "{text}");
        }
    }
}
