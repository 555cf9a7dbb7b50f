//! What has to be asked: the addresses of a cluster, its version and clock, and the token.

use std::time::SystemTime;

use serde_json::json;

use super::report::{Check, Status};
use crate::commands::token::{Refusal, Version};
use crate::sandbox::{Cause, Fault, Handshake, Probe, Product, Stage, Target, WHERE_TO_COMPARE};
use crate::settings::{Settings, Trust};

/// From this difference on, a clock is worth a warning: certificates and the times in logs
/// depend on it.
const MAX_SKEW_SECONDS: u64 = 60;
/// Checks each address. Whether one of them can be used.
pub(super) async fn addresses(settings: &Settings) -> (Vec<Check>, bool) {
    let targets = Target::all(settings);
    let mut probes = Vec::new();
    for target in &targets {
        probes.push((target, Probe::of(target).await));
    }
    let works = |probe: &Probe| probe.fault.is_none();
    let is_usable = probes
        .iter()
        .any(|(_, probe)| probe.as_ref().is_ok_and(works));
    let mut checks = Vec::new();
    for (target, probe) in probes {
        match probe {
            Err(error) => checks.push(Check::problem("tls", error.to_string()).of_settings()),
            Ok(probe) => checks.extend(of_probe(target, &probe, is_usable)),
        }
    }
    (checks, is_usable)
}

/// The stages of a probe.
fn of_probe(target: &Target<'_>, probe: &Probe, another_works: bool) -> Vec<Check> {
    let address = target.origin.to_string();
    let at = |check: Check| check.at(&address);
    let mut checks = Vec::new();
    let ended = probe.fault.as_ref().map(|fault| fault.stage);
    if let (Some(proxy), true) = (&probe.proxy, ended != Some(Stage::Tcp)) {
        checks.push(at(Check::ok("tcp", format!("connected through {proxy}"))));
    } else if let Some(made) = probe.connections.iter().find(|one| one.failure.is_none()) {
        checks.push(at(Check::ok("tcp", format!("{} answers", made.address))));
    }
    if let (Some(tls), None | Some(Stage::Http)) = (&probe.tls, ended) {
        checks.push(at(of_tls(tls, target.trust)));
    }
    if let Some(fault) = &probe.fault {
        checks.push(at(of_fault(fault, probe, another_works)));
    }
    if let Some(answer) = &probe.answer {
        checks.push(at(
            of_product(answer.product, answer.status).data(json!({ "answer": answer }))
        ));
        checks.extend(answer.skew.map(|skew| at(of_clock(skew))));
    }
    checks
}

/// A certificate that is accepted.
fn of_tls(tls: &Handshake, trust: &Trust) -> Check {
    let version = tls.version.unwrap_or("TLS");
    let leaf = tls.chain.first();
    let subject = leaf.map_or("", |leaf| leaf.subject.as_str());
    let now = SystemTime::now();
    let has_expired = leaf
        .and_then(|leaf| leaf.not_after)
        .is_some_and(|end| end < now);
    let is_early = leaf
        .and_then(|leaf| leaf.not_before)
        .is_some_and(|start| start > now);
    let check = match trust {
        Trust::Unverified => Check::warning(
            "tls",
            format!("{version}, every certificate is accepted, such as this one ({subject})"),
        )
        .next(match leaf {
            Some(leaf) => format!(
                "leave out PROXMOX_VERIFY_SSL and set PROXMOX_FINGERPRINT={} to accept only this one; \
                 {WHERE_TO_COMPARE}",
                leaf.fingerprint_sha256
            ),
            None => "leave out PROXMOX_VERIFY_SSL".to_owned(),
        }),
        _ if has_expired => Check::warning(
            "tls",
            format!(
                "{version}, the certificate ({subject}) has expired; it is accepted because the \
                 settings name it"
            ),
        )
        .next(
            "renew it (on a node with the cluster's own certificates, `pvecm updatecerts --force`), \
             and update PROXMOX_FINGERPRINT if it is set",
        ),
        _ if is_early => Check::warning(
            "tls",
            format!(
                "{version}, the certificate ({subject}) is not valid yet; it is accepted because the \
                 settings name it"
            ),
        )
        .next("compare the clocks of the node and of this machine"),
        _ => Check::ok(
            "tls",
            format!("{version}, the certificate ({subject}) is accepted"),
        ),
    };
    check.data(json!({ "tls": tls }))
}

fn of_fault(fault: &Fault, probe: &Probe, another_works: bool) -> Check {
    let stage = match fault.stage {
        Stage::Dns => "dns",
        Stage::Tcp => "tcp",
        Stage::Tls => "tls",
        Stage::Http => "http",
    };
    // The others do without a node that is down, but a certificate has to be put right.
    let is_down = matches!(fault.stage, Stage::Dns | Stage::Tcp);
    let status = match is_down && another_works && fault.cause != Cause::Proxy {
        true => Status::Warning,
        false => Status::Problem,
    };
    Check::new(stage, status, fault.what.clone())
        .next(fault.next.clone())
        .data(json!({ "fault": fault, "tls": probe.tls }))
}

fn of_product(product: Product, status: u16) -> Check {
    let other = |name: &str, port: &str| {
        Check::problem("product", format!("this is {name}, not Proxmox VE")).next(format!(
            "give the address of Proxmox VE in PROXMOX_URL, whose port is 8006{port}"
        ))
    };
    match product {
        Product::ProxmoxVe => Check::ok("product", "Proxmox VE"),
        Product::ProxmoxBackupServer => other("Proxmox Backup Server", " (8007 is that of PBS)"),
        Product::ProxmoxMailGateway => other("Proxmox Mail Gateway", ""),
        Product::Other => Check::problem(
            "product",
            format!("what answers is not Proxmox VE (status {status})"),
        )
        .next(
            "check the host and the port in PROXMOX_URL (Proxmox VE listens on 8006); a reverse proxy \
             has to pass /api2/json on, without a login page of its own",
        ),
        Product::Unknown => Check::problem(
            "product",
            format!("Proxmox VE does not answer at the moment (status {status})"),
        )
        .next("on the node: systemctl status pvedaemon pveproxy"),
    }
}

fn of_clock(skew: i64) -> Check {
    let seconds = skew.unsigned_abs();
    let direction = if skew < 0 { "behind" } else { "ahead of" };
    let check = match seconds < MAX_SKEW_SECONDS {
        true => Check::ok(
            "clock",
            format!("differs by {seconds} s from this machine's"),
        ),
        false => Check::warning(
            "clock",
            format!("the clock of the node is {seconds} s {direction} this machine's"),
        )
        .next("set the clock that is wrong (`timedatectl`): certificates and logs depend on it"),
    };
    check.data(json!({ "clock_skew_seconds": skew }))
}

/// The version, and that the token is accepted.
pub(super) fn of_version(version: &Version, token: &str) -> [Check; 2] {
    let text = version.text();
    let check = match version.is_supported() {
        true => Check::ok("version", format!("Proxmox VE {text}")),
        false => Check::warning(
            "version",
            format!("Proxmox VE {text} is not among the supported versions (8 and 9)"),
        ),
    };
    let check = check.data(json!({ "version": text }));
    [check, Check::ok("token", format!("{token} is accepted"))]
}

/// Why the token cannot be used.
pub(super) fn of_refusal(refusal: Refusal) -> Check {
    let check = Check::problem("token", refusal.what);
    refusal.next.into_iter().fold(check, Check::next)
}
