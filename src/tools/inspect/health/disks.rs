//! Physical disks: health, wear, and what SMART says before it calls a disk
//! failed.

use schemars::JsonSchema;

use crate::json::{DeserializeFields, SerializeFields};
use crate::pve::{Num, Text};
use crate::text;
use crate::tools::finding::{Finding, Severity};

#[derive(Debug, DeserializeFields)]
pub(crate) struct RawDisk {
    devpath: String,
    model: Option<Text>,
    #[serde(rename = "type")]
    kind: Option<String>,
    size: Option<Num<u64>>,
    health: Option<String>,
    /// Percent that are left, as a number or a text, or `N/A`.
    wearout: Option<Text>,
    used: Option<Text>,
}

/// What a disk says of itself: a table of an ATA disk, a text of others.
#[derive(Debug, DeserializeFields)]
pub(crate) struct RawSmart {
    health: Option<String>,
    #[serde(default)]
    attributes: Vec<RawAttribute>,
    text: Option<String>,
}

#[derive(Debug, DeserializeFields)]
struct RawAttribute {
    /// Padded: `  5`.
    id: Option<Text>,
    name: Option<String>,
    /// A number, perhaps with words behind it: `31 (Min/Max 20/45)`.
    raw: Option<Text>,
    /// `-`, or when it has failed.
    fail: Option<Text>,
}

#[derive(Debug, Default, SerializeFields, JsonSchema)]
pub(crate) struct DiskHealth {
    pub(crate) device: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_bytes: Option<u64>,
    /// SMART's own judgement; UNKNOWN is not a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<String>,
    /// Of an SSD.
    #[serde(skip_serializing_if = "Option::is_none")]
    life_left_percent: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature_celsius: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    used_for: Option<String>,
    #[serde(skip)]
    trouble: Vec<Trouble>,
}

/// Something that a disk has.
#[derive(Debug)]
struct Trouble {
    severity: Severity,
    what: String,
    fix: Fix,
}

/// What to do about it.
#[derive(Debug, Clone, Copy)]
enum Fix {
    Replace,
    Cable,
    Cool,
    Watch,
}

impl Fix {
    fn words(self) -> &'static str {
        match self {
            Self::Replace => "make sure that its data is redundant or backed up, then replace it",
            Self::Cable => "check the cable; if the number no longer rises, the problem is over",
            Self::Cool => "check the fans and the air flow",
            Self::Watch => "compare it with later values: it is normal now",
        }
    }
}

/// The attributes of a disk's temperature.
const TEMPERATURES: [u64; 2] = [190, 194];

/// Percent of life that are left.
const WORN: f64 = 20.0;
const WORN_OUT: f64 = 10.0;

/// Degrees, of disks and of NVMe.
const WARM: u64 = 55;
const HOT: u64 = 65;
const HOT_NVME: u64 = 70;

/// Attributes of sectors that a disk has lost or is about to lose.
const SECTORS: [(u64, Severity, &str); 4] = [
    (5, Severity::Medium, "reallocated sectors"),
    (197, Severity::High, "sectors that cannot be read"),
    (198, Severity::High, "sectors that cannot be corrected"),
    (199, Severity::Low, "transfer errors, mostly of a cable"),
];

fn leading(text: &str) -> Option<u64> {
    let digits: String = text
        .trim()
        .chars()
        .take_while(|c| c.is_ascii_digit() || *c == ',')
        .filter(|c| *c != ',')
        .collect();
    digits.parse().ok()
}

impl From<RawDisk> for DiskHealth {
    fn from(raw: RawDisk) -> Self {
        let filled = |text: Text| Some(text.0).filter(|text| !text.trim().is_empty());
        Self {
            device: raw.devpath,
            model: raw
                .model
                .and_then(filled)
                .map(|model| text::cut(model.trim(), 60)),
            kind: raw.kind.filter(|kind| kind != "unknown"),
            size_bytes: raw.size.map(|size| size.0),
            health: raw.health.filter(|health| !health.is_empty()),
            life_left_percent: raw
                .wearout
                .and_then(|wear| wear.0.trim().trim_end_matches('%').parse().ok())
                .filter(|percent| (0.0..=100.0).contains(percent)),
            used_for: raw.used.and_then(filled),
            ..Self::default()
        }
    }
}

