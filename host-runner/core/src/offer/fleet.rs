//! The tools of one cluster, or those of several: then each tool has the argument
//! `cluster_name`, which the component knows nothing of.

use std::sync::Arc;

use serde_json::{Map, Value};
use tokio::sync::OnceCell;
use tokio::task::JoinSet;

use super::{Catalog, Declares, NotOffered, Offer, OfferError, Surface, joined};
use crate::engine::{self, ArgumentProblem, InvalidArguments, LoadError, Plugin, Tool, ToolError};
use crate::guide::{self, CLUSTER as NAME, Guide};
use crate::settings::ALL_CLUSTERS;

/// The clusters that tools can be called for, and what they offer together.
pub(crate) struct Fleet {
    first: Arc<Catalog>,
    /// All of them by their names; empty if there is only one.
    several: Vec<Member>,
    unfitted: OnceCell<Offer>,
    offer: OnceCell<Offer>,
    guide: OnceCell<Guide>,
}

/// A cluster of several.
#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) name: Arc<str>,
    pub(crate) catalog: Arc<Catalog>,
}

/// Which cluster a call is for.
pub(crate) enum Target {
    /// The only one there is.
    Only(Arc<Catalog>),
    /// This one of several.
    One(Member),
    /// All that offer the tool, which only reads.
    All(Vec<Member>),
}

impl Fleet {
    /// One cluster, whose tools stay as they are.
    pub(crate) fn of_one(catalog: Catalog) -> Self {
        Self::with(Arc::new(catalog), Vec::new())
    }

    /// One cluster, or several by their names. None without any.
    pub(crate) fn from_catalogs(catalogs: Vec<(Option<Arc<str>>, Catalog)>) -> Option<Self> {
        let mut catalogs = catalogs.into_iter();
        let (name, first) = catalogs.next()?;
        let others: Vec<_> = catalogs
            .filter_map(|(name, catalog)| Some((name?, catalog)))
            .collect();
        Some(match name {
            Some(name) if !others.is_empty() => Self::of_several((name, first), others),
            _ => Self::of_one(first),
        })
    }

    /// Several clusters by their names.
    fn of_several(first: (Arc<str>, Catalog), others: Vec<(Arc<str>, Catalog)>) -> Self {
        let member = |(name, catalog): (Arc<str>, Catalog)| Member {
            name,
            catalog: Arc::new(catalog),
        };
        let first = member(first);
        let catalog = Arc::clone(&first.catalog);
        let mut several = vec![first];
        several.extend(others.into_iter().map(member));
        Self::with(catalog, several)
    }

    fn with(first: Arc<Catalog>, several: Vec<Member>) -> Self {
        Self {
            first,
            several,
            unfitted: OnceCell::new(),
            offer: OnceCell::new(),
            guide: OnceCell::new(),
        }
    }

    /// Whether calls name their cluster.
    pub(crate) fn is_several(&self) -> bool {
        !self.several.is_empty()
    }

    fn catalogs(&self) -> impl Iterator<Item = &Arc<Catalog>> {
        let only = self.several.is_empty().then_some(&self.first);
        let several = self.several.iter().map(|member| &member.catalog);
        only.into_iter().chain(several)
    }

    /// The other arguments of a call of a tool, and the cluster that it is for.
    pub(crate) async fn target(
        &self,
        tool: &Tool,
        arguments: &mut Map<String, Value>,
    ) -> Result<Target, ToolError> {
        if !self.is_several() {
            return Ok(Target::Only(Arc::clone(&self.first)));
        }
        let value = arguments.shift_remove(NAME);
        let name = match &value {
            Some(Value::String(name)) => name.as_str(),
            _ => return Err(self.unknown(tool)),
        };
        if name == ALL_CLUSTERS && tool.annotations.read_only {
            let mut offering = Vec::new();
            for member in &self.several {
                let offer = member.catalog.offer().await.map_err(faulty)?;
                if offer.find(&tool.name).is_ok() {
                    offering.push(member.clone());
                }
            }
            return Ok(Target::All(offering));
        }
        let member = self.member(name).ok_or_else(|| self.unknown(tool))?;
        Ok(Target::One(member.clone()))
    }

    /// The cluster of this name.
    pub(crate) fn member(&self, name: &str) -> Option<&Member> {
        self.several.iter().find(|member| &*member.name == name)
    }

