//! What has to be asked: the addresses of a cluster, its version and clock, and the token.

use std::sync::Arc;

use serde_json::{Value, json};

use super::report::{Check, Status};
use crate::sandbox::{Cause, Fault, Probe, Product, Sandbox, Stage, Target};
use crate::settings::Settings;

/// From this difference on, a clock is worth a warning: certificates and the times in logs
/// depend on it.
const MAX_SKEW_SECONDS: u64 = 60;
/// The major versions that are supported.
const SUPPORTED: [u64; 2] = [8, 9];

/// Checks each address. Whether one of them can be used.
pub(super) async fn addresses(settings: &Settings) -> (Vec<Check>, bool) {
    let targets = Target::all(settings);
    let mut probes = Vec::new();
    for target in &targets {
        probes.push((target.origin.to_string(), Probe::of(target).await));
    }
    let works = |probe: &Probe| probe.fault.is_none();
    let is_usable = probes
        .iter()
        .any(|(_, probe)| probe.as_ref().is_ok_and(works));
    let mut checks = Vec::new();
    for (address, probe) in probes {
        match probe {
            Err(error) => checks.push(Check::problem("tls", error.to_string()).of_settings()),
            Ok(probe) => checks.extend(of_probe(&address, &probe, is_usable)),
        }
    }
    (checks, is_usable)
}

/// The stages of a probe.
fn of_probe(address: &str, probe: &Probe, another_works: bool) -> Vec<Check> {
    let at = |check: Check| check.at(address);
    let mut checks = Vec::new();
    let ended = probe.fault.as_ref().map(|fault| fault.stage);
    if let (Some(proxy), true) = (&probe.proxy, ended != Some(Stage::Tcp)) {
        checks.push(at(Check::ok("tcp", format!("connected through {proxy}"))));
    } else if let Some(made) = probe.connections.iter().find(|one| one.failure.is_none()) {
        checks.push(at(Check::ok("tcp", format!("{} answers", made.address))));
    }
    if let (Some(tls), None | Some(Stage::Http)) = (&probe.tls, ended) {
        let leaf = tls.chain.first();
        let subject = leaf.map_or("", |leaf| leaf.subject.as_str());
        let version = tls.version.unwrap_or("TLS");
        let what = format!("{version}, the certificate ({subject}) is accepted");
        checks.push(at(Check::ok("tls", what).data(json!({ "tls": tls }))));
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
        .next("a reverse proxy has to pass /api2/json on, without a login page of its own"),
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

/// The version, by a request with the token, which is thereby known to be accepted.
pub(super) async fn version(sandbox: &Arc<Sandbox>, token: &str) -> (Vec<Check>, bool) {
    let answer = match sandbox.look("/version").await {
        Ok(answer) => answer,
        Err(error) => return (vec![Check::problem("token", error)], false),
    };
    let status = answer.status().as_u16();
    if status == 401 {
        let user = token.split('!').next().unwrap_or_default();
        let check = Check::problem(
            "token",
            format!(
                "Proxmox VE does not accept the token {token}: its secret is wrong, it does not \
                 exist or has expired, or its user is disabled or has expired (Proxmox VE answers \
                 all of these alike)"
            ),
        );
        let check = check
            .next(format!(
                "pveum user token list '{user}'   # does it exist, until when?"
            ))
            .next(format!(
                "pveum user list   # is {user} enabled, until when?"
            ))
            .next("if both are right, the secret is wrong: make a new token");
        return (vec![check], false);
    }
    if status != 200 {
        let what = format!("GET /version was answered with status {status}");
        return (vec![Check::problem("token", what)], false);
    }
    let body: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
    let version = body.pointer("/data/version").and_then(Value::as_str);
    let version = version.unwrap_or_default().to_owned();
    let major = version.split('.').next().and_then(|text| text.parse().ok());
    let check = match major {
        Some(major) if SUPPORTED.contains(&major) => {
            Check::ok("version", format!("Proxmox VE {version}"))
        }
        _ => Check::warning(
            "version",
            format!("Proxmox VE {version} is not among the supported versions (8 and 9)"),
        ),
    };
    let check = check.data(json!({ "version": version }));
    let token = Check::ok("token", format!("{token} is accepted"));
    (vec![check, token], true)
}
