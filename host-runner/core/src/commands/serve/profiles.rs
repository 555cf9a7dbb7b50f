//! What each client over HTTP is served: by the sections of the policy that are for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use host_runner_policy::Preset;
use tokio_util::sync::CancellationToken;

use crate::audit::AuditTarget;
use crate::cli::Operator;
use crate::commands::{CommandError, Parts};
use crate::http::{Profile, Profiles};
use crate::mcp::{Common, Endpoint, Server, ServerOptions};
use crate::offer::{Fleet, OfferError};
use crate::policy::{Clients, Policies, audit_target, rules};
use crate::remote::Remote;
use crate::sandbox::SharedMeter;
use crate::settings::FitToken;

/// What the profiles of all clients share, whatever the policy says.
#[derive(Clone)]
pub(super) struct Shared {
    /// One for each cluster.
    pub(super) parts: Arc<Vec<Parts>>,
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
    /// One for each cluster.
    policies: Vec<Policies>,
    shared: Shared,
    made: Mutex<Profiled>,
    /// By the sections that apply: a wider access token gives no more changes.
    meters: Mutex<HashMap<Counted, SharedMeter>>,
}

/// Whose changes are counted together: those for a cluster under the same sections.
type Counted = (usize, Vec<Option<usize>>);

#[derive(Default)]
struct Profiled {
    all: HashMap<Vec<Clients>, Made>,
    /// Others have taken their place.
    are_retired: bool,
}

/// A profile, and where its tools are from.
#[derive(Clone)]
struct Made {
    profile: Arc<Profile>,
    catalog: Arc<Fleet>,
}

impl Set {
    /// Reads the policy. What it says for the clients that it names is checked at once.
    pub(super) async fn read(
        operators: &[Operator<'_>],
        shared: &Shared,
    ) -> Result<Arc<Self>, CommandError> {
        let policies = operators.iter().map(Operator::policies);
        let set = Self {
            policies: policies.collect::<Result<_, _>>()?,
            shared: shared.clone(),
            made: Mutex::default(),
            meters: Mutex::default(),
        };
        for clients in set.named() {
            set.make(&clients)?.catalog.check().await?;
        }
        Ok(Arc::new(set))
    }

    /// The tools of clients that the policy does not name.
    pub(super) fn unnamed(&self) -> Result<Arc<Fleet>, CommandError> {
        Ok(self.make(&self.clients(None, None))?.catalog)
    }

    /// Which clients of each cluster's policy a client is one of.
    fn clients(&self, name: Option<&str>, most: Option<Preset>) -> Vec<Clients> {
        let policies = self.policies.iter();
        policies.map(|one| one.clients(name, most)).collect()
    }

    /// The clients of each section, as if the policies of other clusters had none.
    fn named(&self) -> Vec<Vec<Clients>> {
        let policies = self.policies.iter().enumerate();
        let named = policies
            .flat_map(|(at, policies)| policies.named().into_iter().map(move |one| (at, one)));
        let all = named.map(|(at, of_one)| {
            let mut all = self.clients(None, None);
            if let Some(place) = all.get_mut(at) {
                *place = of_one;
            }
            all
        });
        all.collect()
    }

    /// Fails if the clients of a section are offered a tool that all others are not: a
    /// checksum does not cover it.
    pub(super) async fn check_covered(&self) -> Result<(), CommandError> {
        let unnamed = self.unnamed()?;
        let offer = unnamed.offer().await?;
        for clients in self.named() {
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

    /// Where the policies want their audit logs, and whether changes need them.
    fn audits(&self) -> Result<Vec<(Option<AuditTarget>, bool)>, CommandError> {
        let audits = self.policies.iter().map(|policies| {
            let layers = policies.layers(&policies.clients(None, None))?;
            let policy = layers.effective();
            let required = policy.audit.required.unwrap_or(true);
            Ok((audit_target(policy), required))
        });
        audits.collect()
    }

    /// Others have taken their place.
    pub(super) fn retire(&self) {
        let mut made = self.made();
        made.are_retired = true;
        for made in made.all.values() {
            made.profile.server.retire();
        }
    }

    fn make(&self, clients: &[Clients]) -> Result<Made, CommandError> {
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
        let of_each = parts.iter().zip(&self.policies).zip(clients).enumerate();
        let catalogs = of_each.map(|(at, ((parts, policies), clients))| {
            let layers = policies.layers(clients)?;
            let policy = layers.effective();
            let rules = rules(policy, *max_requests)?;
            let catalog = parts.catalog(policy, rules, self.meter(at, clients));
            Ok((parts.name().cloned(), catalog.fitting(*fit)))
        });
        let catalogs = catalogs.collect::<Result<_, CommandError>>()?;
        let catalog = Arc::new(Fleet::from_catalogs(catalogs).ok_or(OfferError::Nothing)?);
        let server = Server::new(Arc::clone(&catalog), *options, None, common);
        let endpoint = Endpoint::new(server.clone(), streams.clone(), common);
        let made = Made {
            profile: Arc::new(Profile { endpoint, server }),
            catalog,
        };
        // Another request may have made it meanwhile.
        let mut profiled = self.made();
        let made = profiled.all.entry(clients.to_vec()).or_insert(made).clone();
        if profiled.are_retired {
            made.profile.server.retire();
        }
        Ok(made)
    }

    fn meter(&self, cluster: usize, clients: &Clients) -> SharedMeter {
        let mut meters = self.meters.lock().unwrap_or_else(PoisonError::into_inner);
        let meter = meters.entry((cluster, clients.sections().to_vec()));
        Arc::clone(meter.or_default())
    }

    fn made(&self) -> MutexGuard<'_, Profiled> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Profiles for Set {
    fn of(&self, client: &Remote) -> Result<Arc<Profile>, String> {
        let clients = self.clients(client.user.as_deref(), client.preset);
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
    operators: &[Operator<'_>],
    approve: impl AsyncFnOnce(&Set, &Fleet) -> Result<(), CommandError>,
) -> Option<Arc<Set>> {
    let read = async {
        let set = Set::read(operators, &old.shared).await?;
        let pairs = set.policies.iter().zip(&old.policies);
        let mut lost = pairs.filter_map(|(now, before)| now.lost(before));
        if let Some(lost) = lost.next() {
            return Err(CommandError::Usage(format!(
                "{lost}: restart the server if that is meant"
            )));
        }
        let catalog = set.unnamed()?;
        catalog.check().await?;
        approve(&set, &catalog).await?;
        if set.audits()? != old.audits()? {
            tracing::warn!(
                "the policy says something else of the audit log, which counts after a restart only"
            );
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