    /// The catalog of a cluster: a name is needed if there are several, and only then.
    pub(crate) fn of(&self, name: Option<&str>) -> Option<&Arc<Catalog>> {
        match name {
            Some(name) => Some(&self.member(name)?.catalog),
            None => (!self.is_several()).then_some(&self.first),
        }
    }

    fn names(&self) -> Vec<&str> {
        self.several.iter().map(|member| &*member.name).collect()
    }

    fn unknown(&self, tool: &Tool) -> ToolError {
        let mut names = self.names();
        if tool.annotations.read_only {
            names.push(ALL_CLUSTERS);
        }
        let message = format!(
            "must be the cluster that the call is for: {}",
            names.join(", ")
        );
        ToolError::InvalidArguments(InvalidArguments {
            message: format!("{NAME}: {message}"),
            problems: vec![ArgumentProblem {
                pointer: format!("/{NAME}"),
                message,
            }],
        })
    }

    /// What is offered. A tool is offered if any of the clusters offers it.
    pub(crate) async fn offer(&self) -> Result<&Offer, OfferError> {
        if !self.is_several() {
            return self.first.offer().await;
        }
        let merge = || async {
            // Those that do not answer are waited for at the same time.
            let mut asked = JoinSet::new();
            for catalog in self.catalogs() {
                let catalog = Arc::clone(catalog);
                asked.spawn(async move { catalog.offer().await.is_ok() });
            }
            asked.join_all().await;
            let mut offers = Vec::new();
            for member in &self.several {
                offers.push((&*member.name, member.catalog.offer().await?));
            }
            Offer::merged(&offers)
        };
        self.offer.get_or_try_init(merge).await
    }

    /// The same, where that is known already.
    pub(crate) fn offered(&self) -> Option<&Offer> {
        match self.is_several() {
            true => self.offer.get(),
            false => self.first.offered(),
        }
    }

    /// Fails where nothing could be offered, whatever the tokens may do.
    pub(crate) async fn check(&self) -> Result<(), OfferError> {
        match self.is_several() {
            true => self.unfitted().await.map(drop),
            false => self.first.check().await,
        }
    }

    async fn unfitted(&self) -> Result<&Offer, OfferError> {
        let merge = || async {
            let mut offers = Vec::new();
            for member in &self.several {
                offers.push((&*member.name, &**member.catalog.unfitted().await?));
            }
            Offer::merged(&offers)
        };
        self.unfitted.get_or_try_init(merge).await
    }

    /// Asks what the tokens may do, without waiting for it.
    pub(crate) fn ask_for_privileges(&self) {
        for catalog in self.catalogs() {
            let catalog = Arc::clone(catalog);
            tokio::spawn(async move { catalog.held_privileges().await.is_some() });
        }
    }

    /// Does ahead of time what the first requests would have to wait for.
    pub(crate) async fn prepare(&self) {
        for catalog in self.catalogs() {
            catalog.prepare().await;
        }
    }

    /// The component, in the sandbox of the only cluster or the first one.
    pub(crate) async fn plugin(&self) -> Result<Arc<Plugin>, LoadError> {
        self.first.plugin().await
    }

    /// Learns all that the instructions say, if that was not done yet. Whether all of it is
    /// known.
    pub(crate) async fn read_instructions(&self) -> bool {
        let mut read = JoinSet::new();
        for catalog in self.catalogs() {
            let catalog = Arc::clone(catalog);
            read.spawn(async move { catalog.read_instructions().await });
        }
        read.join_all()
            .await
            .into_iter()
            .all(|is_complete| is_complete)
    }

    /// How to use the tools, and which ones there could be, for a model; empty where
    /// that is not known.
    pub(crate) fn instructions(&self) -> String {
        if !self.is_several() {
            return self.first.instructions();
        }
        let of_component = self.first.instructions.get().cloned().unwrap_or_default();
        let notes = |catalog: &Catalog| catalog.notes.get().cloned().unwrap_or_default();
        self.together(of_component, notes)
    }

    /// The component's instructions, which clusters there are, and what each of them says of
    /// tools that it does not offer.
    fn together(&self, of_component: String, notes: impl Fn(&Catalog) -> String) -> String {
        let mut text = format!(
            "This server reaches several Proxmox VE clusters: {}. The argument {NAME} says which \
             one a call is for; a tool that only reads takes {ALL_CLUSTERS:?}, too. Guests, nodes \
             and tasks of a cluster are unknown to the others.",
            self.names().join(", ")
        );
        for member in &self.several {
            let notes = notes(&member.catalog);
            if !notes.is_empty() {
                text.push_str(&format!("\nOf the cluster {}: {notes}", member.name));
            }
        }
        joined([of_component, text])
    }

