//! `get_ha`: high availability in one answer: the manager, its resources and
//! rules, and what does not work.

use std::collections::BTreeMap;

use pve_api::calls;
use schemars::JsonSchema;

use crate::error::Result;
use crate::json::{DeserializeFields, SerializeFields};
use crate::order::{self, Ordered as _};
use crate::pve::{At, Guest, HaEntry, HaRule, Params, Pve, Vmid, guests};
use crate::tool::declared::{Calls, LOOK_UP};
use crate::tool::{Offset, Page, Part, Reply, Run, bounds};
use crate::tools::cluster::task::RawTask;
use crate::tools::finding::{Finding, Severity, summary, visible_ha_rules};
use crate::{text, tool_names};

/// High availability.
#[derive(Debug, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GetHa {
    /// Only this guest and its rules.
    vmid: Option<Vmid>,
    /// Of resources. Default 100.
    #[schemars(range(min = 1, max = 500))]
    limit: Option<u32>,
    /// Resources to skip.
    offset: Option<Offset>,
}

const DEFAULT_LIMIT: u32 = 100;

#[derive(Debug, SerializeFields, JsonSchema)]
pub(crate) struct HaState {
    /// The most urgent first.
    findings: Vec<Finding>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quorate: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    manager: Option<Manager>,
    /// `armed`, or `standby` where it has nothing to watch.
    #[serde(skip_serializing_if = "Option::is_none")]
    fencing: Option<String>,
    /// The manager's part on each node (LRM).
    nodes: Vec<HaNode>,
    /// Those with trouble first.
    resources: Vec<Resource>,
    resources_total: usize,
    rules: Vec<Rule>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_visible: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(Debug, SerializeFields, JsonSchema)]
struct Manager {
    node: String,
    state: String,
}

#[derive(Debug, SerializeFields, JsonSchema)]
struct HaNode {
    node: String,
    state: String,
}

#[derive(Debug, SerializeFields, JsonSchema)]
struct Resource {
    /// `vm:100` or `ct:100`.
    sid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    vmid: Option<Vmid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    node: String,
    /// What the manager does with it now.
    state: String,
    /// What it shall be: started, stopped, disabled or ignored.
    #[serde(skip_serializing_if = "Option::is_none")]
    requested: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_restart: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_relocate: Option<u64>,
    /// Whether it moves back to its preferred node.
    #[serde(skip_serializing_if = "Option::is_none")]
    failback: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
    /// Its last failed task in words, of one in error.
    #[serde(skip)]
    last_failure: Option<String>,
}

#[derive(Debug, SerializeFields, JsonSchema)]
struct Rule {
    rule: String,
    /// `node-affinity` or `resource-affinity`.
    #[serde(rename = "type")]
    kind: String,
    enabled: bool,
    resources: Vec<String>,
    /// With a priority each: `pve1:2`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    nodes: Vec<String>,
    /// Whether it may run on no other node.
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
    /// `positive`: together on a node; `negative`: apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    affinity: Option<String>,
    /// What Proxmox finds wrong with the rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
}

const MOST_RULES: usize = 100;
const MOST_NODES: usize = 64;
const MOST_FINDINGS: usize = 50;
const TEXT_LENGTH: usize = 200;

/// For how many services in error the last failed tasks are looked up.
const MOST_LOOKED_INTO: usize = 5;

impl Run for GetHa {
    type Output = HaState;