impl RawAttribute {
    /// What a value below its threshold means: now, or once in the past. The
    /// temperature of a disk comes down again.
    fn failure(&self, id: u64) -> Option<Trouble> {
        let fail = self.fail.as_ref()?.0.trim();
        if matches!(fail, "" | "-") {
            return None;
        }
        let name = text::cut(self.name.as_deref().unwrap_or("unknown"), 40);
        let is_past = fail.to_ascii_lowercase().contains("past");
        let severity = if is_past {
            Severity::Low
        } else {
            Severity::High
        };
        let when = if is_past {
            "was below its threshold in the past"
        } else {
            "is below its threshold"
        };
        Some(Trouble {
            severity,
            what: format!("a SMART attribute, {id} ({name}), that {when}"),
            fix: match (TEMPERATURES.contains(&id), is_past) {
                (true, _) => Fix::Cool,
                (false, true) => Fix::Watch,
                (false, false) => Fix::Replace,
            },
        })
    }
}

impl DiskHealth {
    /// Whether it is worth asking for details: not of a disk that a controller
    /// or a virtual machine shows.
    pub(crate) fn has_smart(&self) -> bool {
        !matches!(
            self.health.as_deref(),
            None | Some("UNKNOWN" | "SMART Disabled")
        )
    }

    /// Adds what SMART says.
    pub(crate) fn add(&mut self, smart: &RawSmart) {
        if self.health.is_none() {
            self.health.clone_from(&smart.health);
        }
        for one in &smart.attributes {
            let Some(id) = one.id.as_ref().and_then(|id| leading(&id.0)) else {
                continue;
            };
            let raw = one.raw.as_ref().and_then(|raw| leading(&raw.0));
            if TEMPERATURES.contains(&id) {
                self.temperature_celsius = raw.filter(|degrees| *degrees < 150);
            }
            if let Some((_, severity, what)) = SECTORS.iter().find(|(known, ..)| *known == id)
                && let Some(count) = raw.filter(|count| *count > 0)
            {
                let fix = if *severity == Severity::Low {
                    Fix::Cable
                } else {
                    Fix::Replace
                };
                self.add_trouble(*severity, format!("{count} {what}"), fix);
            }
            self.trouble.extend(one.failure(id));
        }
        for line in smart.text.iter().flat_map(|text| text.lines()) {
            if let Some((name, value)) = line.split_once(':') {
                self.add_line(name.trim(), value.trim());
            }
        }
    }

    fn add_trouble(&mut self, severity: Severity, what: String, fix: Fix) {
        self.trouble.push(Trouble {
            severity,
            what,
            fix,
        });
    }

    /// A line of an NVMe or SAS disk.
    fn add_line(&mut self, name: &str, value: &str) {
        let number = leading(value);
        match name {
            "Critical Warning" if !matches!(value, "0x00" | "0") => {
                let what = format!("critical warning {}", text::cut(value, 20));
                self.add_trouble(Severity::High, what, Fix::Replace);
            }
            "Percentage Used" => {
                if let Some(used) = number {
                    self.life_left_percent = Some(100.0 - (used.min(100) as f64));
                }
            }
            "Available Spare" => {
                if let Some(spare) = number.filter(|spare| *spare < 10) {
                    let what = format!("{spare}% of its spare blocks left");
                    self.add_trouble(Severity::High, what, Fix::Replace);
                }
            }
            "Media and Data Integrity Errors" => {
                if let Some(count) = number.filter(|count| *count > 0) {
                    let what = format!("{count} media errors");
                    self.add_trouble(Severity::High, what, Fix::Replace);
                }
            }
            "Elements in grown defect list" => {
                if let Some(count) = number.filter(|count| *count > 0) {
                    let what = format!("{count} grown defects");
                    self.add_trouble(Severity::Medium, what, Fix::Replace);
                }
            }
            "Temperature" | "Current Drive Temperature" => self.temperature_celsius = number,
            _ => {}
        }
    }

