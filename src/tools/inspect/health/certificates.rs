//! Certificates that are about to end.

use crate::json::DeserializeFields;
use crate::pve::Num;
use crate::text;
use crate::tools::finding::{Finding, Severity};

/// Without the certificate itself, which is long.
#[derive(Debug, DeserializeFields)]
pub(crate) struct RawCertificate {
    #[serde(default)]
    filename: String,
    notafter: Option<Num<i64>>,
}

const DAY: i64 = 86_400;

/// Proxmox renews its own certificate two weeks before its end.
const OWN: &str = "pve-ssl.pem";
const OWN_DAYS: i64 = 13;

/// One from elsewhere is renewed by ACME 30 days before its end.
const OTHER_DAYS: i64 = 29;

const URGENT_DAYS: i64 = 7;

impl RawCertificate {
    pub(crate) fn finding(&self, now: u64) -> Option<Finding> {
        let end = self.notafter?.0;
        let now = i64::try_from(now).ok()?;
        let days = (end - now).div_euclid(DAY);
        let is_own = self.filename == OWN;
        let limit = if is_own { OWN_DAYS } else { OTHER_DAYS };
        if days > limit {
            return None;
        }
        let what = if self.filename.is_empty() {
            "a certificate"
        } else {
            &self.filename
        };
        let finding = if days < 0 {
            Finding::new(
                Severity::High,
                format!("the certificate {what} has expired"),
                fix(&self.filename),
            )
        } else {
            Finding::new(
                if days <= URGENT_DAYS {
                    Severity::High
                } else {
                    Severity::Medium
                },
                format!(
                    "the certificate {what} ends in {}",
                    text::count(usize::try_from(days).unwrap_or_default(), "day")
                ),
                fix(&self.filename),
            )
        };
        let end = u64::try_from(end).ok()?;
        Some(finding.on(format!("valid until {}", text::time(end))))
    }
}

fn fix(file: &str) -> &'static str {
    match file {
        OWN => {
            "Proxmox renews it two weeks before its end, so pveupdate fails: look at its \
             log on the node, or run pvecm updatecerts --force there"
        }
        "pve-root-ca.pem" => "renew the cluster's own certificate authority by hand",
        _ => "renew it: with ACME, pvenode acme cert renew on the node, else upload a new one",
    }
}

/// When the first of them ends.
pub(crate) fn first_end(certificates: &[RawCertificate]) -> Option<String> {
    certificates
        .iter()
        .filter_map(|one| u64::try_from(one.notafter?.0).ok())
        .min()
        .map(text::time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn severity(file: &str, days: i64) -> Option<Severity> {
        let now = 1_795_338_154;
        let one = RawCertificate {
            filename: file.to_owned(),
            notafter: Some(Num(now + days * DAY + 1)),
        };
        one.finding(now as u64).map(|finding| finding.severity)
    }

    #[test]
    fn each_is_renewed_at_its_own_time() {
        assert_eq!(severity(OWN, 20), None);
        assert_eq!(severity(OWN, 10), Some(Severity::Medium));
        assert_eq!(severity("pveproxy-ssl.pem", 20), Some(Severity::Medium));
        assert_eq!(severity("pveproxy-ssl.pem", 3), Some(Severity::High));
        assert_eq!(severity("pve-root-ca.pem", 3000), None);
        assert_eq!(severity(OWN, -2), Some(Severity::High));
    }
}
