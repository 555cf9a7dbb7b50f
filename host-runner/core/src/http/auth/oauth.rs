//! Access tokens of OAuth issuers: what they allow here, and what clients are told about
//! getting one (RFC 6750, RFC 9728 and MCP's specification).

use host_runner_policy::Preset;
use http::{Response, StatusCode, header};
use serde_json::json;
use url::Url;

use super::super::answer::{Refusal, json_response};
use crate::mcp::Body;
use crate::oauth::{Issuers, TokenError};
use crate::remote::Identity;
use crate::settings::OAuthSettings;

const METADATA: &str = "/.well-known/oauth-protected-resource";

/// Admits clients by access tokens.
pub(super) struct OAuth {
    issuers: Issuers,
    scopes: Vec<Scope>,
    metadata: Metadata,
}

/// What clients are told.
struct Metadata {
    /// Where it is, by the URL that clients use.
    url: String,
    /// The paths of this server where it is.
    paths: Vec<String>,
    resource: String,
    issuers: Vec<String>,
}

/// A scope of this server.
struct Scope {
    preset: Preset,
    /// As clients request it.
    name: String,
    /// As tokens may have it: Entra ID leaves out the name of the resource.
    short: String,
}

impl OAuth {
    /// Fails if the certificates of the issuers cannot be used.
    pub(super) fn new(settings: &OAuthSettings) -> Result<Self, String> {
        let prefix = settings.scope_prefix.as_str();
        let end = prefix.rsplit('/').next().unwrap_or(prefix);
        let scopes = Preset::ALL.into_iter().map(|(preset, name)| Scope {
            preset,
            name: format!("{prefix}{name}"),
            short: format!("{end}{name}"),
        });
        Ok(Self {
            issuers: Issuers::new(settings)?,
            scopes: scopes.collect(),
            metadata: Metadata::new(settings),
        })
    }

    /// Whose access token this is, and what it allows.
    pub(super) async fn admit(&self, token: &str) -> Result<Identity, Refusal> {
        let verified = self
            .issuers
            .verify(token)
            .await
            .map_err(|error| match error {
                TokenError::Invalid(why) => self.invalid(why),
                TokenError::Unavailable(_) => {
                    let status = StatusCode::SERVICE_UNAVAILABLE;
                    Refusal::new(status, "no_issuer_keys", error.to_string()).retry_after(5)
                }
            })?;
        let is_granted = |scope: &&Scope| {
            let mut given = verified.scopes.iter();
            given.any(|given| *given == scope.name || *given == scope.short)
        };
        let granted: Vec<&Scope> = self.scopes.iter().filter(is_granted).collect();
        let Some(preset) = granted.iter().map(|scope| scope.preset).max() else {
            return Err(self.insufficient(
                Preset::Observe,
                "the token has no scope of this server: request one of those in the header \
                 WWW-Authenticate, or ask the operator of the issuer for it",
            ));
        };
        Ok(Identity {
            user: verified.user.into(),
            scopes: granted.iter().map(|scope| scope.name.clone()).collect(),
            preset: Some(preset),
        })
    }

    /// What is answered without a token: what to request.
    pub(super) fn challenge(&self) -> String {
        format!("Bearer {}", self.wanted(Preset::Observe))
    }

    /// A token that is not accepted. `why` must be a plain text.
    pub(super) fn invalid(&self, why: &str) -> Refusal {
        let wanted = self.wanted(Preset::Observe);
        let challenge =
            format!("Bearer error=\"invalid_token\", error_description=\"{why}\", {wanted}");
        super::unauthorized(why, &challenge)
    }

    /// A token that does not allow this, and the scope that does.
    pub(super) fn insufficient(&self, needed: Preset, why: &str) -> Refusal {
        let wanted = self.wanted(needed);
        Refusal::new(StatusCode::FORBIDDEN, "insufficient_scope", why).with(
            header::WWW_AUTHENTICATE,
            &format!("Bearer error=\"insufficient_scope\", {wanted}"),
        )
    }

    /// The document about this server, at its paths.
    pub(super) fn metadata(&self, path: &str) -> Option<Response<Body>> {
        let metadata = &self.metadata;
        if !metadata.paths.iter().any(|one| one == path) {
            return None;
        }
        let document = json!({
            "resource": metadata.resource,
            "authorization_servers": metadata.issuers,
            // The least that a client needs; a refusal names what else it may request.
            "scopes_supported": [self.name(Preset::Observe)],
            "bearer_methods_supported": ["header"],
        });
        Some(json_response(StatusCode::OK, &document))
    }

    fn wanted(&self, preset: Preset) -> String {
        format!(
            "resource_metadata=\"{}\", scope=\"{}\"",
            self.metadata.url,
            self.name(preset)
        )
    }

    fn name(&self, preset: Preset) -> &str {
        let scope = self.scopes.iter().find(|scope| scope.preset == preset);
        scope.map_or("", |scope| scope.name.as_str())
    }
}

impl Metadata {
    fn new(settings: &OAuthSettings) -> Self {
        let mut url: Url = settings.resource.clone();
        let path = format!("{METADATA}{}", url.path().trim_end_matches('/'));
        url.set_path(&path);
        Self {
            url: url.into(),
            paths: vec![METADATA.to_owned(), format!("{METADATA}/mcp"), path],
            resource: settings.resource_name(),
            issuers: settings
                .issuers
                .iter()
                .map(|one| one.name.clone())
                .collect(),
        }
    }
}
