//! What each client over HTTP is served: by the sections of the policy that are for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::audit::AuditTarget;
use crate::cli::Operator;
use crate::commands::{CommandError, Parts};
use crate::http::{Profile, Profiles};
use crate::mcp::{Common, Endpoint, Server, ServerOptions};
use crate::offer::{Catalog, OfferError};
use crate::policy::{Clients, Policies, audit_target, rules};
use crate::remote::Remote;
use crate::sandbox::SharedMeter;
use crate::settings::FitToken;

/// What the profiles of all clients share, whatever the policy says.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) parts: Arc<Parts>,
    pub(super) options: ServerOptions,
    pub(super) common: Common,
    /// Ends all sessions and all responses that are streams.
    pub(super) streams: CancellationToken,
    pub(super) fit: FitToken,
    /// How many requests a call may make.
    pub(super) max_requests: u32,
}

/// The profiles of one reading of the policy, each made when its first client comes.
pub(super) struct Set {
    policies: Policies,
    shared: Shared,
    made: Mutex<Profiled>,
    /// By the sections that apply: a wider access token gives no more changes.
    meters: Mutex<HashMap<Vec<Option<usize>>, SharedMeter>>,
}

#[derive(Default)]
struct Profiled {
    all: HashMap<Clients, Made>,
    /// Others have taken their place.
    are_retired: bool,
}

/// A profile, and where its tools are from.
#[derive(Clone)]
struct Made {
    profile: Arc<Profile>,
    catalog: Arc<Catalog>,
}

impl Set {
    /// Reads the policy. What it says for the clients that it names is checked at once.
    pub(super) async fn read(
        operator: &Operator<'_>,
        shared: &Shared,
    ) -> Result<Arc<Self>, CommandError> {
        let set = Self {
            policies: operator.policies()?,
            shared: shared.clone(),
            made: Mutex::default(),
            meters: Mutex::default(),
        };
        for clients in set.policies.named() {
            set.make(&clients)?.catalog.check().await?;
        }
        Ok(Arc::new(set))
    }

    /// The tools of clients that the policy does not name.
    pub(super) fn unnamed(&self) -> Result<Arc<Catalog>, CommandError> {
        let made = self.make(&self.policies.clients(None, None))?;
        Ok(made.catalog)
    }

    /// Fails if the clients of a section are offered a tool that all others are not: a
    /// checksum does not cover it.
    pub(super) async fn check_covered(&self) -> Result<(), CommandError> {
        let unnamed = self.unnamed()?;
        let offer = unnamed.offer().await?;
        for clients in self.policies.named() {
            let made = self.make(&clients)?;
            let of_section = made.catalog.offer().await?;
            let mut tools = of_section.tools().iter();
            if let Some(more) = tools.find(|tool| offer.find(&tool.name).is_err()) {
                return Err(CommandError::Usage(format!(
                    "--tools-checksum does not cover the tool {}, which a section [[clients]] of \
                     the policy offers and the rest of it does not: offer it to all clients, or \
                     leave it out of the section",
                    more.name
                )));
            }
        }
        Ok(())
    }

    /// Where the policy wants the audit log.
    pub(super) fn audit_target(&self) -> Result<Option<AuditTarget>, CommandError> {
        let layers = self.policies.layers(&self.policies.clients(None, None))?;
        Ok(audit_target(layers.effective()))
    }

    /// Others have taken their place.
    pub(super) fn retire(&self) {
        let mut made = self.made();
        made.are_retired = true;
        for made in made.all.values() {
            made.profile.server.retire();
        }
    }

    fn make(&self, clients: &Clients) -> Result<Made, CommandError> {
        if let Some(made) = self.made().all.get(clients) {
            return Ok(made.clone());
        }
        let Shared {
            parts,
            options,
            common,
            streams,
            fit,
            max_requests,
        } = &self.shared;
        let layers = self.policies.layers(clients)?;
        let policy = layers.effective();
        let catalog = parts.catalog(policy, rules(policy, *max_requests)?, self.meter(clients));
        let catalog = Arc::new(catalog.fitting(*fit));
        let server = Server::new(Arc::clone(&catalog), *options, None, common);
        let endpoint = Endpoint::new(server.clone(), streams.clone(), common);
        let made = Made {
            profile: Arc::new(Profile { endpoint, server }),
            catalog,
        };
        // Another request may have made it meanwhile.
        let mut profiled = self.made();
        let made = profiled.all.entry(clients.clone()).or_insert(made).clone();
        if profiled.are_retired {
            made.profile.server.retire();
        }
        Ok(made)
    }

    fn meter(&self, clients: &Clients) -> SharedMeter {
        let mut meters = self.meters.lock().unwrap_or_else(PoisonError::into_inner);
        let meter = meters.entry(clients.sections().to_vec());
        Arc::clone(meter.or_default())
    }

    fn made(&self) -> MutexGuard<'_, Profiled> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Profiles for Set {
    fn of(&self, client: &Remote) -> Result<Arc<Profile>, String> {
        let clients = self.policies.clients(client.user.as_deref(), client.preset);
        let made = self.make(&clients).map_err(|error| {
            let name = client.user.as_deref().unwrap_or("-");
            tracing::error!("the policy cannot be used for the client {name}: {error}");
            "this server's policy for you cannot be used: ask its operator to look at its log"
                .to_owned()
        })?;
        Ok(made.profile)
    }
}

/// Reads the policy again, and serves by it from the next request on. Where it cannot be
/// used, the old one remains.
pub(super) async fn read_again(
    old: &Arc<Set>,
    operator: &Operator<'_>,
    approve: impl AsyncFnOnce(&Set, &Catalog) -> Result<(), CommandError>,
) -> Option<Arc<Set>> {
    let read = async {
        let set = Set::read(operator, &old.shared).await?;
        if let Some(lost) = set.policies.lost(&old.policies) {
            return Err(CommandError::Usage(format!(
                "{lost}: restart the server if that is meant"
            )));
        }
        let catalog = set.unnamed()?;
        catalog
            .check()
            .await
            .map_err(|error: OfferError| CommandError::from(error))?;
        approve(&set, &catalog).await?;
        if set.audit_target()? != old.audit_target()? {
            tracing::warn!("the policy names another audit log, which counts after a restart only");
        }
        Ok::<_, CommandError>(set)
    };
    match read.await {
        Ok(set) => {
            tracing::warn!("the policy was read again: it counts from the next request on");
            Some(set)
        }
        Err(error) => {
            tracing::error!("the policy was not read again, and the old one still counts: {error}");
            None
        }
    }
}
