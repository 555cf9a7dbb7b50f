//! The second half of a request's way: what of the answer comes in?

use bytes::Bytes;
use host_runner_policy::{Directory, Listing, Method, read_nodes};
use http::{HeaderValue, Response, header};

use super::admission::Admitted;
use super::client::Kept;
use super::failure::{FailureKind, SendError};
use super::gate::Gate;
use super::headers;
use super::limits::COPIES_OF_AN_ANSWER;

/// The most of the scope that a component sees.
const SCOPE_CHARS: usize = 300;
/// Answers larger than this are filtered one after the other.
const LARGE_ANSWER_BYTES: usize = 256 * 1024;

impl Gate {
    /// Takes note of what an answer shows of the cluster, and filters it to the
    /// scope.
    pub(super) async fn take_in(
        &self,
        answer: Response<Bytes>,
        admitted: &Admitted<'_>,
    ) -> Result<Response<Bytes>, SendError> {
        self.learn(&answer, admitted);
        match admitted.verdict.meaning.listing {
            Some(listing) => self.filtered(listing, answer, &admitted.directory).await,
            None => Ok(answer),
        }
    }

    fn learn(&self, answer: &Response<Bytes>, admitted: &Admitted<'_>) {
        let sandbox = &self.sandbox;
        let meaning = &admitted.verdict.meaning;
        let is_success = answer.status().is_success();
        sandbox.warn_of_missing();
        // The component has asked what the host would have to ask.
        if meaning.lists_nodes
            && is_success
            && let Some(names) = read_nodes(answer.body())
        {
            sandbox.cluster.nodes.learn(names);
        }
        if admitted.request.method != Method::Get {
            sandbox.cluster.guests.note_change(meaning, is_success);
        }
    }

    async fn filtered(
        &self,
        listing: Listing,
        answer: Response<Bytes>,
        directory: &Directory,
    ) -> Result<Response<Bytes>, SendError> {
        let scope = &self.sandbox.policy(&self.terms).scope;
        // A dry run shows the operator why a request would be refused: its tool
        // has to find the guest for that.
        if self.terms.dry_run || !scope.filters(listing) || !answer.status().is_success() {
            return Ok(answer);
        }
        let (mut parts, body) = answer.into_parts();
        let no_room = |_| SendError::new(FailureKind::ResponseTooLarge, "the answer is too large");
        let mut hold = self.account.hold(body.len()).await.map_err(no_room)?;
        let filtered = {
            let _alone = match body.len() > LARGE_ANSWER_BYTES {
                true => self.sandbox.capacity.filtering.acquire().await.ok(),
                false => None,
            };
            scope.filter(listing, &body, directory)
        };
        drop(body);
        // An answer that cannot be read could show anything.
        let Some(body) = filtered else {
            return Err(SendError::new(
                FailureKind::Protocol,
                "the answer cannot be filtered to this server's scope",
            ));
        };
        let kept = body.len() * COPIES_OF_AN_ANSWER;
        hold.resize(kept).await.map_err(no_room)?;
        parts.headers.remove(header::TRANSFER_ENCODING);
        parts
            .headers
            .insert(header::CONTENT_LENGTH, body.len().into());
        let words: String = scope.in_words().chars().take(SCOPE_CHARS).collect();
        if let Ok(words) = HeaderValue::from_str(&words) {
            parts.headers.insert(headers::SCOPE, words);
        }
        let body = Bytes::from_owner(Kept { bytes: body, hold });
        Ok(Response::from_parts(parts, body))
    }
}
