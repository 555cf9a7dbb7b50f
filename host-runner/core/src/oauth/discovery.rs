//! Where an issuer publishes its keys.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;
use url::Url;

use super::fetch::Fetcher;
use super::key_set::KeySet;
use crate::settings::IssuerSettings;

/// How long all of it may take.
const FETCH_TIME: Duration = Duration::from_secs(10);

/// Fetches the keys of one issuer.
pub(super) struct Source {
    issuer: IssuerSettings,
    fetcher: Arc<Fetcher>,
}

/// What an issuer says of itself (RFC 8414 and OpenID Connect Discovery).
#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: String,
}

impl Source {
    pub(super) fn new(issuer: &IssuerSettings, fetcher: Arc<Fetcher>) -> Self {
        Self {
            issuer: issuer.clone(),
            fetcher,
        }
    }

    /// The issuer, as its tokens name it.
    pub(super) fn issuer(&self) -> &str {
        &self.issuer.name
    }

    /// Fetches the keys. The message of an error is for the operator.
    pub(super) async fn fetch(&self) -> Result<KeySet, String> {
        match tokio::time::timeout(FETCH_TIME, self.ask()).await {
            Ok(fetched) => fetched,
            Err(_) => Err(format!("no answer within {} s", FETCH_TIME.as_secs())),
        }
    }

    async fn ask(&self) -> Result<KeySet, String> {
        let (url, named) = match &self.issuer.keys {
            Some(url) => (url.clone(), url),
            None => (self.discover().await?, &self.issuer.url),
        };
        match self.fetcher.get(&url, named).await? {
            (StatusCode::OK, body) => KeySet::parse(&body).map_err(|why| format!("{url} {why}")),
            (status, _) => Err(format!("{url} answers with status {status}")),
        }
    }

    /// Asks the issuer for the address of its keys.
    async fn discover(&self) -> Result<Url, String> {
        let mut problem = String::new();
        for url in places(&self.issuer.url) {
            problem = match self.fetcher.get(&url, &self.issuer.url).await {
                Ok((StatusCode::OK, body)) => match self.keys_in(&body) {
                    Ok(keys) => return Ok(keys),
                    Err(why) => format!("{url} {why}"),
                },
                Ok((status, _)) => format!("{url} answers with status {status}"),
                Err(why) => why,
            };
        }
        Err(format!("{problem}; --oauth-jwks can name the keys instead"))
    }

    fn keys_in(&self, metadata: &[u8]) -> Result<Url, String> {
        let metadata: Metadata = serde_json::from_slice(metadata)
            .map_err(|_| "is not the metadata of an issuer".to_owned())?;
        if metadata.issuer != self.issuer.name {
            return Err(format!(
                "is of the issuer {:?}: write it like that in --oauth-issuers if it is meant",
                metadata.issuer.chars().take(200).collect::<String>()
            ));
        }
        let url = metadata.jwks_uri.parse();
        url.map_err(|_| "has no address of keys (jwks_uri)".to_owned())
    }
}

/// Where the metadata of an issuer may be, in the order of MCP's specification.
fn places(issuer: &Url) -> Vec<Url> {
    const OAUTH: &str = "/.well-known/oauth-authorization-server";
    const OPENID: &str = "/.well-known/openid-configuration";
    let path = issuer.path().trim_end_matches('/');
    let mut paths = vec![format!("{OAUTH}{path}"), format!("{OPENID}{path}")];
    if !path.is_empty() {
        paths.push(format!("{path}{OPENID}"));
    }
    let at = |path: String| {
        let mut url = issuer.clone();
        url.set_path(&path);
        url
    };
    paths.into_iter().map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_looked_for_where_the_specifications_say() {
        let places = |issuer: &str| -> Vec<String> {
            let places = places(&issuer.parse().unwrap()).into_iter();
            places.map(String::from).collect()
        };
        for issuer in ["https://id.example", "https://id.example/"] {
            assert_eq!(
                places(issuer),
                [
                    "https://id.example/.well-known/oauth-authorization-server",
                    "https://id.example/.well-known/openid-configuration",
                ]
            );
        }
        assert_eq!(
            places("https://id.example:8443/realms/a"),
            [
                "https://id.example:8443/.well-known/oauth-authorization-server/realms/a",
                "https://id.example:8443/.well-known/openid-configuration/realms/a",
                "https://id.example:8443/realms/a/.well-known/openid-configuration",
            ]
        );
    }
}
