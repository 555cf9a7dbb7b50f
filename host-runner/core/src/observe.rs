//! What happens, for whoever counts it. Only `serve --http` does: over stdio, nothing is
//! kept.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// Counts what happens.
pub(crate) trait Observer: Send + Sync {
    /// A call of a tool has ended: `ok`, `running`, `cancelled` or the kind of its error.
    /// The cluster has a name where there are several.
    fn called(&self, cluster: Option<&str>, tool: &str, outcome: &'static str, duration: Duration);
    /// A request was sent to Proxmox VE, and answered with this status or not at all.
    fn sent(&self, cluster: Option<&str>, status: Option<u16>);
    /// A request was refused by this rule.
    fn refused(&self, cluster: Option<&str>, rule: &str);
    /// A Proxmox task begins to be followed.
    fn follows(&self);
    /// A Proxmox task is no longer followed.
    fn followed(&self);
}

static OBSERVER: OnceLock<Box<dyn Observer>> = OnceLock::new();

/// Counts from now on, if nobody does yet.
pub(crate) fn begin(observer: impl Observer + 'static) {
    let _ = OBSERVER.set(Box::new(observer));
}

/// Who counts.
pub(crate) fn observer() -> Option<&'static dyn Observer> {
    OBSERVER.get().map(AsRef::as_ref)
}

/// A call that is counted when it ends. One that is dropped before was cancelled.
pub(crate) struct CountedCall {
    observer: &'static dyn Observer,
    cluster: Option<Arc<str>>,
    tool: String,
    began: Instant,
    outcome: &'static str,
}

impl CountedCall {
    /// A call that begins now. None if nobody counts.
    pub(crate) fn begin(tool: &str, cluster: Option<&Arc<str>>) -> Option<Self> {
        Some(Self {
            cluster: cluster.cloned(),
            observer: observer()?,
            tool: tool.to_owned(),
            began: Instant::now(),
            outcome: "cancelled",
        })
    }

    /// The call ends like that.
    pub(crate) fn end(mut self, outcome: &'static str) {
        self.outcome = outcome;
    }
}

impl Drop for CountedCall {
    fn drop(&mut self) {
        let duration = self.began.elapsed();
        let cluster = self.cluster.as_deref();
        self.observer
            .called(cluster, &self.tool, self.outcome, duration);
    }
}

/// Counts a task as followed until it is dropped.
pub(crate) struct CountedTask(&'static dyn Observer);

impl CountedTask {
    /// A task that begins to be followed. None if nobody counts.
    pub(crate) fn begin() -> Option<Self> {
        let observer = observer()?;
        observer.follows();
        Some(Self(observer))
    }
}

impl Drop for CountedTask {
    fn drop(&mut self) {
        self.0.followed();
    }
}
