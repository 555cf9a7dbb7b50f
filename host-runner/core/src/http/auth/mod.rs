//! Who the client is.

mod oauth;
mod tokens;

use host_runner_policy::Preset;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};

use self::oauth::OAuth;
use self::tokens::Tokens;
use super::answer::Refusal;
use super::fresh::Fresh;
use crate::mcp::Body;
use crate::oauth::is_like_a_token;
use crate::operator_file::{self, MAX_ENV_BYTES};
use crate::remote::Identity;
use crate::settings::{OAuthSettings, TokenSource};

/// Who may send requests: who presents a bearer token of the operator's, or an access token
/// of one of the issuers. Where neither is configured, everybody who reaches the address.
pub(crate) struct Access {
    tokens: Option<Known>,
    oauth: Option<OAuth>,
}

/// The tokens, as their source has them now.
struct Known(Fresh<Tokens>);

impl Known {
    /// Reads the tokens for the first time. The message of an error names their source and
    /// holds nothing of them.
    fn new(source: &TokenSource) -> Result<Self, String> {
        let tokens = match source {
            TokenSource::Text(text) => {
                let text = text.clone();
                let refused = |why| format!("PROXMOX_MCP_HTTP_TOKENS {why}");
                let read = move || text.expose(Tokens::parse).map_err(refused);
                Fresh::new(Vec::new(), read)?
            }
            TokenSource::File(path) => {
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
        Ok(Self(tokens))
    }

    /// Whose token this is, by the source as it is now.
    fn identity(&self, token: &[u8]) -> Option<Identity> {
        let Self(tokens) = self;
        let user = tokens.get().user(token)?;
        Some(Identity {
            user,
            scopes: [].into(),
            preset: None,
        })
    }
}

impl Access {
    /// Reads the tokens for the first time, and sends nothing to the issuers yet. The message
    /// of an error names what cannot be used, and holds nothing secret.
    pub(crate) fn new(
        source: Option<&TokenSource>,
        oauth: Option<&OAuthSettings>,
    ) -> Result<Self, String> {
        Ok(Self {
            tokens: source.map(Known::new).transpose()?,
            oauth: oauth.map(OAuth::new).transpose()?,
        })
    }

    /// Whether clients need not say who they are.
    pub(crate) fn is_open(&self) -> bool {
        self.tokens.is_none() && self.oauth.is_none()
    }

    /// Who the client is; None where everybody is admitted. For an access token, this may wait
    /// until its issuer has answered.
    pub(super) async fn admit(&self, headers: &HeaderMap) -> Result<Option<Identity>, Refusal> {
        if self.is_open() {
            return Ok(None);
        }
        let mut given = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(one), None) = (given.next(), given.next()) else {
            return Err(self.challenge());
        };
        let token = bearer(one.as_bytes());
        let known = self.tokens.as_ref();
        let known = known.and_then(|known| known.identity(token?));
        if known.is_some() {
            return Ok(known);
        }
        let access_token = token.and_then(|token| std::str::from_utf8(token).ok());
        let access_token = access_token.filter(|token| is_like_a_token(token));
        match (&self.oauth, access_token) {
            (Some(oauth), Some(token)) => oauth.admit(token).await.map(Some),
            (Some(oauth), None) => Err(oauth.invalid(UNKNOWN)),
            (None, _) => Err(unauthorized(UNKNOWN, "Bearer error=\"invalid_token\"")),
        }
    }

    /// What to answer to those whose token does not allow a request.
    pub(super) fn insufficient(&self, needed: Preset, why: &str) -> Refusal {
        match &self.oauth {
            Some(oauth) => oauth.insufficient(needed, why),
            None => Refusal::new(StatusCode::FORBIDDEN, "insufficient_scope", why),
        }
    }

    /// Answers a question about where to get access tokens, which needs none.
    pub(super) fn metadata<T>(&self, request: &Request<T>) -> Option<Response<Body>> {
        let oauth = self.oauth.as_ref()?;
        match *request.method() {
            Method::GET => oauth.metadata(request.uri().path()),
            _ => None,
        }
    }

    fn challenge(&self) -> Refusal {
        match &self.oauth {
            None => unauthorized(
                "send one header `Authorization: Bearer TOKEN`, with the token that the operator \
                 of this server has given you",
                "Bearer",
            ),
            Some(oauth) => unauthorized(
                "send one header `Authorization: Bearer TOKEN`, with an access token of the issuer \
                 that the document resource_metadata in the header WWW-Authenticate names",
                &oauth.challenge(),
            ),
        }
    }
}

const UNKNOWN: &str =
    "the token in the header Authorization is none of this server's: ask its operator for one";

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

    #[tokio::test]
    async fn only_one_right_header_is_admitted() {
        let source = TokenSource::Text(Secret::new(format!("alice:{TOKEN}")));
        let access = Access::new(Some(&source), None).unwrap();
        let admit = async |values: &[String]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, value.parse().unwrap());
            }
            let admitted = access.admit(&headers).await;
            admitted.map(|identity| identity.map(|one| one.user))
        };
        let right = format!("Bearer {TOKEN}");
        for good in [right.clone(), format!("bearer  {TOKEN}")] {
            assert_eq!(admit(&[good]).await.unwrap().as_deref(), Some("alice"));
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
            let refusal = admit(&bad).await.unwrap_err();
            assert_eq!(refusal.status, StatusCode::UNAUTHORIZED, "{bad:?}");
        }
    }
}
