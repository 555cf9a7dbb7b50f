//! `host-runner doctor`: checks everything that has to be right before a tool can work, and
//! says how to fix what is not. It changes nothing on Proxmox VE.

mod local;
mod remote;
mod report;
mod rights;

use self::report::{Check, exit_status, to_json, to_text};
use super::token::Inquiry;
use super::{CommandError, output, settings};
use crate::cli::{Cli, Format, Operator, OutputArgs};
use crate::engine::Embedded;
use crate::settings::Settings;

/// Checks, and prints what was found.
pub(crate) async fn run(
    cli: &Cli,
    operator: Result<Operator<'_>, CommandError>,
    embedded: Embedded,
    output: &OutputArgs,
) -> Result<(), CommandError> {
    let checks = match operator.and_then(|operator| Ok(operator.by_cluster()?)) {
        Ok(operators) => all(cli, &operators, embedded).await,
        Err(error) => vec![
            Check::problem("settings", error.to_string()).of_settings(),
            Check::skipped("policy", "the settings cannot be used"),
            Check::skipped("network", "the settings cannot be used"),
        ],
    };
    // For people, also in a pipe or a container without a terminal.
    let format = output.chosen().unwrap_or(Format::Table);
    output::show_as(format, &to_json(&checks), || to_text(&checks))?;
    match exit_status(&checks) {
        0 => Ok(()),
        status => Err(CommandError::Reported(status)),
    }
}

async fn all(cli: &Cli, operators: &[Operator<'_>], embedded: Embedded) -> Vec<Check> {
    let mut checks = Vec::new();
    for warning in operators.first().into_iter().flat_map(Operator::warnings) {
        checks.push(Check::warning("settings", warning));
    }
    checks.extend(local::component(cli, operators, embedded).await);
    checks.extend(operators.first().into_iter().flat_map(local::http));
    checks.extend(operators.first().and_then(local::traces));
    for operator in operators {
        let of_cluster = cluster(operator, embedded).await.into_iter();
        checks.extend(of_cluster.map(|check| Check {
            cluster: operator.cluster().cloned(),
            ..check
        }));
    }
    checks
}

/// What has to be right for one cluster.
async fn cluster(operator: &Operator<'_>, embedded: Embedded) -> Vec<Check> {
    let mut checks = local::settings(operator);
    checks.extend(local::policy(operator));
    let is_usable = exit_status(&checks) == 0;
    let settings = match settings(operator).await {
        Ok(settings) if is_usable => settings,
        Err(error) if is_usable => {
            checks.push(Check::problem("settings", error.to_string()).of_settings());
            return checks;
        }
        _ => {
            let why = "the settings or the policy cannot be used";
            let rest = ["network", "token", "rights"];
            checks.extend(rest.map(|name| Check::skipped(name, why)));
            return checks;
        }
    };
    // The simulated cluster lives until the end.
    let (settings, _demo) = settings;
    let (found, reached) = remote::addresses(&settings).await;
    let is_other = found.iter().any(Check::is_of_another_product);
    checks.extend(found);
    if !reached || is_other {
        let why = match is_other {
            true => "the token is sent to Proxmox VE only",
            false => "no address can be used",
        };
        checks.extend(["token", "rights"].map(|name| Check::skipped(name, why)));
        return checks;
    }
    match asked(operator, &settings, embedded).await {
        Ok(found) => checks.extend(found),
        Err(error) => checks.push(Check::problem("policy", error.to_string()).of_settings()),
    }
    checks
}

/// What Proxmox VE answers to the token.
async fn asked(
    operator: &Operator<'_>,
    settings: &Settings,
    embedded: Embedded,
) -> Result<Vec<Check>, CommandError> {
    let inquiry = Inquiry::new(operator, embedded, settings, &operator.policy()?)?;
    let version = match inquiry.version().await {
        Ok(version) => version,
        Err(refusal) => {
            let rights = Check::skipped("rights", "the token is not accepted");
            return Ok(vec![remote::of_refusal(refusal), rights]);
        }
    };
    let mut checks = remote::of_version(&version, inquiry.token()).to_vec();
    checks.extend(rights::check(&inquiry, &version).await);
    Ok(checks)
}
