//! The token in an answer: whoever answers knows it, but the component and the
//! model are not to learn it, as from a proxy's error page that shows the
//! request.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue};
use memchr::memchr2_iter;

use crate::secret::Secret;

/// Shorter ones would be found by chance. Proxmox makes them of 36 characters.
const SHORTEST: usize = 8;

/// Covers up the token's secret wherever an answer holds it as it stands. A
/// server that means harm can encode it; it could as well send it anywhere
/// itself.
pub(super) struct Echo {
    secret: Bytes,
}

impl Echo {
    pub(super) fn new(secret: &Secret) -> Self {
        Self {
            secret: secret.expose_after(""),
        }
    }

    /// The body without the secret; the length stays. The answer still counts:
    /// it may be all there is to tell of a change.
    pub(super) fn mask(&self, headers: &mut HeaderMap, body: Bytes) -> Bytes {
        if self.secret.len() < SHORTEST {
            return body;
        }
        let mut found = false;
        let named: Vec<_> = headers
            .keys()
            .filter(|name| self.find(name.as_str().as_bytes()).is_some())
            .cloned()
            .collect();
        for name in named {
            headers.remove(name);
            found = true;
        }
        for value in headers.values_mut() {
            if let Some(masked) = self.masked(value.as_bytes()) {
                *value = HeaderValue::from_bytes(&masked)
                    .unwrap_or_else(|_| HeaderValue::from_static(""));
                found = true;
            }
        }
        let masked = self.masked(&body);
        if found || masked.is_some() {
            tracing::warn!(
                "an answer held the secret of the token, which was covered up: look at what \
                 stands between here and proxmox"
            );
        }
        masked.unwrap_or(body)
    }

    /// Where a text holds the secret, in upper or lower case: it is made of
    /// hexadecimal digits, and works in the case in which it was made alone,
    /// but whoever reads it in the other knows it.
    fn find(&self, text: &[u8]) -> Option<usize> {
        let first = *self.secret.first()?;
        let starts = memchr2_iter(first.to_ascii_lowercase(), first.to_ascii_uppercase(), text);
        let mut starts = starts.filter(|start| {
            let end = start.saturating_add(self.secret.len());
            text.get(*start..end)
                .is_some_and(|found| found.eq_ignore_ascii_case(&self.secret))
        });
        starts.next()
    }

    fn masked(&self, text: &[u8]) -> Option<Bytes> {
        self.find(text)?;
        let mut masked = BytesMut::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = self
            .find(rest)
            .and_then(|at| rest.split_at_checked(at))
            .and_then(|(before, found)| Some((before, found.get(self.secret.len()..)?)))
        {
            masked.extend_from_slice(before);
            masked.resize(masked.len() + self.secret.len(), b'*');
            rest = after;
        }
        masked.extend_from_slice(rest);
        Some(masked.freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "12345678-90AB-cdef";
    const STARS: &str = "******************";

    fn mask(secret: &str, headers: &mut HeaderMap, body: &str) -> String {
        let echo = Echo::new(&Secret::new(secret.to_owned()));
        let body = echo.mask(headers, Bytes::copy_from_slice(body.as_bytes()));
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[test]
    fn the_secret_is_covered_up_everywhere() {
        let mut headers = HeaderMap::new();
        headers.insert("x-reason-phrase", format!("={SECRET}").parse().unwrap());
        headers.insert("x-12345678-90ab-cdef", HeaderValue::from_static("1"));
        headers.insert("x-other", HeaderValue::from_static("1"));
        let upper = SECRET.to_ascii_uppercase();
        let body = format!("a{SECRET}{upper}b{SECRET}");
        let masked = mask(SECRET, &mut headers, &body);
        assert_eq!(masked, format!("a{STARS}{STARS}b{STARS}"));
        assert_eq!(headers["x-reason-phrase"], format!("={STARS}"));
        assert_eq!(headers.len(), 2);
    }

    #[test]
    fn other_answers_stay_as_they_are() {
        let mut headers = HeaderMap::new();
        for (secret, body) in [(SECRET, "12345678-90AB"), ("a", "banana"), ("", "")] {
            assert_eq!(mask(secret, &mut headers, body), body);
        }
    }
}
