//! Reads a request's body before it is judged.

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Body;

use super::failure::{FailureKind, SendError};
use super::gate::Gate;
use super::limits::MAX_REQUEST_BYTES;
use crate::budget::Hold;

/// What a request takes while it is judged and sent, as a multiple of its body:
/// as text, as parameters, and as what is logged of it.
const COPIES_OF_A_BODY: usize = 8;

impl Gate {
    /// Reads a whole body of at most [`MAX_REQUEST_BYTES`]. The memory for it is
    /// the call's as long as the hold is kept.
    pub(crate) async fn read_body<B>(&self, mut unread: B) -> Result<(Bytes, Hold), SendError>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let mut body = Vec::new();
        let mut hold = self.account().hold(0).await.map_err(|_| too_large())?;
        while let Some(frame) = unread.frame().await {
            let unfinished =
                |_| SendError::new(FailureKind::Protocol, "the request was not finished");
            let Ok(data) = frame.map_err(unfinished)?.into_data() else {
                continue;
            };
            let length = body.len() + data.len();
            if length > MAX_REQUEST_BYTES {
                return Err(too_large());
            }
            hold.resize(length * COPIES_OF_A_BODY)
                .await
                .map_err(|_| too_large())?;
            body.extend_from_slice(&data);
        }
        Ok((body.into(), hold))
    }
}

fn too_large() -> SendError {
    SendError::new(
        FailureKind::RequestTooLarge,
        format!("the request is larger than {} KiB", MAX_REQUEST_BYTES >> 10),
    )
}
