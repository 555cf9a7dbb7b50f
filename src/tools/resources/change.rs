//! Writes settings of a guest and reports which of them took effect.

use pve_api::calls;
use serde::de::IgnoredAny;

use crate::error::{Error, Problem, Result};
use crate::pve::{ErrorResponse, Failure, Guest, GuestType, Params, PendingConfig, Pve};
use crate::tool::report::{Change, Report, Status};
use crate::{text, tool_names};

pub(super) fn nothing_given(names: &str) -> Error {
    Error::InvalidArguments(vec![Problem {
        pointer: String::new(),
        message: format!("say what to change: at least one of {names}"),
    }])
}

/// A setting and the value that the caller wants it to have.
pub(super) struct DesiredSetting {
    /// Proxmox's name.
    pub(super) key: &'static str,
    /// The argument's name.
    argument: &'static str,
    /// Proxmox's default.
    default: Option<&'static str>,
    unit: Unit,
    /// Empty: not set.
    value: String,
    /// The setting without which a host cannot judge this one: where one of them is
    /// sent, the other is too.
    partner: Option<&'static str>,
}

#[derive(Clone, Copy)]
pub(super) enum Unit {
    Plain,
    Number,
    YesNo,
}

impl DesiredSetting {
    pub(super) fn new(
        argument: &'static str,
        key: &'static str,
        default: Option<&'static str>,
        unit: Unit,
        value: String,
    ) -> Self {
        Self {
            key,
            argument,
            default,
            unit,
            value,
            partner: None,
        }
    }

    /// Sends this setting along with another one, even if it stays as it is.
    pub(super) fn along_with(mut self, partner: &'static str) -> Self {
        self.partner = Some(partner);
        self
    }

    /// Whether the guest has this value, or will have it from its next start on.
    /// False for a setting that cannot be read.
    fn is_met(&self, settings: &PendingConfig) -> bool {
        !settings.is_unreadable(self.key) && self.is(settings.wanted(self.key))
    }

    /// Whether a value is the desired one. Numbers are compared as numbers.
    pub(super) fn is(&self, value: Option<&str>) -> bool {
        let value = value.or(self.default).unwrap_or_default();
        let number = |text: &str| text.trim().parse::<f64>().ok();
        value == self.value
            || (matches!(self.unit, Unit::Number)
                && number(value).is_some_and(|value| number(&self.value) == Some(value)))
    }

    fn show(&self, value: Option<&str>) -> Option<String> {
        let value = value.or(self.default)?;
        Some(match self.unit {
            Unit::Plain | Unit::Number => text::cut(value, 160),
            Unit::YesNo => (value == "1").to_string(),
        })
    }
}

/// Whether a setting is not as desired, now or from the next start on.
pub(super) fn differs(before: &PendingConfig, desired: &[DesiredSetting]) -> bool {
    desired.iter().any(|setting| !setting.is_met(before))
}

/// Sends the settings that differ, and reports which of them took effect.
pub(super) fn write(
    pve: &Pve,
    guest: &Guest,
    before: &PendingConfig,
    mut desired: Vec<DesiredSetting>,
    what: &str,
) -> Result<Report> {
    let action = format!("set {what} of {}", guest.label());
    let waiting: Vec<&str> = desired
        .iter()
        .filter(|setting| setting.is_met(before) && before.waits(setting.key))
        .map(|setting| setting.argument)
        .collect();
    let note = (!waiting.is_empty()).then(|| {
        format!(
            "{} was set to this value before, and takes effect at the guest's next full start",
            waiting.join(", ")
        )
    });
    keep_needed(&mut desired, before);
    let mut report = if desired.is_empty() {
        Report::unchanged(action)
    } else {
        send(pve, guest, before, &desired, &action)?
    };
    report.warnings.extend(note);
    if report.changes.iter().any(|change| change.waits_for_reboot) || !waiting.is_empty() {
        report.next_step = Some(format!(
            "pending changes take effect when the guest is stopped and started: {} does that",
            tool_names::RESTART_GUEST
        ));
    }
    Ok(report)
}

/// Drops the settings that need not be sent.
pub(super) fn keep_needed(desired: &mut Vec<DesiredSetting>, before: &PendingConfig) {
    let differing: Vec<&str> = desired
        .iter()
        .filter(|setting| !setting.is_met(before))
        .map(|setting| setting.key)
        .collect();
    desired.retain(|setting| {
        let is_sent = |key: &&str| differing.contains(key);
        is_sent(&setting.key) || setting.partner.as_ref().is_some_and(is_sent)
    });
}

/// What [`write()`] would change.
pub(super) fn preview(
    guest: &Guest,
    before: &PendingConfig,
    desired: &[DesiredSetting],
    what: &str,
) -> Report {
    let action = format!("set {what} of {}", guest.label());
    let changes: Vec<Change> = desired
        .iter()
        .filter(|setting| !setting.is_met(before))
        .map(|setting| setting.change(before, None))
        .collect();
    if changes.is_empty() {
        return Report::unchanged(action);
    }
    Report {
        changes,
        ..Report::preview(action)
    }
}

