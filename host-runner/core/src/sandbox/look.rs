//! What an operator asks Proxmox VE through the host: reads that the policy allows, with the
//! token, like all questions of the host's own.

use std::collections::BTreeSet;

use bytes::Bytes;
use host_runner_policy::{API_PATH, ApiRequest, Directory};
use http::Response;

use super::limits::REQUEST_TIMEOUT;
use super::shared::Sandbox;

impl Sandbox {
    /// The pools that the policy's scope names.
    pub(crate) fn pools(&self) -> &BTreeSet<String> {
        &self.rules.policy.scope.pools
    }

    /// Reads a path of the API, with its query. The error says why there is no answer.
    pub(crate) async fn look(&self, path: &str) -> Result<Response<Bytes>, String> {
        let Some(upstream) = &self.cluster.upstream else {
            return Err("no Proxmox VE is configured".to_owned());
        };
        let (bare, query) = match path.split_once('?') {
            Some((bare, query)) => (bare, Some(query)),
            None => (path, None),
        };
        let full = format!("{API_PATH}{bare}");
        let request = ApiRequest::parse("GET", &full, query, b"");
        let request = request.map_err(|error| error.to_string())?;
        let verdict = self.rules.policy.decide(Ok(&request), &Directory::new());
        if !verdict.allowed {
            return Err(format!("the policy refuses GET {bare}: {}", verdict.reason));
        }
        let account = self.cluster.own_budget.account();
        let answer = upstream.ask(path, REQUEST_TIMEOUT, &account).await;
        answer.map_err(|error| error.detail)
    }
}
