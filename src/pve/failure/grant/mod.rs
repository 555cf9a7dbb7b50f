//! A refusal for want of a privilege, as commands that grant it.
//!
//! A privilege-separated token may do what both it and its user may. Who lacks
//! a privilege does not show in a refusal, so the commands are for both. An
//! entry of the access list replaces what is inherited from the paths above
//! it, and what groups have on the same path. The role that is granted holds
//! what the token has there already, so that the token loses nothing. What its
//! user has is not told to a token: the words say what may be lost.

mod command;
mod needed;

use self::command::commands;
use self::needed::{Wanted, named, unnamed};
use super::response::ErrorResponse;

/// What a refused token lacks, in few words: `VM.Audit on /vms/100`. Absent if
/// Proxmox does not name it and the call itself does not tell.
pub(super) fn lacking(response: &ErrorResponse) -> Option<String> {
    let wanted = match named(response) {
        Some(wanted) => vec![wanted],
        None => unnamed(response),
    };
    let lacks: Vec<String> = wanted.iter().map(Wanted::label).collect();
    (!lacks.is_empty()).then(|| lacks.join(" and "))
}

/// `Permission check failed (/vms/100, VM.Audit)` as an instruction.
pub(super) fn denied(response: &ErrorResponse, said: &str) -> String {
    let token = &response.asked.token;
    if is_for_root(&response.message) {
        return format!(
            "only root@pam itself may do this ({said}): no API token can, so leave it out, or do \
             it in the web interface or in the node's shell"
        );
    }
    let (wanted, is_named) = match named(response) {
        Some(wanted) => (vec![wanted], true),
        None => (unnamed(response), false),
    };
    if wanted.is_empty() {
        return format!(
            "the token {token} may not do this ({said}), and Proxmox does not say which privilege \
             it lacks: a privilege-separated token needs its own permissions, under Datacenter, \
             Permissions, and has at most those of its user"
        );
    }
    let lacks: Vec<String> = wanted.iter().map(Wanted::label).collect();
    let lacks = lacks.join(" and ");
    let lacks = if is_named {
        format!("the token {token} lacks {lacks}")
    } else {
        format!("the token {token} may not do this ({said}); this call needs {lacks}")
    };
    let commands: Vec<String> = wanted
        .iter()
        .map(|wanted| commands(wanted, response))
        .collect();
    format!(
        "{lacks}: as root on a node, run {}",
        commands.join("; then ")
    )
}

/// Whether only root@pam may do it, and no token at all.
fn is_for_root(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    message.contains("only root") || message.contains("root@pam")
}

#[cfg(test)]
mod tests;
