//! host-runner with the component of `tests/hostile`.

use anyhow::ensure;
use serde_json::{Value, json};

use crate::{Client, HostRunner, Sim, hostile_component};

/// A cluster whose log is not mistaken for the product's requests.
pub async fn start_sim() -> anyhow::Result<Sim> {
    Sim::options().private_log().start().await
}

/// host-runner with the hostile component, in front of a cluster that it may
/// reach.
pub fn hostile(sim: &Sim) -> anyhow::Result<HostRunner> {
    Ok(sim.host()?.component(&hostile_component()?))
}

/// An attack that is answered and reports how it went.
pub async fn outcome(client: &Client, attack: &str, arguments: Value) -> anyhow::Result<String> {
    let report = client.call(attack, arguments).await?;
    Ok(report
        .get("outcome")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned())
}

/// The server answers as before.
pub async fn still_serves(client: &Client) -> anyhow::Result<()> {
    let report = client.call("count_calls", json!({})).await?;
    ensure!(
        report == json!({ "outcome": "counted", "calls": 1 }),
        "the instance is not fresh: {report}"
    );
    Ok(())
}

/// Ends the session; the server must have written nothing but MCP.
pub async fn ends_well(client: Client) -> anyhow::Result<()> {
    still_serves(&client).await?;
    let output = client.finish().await?;
    ensure!(output.status == Some(0), "exit status {:?}", output.status);
    ensure!(
        !output.stderr.contains("wasm backtrace"),
        "a backtrace in the log: {}",
        output.stderr
    );
    Ok(())
}

/// The paths that a simulated cluster was asked for.
pub fn paths(sim: &Sim) -> anyhow::Result<Vec<String>> {
    Ok(sim
        .requests()?
        .iter()
        .map(|request| request.get("path").and_then(Value::as_str))
        .map(|path| path.unwrap_or_default().to_owned())
        .collect())
}

/// How a raw request was refused: the name of the rule, or `wasi` where it was
/// no request at all.
pub async fn refused(client: &Client, request: Value) -> anyhow::Result<String> {
    refused_as(client, "send_raw", request).await
}

/// The same by another tool; `answered` where it was not.
pub async fn refused_as(client: &Client, tool: &str, request: Value) -> anyhow::Result<String> {
    let before = client.stderr()?.len();
    let report = client.call(tool, request).await?;
    if report.get("outcome") != Some(&json!("refused")) {
        return Ok("answered".to_owned());
    }
    let log = client.stderr()?.split_off(before);
    let rule = log.split_once("by rule ").map(|(_, rest)| rest);
    let rule = rule.and_then(|rest| rest.split(':').next());
    Ok(rule.unwrap_or("wasi").to_owned())
}
