//! Commands inside a guest.

use harness::{Client, Sim, assert_says};
use serde_json::{Value, json};

const TOOL: &str = "run_in_guest";

/// A client whose operator allows commands.
async fn client(sim: &Sim) -> anyhow::Result<Client> {
    sim.host()?.arg("--allow-tool").arg(TOOL).connect().await
}

async fn run(client: &Client, command: &[&str]) -> anyhow::Result<Value> {
    client
        .call(TOOL, json!({ "vmid": 100, "command": command }))
        .await
}

#[tokio::test]
async fn the_tool_is_offered_only_if_the_operator_allows_it() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    assert!(client.tools().iter().all(|tool| tool["name"] != TOOL));
    let arguments = json!({ "vmid": 100, "command": ["true"] });
    let error = client.protocol_error(TOOL, arguments).await?;
    assert_eq!(error.code.0, -32602);
    assert_eq!(sim.served().await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_command_returns_its_output_and_exit_code() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = client(&sim).await?;
    let uname = run(&client, &["uname", "-a"]).await?;
    assert_eq!(uname["status"], "exited", "{uname:#}");
    assert_eq!(uname["exit_code"], 0);
    assert_eq!(uname["vmid"], 100);
    assert_eq!(uname["node"], "pve1");
    assert_says(uname["stdout"].as_str().unwrap(), &["Linux web01"]);
    assert!(uname.get("stderr").is_none() && uname.get("hint").is_none());

    // A command that fails has still been run, so the tool succeeds.
    let missing = run(&client, &["cat", "/etc/nothing"]).await?;
    assert_eq!(missing["exit_code"], 1);
    assert_says(missing["stderr"].as_str().unwrap(), &["No such file"]);

    // Each argument arrives as it is, whatever a form or a shell makes of it.
    let words = ["a b", "x=1&y;z", "100%", "\"'$HOME`", "ü€"];
    let mut command = vec!["echo"];
    command.extend(words);
    let echo = run(&client, &command).await?;
    assert_eq!(echo["stdout"], format!("{}\n", words.join(" ")));

    let cat = json!({ "vmid": 100, "command": ["cat"], "stdin": "a=1;b=2&c\n" });
    let cat = client.call(TOOL, cat).await?;
    assert_eq!(cat["stdout"], "a=1;b=2&c\n");
    Ok(())
}

#[tokio::test]
async fn long_output_is_cut_in_the_middle() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = client(&sim).await?;
    let seq = run(&client, &["seq", "100000"]).await?;
    let stdout = seq["stdout"].as_str().unwrap();
    assert!(stdout.starts_with("1\n2\n") && stdout.ends_with("\n100000\n"));
    assert!(stdout.contains("bytes left out") && stdout.len() < 17_000);
    assert_says(seq["hint"].as_str().unwrap(), &["8 KiB", "filter"]);
    Ok(())
}

/// A command that runs longer than the call waits can be checked later.
#[tokio::test]
async fn a_running_command_is_left_and_polled_again_by_its_pid() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = client(&sim).await?;
    let arguments = json!({ "vmid": 100, "command": ["sleep", "3600"], "timeout_seconds": 0 });
    let left = client.call(TOOL, arguments).await?;
    assert_eq!(left["status"], "running", "{left:#}");
    assert_says(left["hint"].as_str().unwrap(), &["run_in_guest", "pid"]);
    let pid = &left["pid"];
    let again = json!({ "vmid": 100, "pid": pid, "timeout_seconds": 0 });
    let again = client.call(TOOL, again).await?;
    assert_eq!((&again["status"], &again["pid"]), (&json!("running"), pid));
    let followed = json!({ "vmid": 100, "pid": pid, "timeout_seconds": 1 });
    let followed = client.call(TOOL, followed).await?;
    assert_says(followed["hint"].as_str().unwrap(), &["followed for 1s"]);

    let arguments = json!({ "vmid": 100, "command": ["echo", "hi"], "timeout_seconds": 0 });
    let done = client.call(TOOL, arguments).await?;
    let again = json!({ "vmid": 100, "pid": done["pid"] });
    let ended = client.call(TOOL, again.clone()).await?;
    assert_eq!(ended["stdout"], "hi\n", "{ended:#}");
    // The agent tells it once.
    let text = client.error(TOOL, again).await?;
    assert_says(&text, &["does not know a command", "forgets"]);

    let followed = run(&client, &["sleep", "1"]).await?;
    assert_eq!(followed["exit_code"], 0);
    Ok(())
}

