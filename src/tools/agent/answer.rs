//! Answers of the guest agent.

use serde::Deserialize;

/// Every answer of the agent is wrapped in this.
#[derive(Debug, Deserialize)]
pub(crate) struct AgentAnswer<T> {
    pub(crate) result: T,
}
