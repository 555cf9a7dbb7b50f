//! Writes one piece of hardware of a guest, and reports what came of it.

use pve_api::{calls, size};
use serde::de::IgnoredAny;

use super::change::{is_hotplug_refusal, refusals};
use crate::error::{Error, Result};
use crate::pve::{Failure, Guest, GuestType, Params, PendingConfig, Pve};
use crate::tool::report::{Change, Report, Status};
use crate::{text, tool_names};

/// Writes a value to a slot such as `net0`, against the configuration that it was
/// made from. host-runner refuses it unless `before` is the present one.
pub(super) fn write(
    pve: &Pve,
    guest: &Guest,
    before: &PendingConfig,
    (slot, value): (&str, &str),
    action: String,
) -> Result<Report> {
    if before.wanted(slot) == Some(value) {
        let report = Report::unchanged(action).on(guest);
        return Ok(match before.waits(slot) {
            true => report.next(full_start()),
            false => report,
        });
    }
    let form = Params::new()
        .set(slot.to_owned(), value)
        .opt("digest", before.digest());
    let refused = match pve.send::<IgnoredAny>(&guest.request(&calls::guests::SET_CONFIG), &form) {
        Ok(_) => None,
        Err(Failure::Api(error)) if is_hotplug_refusal(&error) => {
            let said = refusals(&error).into_iter().map(|(_, said)| said);
            Some(said.collect::<Vec<_>>().join("; "))
        }
        Err(failure) => return Err(failure.into()),
    };
    let after = match PendingConfig::read(pve, guest) {
        Ok(after) => after,
        Err(failure) => {
            let error = Error::from(failure);
            return Err(error.context("the change was made, but could not be read back"));
        }
    };
    let waits = after.waits(slot);
    if let Some(said) = &refused
        && waits
        && guest.kind == GuestType::Qemu
        && !is_only_busy(said)
    {
        return Err(Error::Conflict(left_pending(
            &action,
            slot,
            said,
            before.in_force(slot),
        )));
    }
    if let Some(said) = &refused
        && !is_only_busy(said)
    {
        return Err(Error::Conflict(format!(
            "{action} failed, and nothing was changed: {said}"
        )));
    }
    if let Some(said) = &refused
        && (!waits || guest.kind == GuestType::Lxc)
    {
        return Err(Error::Conflict(format!(
            "{action} failed: it cannot be changed while the guest runs ({said}); stop the guest \
             with {}, and repeat the call",
            tool_names::STOP_GUEST
        )));
    }
    let mut report = Report::done(action).on(guest);
    report.changes.push(Change {
        what: slot.to_owned(),
        from: before.in_force(slot).map(shown),
        to: after.wanted(slot).map(shown),
        waits_for_reboot: waits,
    });
    if let Some(said) = refused {
        report.status = Status::DoneWithWarnings;
        report = report.warn(format!(
            "it could not be changed while the guest runs ({said})"
        ));
    }
    Ok(match waits {
        true => report.next(full_start()),
        false => report,
    })
}

/// Whether a change was refused only because the guest runs. Anything else would
/// also keep it from starting.
fn is_only_busy(said: &str) -> bool {
    [
        "busy",
        "unable to hotplug",
        "unable to unplug",
        "hotplug disabled",
    ]
    .iter()
    .any(|words| said.contains(words))
}

/// What to say of a value that Proxmox has refused and keeps all the same, until the
/// next start, which fails.
fn left_pending(action: &str, slot: &str, said: &str, old: Option<&str>) -> String {
    let back = match old {
        Some(old) => format!(
            "write a value that works to {slot} before the next start (it was {})",
            shown(old)
        ),
        None => format!("revert {slot} in the web interface (Hardware) before the next start"),
    };
    format!(
        "{action} failed: {said}. Proxmox keeps the refused value as a pending change, with which \
         the guest would not start: {back}"
    )
}

fn shown(value: &str) -> String {
    text::cut(value, 200)
}

fn full_start() -> String {
    format!(
        "the change takes effect when the guest is stopped and started: {} does that",
        tool_names::RESTART_GUEST
    )
}

/// The configuration to change. Refused where a value in it cannot be read.
pub(super) fn readable(pve: &Pve, guest: &Guest, slot: &str) -> Result<PendingConfig> {
    let before = PendingConfig::read(pve, guest)?;
    if before.is_unreadable(slot) {
        return Err(super::settings::unreadable(guest, slot, "change it there"));
    }
    Ok(before)
}

/// The first of these slots that holds nothing, now and after the next start.
pub(super) fn free_slot(
    before: &PendingConfig,
    slots: impl IntoIterator<Item = String>,
) -> Option<String> {
    let mut free = slots
        .into_iter()
        .filter(|slot| before.iter().all(|setting| setting.key != *slot));
    free.next()
}

/// A disk's size as Proxmox takes it at creation: a whole number of GiB, rounded
/// up.
pub(in crate::tools) fn gibibytes(argument: &str, wanted: &str) -> Result<u64> {
    const GIB: u64 = 1 << 30;
    let has_unit = wanted.contains(|letter: char| letter.is_ascii_alphabetic());
    match size::bytes(wanted).filter(|bytes| *bytes > 0 && has_unit) {
        Some(bytes) => Ok(bytes.div_ceil(GIB)),
        None => Err(Error::argument(
            argument,
            format!(
                "must be a size with one of the units M, G, T, such as 32G, not {}",
                text::quoted(wanted)
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use pve_api::slot::Bus;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_slot_with_a_change_that_waits_is_not_free() {
        let before = PendingConfig::sample(json!([
            {"key": "scsi0", "value": "local:vm-100-disk-0"},
            {"key": "scsi1", "pending": "local:vm-100-disk-1"},
            {"key": "scsi2", "value": "local:vm-100-disk-2", "delete": 1},
        ]));
        let first = free_slot(&before, Bus::Scsi.slots());
        assert_eq!(first.as_deref(), Some("scsi3"));
        assert_eq!(free_slot(&before, Bus::Scsi.slots().take(3)), None);
    }

    #[test]
    fn a_refused_value_that_stays_pending_is_named() {
        assert!(is_only_busy("unable to hotplug memory: not enabled"));
        let said = "no physical interface on bridge 'vmbr7'";
        assert!(!is_only_busy(said));
        let text = left_pending(
            "change net0 of VM 100",
            "net0",
            said,
            Some("virtio,bridge=vmbr0"),
        );
        assert!(
            text.contains("would not start") && text.contains("it was virtio,bridge=vmbr0"),
            "{text}"
        );
        assert!(left_pending("add net1", "net1", said, None).contains("web interface"));
    }

    #[test]
    fn sizes_are_whole_gibibytes() {
        assert_eq!(gibibytes("size", "32G"), Ok(32));
        assert_eq!(gibibytes("size", "1.5T"), Ok(1536));
        assert_eq!(gibibytes("size", "100 MiB"), Ok(1));
        for wrong in ["32", "0G", "", "+1G", "many"] {
            assert!(gibibytes("size", wrong).is_err(), "{wrong}");
        }
    }
}
