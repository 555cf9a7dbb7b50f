//! pvestatd: each node tells the cluster every ten seconds how it and its guests are.
//!
//! `/cluster/resources` and `/nodes` show these reports, so they lag behind; what a node
//! answers itself is always current.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::figures::{guest_figures, node_figures, storage_figures};
use crate::state::{CYCLE, Cluster, Pvestatd, Report};

/// What is older is not shown.
const KEPT: Duration = Duration::from_mins(5);

impl Cluster {
    /// What was last reported of a guest, unless that is too old.
    pub(crate) fn reported_guest(&self, vmid: u32) -> Option<&Map<String, Value>> {
        self.fresh(self.reports.guests.get(&vmid)?)
    }

    pub(crate) fn reported_node(&self, node: &str) -> Option<&Map<String, Value>> {
        self.fresh(self.reports.nodes.get(node)?)
    }

    /// Whether the node has reported at all since it joined.
    pub(crate) fn has_reported(&self, node: &str) -> bool {
        self.reports.nodes.contains_key(node)
    }

    pub(crate) fn reported_storage(
        &self,
        node: &str,
        storage: &str,
    ) -> Option<&Map<String, Value>> {
        let key = (node.to_owned(), storage.to_owned());
        self.fresh(self.reports.storages.get(&key)?)
    }

    fn fresh<'a>(&self, report: &'a Report) -> Option<&'a Map<String, Value>> {
        (self.clock.at().saturating_sub(report.at) < KEPT).then_some(&report.figures)
    }

    /// Has the nodes report whose time comes until then. Nothing else has happened since the
    /// last event, so that only the last round counts.
    pub(crate) fn report_until(&mut self, until: Duration) {
        self.reports
            .guests
            .retain(|vmid, _| self.guests.contains_key(vmid));
        for at in 0..self.nodes.len() {
            let Some(node) = self.nodes.get_mut(at).filter(|node| node.online) else {
                continue;
            };
            let Pvestatd::Runs { next } = node.pvestatd else {
                continue;
            };
            if next > until {
                continue;
            }
            let rounds = (until - next).as_secs() / CYCLE.as_secs();
            let last = next + CYCLE * u32::try_from(rounds).unwrap_or(u32::MAX);
            node.pvestatd = Pvestatd::reported(last);
            let name = node.name.clone();
            self.clock.reach(last);
            self.report(&name);
        }
    }

    /// One round of a node's pvestatd.
    pub(crate) fn report(&mut self, node: &str) {
        let at = self.clock.at();
        let report = |figures: Value| Report {
            at,
            figures: match figures {
                Value::Object(figures) => figures,
                _ => Map::new(),
            },
        };
        let guests: Vec<(u32, Report)> = self
            .guests
            .values()
            .filter(|guest| guest.node == node)
            .map(|guest| (guest.vmid, report(guest_figures(guest))))
            .collect();
        let storages: Vec<(String, Report)> = self
            .storages
            .iter()
            .filter(|storage| storage.enabled && storage.on(node))
            .map(|storage| {
                (
                    storage.id.clone(),
                    report(storage_figures(self, storage, node)),
                )
            })
            .collect();
        let own = self
            .node(node)
            .map(|found| report(node_figures(self, found)));
        self.reports.guests.extend(guests);
        self.reports.storages.extend(
            storages
                .into_iter()
                .map(|(storage, report)| ((node.to_owned(), storage), report)),
        );
        if let Some(own) = own {
            self.reports.nodes.insert(node.to_owned(), own);
        }
    }

    /// Has pvestatd of every node that runs one report now.
    pub(crate) fn report_all(&mut self) {
        let at = self.clock.at();
        let mut names = Vec::new();
        for node in self.nodes.iter_mut().filter(|node| node.online) {
            if node.pvestatd != Pvestatd::Stopped {
                node.pvestatd = Pvestatd::reported(at);
                names.push(node.name.clone());
            }
        }
        for name in names {
            self.report(&name);
        }
    }

    /// Reports one guest as it is, as if it had been so for long.
    pub(crate) fn report_guest(&mut self, vmid: u32) {
        let at = self.clock.at();
        if let Some(guest) = self.guests.get(&vmid)
            && let Value::Object(figures) = guest_figures(guest)
            && self
                .node(&guest.node)
                .is_some_and(|node| node.online && node.pvestatd != Pvestatd::Stopped)
        {
            self.reports.guests.insert(vmid, Report { at, figures });
        }
    }

    /// Stops a node's pvestatd, or starts it: it reports after one cycle.
    pub(crate) fn run_pvestatd(&mut self, node: &str, runs: bool) {
        let at = self.clock.at();
        if let Some(node) = self.nodes.iter_mut().find(|known| known.name == node) {
            node.pvestatd = if runs {
                Pvestatd::reported(at)
            } else {
                Pvestatd::Stopped
            };
        }
    }

    /// Forgets what a node has reported, as when it has been away for long.
    pub(crate) fn forget_reports(&mut self, node: &str) {
        let guests = &self.guests;
        self.reports
            .guests
            .retain(|vmid, _| guests.get(vmid).is_some_and(|guest| guest.node != node));
        self.reports.nodes.remove(node);
        self.reports.storages.retain(|(name, _), _| name != node);
    }
}
