//! What a client has asked and not been answered, and what it was answered and
//! has not read. Both are bounded: a client that does not read is read no
//! further itself.

use std::collections::HashMap;

use rmcp::RoleServer;
use rmcp::model::{ClientNotification, ClientRequest, JsonRpcMessage, RequestId};
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use tokio::sync::watch;

/// From here on no message of the client is read, and no call begins: a tool
/// list has about 100 KiB, and the longest answers have a few MiB.
pub(super) const FULL_BYTES: usize = 8 * 1024 * 1024;
/// What a list of tools takes until it is written.
const LIST_BYTES: usize = 512 * 1024;
/// What any other request takes: calls wait for their turn, and for room.
const REQUEST_BYTES: usize = 16 * 1024;
/// The most that open requests may come to take: 1024 of them, or 32 lists.
const MAX_OPEN_BYTES: usize = 16 * 1024 * 1024;

/// What waits for the client.
#[derive(Clone)]
pub(super) struct Backlog(watch::Sender<Load>);

#[derive(Default)]
struct Load {
    /// Bytes that are not written yet.
    unread: usize,
    /// Requests that are not answered yet, and what each may come to take.
    open: HashMap<RequestId, usize>,
    open_bytes: usize,
    /// The client sends nothing more: what it has sent is bounded by what the
    /// system keeps of it.
    ended: bool,
    /// Whether the log says already that the client does not read.
    reported: bool,
}

impl Backlog {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(Load::default()))
    }

    /// Waits until there is room for one more message.
    pub(super) async fn room(&self) {
        let is_full = |load: &Load| !load.ended && load.unread >= FULL_BYTES;
        if is_full(&self.0.borrow()) {
            self.report();
        }
        // The sender is this one's own: it is never gone.
        let _ = self.0.subscribe().wait_for(|load| !is_full(load)).await;
    }

    /// The same for a message that may open a request.
    pub(super) async fn room_for_a_request(&self) {
        self.room().await;
        let has_room = |load: &Load| {
            load.ended || load.unread < FULL_BYTES && load.open_bytes < MAX_OPEN_BYTES
        };
        let _ = self.0.subscribe().wait_for(has_room).await;
    }

    /// Waits until all is written.
    pub(super) async fn drained(&self) {
        let _ = self.0.subscribe().wait_for(|load| load.unread == 0).await;
    }

    /// The client sends nothing more.
    pub(super) fn end(&self) {
        self.0.send_modify(|load| load.ended = true);
    }

    /// Notes a message of the client.
    pub(super) fn received(&self, message: &RxJsonRpcMessage<RoleServer>) {
        match message {
            JsonRpcMessage::Request(request) => self.0.send_modify(|load| {
                let bytes = match request.request {
                    ClientRequest::ListToolsRequest(_)
                    | ClientRequest::ListResourcesRequest(_)
                    | ClientRequest::ListPromptsRequest(_) => LIST_BYTES,
                    _ => REQUEST_BYTES,
                };
                let before = load.open.insert(request.id.clone(), bytes);
                load.open_bytes += bytes - before.unwrap_or_default().min(bytes);
            }),
            JsonRpcMessage::Notification(notification) => {
                if let ClientNotification::CancelledNotification(cancelled) =
                    &notification.notification
                    && let Some(id) = &cancelled.params.request_id
                {
                    self.close(id);
                }
            }
            _ => {}
        }
    }

    /// Notes an answer to the client.
    pub(super) fn answered(&self, message: &TxJsonRpcMessage<RoleServer>) {
        let id = match message {
            JsonRpcMessage::Response(response) => Some(&response.id),
            JsonRpcMessage::Error(error) => error.id.as_ref(),
            _ => None,
        };
        if let Some(id) = id {
            self.close(id);
        }
    }

    fn close(&self, id: &RequestId) {
        self.0.send_modify(|load| {
            let bytes = load.open.remove(id).unwrap_or_default();
            load.open_bytes = load.open_bytes.saturating_sub(bytes);
        });
    }

    /// Adds bytes that are to be written, and returns how many there are now.
    pub(super) fn add(&self, bytes: usize) -> usize {
        let mut unread = 0;
        self.0.send_modify(|load| {
            load.unread += bytes;
            unread = load.unread;
        });
        unread
    }

    /// Notes bytes that are written, or never will be.
    pub(super) fn remove(&self, bytes: usize) {
        self.0.send_modify(|load| load.unread -= bytes);
    }

    fn report(&self) {
        let mut is_new = false;
        self.0.send_if_modified(|load| {
            is_new = !std::mem::replace(&mut load.reported, true);
            false
        });
        if is_new {
            tracing::warn!(
                "the client does not read what it is sent: the server reads nothing more from it \
                 until it does"
            );
        }
    }
}