    const CALLS: &'static [Calls] = &[
        Calls::All(LOOK_UP),
        Calls::One(&calls::cluster::HA_STATUS),
        Calls::One(&calls::cluster::HA_RULES),
        Calls::One(&calls::nodes::TASKS),
    ];

    fn run(self, pve: &Pve) -> Result<Reply<HaState>> {
        let entries: Vec<HaEntry> = pve.send(&calls::cluster::HA_STATUS.at([]), &Params::new())?;
        let mut not_visible = Vec::new();
        let rules = visible_ha_rules(pve, "rules", &mut not_visible);
        let guests = guests(pve).unwrap_or_default();
        let is_known = |vmid: Vmid| guests.iter().any(|guest| guest.vmid == vmid);
        let names: BTreeMap<Vmid, String> = guests
            .iter()
            .filter_map(|guest| Some((guest.vmid, guest.name.clone()?)))
            .ordered();
        let mut state = HaState::new(entries, rules, &names, self.vmid, not_visible);
        let mut notes = Vec::new();
        if let Some(vmid) = self.vmid.filter(|_| state.resources.is_empty()) {
            if !is_known(vmid) {
                Guest::find(pve, vmid)?;
            }
            notes.push(format!("guest {vmid} is not under HA"));
        }
        state.look_into_errors(pve);
        state.findings = state.look();
        let text = state.text();
        let page = Page::new(self.offset, self.limit, DEFAULT_LIMIT);
        let part = state.shorten(page, notes);
        Ok(Reply::Listed(state, text, part))
    }
}

fn vmid_of(sid: &str) -> Option<Vmid> {
    Vmid::parse(sid.split_once(':')?.1)
}

fn short(text: Option<String>) -> Option<String> {
    text::short(&text?, TEXT_LENGTH)
}

impl HaState {
    fn new(
        entries: Vec<HaEntry>,
        rules: Vec<HaRule>,
        names: &BTreeMap<Vmid, String>,
        vmid: Option<Vmid>,
        not_visible: Vec<String>,
    ) -> Self {
        let mut state = Self {
            findings: Vec::new(),
            quorate: None,
            manager: None,
            fencing: None,
            nodes: Vec::new(),
            resources: Vec::new(),
            resources_total: 0,
            rules: Vec::new(),
            not_visible,
            hint: None,
        };
        for entry in entries {
            let said = entry.said().to_owned();
            let node = entry.on_node().to_owned();
            match entry.kind.as_str() {
                "quorum" => state.quorate = entry.quorate.map(|flag| flag.0),
                "master" => state.manager = Some(Manager { node, state: said }),
                "fencing" => state.fencing = entry.armed_state.or(Some(said)),
                "lrm" => state.nodes.push(HaNode { node, state: said }),
                "service" => {
                    let Some(sid) = entry.service().map(str::to_owned) else {
                        continue;
                    };
                    let of = vmid_of(&sid);
                    state.resources.push(Resource {
                        name: of.and_then(|vmid| names.get(&vmid).cloned()),
                        vmid: of,
                        sid,
                        node,
                        state: entry.state.unwrap_or(said),
                        requested: entry.request_state,
                        max_restart: entry.max_restart.map(|number| number.0),
                        max_relocate: entry.max_relocate.map(|number| number.0),
                        failback: entry.failback.map(|flag| flag.0),
                        comment: short(entry.comment),
                        last_failure: None,
                    });
                }
                _ => {}
            }
        }
        state.rules = rules.into_iter().map(Rule::from).collect();
        if let Some(vmid) = vmid {
            state.resources.retain(|one| one.vmid == Some(vmid));
            state
                .rules
                .retain(|rule| rule.resources.iter().any(|sid| vmid_of(sid) == Some(vmid)));
        }
        order::by(&mut state.resources, |a, b| {
            (!a.has_trouble(), a.vmid, &a.sid).cmp(&(!b.has_trouble(), b.vmid, &b.sid))
        });
        order::by(&mut state.nodes, |a, b| a.node.cmp(&b.node));
        state.resources_total = state.resources.len();
        state
    }

    fn look(&self) -> Vec<Finding> {
        let mut findings = self.look_at_manager();
        findings.extend(self.nodes.iter().filter_map(HaNode::finding));
        findings.extend(self.resources.iter().filter_map(Resource::finding));
        findings.extend(self.rules.iter().filter_map(Rule::finding));
        order::by_key(&mut findings, |finding| finding.severity);
        findings
    }

