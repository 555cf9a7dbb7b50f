//! What serving needs, over stdio as over HTTP.

use std::time::Duration;

use crate::commands::CommandError;
use crate::digest::Digest;
use crate::mcp;
use crate::offer::{Fleet, OfferError};
use crate::settings::Detail;

/// Several clients give up on a call after 60 s.
pub(super) const WAIT: Duration = Duration::from_secs(50);

/// Fails unless clients would be shown what the operator has approved, whatever else is
/// wrong; gives back the fault.
pub(super) async fn approved(
    catalog: &Fleet,
    detail: Detail,
    expected: Digest,
    fault: Option<CommandError>,
) -> Result<Option<CommandError>, CommandError> {
    match (mcp::checksum(catalog, detail).await, fault) {
        (Ok(found), fault) if found == expected => Ok(fault),
        (_, Some(fault)) => Err(fault.uncompared()),
        (Ok(found), None) => Err(CommandError::Checksum { expected, found }),
        (Err(error), None) => Err(error.into()),
    }
}

/// Checks that there are tools to offer, and loads the component, for which the first
/// call then need not wait. The embedded component's tools are listed without it.
pub(super) async fn ready(catalog: &Fleet) -> Result<(), OfferError> {
    catalog.check().await?;
    catalog.plugin().await?;
    Ok(())
}