/// Each trouble with an agent has its own way out.
#[tokio::test]
async fn an_agent_that_does_not_answer_is_explained() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = client(&sim).await?;
    sim.set_guest(104, json!({ "running": false })).await?;
    for (vmid, words) in [
        (103, &["plain01", "switched off", "--agent enabled=1"][..]),
        (102, &["noagent", "does not answer", "install"]),
        (104, &["db01", "not running", "start_guest"]),
        (200, &["ct01", "container", "get_console_url"]),
        (300, &["pve2", "offline"]),
        (555, &["no guest 555"]),
    ] {
        let arguments = json!({ "vmid": vmid, "command": ["true"] });
        let text = client.error(TOOL, arguments).await?;
        assert_says(&text, words);
    }
    let arguments = json!({ "vmid": 100, "command": ["/opt/nothing"] });
    let text = client.error(TOOL, arguments).await?;
    assert_says(
        &text,
        &["cannot run this program", "/opt/nothing", "full path"],
    );
    Ok(())
}

#[tokio::test]
async fn a_missing_privilege_is_named() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let auditor = sim.host_with("audit")?;
    let auditor = auditor.arg("--allow-tool").arg(TOOL).connect().await?;
    let arguments = json!({ "vmid": 100, "command": ["true"] });
    let text = auditor.error(TOOL, arguments).await?;
    assert_says(
        &text,
        &["audit@pve!viewer", "VM.GuestAgent.Unrestricted", "/vms/100"],
    );
    Ok(())
}

#[tokio::test]
async fn arguments_that_are_not_a_command_are_refused() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = client(&sim).await?;
    for (arguments, words) in [
        (json!({ "vmid": 100 }), &["command", "missing"][..]),
        (
            json!({ "vmid": 100, "command": [] }),
            &["command", "at least 1"],
        ),
        (
            json!({ "vmid": 100, "command": "ls -l" }),
            &["command", "list"],
        ),
        (
            json!({ "vmid": 100, "command": [""] }),
            &["command", "program"],
        ),
        (
            json!({ "vmid": 100, "command": ["a", "b\0c"] }),
            &["command", "NUL"],
        ),
        (
            json!({ "vmid": 100, "command": ["cat"], "stdin": "ü" }),
            &["stdin", "base64"],
        ),
        (
            json!({ "vmid": 100, "command": ["cat"], "stdin": "x".repeat(65_537) }),
            &["stdin", "65536"],
        ),
        (
            json!({ "vmid": 100, "command": ["true"], "pid": 7 }),
            &["pid", "command"],
        ),
        (json!({ "vmid": 100, "pid": 0 }), &["pid", "1"]),
        (
            json!({ "vmid": 100, "command": ["true"], "timeout_seconds": -1 }),
            &["timeout_seconds"],
        ),
    ] {
        let text = client.error(TOOL, arguments).await?;
        assert_says(&text, words);
    }
    assert_eq!(sim.served().await?, 0);
    Ok(())
}

/// It is not known whether it was started; the error says that it may have been.
#[tokio::test]
async fn a_cut_connection_says_that_the_command_may_have_started() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = client(&sim).await?;
    sim.fault(json!({ "kind": "cut-after", "method": "POST", "path": "/agent/exec$" }))
        .await?;
    let arguments = json!({ "vmid": 100, "command": ["echo", "hunter2"] });
    let text = client.error(TOOL, arguments).await?;
    assert_says(&text, &["may have been started anyway", "pid"]);
    assert!(!text.contains("hunter2"), "{text}");
    let posts = sim.requests()?;
    let posts = posts.iter().filter(|one| one["method"] == "POST").count();
    assert_eq!(posts, 1);
    Ok(())
}

/// A failed poll is repeated: the command is still running.
#[tokio::test]
async fn a_failed_poll_is_repeated() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = client(&sim).await?;
    sim.fault(json!({ "kind": "cut", "path": "/exec-status$", "times": 4 }))
        .await?;
    let hostname = run(&client, &["hostname"]).await?;
    assert_eq!(hostname["stdout"], "web01\n");
    Ok(())
}