    fn look_at_manager(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        if self.quorate == Some(false) {
            findings.push(Finding::new(
                Severity::High,
                "the cluster has no quorum, so HA starts, stops and recovers nothing",
                format!("bring most nodes back: {}", tool_names::GET_CLUSTER_STATUS),
            ));
        }
        match &self.manager {
            Some(manager) if HaEntry::is_lost(&manager.state) => findings.push(
                Finding::new(
                    Severity::High,
                    "the HA manager does not work, so no guest is recovered",
                    format!("look at pve-ha-crm with {}", tool_names::GET_NODE_LOG),
                )
                .on(text::cut(&manager.state, TEXT_LENGTH)),
            ),
            Some(manager) if HaEntry::has_drifted(&manager.state) => {
                findings.push(drifted(&manager.node, &manager.state));
            }
            None if !self.resources.is_empty() => findings.push(Finding::new(
                Severity::Medium,
                "no node is the HA manager yet: this passes within a minute after the first \
                 resource is added; otherwise pve-ha-crm runs on no node",
                format!("look at pve-ha-crm with {}", tool_names::GET_NODE_LOG),
            )),
            _ => {}
        }
        let fencing = self.fencing.as_deref();
        if fencing.is_some_and(|state| state.contains("disarm")) {
            findings.push(Finding::new(
                Severity::High,
                "HA is disarmed: no node is fenced and no guest is recovered",
                "arm it again when the work is done",
            ));
        }
        findings
    }

    /// Reads the last failures of the guests in error.
    fn look_into_errors(&mut self, pve: &Pve) {
        let failed = self
            .resources
            .iter_mut()
            // The node of one that waits for recovery is gone.
            .filter(|one| one.state == "error")
            .filter(|one| !one.node.is_empty())
            .filter_map(|one| Some((one.vmid?, one)))
            .take(MOST_LOOKED_INTO);
        for (vmid, resource) in failed {
            let params = Params::new()
                .set("vmid", vmid)
                .set("statusfilter", "error")
                .set("limit", 1);
            let tasks: Vec<RawTask> = pve
                .send(&calls::nodes::TASKS.at([&resource.node]), &params)
                .unwrap_or_default();
            resource.last_failure = tasks.first().map(|task| {
                let exit = task.status.as_ref().map_or("", |status| &status.0);
                format!(
                    "last failed task: {} ({}), {}",
                    task.kind,
                    text::cut(exit, TEXT_LENGTH),
                    task.upid
                )
            });
        }
    }

    fn shorten(&mut self, page: Page, mut notes: Vec<String>) -> Part {
        let mut cut = Vec::new();
        bounds::keep(&mut self.findings, MOST_FINDINGS, "findings", &mut cut);
        bounds::keep(&mut self.rules, MOST_RULES, "rules", &mut cut);
        bounds::keep(&mut self.nodes, MOST_NODES, "nodes", &mut cut);
        if !cut.is_empty() {
            notes.push(format!(
                "{}: set vmid to see those of one guest",
                cut.join("; ")
            ));
        }
        let part = page.cut(&mut self.resources, "/resources", "vmid");
        notes.extend(part.note());
        self.hint = (!notes.is_empty()).then(|| notes.join("; "));
        part
    }

    fn text(&self) -> String {
        format!(
            "{} under HA, {}; {}",
            text::count(self.resources_total, "guest"),
            text::count(self.rules.len(), "rule"),
            summary(&self.findings)
        )
    }
}

/// The finding about a node whose clock is ahead of the others.
fn drifted(node: &str, said: &str) -> Finding {
    Finding::new(
        Severity::Medium,
        format!("the clock of node {node} is ahead of the others: HA cannot tell whether the node is alive"),
        format!(
            "compare the clocks of the nodes: {}",
            tool_names::GET_NODE_HEALTH
        ),
    )
    .on(text::cut(said, TEXT_LENGTH))
}

