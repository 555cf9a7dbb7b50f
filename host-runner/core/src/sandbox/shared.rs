//! What all calls share: the upstream, the policy, the meters and what is known
//! of the cluster.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use host_runner_policy::fit::Held;
use host_runner_policy::{
    ACTIONS, API_PATH, ApiRequest, Caps, Confirm, Directory, Fallback, Meter, Policy, Preset,
    lookup, read_inventory, read_nodes,
};
use tokio::sync::{OnceCell, Semaphore};

use super::ask;
use super::guests::Guests;
use super::limits::{COPIES_OF_AN_ANSWER, MAX_CALL_BYTES, MAX_RESPONSE_BYTES, REQUEST_TIMEOUT};
use super::nodes::Nodes;
use super::terms::Terms;
use super::tls::TrustError;
use super::upstream::Upstream;
use crate::audit::Audit;
use crate::budget::Budget;
use crate::settings::Settings;
use crate::shares::Shares;

/// A cluster, and what is known of it, whatever the policy.
pub(crate) struct Cluster {
    /// Its name, where there are several.
    pub(super) name: Option<Arc<str>>,
    /// Without one, nothing leaves.
    pub(super) upstream: Option<Upstream>,
    pub(super) guests: Guests,
    pub(super) nodes: Nodes,
    /// For the host's own questions, separate from that of the calls: a call
    /// that waits for the answer must not hold the memory for it.
    pub(super) own_budget: Arc<Budget>,
}

/// Counts changes, for one policy or for several.
pub(crate) type SharedMeter = Arc<Mutex<Meter>>;

/// What all calls of the process share, whatever their cluster and policy.
pub(crate) struct Capacity {
    pub(super) budget: Arc<Budget>,
    /// Held while a large answer is filtered.
    pub(super) filtering: Semaphore,
    /// Limits the calls that wait for their users.
    pub(super) waiting: Shares,
}

/// What all calls under a policy share. Each call has a [`Gate`](super::gate::Gate) of its
/// own.
pub(crate) struct Sandbox {
    pub(super) cluster: Arc<Cluster>,
    pub(super) capacity: Arc<Capacity>,
    pub(super) rules: Rules,
    /// The same, for tools that are dangerous and allowed.
    dangerous: Policy,
    meter: SharedMeter,
    /// What the scope names and the cluster does not have, once it was looked
    /// for.
    missing: OnceCell<Vec<String>>,
    /// Whether this has been started.
    looks_for_missing: AtomicBool,
    pub(super) audit: Option<Audit>,
}

/// What the operator permits.
pub(crate) struct Rules {
    /// Which requests.
    pub policy: Policy,
    /// How many in a minute.
    pub caps: Caps,
    /// How many a call may make.
    pub max_requests: u32,
    /// Which changes the user is asked about first.
    pub confirm: Confirm,
    /// What happens to such a change where the user cannot be asked.
    pub fallback: Fallback,
}

impl Cluster {
    /// The configured one. Nothing is sent yet.
    pub(crate) fn new(settings: &Settings) -> Result<Arc<Self>, TrustError> {
        let upstream = Upstream::new(settings)?;
        Ok(Self::with_upstream(
            Some(upstream),
            settings.cluster.clone(),
        ))
    }

    fn with_upstream(upstream: Option<Upstream>, name: Option<Arc<str>>) -> Arc<Self> {
        let own_budget = Budget::for_host(COPIES_OF_AN_ANSWER * MAX_RESPONSE_BYTES);
        Arc::new(Self {
            name,
            upstream,
            guests: Guests::new(Arc::clone(&own_budget)),
            nodes: Nodes::new(Arc::clone(&own_budget)),
            own_budget,
        })
    }

    /// What Proxmox answers to a question of the host's own. None where it does not.
    async fn ask(&self, path: &str) -> Option<Bytes> {
        let account = self.own_budget.account();
        let answer = self.upstream.as_ref()?.ask(path, REQUEST_TIMEOUT, &account);
        let answer = answer.await.ok()?;
        answer.status().is_success().then(|| answer.into_body())
    }
}

impl Capacity {
    pub(crate) fn new(budget: Arc<Budget>) -> Arc<Self> {
        Arc::new(Self {
            budget,
            filtering: Semaphore::new(1),
            waiting: Shares::new(ask::MAX_WAITING),
        })
    }
}

