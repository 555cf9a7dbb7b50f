//! Whether the token is accepted, and what it may do.

use host_runner_policy::Preset;

use super::role::Grant;
use crate::cli::Operator;
use crate::commands::CommandError;
use crate::commands::rights::Rights;
use crate::commands::token::{Inquiry, Version};
use crate::engine::Embedded;
use crate::settings::Settings;

/// What the token may do.
pub(super) struct Report {
    version: Version,
    /// None: nothing.
    rights: Option<Rights>,
}

/// Asks Proxmox VE, under the policy with this preset. Fails if it does not accept the token.
pub(super) async fn check(
    operator: &Operator<'_>,
    embedded: Embedded,
    settings: &Settings,
    preset: Preset,
) -> Result<Report, CommandError> {
    let mut file = operator.policy()?;
    file.preset = Some(preset);
    let inquiry = Inquiry::new(operator, embedded, settings, &file)?;
    let version = inquiry.version().await.map_err(|refusal| {
        let next = refusal.next.iter().map(|step| format!("\n  next: {step}"));
        CommandError::Unhealthy(format!("{}{}", refusal.what, next.collect::<String>()))
    })?;
    let rights = inquiry.rights(&version).await?;
    Ok(Report { version, rights })
}

impl Report {
    /// What works, in lines, and what to do about the rest.
    pub(super) fn to_text(&self, grant: &Grant<'_>) -> String {
        let version = self.version.text();
        let mut lines = vec![format!("Proxmox VE {version} accepts the token.")];
        if !self.version.is_supported() {
            lines.push("warning: this version is not among those supported (8 and 9)".to_owned());
        }
        let Some(rights) = &self.rights else {
            lines.push(format!(
                "warning: it has no privileges at all. Both the user and the token need the role; \
                 run what is still missing of these commands:\n{}",
                grant.commands()
            ));
            return lines.join("\n");
        };
        lines.extend(rights.lines().iter().map(|line| format!("  {line}")));
        if !rights.commands.is_empty() {
            lines.push(format!(
                "These commands grant what is missing, on a node, as root:\n{}",
                rights.commands.join("\n")
            ));
        }
        lines.join("\n")
    }
}
