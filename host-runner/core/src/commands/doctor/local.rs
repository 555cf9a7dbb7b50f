//! What can be checked on this machine: settings, policy, audit log, component, and the
//! address to serve on.

use std::net::TcpListener;

use serde_json::json;

use super::report::Check;
use crate::audit::Audit;
use crate::cli::{Cli, Operator};
use crate::commands::Context;
use crate::engine::Embedded;
use crate::http::{Access, Tls};
use crate::mcp;
use crate::system::private;

/// The settings that are given, each with its source.
pub(super) fn settings(operator: &Operator<'_>) -> Vec<Check> {
    let mut checks = Vec::new();
    let name = operator.cluster();
    let settings = match operator.options.demo {
        true => Ok(()),
        false => operator.settings().map(drop),
    };
    let listed = operator.sources().listed(settings.is_ok());
    let details = listed
        .iter()
        .map(|one| format!("{}={} ({})", one.name, one.value, one.source));
    let details: Vec<_> = details.collect();
    let data = json!({ "settings": listed });
    let check = match settings {
        Ok(()) => Check::ok("settings", format!("{} are given", listed.len())),
        Err(error) => Check::problem("settings", error.to_string()).of_settings(),
    };
    checks.push(Check {
        cluster: name.cloned(),
        ..check.details(details).data(data)
    });
    for path in operator.sources().exposed_files() {
        let command = private::command(&path);
        let path = path.display();
        let what =
            format!("every user of this machine can read or change {path}, which holds a secret");
        checks.push(Check::warning("permissions", what).next(command));
    }
    checks
}

/// Where spans are sent, if they are.
pub(super) fn traces(operator: &Operator<'_>) -> Option<Check> {
    match operator.traces() {
        Ok(None) => None,
        Ok(Some(traces)) => {
            let origin = traces.endpoint.origin().ascii_serialization();
            let what = format!("are sent to {origin} while serving");
            Some(Check::ok("traces", what))
        }
        Err(error) => Some(Check::problem("traces", error.to_string()).of_settings()),
    }
}

/// The policy in force, for each client, and the audit log that it names.
pub(super) fn policy(operator: &Operator<'_>) -> Vec<Check> {
    let file = match operator.policy() {
        Ok(file) => file,
        Err(error) => return vec![Check::problem("policy", error.to_string()).of_settings()],
    };
    if let Err(error) = operator.rules(&file) {
        return vec![Check::problem("policy", error.to_string()).of_settings()];
    }
    let values = serde_json::to_value(&file).unwrap_or_default();
    let origins = operator.policy_layers(None).map(|layers| layers.origins());
    let origins = origins.unwrap_or_default();
    let details = origins.iter().map(|(key, place)| {
        match values.pointer(&format!("/{}", key.replace('.', "/"))) {
            Some(value) => format!("{key} = {value} (from {place})"),
            None => format!("{key}: from {place}"),
        }
    });
    let preset = file.preset.unwrap_or_default().name();
    let what = format!("can be used, with the preset {preset}");
    let mut checks = vec![Check::ok("policy", what).details(details.collect())];
    if let Ok(policies) = operator.policies() {
        let named = policies.named();
        let faulty = named.iter().filter_map(|one| policies.layers(one).err());
        let faulty = faulty.map(|error| Check::problem("policy", error.to_string()).of_settings());
        checks.extend(faulty);
    }
    if let Some(target) = crate::policy::audit_target(&file) {
        let shown = target.to_string();
        checks.push(match Audit::open(target, true, None) {
            Ok(_) => Check::ok("audit", format!("the log {shown} can be written")),
            Err(error) => Check::problem("audit", error.to_string()).of_settings(),
        });
    }
    checks
}

/// Whether the component runs, as fast as it can, and is the one that was approved.
pub(super) async fn component(
    cli: &Cli,
    operators: &[Operator<'_>],
    embedded: Embedded,
) -> Vec<Check> {
    let mut checks = Vec::new();
    let source = cli.options.component(embedded);
    let fits = source.machine_code_fits(&cli.options.limits());
    let context = Context::sealed(&cli.options, operators, embedded);
    let catalog = context.catalog;
    let loaded = match catalog.check().await {
        Ok(()) => catalog
            .plugin()
            .await
            .map(drop)
            .map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    checks.push(match (loaded, fits) {
        (Err(error), _) => Check::problem("component", error).of_settings(),
        (Ok(()), Some(Err(reason))) => Check::warning(
            "component",
            format!("the embedded machine code does not fit this machine: {reason}"),
        )
        .next("the component is compiled at each start instead: use a build for this processor"),
        (Ok(()), _) => Check::ok("component", "can be run"),
    });
    let expected = match cli.tools_checksum() {
        Ok(None) => return checks,
        Ok(Some(expected)) => expected,
        Err(error) => {
            checks.push(Check::problem("checksum", error.to_string()).of_settings());
            return checks;
        }
    };
    let detail = operators.first().map(Operator::detail).unwrap_or_default();
    checks.push(match mcp::checksum(&catalog, detail).await {
        Ok(found) if found == expected => Check::ok("checksum", "the tools are those approved"),
        Ok(found) => Check::problem(
            "checksum",
            format!("the tools have the checksum {found}, but {expected} is required"),
        )
        .of_settings()
        .next("compare `host-runner tools --surface` with what you approved"),
        Err(error) => Check::problem("checksum", error.to_string()).of_settings(),
    });
    checks
}

/// What `serve --http` needs. Nothing, unless it has an address in the settings.
pub(super) fn http(operator: &Operator<'_>) -> Vec<Check> {
    let settings = match operator.http() {
        Ok(None) => return Vec::new(),
        Ok(Some(settings)) => settings,
        Err(error) => return vec![Check::problem("http", error.to_string()).of_settings()],
    };
    let mut faults = Vec::new();
    faults.extend(Access::new(settings.tokens.as_ref(), settings.oauth.as_ref()).err());
    faults.extend(
        settings
            .tls
            .as_ref()
            .and_then(|files| Tls::new(files).err()),
    );
    let mut checks: Vec<_> = faults
        .into_iter()
        .map(|fault| Check::problem("http", fault).of_settings())
        .collect();
    let address = settings.address;
    match TcpListener::bind(address) {
        Ok(_) if checks.is_empty() => {
            checks.push(Check::ok("http", format!("{address} is free")));
        }
        Ok(_) => {}
        Err(error) => checks.push(
            Check::warning("http", format!("{address} cannot be listened on: {error}"))
                .next("if it is this server that runs there, nothing; or choose another port"),
        ),
    }
    checks
}
