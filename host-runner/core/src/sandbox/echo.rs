//! The token in an answer, such as a proxy's error page that shows the request:
//! the component and the model must not learn it.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use memchr::memchr2_iter;

use crate::secret::Secret;

/// Shorter ones would be found by chance. Proxmox makes them of 36 characters.
const SHORTEST: usize = 8;

/// Masks the token's secret wherever an answer contains it verbatim. A malicious
/// server can encode it, but such a server could also send it anywhere itself.
pub(super) struct Echo {
    secret: Bytes,
}

impl Echo {
    pub(super) fn new(secret: &Secret) -> Self {
        Self {
            secret: secret.expose_after(""),
        }
    }

    /// Masks the secret in headers and body, whose length stays. The answer is
    /// not discarded: it may be the only report of a change.
    pub(super) fn mask(&self, headers: &mut HeaderMap, body: &mut [u8]) {
        if self.secret.len() < SHORTEST {
            return;
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
            let mut text = value.as_bytes().to_vec();
            if self.cover(&mut text) {
                *value =
                    HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static(""));
                found = true;
            }
        }
        found |= self.cover(body);
        if found {
            tracing::warn!(
                "an answer contained the secret of the token, which was masked: check what is \
                 between this server and Proxmox"
            );
        }
    }

    /// Where a text contains the secret, in upper or lower case. It consists of
    /// hexadecimal digits: it is valid in one case only, but reading it in the
    /// other reveals it as well.
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

    /// Whether there was something to cover up. An answer is megabytes at the
    /// most, so nothing of it is copied.
    fn cover(&self, text: &mut [u8]) -> bool {
        let mut found = false;
        let mut rest = text;
        while let Some(at) = self.find(rest) {
            let end = at + self.secret.len();
            let Some((before, after)) = rest.split_at_mut_checked(end) else {
                break;
            };
            if let Some(secret) = before.get_mut(at..) {
                secret.fill(b'*');
            }
            found = true;
            rest = after;
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "12345678-90AB-cdef";
    const STARS: &str = "******************";

    fn mask(secret: &str, headers: &mut HeaderMap, body: &str) -> String {
        let echo = Echo::new(&Secret::new(secret.to_owned()));
        let mut body = body.as_bytes().to_vec();
        echo.mask(headers, &mut body);
        String::from_utf8(body).unwrap()
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
