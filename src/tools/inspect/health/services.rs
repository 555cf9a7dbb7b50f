//! System services that should run.

use crate::json::DeserializeFields;
use crate::tool_names;
use crate::tools::finding::{Finding, Severity};

#[derive(Debug, DeserializeFields)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct RawService {
    service: String,
    #[serde(default)]
    state: String,
    /// Absent before PVE 7.
    active_state: Option<String>,
    unit_state: Option<String>,
}

/// What a node's services are judged by.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct ServiceRules {
    /// Absent where that is not visible.
    pub(crate) in_cluster: Option<bool>,
    pub(crate) has_containers: bool,
}

/// Services that must run on every node, and what does not work without each.
const NEEDED: [(&str, &str); 9] = [
    (
        "pve-cluster",
        "the node's configuration cannot be read or changed",
    ),
    ("pvedaemon", "the API cannot change anything on this node"),
    ("pveproxy", "the web interface and the API do not answer"),
    (
        "pvestatd",
        "states and figures of guests and storages are stale",
    ),
    ("pvescheduler", "no scheduled backup or replication runs"),
    (
        "qmeventd",
        "VMs that shut down from inside are not cleaned up",
    ),
    (
        "pve-ha-crm",
        "HA recovers nothing if this node is its manager",
    ),
    (
        "pve-ha-lrm",
        "HA neither starts nor stops guests on this node",
    ),
    ("pve-firewall", "changes of firewall rules have no effect"),
];

const TIME: [&str; 4] = ["chrony", "systemd-timesyncd", "ntp", "ntpsec"];

impl RawService {
    /// Whether the unit is there at all.
    fn exists(&self) -> bool {
        !matches!(self.unit_state.as_deref(), Some("not-found" | "masked"))
    }

    fn runs(&self) -> bool {
        self.state == "running" || self.active_state.as_deref() == Some("active")
    }

    fn has_failed(&self) -> bool {
        self.state == "failed" || self.active_state.as_deref() == Some("failed")
    }

    /// Whether it is a service of HA that was disabled where HA has nothing to do:
    /// outside a cluster.
    fn is_off_on_purpose(&self, rules: ServiceRules) -> bool {
        rules.in_cluster != Some(true)
            && self.service.starts_with("pve-ha-")
            && self.unit_state.as_deref() == Some("disabled")
            && !self.has_failed()
    }

    /// What does not work without it, if it must run here.
    fn needed_for(&self, rules: ServiceRules) -> Option<&'static str> {
        match self.service.as_str() {
            "corosync" if rules.in_cluster == Some(true) => Some("the node has left its cluster"),
            "lxcfs" if rules.has_containers => {
                Some("containers see the node's memory and processors instead of their own")
            }
            name => NEEDED
                .iter()
                .find(|(needed, _)| *needed == name)
                .map(|(_, without)| *without),
        }
    }
}

pub(crate) fn findings(services: &[RawService], rules: ServiceRules) -> Vec<Finding> {
    let mut findings = Vec::new();
    for one in services.iter().filter(|one| one.exists() && !one.runs()) {
        let evidence = format!(
            "state {}, unit {}",
            one.active_state.as_deref().unwrap_or(&one.state),
            one.unit_state.as_deref().unwrap_or("unknown")
        );
        let fix = format!(
            "see why with {} (service {}), then on the node: systemctl restart {}",
            tool_names::GET_NODE_LOG,
            one.service,
            one.service
        );
        let finding = match one.needed_for(rules) {
            Some(without) => Finding::new(
                if one.is_off_on_purpose(rules) {
                    Severity::Low
                } else {
                    Severity::High
                },
                format!("the service {} does not run: {without}", one.service),
                fix,
            ),
            None if one.has_failed() => Finding::new(
                Severity::Medium,
                format!("the service {} has failed", one.service),
                fix,
            ),
            None => continue,
        };
        findings.push(finding.on(evidence));
    }
    let keeps_time = |one: &RawService| TIME.contains(&one.service.as_str()) && one.runs();
    if !services.is_empty() && !services.iter().any(keeps_time) {
        findings.push(Finding::new(
            Severity::Low,
            "no service keeps the clock right",
            "install chrony on the node",
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn some_services_are_normally_dead() {
        let services: Vec<RawService> = serde_json::from_value(json!([
            {"service": "chrony", "state": "running", "active-state": "active",
                "unit-state": "enabled"},
            {"service": "corosync", "state": "dead", "active-state": "inactive",
                "unit-state": "disabled"},
            {"service": "ksmtuned", "state": "dead", "unit-state": "enabled"},
            {"service": "lxcfs", "state": "dead", "active-state": "inactive",
                "unit-state": "enabled"},
            {"service": "syslog", "state": "dead", "unit-state": "not-found"},
            {"service": "postfix", "state": "dead", "active-state": "failed",
                "unit-state": "enabled"},
            {"service": "pvestatd", "state": "dead", "active-state": "inactive",
                "unit-state": "enabled"},
            {"service": "pvefw-logger", "state": "failed", "unit-state": "masked"},
        ]))
        .unwrap();
        let said = |rules: ServiceRules| {
            findings(&services, rules)
                .into_iter()
                .map(|one| one.finding)
                .collect::<Vec<_>>()
        };
        let alone = said(ServiceRules::default());
        assert_eq!(alone.len(), 2, "{alone:?}");
        assert!(alone[0].contains("postfix has failed"), "{alone:?}");
        assert!(alone[1].contains("pvestatd does not run"), "{alone:?}");
        let in_cluster = said(ServiceRules {
            in_cluster: Some(true),
            has_containers: true,
        });
        assert_eq!(in_cluster.len(), 4, "{in_cluster:?}");
        let no_clock = findings(&services[1..2], ServiceRules::default());
        assert_eq!(no_clock[0].severity, Severity::Low);
        let ha: Vec<RawService> = serde_json::from_value(json!([
            {"service": "pve-ha-lrm", "state": "dead", "active-state": "inactive",
                "unit-state": "disabled"}]))
        .unwrap();
        let severity = |in_cluster| {
            let rules = ServiceRules {
                in_cluster,
                has_containers: false,
            };
            findings(&ha, rules)[0].severity
        };
        assert_eq!(severity(Some(false)), Severity::Low);
        assert_eq!(severity(Some(true)), Severity::High);
    }
}