impl HaNode {
    fn finding(&self) -> Option<Finding> {
        let (node, state) = (&self.node, &self.state);
        if HaEntry::is_lost(state) {
            return Some(
                Finding::new(
                    Severity::High,
                    format!(
                        "HA does not work on node {node}: its guests are neither started nor \
                         stopped"
                    ),
                    format!("look at pve-ha-lrm with {}", tool_names::GET_NODE_LOG),
                )
                .on(text::cut(state, TEXT_LENGTH)),
            );
        }
        if HaEntry::has_drifted(state) {
            return Some(drifted(node, state));
        }
        state.contains("maintenance").then(|| {
            Finding::new(
                Severity::Info,
                format!("node {node} is in maintenance mode: HA runs nothing there"),
                format!(
                    "afterwards, on a node: ha-manager crm-command node-maintenance disable {node}"
                ),
            )
        })
    }
}

impl Rule {
    /// What is wrong with a rule that is switched on.
    fn finding(&self) -> Option<Finding> {
        let rule = &self.rule;
        if !self.enabled {
            return None;
        }
        if let Some(error) = &self.error {
            return Some(
                Finding::new(
                    Severity::Medium,
                    format!("the rule {rule} is not in force"),
                    "correct it in the web interface, under Datacenter, HA, Affinity Rules",
                )
                .on(error.clone()),
            );
        }
        let is_narrow =
            self.kind == "node-affinity" && self.strict == Some(true) && self.nodes.len() == 1;
        is_narrow.then(|| {
            Finding::new(
                Severity::Low,
                format!(
                    "the strict rule {rule} names one node: its resources cannot be recovered \
                     anywhere else"
                ),
                "add a node to the rule, or make it not strict",
            )
        })
    }
}

impl Resource {
    fn has_trouble(&self) -> bool {
        matches!(
            self.state.as_str(),
            "error" | "fence" | "recovery" | "freeze"
        )
    }

    fn finding(&self) -> Option<Finding> {
        let sid = &self.sid;
        let kind = sid.split(':').next().unwrap_or_default();
        let finding = match self.state.as_str() {
            "error" => Finding::new(
                Severity::High,
                format!(
                    "{sid} is in state error: HA has given up on it and leaves it alone until it is \
                     disabled"
                ),
                format!(
                    "find out why it failed ({} with its vmid), clear the error with {} (state: \
                     disabled), correct the cause, then set the state started",
                    tool_names::LIST_TASKS,
                    tool_names::SET_HA_RESOURCE
                ),
            ),
            "recovery" => Finding::new(
                Severity::Medium,
                format!(
                    "{sid} is being recovered on another node: this takes a moment; if it lasts, no \
                     node may run it"
                ),
                format!(
                    "if it lasts, check whether a rule or a local disk keeps the {} from the other \
                     nodes",
                    if kind == "ct" { "container" } else { "VM" }
                ),
            ),
            "fence" => Finding::new(
                Severity::High,
                format!("{sid} waits for its node {} to be fenced", self.node),
                "wait a minute or two; if it lasts, make sure that the node is really off",
            ),
            "freeze" => Finding::new(
                Severity::Low,
                format!("{sid} is frozen while HA restarts on node {}", self.node),
                "wait; if it lasts, look at pve-ha-lrm there",
            ),
            "ignored" => Finding::new(
                Severity::Info,
                format!("{sid} is ignored: HA neither starts nor recovers it"),
                "",
            ),
            _ => return None,
        };
        Some(match &self.last_failure {
            Some(failure) => finding.on(failure.clone()),
            None => finding,
        })
    }
}

