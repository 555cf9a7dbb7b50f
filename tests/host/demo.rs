//! The demo as a playground: what `host-runner tools NAME` shows can be typed.

use anyhow::Context as _;
use harness::{HostRunner, Output};
use serde_json::Value;
use tokio::task::JoinSet;

/// Their examples name a task or a backup, whose names contain the time.
const WITH_A_TIME: [&str; 4] = ["get_task", "wait_task", "stop_task", "restore_backup"];
/// How many processes run at the same time.
const AT_ONCE: usize = 8;

/// host-runner with the demo, where everything is allowed.
fn host() -> anyhow::Result<HostRunner> {
    let options = ["--demo", "--toolsets=all", "--preset=admin"];
    let host = HostRunner::new()?.args(options);
    Ok(host.arg("--allow-tool=run_in_guest"))
}

/// The example of each tool, by its name.
async fn examples() -> anyhow::Result<Vec<(String, String)>> {
    let listed = host()?.run(&["tools", "-o", "json"]).await?;
    listed.assert_succeeds();
    let tools: Value = serde_json::from_str(&listed.stdout)?;
    let tools = tools.get("tools").unwrap_or(&tools);
    let mut examples = Vec::new();
    for tool in tools.as_array().context("no list of tools")? {
        let name = tool.get("name").and_then(Value::as_str);
        let name = name.context("a tool without a name")?;
        let page = host()?.run(&["tools", name, "-o", "json"]).await?;
        page.assert_succeeds();
        let page: Value = serde_json::from_str(&page.stdout)?;
        let example = page.get("example").and_then(Value::as_str);
        let example = example.with_context(|| format!("{name} has no example"))?;
        examples.push((name.to_owned(), example.to_owned()));
    }
    Ok(examples)
}

async fn run(example: &str) -> anyhow::Result<Output> {
    let words = example
        .strip_prefix("host-runner ")
        .context(example.to_owned())?;
    // As a shell would: no example needs quotes.
    let special = ['\'', '"', '[', '{', '*', '$', '&', ';', '(', '\\', '#', '?'];
    anyhow::ensure!(!words.contains(special), "needs quotes: {example}");
    let words: Vec<&str> = words.split(' ').collect();
    host()?.run(&words).await
}

#[tokio::test]
async fn the_example_of_every_tool_works_on_the_demo() -> anyhow::Result<()> {
    let mut examples = examples().await?.into_iter();
    let mut running = JoinSet::new();
    let mut failed = Vec::new();
    let mut seen = 0;
    loop {
        while running.len() < AT_ONCE
            && let Some((name, example)) = examples.next()
        {
            running.spawn(async move {
                let output = run(&example).await;
                (name, example, output)
            });
        }
        let Some(ended) = running.join_next().await else {
            break;
        };
        let (name, example, output) = ended?;
        let output = output?;
        seen += 1;
        let expected = match WITH_A_TIME.contains(&&*name) {
            true => Some(1),
            false => Some(0),
        };
        if output.status != expected {
            failed.push(format!("{example}\n{}{}", output.stdout, output.stderr));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(seen > 60, "{seen}");
    Ok(())
}
