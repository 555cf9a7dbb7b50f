//! The state of Ceph, which all its nodes share.

use std::collections::BTreeMap;

use crate::json::DeserializeFields;
use crate::pve::ErrorResponse;
use crate::text;
use crate::tools::finding::{Finding, Severity};

#[derive(Debug, DeserializeFields)]
pub(crate) struct RawCeph {
    health: Option<RawHealth>,
}

#[derive(Debug, DeserializeFields)]
struct RawHealth {
    status: Option<String>,
    #[serde(default)]
    checks: BTreeMap<String, RawCheck>,
}

#[derive(Debug, DeserializeFields)]
struct RawCheck {
    summary: Option<RawSummary>,
}

#[derive(Debug, DeserializeFields)]
struct RawSummary {
    message: Option<String>,
}

const MOST_CHECKS: usize = 8;

impl RawCeph {
    /// Whether there is no Ceph, as on most nodes.
    pub(crate) fn is_absent(error: &ErrorResponse) -> bool {
        ["not installed", "not initialized", "not fully configured"]
            .iter()
            .any(|words| error.says(words))
    }

    /// The finding about monitors that did not answer in time.
    pub(crate) fn does_not_answer(said: &str) -> Finding {
        Finding::new(
            Severity::High,
            "Ceph does not answer: its monitors are down, have no quorum, or cannot be reached",
            "look at the monitors with systemctl status ceph-mon.target on their nodes, and at the \
             network between them",
        )
        .on(text::cut(said, 120))
    }

    /// `HEALTH_OK`, `HEALTH_WARN` or `HEALTH_ERR`.
    pub(crate) fn status(&self) -> Option<String> {
        self.health.as_ref()?.status.clone()
    }

    pub(crate) fn finding(&self) -> Option<Finding> {
        let health = self.health.as_ref()?;
        let status = health.status.as_deref()?;
        let severity = match status {
            "HEALTH_OK" => return None,
            "HEALTH_ERR" => Severity::High,
            _ => Severity::Medium,
        };
        let checks: Vec<String> = health
            .checks
            .iter()
            .take(MOST_CHECKS)
            .map(|(name, check)| {
                let message = check
                    .summary
                    .as_ref()
                    .and_then(|one| one.message.as_deref());
                format!(
                    "{name}: {}",
                    text::cut(message.unwrap_or("no message"), 120)
                )
            })
            .collect();
        let finding = Finding::new(
            severity,
            format!("Ceph is in {status}"),
            "look at ceph health detail on the node",
        );
        Some(if checks.is_empty() {
            finding
        } else {
            finding.on(checks.join("; "))
        })
    }
}

#[cfg(test)]
mod tests {
    use pve_api::calls;
    use serde_json::json;

    use super::*;
    use crate::pve::At;

    #[test]
    fn a_node_may_have_no_ceph() {
        let is_absent = |message: &str| {
            let request = calls::nodes::CEPH.at(["pve1"]);
            RawCeph::is_absent(&ErrorResponse::sample(request, 500, message))
        };
        assert!(is_absent("binary not installed: /usr/bin/ceph-mon"));
        assert!(is_absent("pveceph configuration not initialized"));
        assert!(!is_absent("monitor is not in quorum"));
        assert!(!is_absent("got timeout"));
    }

    #[test]
    fn checks_are_the_evidence() {
        let read = |value| serde_json::from_value::<RawCeph>(value).unwrap();
        let ceph = read(
            json!({"fsid": "x", "health": {"status": "HEALTH_WARN", "mutes": [],
            "checks": {"OSD_DOWN": {"severity": "HEALTH_WARN",
                "summary": {"count": 1, "message": "1 osds down"}}}}}),
        );
        let finding = ceph.finding().unwrap();
        assert_eq!(finding.evidence.as_deref(), Some("OSD_DOWN: 1 osds down"));
        assert_eq!(finding.severity, Severity::Medium);
        let well = read(json!({"health": {"status": "HEALTH_OK", "checks": {}}}));
        assert!(well.finding().is_none());
        assert_eq!(well.status().as_deref(), Some("HEALTH_OK"));
        assert!(read(json!({})).finding().is_none());
    }
}