impl Sandbox {
    /// Sends to this cluster, by these rules.
    pub(crate) fn new(
        cluster: &Arc<Cluster>,
        capacity: &Arc<Capacity>,
        mut rules: Rules,
        audit: Option<Audit>,
        meter: SharedMeter,
    ) -> Self {
        // The request of a dangerous action does not show what it does: it is
        // reserved for tools that the operator has allowed as dangerous.
        let dangerous = ACTIONS
            .into_iter()
            .map(|(action, _)| action)
            .filter(|action| action.is_dangerous());
        let mut policy = rules.policy.clone();
        for action in dangerous {
            policy.actions.insert(action);
            rules.policy.actions.remove(&action);
        }
        Self {
            cluster: Arc::clone(cluster),
            capacity: Arc::clone(capacity),
            rules,
            dangerous: policy,
            meter,
            missing: OnceCell::new(),
            looks_for_missing: AtomicBool::new(false),
            audit,
        }
    }

    /// Sends nothing: for inspecting a component without settings.
    pub(crate) fn sealed(instance_bytes: usize) -> Self {
        let rules = Rules {
            policy: Policy::preset(Preset::Observe),
            caps: Caps::default(),
            max_requests: 0,
            confirm: Confirm::Never,
            fallback: Fallback::Refuse,
        };
        let capacity = Capacity::new(Budget::new(instance_bytes, MAX_CALL_BYTES));
        Self::new(
            &Cluster::with_upstream(None, None),
            &capacity,
            rules,
            None,
            SharedMeter::default(),
        )
    }

    /// The name of the token that requests go with: `user@realm!name`.
    pub(super) fn token(&self) -> Option<&str> {
        Some(&self.cluster.upstream.as_ref()?.token)
    }

    /// The name of its cluster, where there are several.
    pub(crate) fn cluster(&self) -> Option<&Arc<str>> {
        self.cluster.name.as_ref()
    }

    /// Does ahead of time what the first request would have to wait for:
    /// nothing is sent.
    pub(crate) async fn prepare(&self) {
        if let Some(upstream) = &self.cluster.upstream {
            upstream.prepare().await;
        }
    }

    /// The privileges that the token has. None where the policy refuses the question,
    /// where Proxmox does not answer it, or where the token has none at all.
    pub(crate) async fn held_privileges(&self) -> Option<Held> {
        self.cluster.upstream.as_ref()?;
        let path = format!("{API_PATH}{}", lookup::PERMISSIONS);
        let request = ApiRequest::parse("GET", &path, None, b"").ok()?;
        let verdict = self.rules.policy.decide(Ok(&request), &Directory::new());
        if !verdict.allowed {
            tracing::debug!("the token's privileges are not read: {}", verdict.reason);
            return None;
        }
        Held::read(&self.cluster.ask(lookup::PERMISSIONS).await?)
    }

    /// What the policy's scope names and the cluster does not show to this
    /// token, in words. It is asked for once, and then written to the log;
    /// empty if Proxmox cannot be asked.
    pub(crate) async fn missing_of_scope(&self) -> &[String] {
        let missing = self.missing.get_or_try_init(|| async {
            let missing = self.look_for_missing().await.ok_or(())?;
            for line in &missing {
                match self.cluster() {
                    Some(name) => tracing::warn!("cluster {name}: {line}"),
                    None => tracing::warn!("{line}"),
                }
            }
            Ok::<_, ()>(missing)
        });
        missing.await.map_or(&[], Vec::as_slice)
    }

    async fn look_for_missing(&self) -> Option<Vec<String>> {
        let scope = &self.rules.policy.scope;
        if self.cluster.upstream.is_none() || !scope.is_limited() {
            return Some(Vec::new());
        }
        let resources = self.cluster.ask(lookup::RESOURCES).await?;
        let mut inventory = read_inventory(&resources)?;
        if !scope.nodes.is_empty() {
            // A token without rights sees the nodes here.
            let nodes = self.cluster.ask(lookup::NODES).await?;
            inventory.nodes.extend(read_nodes(&nodes)?);
        }
        Some(scope.missing(&inventory))
    }

    /// The same in the background, for a server whose operator reads the log.
    pub(super) fn warn_of_missing(self: &Arc<Self>) {
        if self.rules.policy.scope.is_limited()
            && !self.looks_for_missing.swap(true, Ordering::Relaxed)
        {
            let sandbox = Arc::clone(self);
            tokio::spawn(async move { sandbox.missing_of_scope().await.len() });
        }
    }

    pub(super) fn policy(&self, terms: &Terms) -> &Policy {
        match terms.dangerous {
            true => &self.dangerous,
            false => &self.rules.policy,
        }
    }

    pub(super) fn lock_meter(&self) -> MutexGuard<'_, Meter> {
        self.meter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
