//! Whose certificate each address shows, and whether to accept it.

use std::time::SystemTime;

use super::answers::Answers;
use super::ask::User;
use crate::commands::CommandError;
use crate::sandbox::{Cause, Certificate, Fault, Probe, Product, Stage, Target};
use crate::settings::{Settings, Variable};

/// The commands that show the same fingerprint on the node.
const ON_THE_NODE: &str = "compare the SHA-256 fingerprint with the one that the node itself \
                           shows: on its console, `pvenode cert info`, or in the web interface, \
                           node > System > Certificates";

/// Looks at the certificates of all addresses. Those that nobody vouches for are pinned if the
/// user has compared them. Sends no token.
pub(super) async fn accept(user: User, answers: &mut Answers) -> Result<(), CommandError> {
    let mut probes = probed(&answers.connection()?).await?;
    let mut pins = Vec::new();
    let mut any_by_user = false;
    let some_answer = probes.iter().any(|(_, probe)| !is_down(probe));
    for (address, probe) in &probes {
        let leaf = probe.tls.as_ref().and_then(|tls| tls.chain.first());
        match (&probe.fault, leaf) {
            (Some(fault), _) if is_down(probe) && some_answer => user.tell(&format!(
                "warning: {address}: {}; the other addresses are used until it answers",
                cause(address, fault)
            )),
            (None, leaf) => {
                let leaf = leaf.ok_or_else(|| no_certificate(address))?;
                user.tell(&format!(
                    "{address}: the certificate is accepted{}\n{}",
                    match answers.get(Variable::Fingerprint) {
                        Some(_) => ": it has the given fingerprint",
                        None if answers.get(Variable::CaFile).is_some() => {
                            ": it is in the given file of certificates, or a trusted authority has \
                             signed it for this address"
                        }
                        None => ": a trusted authority has signed it for this address",
                    },
                    described(leaf)
                ));
                pins.push((address.clone(), leaf.fingerprint_sha256.clone()));
            }
            (Some(fault), Some(leaf)) if may_pin(fault, answers) => {
                if let Some((down, _)) = probes.iter().find(|(_, probe)| is_down(probe)) {
                    return Err(CommandError::Unhealthy(format!(
                        "{address}: {}, and {down} does not answer, so its certificate cannot be \
                         compared: start it, leave it out, or pass the CA certificate with --ca-file",
                        fault.what
                    )));
                }
                ask(user, address, fault, leaf).await?;
                any_by_user = true;
                pins.push((address.clone(), leaf.fingerprint_sha256.clone()));
            }
            (Some(fault), _) => return Err(failed(address, fault)),
        }
    }
    if any_by_user {
        answers.set(Variable::Fingerprint, joined(pins));
        // Nothing was asked of an address whose certificate was not accepted yet.
        probes = probed(&answers.connection()?).await?;
    }
    check_products(&probes)
}

/// Each address, with what is found there.
async fn probed(settings: &Settings) -> Result<Vec<(String, Probe)>, CommandError> {
    let mut probes = Vec::new();
    for target in Target::all(settings) {
        probes.push((target.origin.authority(), Probe::of(&target).await?));
    }
    Ok(probes)
}

/// Fails unless Proxmox VE answers at each address.
fn check_products(probes: &[(String, Probe)]) -> Result<(), CommandError> {
    for (address, probe) in probes {
        match &probe.fault {
            Some(_) if is_down(probe) => continue,
            Some(fault) => return Err(failed(address, fault)),
            None => {}
        }
        let other = match probe.answer.as_ref().map(|answer| answer.product) {
            Some(Product::ProxmoxVe | Product::Unknown) | None => continue,
            Some(Product::ProxmoxBackupServer) => "Proxmox Backup Server",
            Some(Product::ProxmoxMailGateway) => "Proxmox Mail Gateway",
            Some(Product::Other) => "something else",
        };
        return Err(CommandError::Unhealthy(format!(
            "{address} is {other}, not Proxmox VE: check the host and the port (Proxmox VE listens \
             on 8006)"
        )));
    }
    Ok(())
}

/// Asks the user whether the certificate is that of the node. Fails if nobody can say.
async fn ask(
    user: User,
    address: &str,
    fault: &Fault,
    leaf: &Certificate,
) -> Result<(), CommandError> {
    if !user.can_answer {
        return Err(CommandError::Unhealthy(format!(
            "{address}: {}; its SHA-256 fingerprint is {}: {ON_THE_NODE}; if it is the same, pass it \
             with --fingerprint, or pass the CA certificate with --ca-file",
            fault.what, leaf.fingerprint_sha256
        )));
    }
    user.tell(&format!(
        "{address}: {}\n{}\nBefore you accept it, {ON_THE_NODE}.",
        fault.what,
        described(leaf)
    ));
    match user.agrees("Is the fingerprint the same?").await? {
        true => Ok(()),
        false => Err(CommandError::Unhealthy(format!(
            "the certificate of {address} was not accepted: if it should be signed by an authority, \
             pass the CA certificate with --ca-file"
        ))),
    }
}

/// Whether the user may accept a certificate. Not where the operator has said already which
/// ones to accept: it is another one, then.
fn may_pin(fault: &Fault, answers: &Answers) -> bool {
    let is_of_certificate = matches!(
        fault.cause,
        Cause::SelfSigned
            | Cause::UnknownAuthority
            | Cause::Expired
            | Cause::NotYetValid
            | Cause::WrongName
            | Cause::Certificate
    );
    let said = [Variable::CaFile, Variable::Fingerprint];
    is_of_certificate && said.iter().all(|one| answers.get(*one).is_none())
}

/// Whether nothing answers there. The cluster's other addresses do without it.
fn is_down(probe: &Probe) -> bool {
    let fault = probe.fault.as_ref();
    fault.is_some_and(|fault| {
        matches!(fault.stage, Stage::Dns | Stage::Tcp) && fault.cause != Cause::Proxy
    })
}

fn failed(address: &str, fault: &Fault) -> CommandError {
    let what = cause(address, fault);
    CommandError::Unhealthy(format!("{address}: {what}: {}", fault.next))
}

/// What is wrong. Of a connection, the address is a part of it.
fn cause<'a>(address: &str, fault: &'a Fault) -> &'a str {
    let what = fault.what.strip_prefix(&format!("{address}: "));
    what.unwrap_or(&fault.what)
}

fn no_certificate(address: &str) -> CommandError {
    CommandError::Unhealthy(format!("{address}: the server shows no certificate"))
}

/// The value of `PROXMOX_FINGERPRINT`: with several addresses, one for each.
fn joined(pins: Vec<(String, String)>) -> String {
    let alone = pins.len() == 1;
    let pins = pins.into_iter().map(|(address, pin)| match alone {
        true => pin,
        false => format!("{address}={pin}"),
    });
    pins.collect::<Vec<_>>().join(",")
}

fn described(leaf: &Certificate) -> String {
    let day = |time: Option<SystemTime>| match time {
        Some(time) => humantime::format_rfc3339_seconds(time).to_string(),
        None => "unknown".to_owned(),
    };
    let names = match leaf.names.is_empty() {
        true => "none".to_owned(),
        false => leaf.names.join(", "),
    };
    format!(
        "  subject      {}\n  issuer       {}\n  names        {names}\n  valid        {} to {}\n  \
         key          {}\n  fingerprint  {}",
        leaf.subject,
        leaf.issuer,
        day(leaf.not_before),
        day(leaf.not_after),
        leaf.key,
        leaf.fingerprint_sha256
    )
}
