//! Access tokens of OAuth issuers: whether one is valid for this server, and for whom.
//!
//! The signing keys of an issuer are fetched when the first of its tokens comes. Apart from
//! the sandbox, this is the only module that sends requests: without credentials, and only
//! to the origins that the operator named.
//!
//! # Layout
//!
//! - `token`: the checks of a token, apart from the signature.
//! - `subject`: the name of its user.
//! - `signature`: verifies signatures, with ring.
//! - `keys`: the keys of one issuer, as they were fetched last.
//! - `key_set`: which of them a token was signed with.
//! - `discovery`: where an issuer publishes its keys.
//! - `fetch`: the HTTP client.
//! - `error`: why a token is not accepted.

mod discovery;
mod error;
mod fetch;
mod key_set;
mod keys;
mod signature;
mod subject;
mod token;

use std::sync::Arc;

pub(crate) use self::error::TokenError;

use self::discovery::Source;
use self::fetch::Fetcher;
use self::keys::Keys;
use crate::settings::OAuthSettings;

/// The issuers whose tokens are accepted.
pub(crate) struct Issuers {
    issuers: Vec<Issuer>,
    audiences: Vec<String>,
}

struct Issuer {
    /// As `iss` of its tokens names it.
    name: String,
    keys: Arc<Keys>,
}

/// A token that is valid for this server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Verified {
    /// The name of the user: no static token can have the same. At most 200 ASCII characters
    /// without spaces.
    pub(crate) user: String,
    /// All of its scopes, also those of other servers.
    pub(crate) scopes: Vec<String>,
}

impl Issuers {
    /// Sends nothing yet. Fails if the certificates cannot be used.
    pub(crate) fn new(settings: &OAuthSettings) -> Result<Self, String> {
        signature::install();
        let issuers = &settings.issuers;
        let fetcher = Arc::new(Fetcher::new(settings.ca.as_ref())?);
        let issuers = issuers.iter().map(|issuer| Issuer {
            name: issuer.name.clone(),
            keys: Arc::new(Keys::new(Source::new(issuer, Arc::clone(&fetcher)))),
        });
        Ok(Self {
            issuers: issuers.collect(),
            audiences: settings.audiences.clone(),
        })
    }

    /// Checks a token. It may have to wait for the keys, but not longer than 10 s.
    pub(crate) async fn verify(&self, token: &str) -> Result<Verified, TokenError> {
        let unverified = token::read(token)?;
        let issuer = self.issuers.iter();
        let issuer = { issuer }.find(|issuer| issuer.name == unverified.issuer);
        let issuer = issuer.ok_or(TokenError::Invalid(
            "the token is of another issuer than those of this server",
        ))?;
        let key = match issuer.keys.find(&unverified.signed_with).await {
            Ok(key) => key,
            Err(keys::KeyError::Unknown) => {
                return Err(TokenError::Invalid(
                    "the token was signed with a key that its issuer does not publish",
                ));
            }
            Err(keys::KeyError::Unavailable) => {
                return Err(TokenError::Unavailable(issuer.name.clone()));
            }
        };
        let claims = token::check(token, &unverified, &key, &self.audiences)?;
        let of = (self.issuers.len() > 1).then_some(issuer.name.as_str());
        let user = subject::user(&claims.sub, of).ok_or(TokenError::Invalid(
            "the claim sub of the token must have 1 to 255 bytes",
        ))?;
        Ok(Verified {
            user,
            scopes: claims.scopes(),
        })
    }
}

/// Whether a text may be a token of an issuer.
pub(crate) fn is_like_a_token(text: &str) -> bool {
    let is_part = |part: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        part.bytes().all(plain)
    };
    // The JSON object in front begins with `{"`.
    text.starts_with("ey") && text.split('.').count() == 3 && text.split('.').all(is_part)
}