/// Sends settings that differ, and reads the configuration again to report what
/// became of them.
fn send(
    pve: &Pve,
    guest: &Guest,
    before: &PendingConfig,
    desired: &[DesiredSetting],
    action: &str,
) -> Result<Report> {
    let sent = pve.send::<IgnoredAny>(
        &guest.request(&calls::guests::SET_CONFIG),
        &form(desired, before.digest()),
    );
    let refusals = match sent {
        Ok(_) => Vec::new(),
        Err(Failure::Api(error)) if is_hotplug_refusal(&error) => refusals(&error),
        Err(failure) => return Err(failure.into()),
    };
    let mut report = Report::done(action);
    match PendingConfig::read(pve, guest) {
        Ok(after) if !refusals.is_empty() => partly(report, desired, before, &after, refusals),
        Ok(after) => Ok(outcome(report, desired, before, &after)),
        Err(failure) if !refusals.is_empty() => {
            Err(out_of_sight(guest, action, &refusals, failure))
        }
        // The settings are written; the report must say so.
        Err(failure) => {
            report.changes = desired
                .iter()
                .filter(|setting| !setting.is_met(before))
                .map(|setting| setting.change(before, None))
                .collect();
            Ok(report.warn(format!(
                "written, but whether it took effect could not be read: {}",
                Error::from(failure).message()
            )))
        }
    }
}

/// Whether Proxmox could not change a running guest. A VM keeps such a change as
/// a pending one, a container does not.
pub(super) fn is_hotplug_refusal(error: &ErrorResponse) -> bool {
    let refused = |said: &String| said.contains("hotplug");
    error.status == 400 && !error.errors.is_empty() && error.errors.values().all(refused)
}

/// What Proxmox says of each setting that it could not change.
pub(super) fn refusals(error: &ErrorResponse) -> Vec<(String, String)> {
    let plain = |said: &str| {
        let said = said.trim();
        let said = said.strip_prefix("hotplug problem - ").unwrap_or(said);
        text::cut(said, 200)
    };
    error
        .errors
        .iter()
        .map(|(key, said)| (key.clone(), plain(said)))
        .collect()
}

/// The error of a change that Proxmox could not make on a running guest, if the new
/// configuration cannot be read. It is not a success: nothing may have changed.
fn out_of_sight(
    guest: &Guest,
    action: &str,
    refusals: &[(String, String)],
    failure: Failure,
) -> Error {
    let kept = match guest.kind {
        GuestType::Qemu => "a VM keeps such a change, as a pending one, for its next full start",
        GuestType::Lxc => "a container does not keep such a change",
    };
    Error::Conflict(format!(
        "{action} failed, at least in part: it cannot be changed while the guest runs ({}), and \
         what came of it could not be read ({}); {kept}, and settings that were not refused may \
         have changed: look with {} before you repeat the call",
        said(refusals),
        Error::from(failure).message(),
        tool_names::GET_GUEST
    ))
}

fn said(refusals: &[(String, String)]) -> String {
    refusals
        .iter()
        .map(|(key, said)| format!("{key}: {said}"))
        .collect::<Vec<_>>()
        .join("; ")
}

/// The report of changes that Proxmox could not make on a running guest: a VM keeps them
/// until its next start, a container loses them. Fails if nothing has changed.
pub(super) fn partly(
    report: Report,
    desired: &[DesiredSetting],
    before: &PendingConfig,
    after: &PendingConfig,
    refusals: Vec<(String, String)>,
) -> Result<Report> {
    let mut report = outcome(report, desired, before, after);
    if report.status == Status::Unchanged {
        let said = said(&refusals);
        return Err(Error::Conflict(format!(
            "{} failed: it cannot be changed while the guest runs ({said}); nothing was changed: \
             shut the guest down with {}, change it, and start it again",
            report.action,
            tool_names::STOP_GUEST
        )));
    }
    report.status = Status::DoneWithWarnings;
    for (key, said) in refusals {
        let setting = desired.iter().find(|setting| setting.key == key);
        let name = setting.map_or(key.as_str(), |setting| setting.argument);
        let what = if after.waits(&key) {
            "it takes effect at the next full start; set the old value to take it back"
        } else {
            "it was not changed: stop the guest first"
        };
        report = report.warn(format!(
            "{name} could not be changed while the guest runs ({said}): {what}"
        ));
    }
    Ok(report)
}

/// The parameters that are sent: the values to set, and the names of settings to delete.
pub(super) fn form(desired: &[DesiredSetting], digest: Option<&str>) -> Params {
    let cleared = desired
        .iter()
        .filter(|setting| setting.value.is_empty())
        .map(|setting| setting.key)
        .collect::<Vec<_>>()
        .join(",");
    desired
        .iter()
        .filter(|setting| !setting.value.is_empty())
        .fold(Params::new(), |form, setting| {
            form.set(setting.key, &setting.value)
        })
        .opt("delete", (!cleared.is_empty()).then_some(cleared))
        .opt("digest", digest)
}

/// The value after the change: Proxmox may write it in another form, such as tags in
/// lower case.
pub(super) fn outcome(
    mut report: Report,
    desired: &[DesiredSetting],
    before: &PendingConfig,
    after: &PendingConfig,
) -> Report {
    report.changes = desired
        .iter()
        .filter(|setting| {
            let (was, is) = (before.wanted(setting.key), after.wanted(setting.key));
            before.is_unreadable(setting.key) || was.or(setting.default) != is.or(setting.default)
        })
        .map(|setting| setting.change(before, Some(after)))
        .collect();
    if report.changes.is_empty() {
        return Report::unchanged(report.action);
    }
    report
}

impl DesiredSetting {
    fn change(&self, before: &PendingConfig, after: Option<&PendingConfig>) -> Change {
        let to = match after {
            Some(after) if after.is_unreadable(self.key) => Some("(unreadable)"),
            Some(after) => after.wanted(self.key),
            None => Some(self.value.as_str()).filter(|value| !value.is_empty()),
        };
        Change {
            what: self.argument.to_owned(),
            from: match before.is_unreadable(self.key) {
                true => Some("(unreadable)".to_owned()),
                false => self.show(before.in_force(self.key)),
            },
            to: self.show(to),
            waits_for_reboot: after.is_some_and(|after| after.waits(self.key)),
        }
    }
}
