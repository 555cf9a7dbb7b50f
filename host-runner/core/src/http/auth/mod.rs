//! Who the client is.

mod tokens;

use std::sync::Arc;

use http::{HeaderMap, StatusCode, header};

use self::tokens::Tokens;
use super::answer::Refusal;
use super::fresh::Fresh;
use crate::operator_file::{self, MAX_ENV_BYTES};
use crate::settings::TokenSource;

/// Who may send requests.
pub(crate) enum Access {
    /// Everybody who reaches the address.
    Open,
    /// Who presents one of these bearer tokens.
    Tokens(Known),
}

/// The tokens, as their source has them now.
pub(crate) struct Known(Fresh<Tokens>);

impl Access {
    /// Reads the tokens for the first time. The message of an error names their source and
    /// holds nothing of them.
    pub(crate) fn new(source: Option<&TokenSource>) -> Result<Self, String> {
        let tokens = match source {
            None => return Ok(Self::Open),
            Some(TokenSource::Text(text)) => {
                let text = text.clone();
                let refused = |why| format!("PROXMOX_MCP_HTTP_TOKENS {why}");
                let read = move || text.expose(Tokens::parse).map_err(refused);
                Fresh::new(Vec::new(), read)?
            }
            Some(TokenSource::File(path)) => {
                let (paths, path) = (vec![path.clone()], path.clone());
                let name = format!("the file of tokens {}", path.display());
                let refused = move |why: String| format!("{name} {why}");
                let read = {
                    let refused = refused.clone();
                    move || {
                        let bytes = operator_file::read_private(&path, MAX_ENV_BYTES);
                        let bytes = bytes.map_err(|error| refused(error.to_string()))?;
                        let text = std::str::from_utf8(&bytes);
                        let text = text.map_err(|_| refused("is not UTF-8 text".to_owned()))?;
                        Tokens::parse_any(text).map_err(&refused)
                    }
                };
                let tokens = Fresh::new(paths, read)?;
                // Later, a file of comments withdraws all tokens.
                tokens.get().check().map_err(refused)?;
                tokens
            }
        };
        Ok(Self::Tokens(Known(tokens)))
    }

    /// Whether clients have to say who they are.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self, Self::Open)
    }

    /// The name of the client; None where everybody is admitted.
    pub(super) fn admit(&self, headers: &HeaderMap) -> Result<Option<Arc<str>>, Refusal> {
        let tokens = match self {
            Self::Open => return Ok(None),
            Self::Tokens(Known(tokens)) => tokens.get(),
        };
        let mut given = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(one), None) = (given.next(), given.next()) else {
            return Err(unauthorized(
                "send one header `Authorization: Bearer TOKEN`, with the token that the operator \
                 of this server has given you",
                "Bearer",
            ));
        };
        let token = bearer(one.as_bytes());
        let user = token.and_then(|token| tokens.user(token));
        user.map(Some).ok_or_else(|| {
            unauthorized(
                "the token in the header Authorization is none of this server's: ask its operator \
                 for one",
                "Bearer error=\"invalid_token\"",
            )
        })
    }
}

fn unauthorized(message: &str, challenge: &str) -> Refusal {
    Refusal::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
        .with(header::WWW_AUTHENTICATE, challenge)
}

/// The token of `Bearer TOKEN`.
fn bearer(authorization: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = authorization.split_at_checked(b"Bearer ".len())?;
    let is_bearer = scheme.eq_ignore_ascii_case(b"Bearer ");
    is_bearer.then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn only_one_right_header_is_admitted() {
        let source = TokenSource::Text(Secret::new(format!("alice:{TOKEN}")));
        let access = Access::new(Some(&source)).unwrap();
        let admit = |values: &[String]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, value.parse().unwrap());
            }
            access.admit(&headers)
        };
        let right = format!("Bearer {TOKEN}");
        for good in [right.clone(), format!("bearer  {TOKEN}")] {
            assert_eq!(admit(&[good]).unwrap().as_deref(), Some("alice"));
        }
        for bad in [
            vec![],
            vec![right.clone(), right],
            vec![TOKEN.to_owned()],
            vec!["Bearer".to_owned()],
            vec!["Bearer ".to_owned()],
            vec![format!("Basic {TOKEN}")],
            vec![format!("Bearer {TOKEN}0")],
            vec![format!("Bearer alice:{TOKEN}")],
        ] {
            let refusal = admit(&bad).unwrap_err();
            assert_eq!(refusal.status, StatusCode::UNAUTHORIZED, "{bad:?}");
        }
    }
}
