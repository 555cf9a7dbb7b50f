//! `/metrics`, for Prometheus.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::{Response, StatusCode};
use prometheus_client::encoding::prometheus_text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::answer::response;
use crate::mcp::Body;
use crate::observe::Observer;

/// Upper bounds of durations of calls, in seconds: a call waits up to 50 s for its task.
const SECONDS: [f64; 10] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 20.0, 60.0];

type Labels<const COUNT: usize> = [(&'static str, String); COUNT];
/// The same, with a cluster if there are several.
type OfCluster = Vec<(&'static str, String)>;

/// What is counted. A clone counts in the same place.
#[derive(Clone)]
pub(crate) struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    calls: Family<OfCluster, Counter>,
    durations: Family<OfCluster, Histogram, fn() -> Histogram>,
    sent: Family<OfCluster, Counter>,
    refused: Family<OfCluster, Counter>,
    followed: Counter,
    following: Gauge,
    responses: Family<Labels<3>, Counter>,
    refusals: Family<Labels<1>, Counter>,
    open: Gauge,
    began: Instant,
    /// When Proxmox VE has answered last, and when it has not; in milliseconds since the
    /// start, and 0 for never.
    answered: AtomicU64,
    failed: AtomicU64,
}

/// A request that is counted as open until this is dropped.
pub(super) struct Open(Gauge);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    /// Nothing was counted yet.
    pub(crate) fn new() -> Self {
        let mut inner = Inner {
            registry: Registry::with_prefix("proxmox_mcp"),
            calls: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            sent: Family::default(),
            refused: Family::default(),
            followed: Counter::default(),
            following: Gauge::default(),
            responses: Family::default(),
            refusals: Family::default(),
            open: Gauge::default(),
            began: Instant::now(),
            answered: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        };
        inner.register();
        Self(Arc::new(inner))
    }

    /// A request over HTTP is open from now on.
    pub(super) fn open(&self) -> Open {
        self.0.open.inc();
        Open(self.0.open.clone())
    }

    /// A request over HTTP has got a response.
    pub(super) fn responded(&self, method: &str, path: &'static str, status: StatusCode) {
        let labels = [
            ("method", method.to_owned()),
            ("path", path.to_owned()),
            ("status", status.as_str().to_owned()),
        ];
        self.0.responses.get_or_create(&labels).inc();
    }

    /// A request over HTTP was refused.
    pub(super) fn refused_http(&self, reason: &'static str) {
        let labels = [("reason", reason.to_owned())];
        self.0.refusals.get_or_create(&labels).inc();
    }

    /// How many seconds ago Proxmox VE has answered last, and how many ago it has not.
    pub(super) fn contact(&self) -> (Option<u64>, Option<u64>) {
        let now = self.0.now();
        let ago = |at: &AtomicU64| match at.load(Ordering::Relaxed) {
            0 => None,
            at => Some(now.saturating_sub(at) / 1000),
        };
        (ago(&self.0.answered), ago(&self.0.failed))
    }

    /// All of it, as text.
    pub(super) fn show(&self) -> Response<Body> {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.0.registry);
        let kind = "text/plain; version=0.0.4; charset=utf-8";
        response(StatusCode::OK, kind, text)
    }
}

impl Inner {
    fn register(&mut self) {
        let of = &mut self.registry;
        of.register("calls", "Calls of tools by outcome", self.calls.clone());
        let help = "Duration of calls, with the tasks that they wait for";
        of.register("call_duration_seconds", help, self.durations.clone());
        let help = "Requests to Proxmox VE by status; none: not answered";
        of.register("requests", help, self.sent.clone());
        let help = "Requests to Proxmox VE that were refused, by rule";
        of.register("refused_requests", help, self.refused.clone());
        let help = "Proxmox tasks that calls have followed";
        of.register("tasks_followed", help, self.followed.clone());
        let help = "Proxmox tasks that calls follow now";
        of.register("tasks_following", help, self.following.clone());
        let help = "Responses over HTTP";
        of.register("http_responses", help, self.responses.clone());
        let help = "Requests over HTTP that were refused, by reason";
        of.register("http_refusals", help, self.refusals.clone());
        let help = "Requests over HTTP that are open now, streams among them";
        of.register("http_open_requests", help, self.open.clone());
    }

    /// Milliseconds since the start, and never 0.
    fn now(&self) -> u64 {
        let now = u64::try_from(self.began.elapsed().as_millis());
        now.unwrap_or(u64::MAX).max(1)
    }
}

/// Labels, and that of the cluster.
fn of_cluster<const COUNT: usize>(cluster: Option<&str>, labels: Labels<COUNT>) -> OfCluster {
    let cluster = cluster.map(|name| ("cluster", name.to_owned()));
    labels.into_iter().chain(cluster).collect()
}

impl Observer for Metrics {
    fn called(&self, cluster: Option<&str>, tool: &str, outcome: &'static str, duration: Duration) {
        let labels = [("tool", tool.to_owned()), ("outcome", outcome.to_owned())];
        let labels = of_cluster(cluster, labels);
        self.0.calls.get_or_create(&labels).inc();
        let labels = of_cluster(cluster, [("tool", tool.to_owned())]);
        let durations = self.0.durations.get_or_create(&labels);
        durations.observe(duration.as_secs_f64());
    }

    fn sent(&self, cluster: Option<&str>, status: Option<u16>) {
        let label = status.map_or_else(|| "none".to_owned(), |status| status.to_string());
        let labels = of_cluster(cluster, [("status", label)]);
        self.0.sent.get_or_create(&labels).inc();
        let at = match status {
            Some(_) => &self.0.answered,
            None => &self.0.failed,
        };
        at.store(self.0.now(), Ordering::Relaxed);
    }

    fn refused(&self, cluster: Option<&str>, rule: &str) {
        let labels = of_cluster(cluster, [("rule", rule.to_owned())]);
        self.0.refused.get_or_create(&labels).inc();
    }

    fn follows(&self) {
        self.0.followed.inc();
        self.0.following.inc();
    }

    fn followed(&self) {
        self.0.following.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_is_counted() {
        let metrics = Metrics::new();
        assert_eq!(metrics.contact(), (None, None));
        metrics.called(None, "list_nodes", "ok", Duration::from_millis(30));
        metrics.sent(None, Some(200));
        metrics.sent(Some("paris"), None);
        metrics.refused(None, "scope");
        metrics.follows();
        let open = metrics.open();
        metrics.responded("POST", "/mcp", StatusCode::OK);
        let mut text = String::new();
        encode(&mut text, &metrics.0.registry).unwrap();
        for line in [
            "proxmox_mcp_calls_total{tool=\"list_nodes\",outcome=\"ok\"} 1",
            "proxmox_mcp_call_duration_seconds_bucket{tool=\"list_nodes\",le=\"0.05\"} 1",
            "proxmox_mcp_requests_total{status=\"200\"} 1",
            "proxmox_mcp_requests_total{status=\"none\",cluster=\"paris\"} 1",
            "proxmox_mcp_refused_requests_total{rule=\"scope\"} 1",
            "proxmox_mcp_tasks_following 1",
            "proxmox_mcp_http_open_requests 1",
            "proxmox_mcp_http_responses_total{method=\"POST\",path=\"/mcp\",status=\"200\"} 1",
        ] {
            assert!(text.lines().any(|one| one == line), "{line}: {text}");
        }
        assert_eq!(metrics.contact(), (Some(0), Some(0)));
        drop(open);
        metrics.followed();
        assert_eq!((metrics.0.open.get(), metrics.0.following.get()), (0, 0));
    }
}