impl From<HaRule> for Rule {
    fn from(raw: HaRule) -> Self {
        let error = raw.errors.as_ref().and_then(|errors| match errors {
            serde_json::Value::Object(errors) if !errors.is_empty() => {
                let parts: Vec<String> = errors
                    .iter()
                    .map(|(part, error)| match error {
                        serde_json::Value::String(error) => format!("{part}: {error}"),
                        other => format!("{part}: {other}"),
                    })
                    .collect();
                Some(text::cut(&parts.join("; "), TEXT_LENGTH))
            }
            _ => None,
        });
        Self {
            strict: raw
                .strict
                .map(|flag| flag.0)
                .filter(|_| raw.kind == "node-affinity"),
            enabled: raw.is_enabled(),
            resources: raw.resources().map(str::to_owned).collect(),
            nodes: raw.nodes().map(str::to_owned).collect(),
            rule: raw.rule,
            kind: raw.kind,
            affinity: raw.affinity,
            error,
            comment: short(raw.comment),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn state(entries: serde_json::Value, rules: serde_json::Value, vmid: Option<u32>) -> HaState {
        let mut state = HaState::new(
            serde_json::from_value(entries).unwrap(),
            serde_json::from_value(rules).unwrap(),
            &BTreeMap::from([(Vmid::parse("100").unwrap(), "web".to_owned())]),
            vmid.and_then(|vmid: u32| Vmid::parse(&vmid.to_string())),
            Vec::new(),
        );
        state.findings = state.look();
        state
    }

    #[test]
    fn a_service_in_error_comes_first() {
        let entries = json!([
            {"id": "quorum", "type": "quorum", "status": "OK", "quorate": "1", "node": "alpha"},
            {"id": "master", "type": "master", "node": "alpha", "timestamp": 1_795_701_705,
                "status": "alpha (active, Thu Nov 26 14:01:45 2026)"},
            {"id": "fencing", "type": "fencing", "status": "armed (CRM watchdog active)",
                "armed-state": "armed", "node": "alpha"},
            {"id": "lrm:alpha", "type": "lrm", "node": "alpha", "status": "alpha (active)"},
            {"id": "lrm:beta", "type": "lrm", "node": "beta",
                "status": "beta (old timestamp - dead?, Thu)"},
            {"id": "service:vm:100", "type": "service", "sid": "vm:100", "node": "alpha",
                "state": "started", "request_state": "started", "failback": 1, "max_restart": 1,
                "status": "vm:100 (alpha, started)"},
            {"id": "service:ct:200", "type": "service", "node": "beta", "state": "error",
                "request_state": "started"},
        ]);
        let rules = json!([
            {"rule": "near", "type": "node-affinity", "resources": "vm:100", "nodes": "alpha:2",
                "strict": 1, "order": 1},
            {"rule": "apart", "type": "resource-affinity", "affinity": "negative",
                "resources": "vm:100,ct:200", "errors": {"resources": "too few nodes"}},
        ]);
        let all = state(entries.clone(), rules.clone(), None);
        assert_eq!(all.quorate, Some(true));
        assert_eq!(all.fencing.as_deref(), Some("armed"));
        assert_eq!(all.resources[0].sid, "ct:200");
        assert_eq!(all.resources[1].name.as_deref(), Some("web"));
        let found: Vec<_> = all
            .findings
            .iter()
            .map(|one| (one.severity, one.finding.as_str()))
            .collect();
        assert_eq!(found.len(), 4, "{found:?}");
        assert!(found[0].1.contains("on node beta"), "{found:?}");
        assert!(
            found[1].1.starts_with("ct:200 is in state error"),
            "{found:?}"
        );
        assert_eq!(found[2].0, Severity::Medium);
        assert_eq!(found[3].0, Severity::Low);
        let one = state(entries, rules, Some(200));
        assert_eq!((one.resources.len(), one.rules.len()), (1, 1));
        assert_eq!(
            one.rules[0].error.as_deref(),
            Some("resources: too few nodes")
        );
    }

    #[test]
    fn ha_without_resources_is_well() {
        let idle = state(
            json!([
                {"status": "OK", "type": "quorum", "node": "alpha", "quorate": 1, "id": "quorum"},
                {"node": "alpha", "armed-state": "standby", "id": "fencing", "type": "fencing",
                    "status": "standby (CRM watchdog standby)"},
            ]),
            json!([]),
            None,
        );
        assert!(idle.findings.is_empty() && idle.manager.is_none());
        assert_eq!(idle.text(), "0 guests under HA, 0 rules; no findings");
    }
}
