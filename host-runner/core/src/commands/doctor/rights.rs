//! Which tools the token can use, and the names of the policy that the cluster does not have.

use host_runner_policy::Preset;
use serde_json::{Value, json};

use super::report::Check;
use crate::commands::rights::Rights;
use crate::commands::token::{Inquiry, Version};

/// What each toolset can do, and what the policy names and the cluster does not have.
pub(super) async fn check(inquiry: &Inquiry, version: &Version) -> Vec<Check> {
    let rights = match inquiry.rights(version).await {
        Ok(Some(rights)) => rights,
        Ok(None) => return vec![of_nothing(inquiry)],
        Err(error) => return vec![Check::problem("rights", error.to_string())],
    };
    let mut checks = vec![of_rights(&rights, inquiry.preset())];
    let missing = inquiry.missing_of_scope().await;
    checks.extend(missing.iter().map(|line| Check::warning("scope", line)));
    checks
}

fn of_nothing(inquiry: &Inquiry) -> Check {
    let (user, token) = (inquiry.user(), inquiry.token());
    let what = format!(
        "the token {token} has no privileges: a privilege-separated token needs its own, and has at \
         most those of its user"
    );
    Check::problem("rights", what)
        .next(format!(
            "pveum acl modify / --tokens '{token}' --roles PVEAuditor"
        ))
        .next(format!(
            "pveum acl modify / --users '{user}' --roles PVEAuditor"
        ))
}

fn of_rights(rights: &Rights, preset: Preset) -> Check {
    let (all, work, coarse) = (rights.all(), rights.working(), rights.coarse());
    let check = match (work == 0, work + coarse == all) {
        (true, _) if all > 0 => Check::problem("rights", "the token has no privilege for any tool"),
        (_, true) if coarse > 0 => Check::ok(
            "rights",
            format!("{work} of {all} tools on offer have privileges; the others need broader ones"),
        ),
        (_, true) => Check::ok(
            "rights",
            format!("all {all} tools on offer have privileges"),
        ),
        (_, false) => Check::warning(
            "rights",
            format!("{work} of {all} tools on offer work; the token lacks privileges for the rest"),
        ),
    };
    let check = rights
        .commands
        .iter()
        .fold(check, |check, line| check.next(line.as_str()));
    let check = match work + coarse == all || preset == Preset::Observe {
        true => check,
        false => check.next("or leave these tools out, for example with --preset observe"),
    };
    check.details(rights.lines()).data(data(rights))
}

fn data(rights: &Rights) -> Value {
    let toolsets = rights.toolsets.iter().map(|(name, one)| {
        let lack = one.lack.iter().chain(&one.coarse).map(|(tool, lacks)| {
            let lacks = lacks
                .iter()
                .map(|lack| json!({ "path": lack.path, "privileges": lack.privileges }));
            json!({ "tool": tool, "missing": lacks.collect::<Vec<_>>() })
        });
        json!({ "toolset": name, "work": one.work, "lack": lack.collect::<Vec<_>>() })
    });
    let held = rights
        .held
        .paths()
        .map(|(path, names)| json!({ "path": path, "privileges": names.collect::<Vec<_>>() }));
    json!({
        "toolsets": toolsets.collect::<Vec<_>>(),
        "held": held.collect::<Vec<_>>(),
        "commands": rights.commands,
    })
}