    /// What is offered besides the tools. Of several clusters, each has its own resources,
    /// and there are no views: they know nothing of clusters.
    pub(crate) async fn guide(&self) -> Result<&Guide, OfferError> {
        if !self.is_several() {
            return self.first.guide().await;
        }
        let read = || async {
            let mut offers = Vec::new();
            for member in &self.several {
                offers.push((&*member.name, member.catalog.offer().await?));
            }
            self.guide_for(self.offer().await?, &offers).await
        };
        self.guide.get_or_try_init(read).await
    }

    async fn guide_for(
        &self,
        merged: &Offer,
        offers: &[(&str, &Offer)],
    ) -> Result<Guide, OfferError> {
        let declared = self.first.declared().await?;
        let resources = offers.iter().flat_map(|(name, offer)| {
            let offered = declared.resources.iter().cloned();
            let offered = offered.filter(|one| offer.find(&one.tool).is_ok());
            offered.filter_map(|one| guide::of_cluster(one, name))
        });
        let declared = engine::Guide {
            resources: resources.collect(),
            suggestions: declared.suggestions.clone(),
            prompts: declared.prompts.clone(),
            views: Vec::new(),
        };
        Ok(Guide::new(
            declared,
            merged.tools(),
            &self.first.choice.prompts,
        ))
    }

    /// Whether a URI may be one of a resource, as far as that can be said without waiting.
    pub(crate) fn may_have(&self, uri: &str) -> bool {
        if !self.is_several() {
            return self.first.may_have(uri);
        }
        if let Some(guide) = self.guide.get() {
            return guide.resource(uri).is_some();
        }
        let mut within = self
            .several
            .iter()
            .filter_map(|member| guide::within_cluster(uri, &member.name));
        within.any(|uri| self.first.may_have(&uri))
    }

    /// What there may be besides the tools.
    pub(crate) fn declares(&self) -> Declares {
        let declared = self.first.declares();
        match self.is_several() {
            true => Declares {
                views: false,
                ..declared
            },
            false => declared,
        }
    }

    /// All that clients are shown, whatever the tokens may do.
    pub(crate) async fn surface(&self) -> Result<Surface<'_>, OfferError> {
        if !self.is_several() {
            return self.first.surface().await;
        }
        let offer = self.unfitted().await?;
        let mut offers = Vec::new();
        for member in &self.several {
            offers.push((&*member.name, &**member.catalog.unfitted().await?));
        }
        let instructions = self.first.loader.instructions().await?;
        let instructions = instructions.map_err(OfferError::Tools)?;
        let notes = |catalog: &Catalog| {
            let offer = catalog.unfitted.get();
            offer.map(|offer| offer.notes()).unwrap_or_default()
        };
        Ok(Surface {
            instructions: self.together(instructions, notes),
            tools: offer.tools(),
            guide: self.guide_for(offer, &offers).await?,
        })
    }

    /// The tools that would be offered if the operator had chosen none. Empty where the
    /// component cannot be used.
    pub(crate) async fn without_choice(&self) -> Vec<Tool> {
        self.first.without_choice().await
    }
}

fn faulty(error: OfferError) -> ToolError {
    ToolError::Internal(error.to_string())
}

impl Target {
    /// The one cluster that a call is for, with its own form of the tool. None: it is for all.
    pub(crate) async fn one<'a>(
        &'a self,
        tool: &'a Tool,
    ) -> Result<Option<(&'a Arc<Catalog>, &'a Tool)>, ToolError> {
        Ok(match self {
            Self::Only(catalog) => Some((catalog, tool)),
            Self::One(member) => Some((&member.catalog, member.find(&tool.name).await?)),
            Self::All(_) => None,
        })
    }
}

impl Member {
    /// The tool of this name in this cluster, with the cluster's own reason where it is not
    /// offered.
    pub(crate) async fn find(&self, name: &str) -> Result<&Tool, ToolError> {
        let offer = self.catalog.offer().await.map_err(faulty)?;
        offer.find(name).map_err(|error| {
            let text = format!("cluster {}: {error}", self.name);
            match error {
                NotOffered::Unknown { .. } => ToolError::UnknownTool(text),
                _ => ToolError::Denied(text),
            }
        })
    }
}
