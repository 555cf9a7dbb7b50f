//! What a token says, and whether that is right.
//!
//! Its errors never quote the token: what is wrong is named by fixed texts.

use jsonwebtoken::dangerous::insecure_decode_claims;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::error::TokenError;
use super::key_set::SignedWith;
use super::signature;

/// How far the clocks of issuer and server may differ.
const LEEWAY_SECONDS: u64 = 30;
/// What a token must say.
const REQUIRED: [&str; 4] = ["exp", "iss", "aud", "sub"];
/// The kinds of tokens that are accepted: access tokens of RFC 9068, and those of issuers
/// that give all of their tokens the same name, or none. What tells these from ID tokens is
/// their audience, which is a client there, and [`Claims::is_of_another_kind`].
const TYPES: [&str; 4] = ["at+jwt", "application/at+jwt", "jwt", ""];
/// The claim `typ` of tokens of Keycloak that are no access tokens.
const OTHER_TYPES: [&str; 4] = ["ID", "Refresh", "Offline", "Logout"];

/// What is needed to find the key of a token.
pub(super) struct Unverified {
    pub(super) issuer: String,
    pub(super) signed_with: SignedWith,
}

/// What a verified token says.
#[derive(Debug, Deserialize)]
pub(super) struct Claims {
    iss: String,
    pub(super) sub: String,
    /// As RFC 9068 writes them.
    scope: Option<Words>,
    /// As Entra ID and Okta do.
    scp: Option<Words>,
    typ: Option<String>,
    token_use: Option<String>,
    /// Of the request for an ID token.
    nonce: Option<IgnoredAny>,
    at_hash: Option<IgnoredAny>,
    c_hash: Option<IgnoredAny>,
    /// The token is of no use without a key, which a bearer does not show.
    cnf: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Words {
    Text(String),
    List(Vec<String>),
}

impl Claims {
    /// The names of all scopes.
    pub(super) fn scopes(&self) -> Vec<String> {
        let words = [&self.scope, &self.scp].into_iter().flatten();
        let words = words.flat_map(|words| match words {
            Words::Text(text) => text.split(' ').map(str::to_owned).collect(),
            Words::List(list) => list.clone(),
        });
        words.filter(|word: &String| !word.is_empty()).collect()
    }

    /// Whether these are of an ID token or another kind of token, which clients must not send.
    fn is_of_another_kind(&self) -> bool {
        let is_other = |typ: &str| OTHER_TYPES.contains(&typ);
        self.nonce.is_some()
            || self.at_hash.is_some()
            || self.c_hash.is_some()
            || self.cnf.is_some()
            || self.typ.as_deref().is_some_and(is_other)
            || self.token_use.as_deref() == Some("id")
    }
}

/// Reads the issuer and the key of a token, without knowing whether they are true.
pub(super) fn read(token: &str) -> Result<Unverified, TokenError> {
    #[derive(Deserialize)]
    struct OfIssuer {
        iss: String,
    }
    let malformed = TokenError::Invalid(
        "the token is not a signed JWT, or of an algorithm that is not accepted: RS, PS, ES256, \
         ES384 and EdDSA are",
    );
    let Ok(header) = decode_header(token) else {
        return Err(malformed);
    };
    if signature::check(header.alg).is_none() {
        return Err(malformed);
    }
    let typ = header.typ.unwrap_or_default().to_ascii_lowercase();
    if !TYPES.contains(&typ.as_str()) {
        return Err(TokenError::Invalid(
            "the token is not an access token: the type in its header is neither at+jwt nor JWT",
        ));
    }
    if header.crit.is_some() {
        return Err(TokenError::Invalid(
            "the header of the token has the parameter crit, of which nothing is understood",
        ));
    }
    let claims: OfIssuer = insecure_decode_claims(token)
        .map_err(|_| TokenError::Invalid("the token does not name its issuer"))?;
    Ok(Unverified {
        issuer: claims.iss,
        signed_with: SignedWith {
            algorithm: header.alg,
            key_id: header.kid,
        },
    })
}

/// Verifies the signature, and checks what the token says.
pub(super) fn check(
    token: &str,
    unverified: &Unverified,
    key: &DecodingKey,
    audiences: &[String],
) -> Result<Claims, TokenError> {
    let mut validation = Validation::new(unverified.signed_with.algorithm);
    validation.leeway = LEEWAY_SECONDS;
    validation.validate_nbf = true;
    validation.set_required_spec_claims(&REQUIRED);
    validation.set_issuer(&[&unverified.issuer]);
    validation.set_audience(audiences);
    let claims = match decode::<Claims>(token, key, &validation) {
        Ok(token) => token.claims,
        Err(error) => return Err(TokenError::Invalid(problem(error.kind()))),
    };
    if claims.iss != unverified.issuer {
        return Err(TokenError::Invalid(problem(&ErrorKind::InvalidIssuer)));
    }
    if claims.is_of_another_kind() {
        return Err(TokenError::Invalid(
            "the token is an ID token, bound to a key or of another kind: send an access token for a \
             bearer",
        ));
    }
    Ok(claims)
}

fn problem(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::ExpiredSignature => "the token has expired: get a new one",
        ErrorKind::ImmatureSignature => "the token is not valid yet",
        ErrorKind::InvalidAudience => {
            "the token is for another audience: request it for this server (parameter resource)"
        }
        ErrorKind::InvalidIssuer => "the token is of another issuer than those of this server",
        ErrorKind::MissingRequiredClaim(_) => {
            "the token lacks one of the claims exp, iss, aud and sub"
        }
        ErrorKind::InvalidSignature
        | ErrorKind::InvalidEcdsaKey
        | ErrorKind::InvalidEddsaKey
        | ErrorKind::InvalidRsaKey(_) => "the signature of the token is wrong",
        _ => "the claims of the token cannot be read",
    }
}