    pub(crate) fn findings(&self) -> Vec<Finding> {
        let device = &self.device;
        let replace = Fix::Replace.words();
        let mut findings = Vec::new();
        let named = |finding: Finding| match &self.model {
            Some(model) => finding.on(model.clone()),
            None => finding,
        };
        match self.health.as_deref() {
            None | Some("PASSED" | "OK" | "UNKNOWN" | "SMART Disabled") => {}
            Some(health) => findings.push(named(Finding::new(
                Severity::High,
                format!("SMART calls the disk {device} {}", text::cut(health, 40)),
                replace,
            ))),
        }
        if let Some(left) = self.life_left_percent.filter(|left| *left <= WORN) {
            findings.push(named(Finding::new(
                if left <= WORN_OUT {
                    Severity::High
                } else {
                    Severity::Medium
                },
                format!("the disk {device} is worn: {left}% of its life is left"),
                format!("{replace}; a few models count the other way, so compare its data sheet"),
            )));
        }
        for trouble in &self.trouble {
            findings.push(named(Finding::new(
                trouble.severity,
                format!("the disk {device} has {}", trouble.what),
                trouble.fix.words(),
            )));
        }
        let hot = if self.kind.as_deref() == Some("nvme") {
            HOT_NVME
        } else {
            HOT
        };
        if let Some(degrees) = self.temperature_celsius.filter(|degrees| *degrees >= WARM) {
            findings.push(named(Finding::new(
                if degrees >= hot {
                    Severity::High
                } else {
                    Severity::Low
                },
                format!("the disk {device} is at {degrees} °C"),
                Fix::Cool.words(),
            )));
        }
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn disk(value: serde_json::Value) -> DiskHealth {
        serde_json::from_value::<RawDisk>(value).unwrap().into()
    }

    fn smart(value: serde_json::Value) -> RawSmart {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn wear_is_a_number_a_text_or_nothing() {
        let left = |wearout: serde_json::Value| {
            disk(json!({"devpath": "/dev/sda", "health": "PASSED", "wearout": wearout}))
                .life_left_percent
        };
        assert_eq!(left(json!(98)), Some(98.0));
        assert_eq!(left(json!("98")), Some(98.0));
        assert_eq!(left(json!("N/A")), None);
        assert_eq!(left(json!(null)), None);
        assert_eq!(left(json!(230)), None);
    }

    #[test]
    fn unknown_health_is_no_failure() {
        for health in ["UNKNOWN", "OK", "PASSED", "SMART Disabled"] {
            assert!(
                disk(json!({"devpath": "/dev/sda", "health": health}))
                    .findings()
                    .is_empty(),
                "{health}"
            );
        }
        let failed = disk(json!({"devpath": "/dev/sda", "health": "FAILED!", "model": "A 1"}));
        assert_eq!(failed.findings()[0].severity, Severity::High);
        let worn = disk(json!({"devpath": "/dev/sdb", "health": "OK", "wearout": "9"}));
        assert_eq!(worn.findings()[0].severity, Severity::High);
    }

    #[test]
    fn sectors_that_are_lost() {
        let mut one = disk(json!({"devpath": "/dev/sda", "health": "PASSED", "type": "hdd"}));
        one.add(&smart(json!({"health": "PASSED", "type": "ata", "attributes": [
            {"id": "  5", "name": "Reallocated_Sector_Ct", "raw": "8", "fail": "-"},
            {"id": "194", "name": "Temperature_Celsius", "raw": "31 (Min/Max 20/45)", "fail": "-"},
            {"id": "197", "name": "Current_Pending_Sector", "raw": "0", "fail": "-"},
            {"id": "  9", "name": "Power_On_Hours", "raw": "20000", "fail": "-"},
            {"id": "184", "name": "End-to-End_Error", "raw": "3", "fail": "NOW"},
            {"id": "  3", "name": "Spin_Up_Time", "raw": "0", "fail": "Past"},
            {"id": "190", "name": "Airflow_Temperature_Cel", "raw": "31", "fail": "NOW"},
        ]})));
        assert_eq!(one.temperature_celsius, Some(31));
        let found = one.findings();
        assert_eq!(found.len(), 4, "{found:?}");
        assert!(found[0].finding.contains("8 reallocated sectors"));
        assert!(found[1].finding.contains("184"));
        assert_eq!(found[1].severity, Severity::High);
        // What is over, or only hot, is no reason to replace a disk.
        assert_eq!(found[2].severity, Severity::Low);
        for one in &found[2..] {
            assert!(!one.fix.as_deref().unwrap().contains("replace"), "{one:?}");
        }
    }

    #[test]
    fn nvme_disks_tell_in_words() {
        let mut one = disk(
            json!({"devpath": "/dev/nvme0n1", "health": "PASSED", "type": "nvme",
            "wearout": 100}),
        );
        one.add(&smart(json!({"type": "text", "health": "PASSED", "text":
            "SMART/Health Information\nCritical Warning:   0x00\nTemperature:    71 Celsius\n\
             Available Spare:    100%\nPercentage Used:  93%\n\
             Media and Data Integrity Errors:    1,204\n"})));
        assert_eq!(one.life_left_percent, Some(7.0));
        let found = one.findings();
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[1].finding.contains("1204 media errors"));
        assert!(found[2].finding.contains("71 °C"));
    }
}
