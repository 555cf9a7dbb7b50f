//! `--demo-state`: the simulated cluster outlives the process.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use harness::{Client, Era, HostRunner, Output};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A folder with a file of a cluster, which need not exist.
struct Kept {
    folder: TempDir,
}

impl Kept {
    fn new() -> anyhow::Result<Self> {
        let folder = TempDir::new()?;
        Ok(Self { folder })
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("cluster.json")
    }

    fn host(&self) -> anyhow::Result<HostRunner> {
        host(&self.path())
    }

    /// `call` with these words.
    async fn run(&self, words: &[&str]) -> anyhow::Result<Output> {
        let words = [&["call"], words, &["-o", "json"]].concat();
        self.host()?.run(&words).await
    }

    /// The same, which succeeds: its result.
    async fn call(&self, words: &[&str]) -> anyhow::Result<Value> {
        let output = self.run(words).await?;
        output.assert_succeeds();
        Ok(serde_json::from_str(&output.stdout)?)
    }

    /// What a fresh process says of a guest.
    async fn guest(&self, vmid: u32) -> anyhow::Result<Value> {
        self.call(&["get_guest", &format!("vmid={vmid}")]).await
    }
}

fn host(state: &Path) -> anyhow::Result<HostRunner> {
    Ok(HostRunner::new()?
        .arg("--demo-state")
        .arg(state.display().to_string()))
}

/// Ends host-runner as nothing can prevent.
async fn kill(client: Client) -> anyhow::Result<()> {
    let process = client.process_id().context("it has ended")?;
    let status = std::process::Command::new("kill")
        .args(["-9", &process.to_string()])
        .status()?;
    anyhow::ensure!(status.success(), "{status}");
    // It has hung up already.
    let _ = client.finish().await;
    Ok(())
}

#[tokio::test]
async fn what_was_changed_is_there_in_the_next_process() -> anyhow::Result<()> {
    let kept = Kept::new()?;
    let cloned = kept
        .call(&["clone_guest", "vmid=9000", "new_vmid=160", "name=web-new"])
        .await?;
    assert_eq!(cloned["vmid"], 160, "{cloned}");
    kept.call(&["start_guest", "vmid=160"]).await?;
    kept.call(&["create_snapshot", "vmid=101", "snapshot=before"])
        .await?;
    let guests = kept.call(&["list_guests", "name=web-new"]).await?;
    assert_eq!(guests["guests"][0]["status"], "running", "{guests}");
    let snapshots = kept.call(&["list_snapshots", "vmid=101"]).await?;
    assert!(snapshots.to_string().contains("\"before\""), "{snapshots}");
    let tasks = kept.call(&["list_tasks", "vmid=160"]).await?.to_string();
    assert!(tasks.contains("qmstart"), "{tasks}");
    // Nobody else may read it: it may hold passwords.
    let mode = fs::metadata(kept.path())?.permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // Without the file, it is the cluster of every demo.
    let other = HostRunner::new()?.arg("--demo");
    let other = other.run(&["call", "get_guest", "vmid=160"]).await?;
    assert_eq!(other.status, Some(1), "{other:?}");
    Ok(())
}

/// A real node would end the task, too.
#[tokio::test]
async fn a_task_that_nobody_waited_for_has_ended() -> anyhow::Result<()> {
    let kept = Kept::new()?;
    let begun = kept
        .call(&["clone_guest", "vmid=9000", "new_vmid=160", "wait=false"])
        .await?;
    let upid = begun["upid"].as_str().context("no UPID")?.to_owned();
    let task = kept.call(&["get_task", &format!("upid={upid}")]).await?;
    assert_eq!(task["exit_status"], "OK", "{task}");
    let guest = kept.guest(160).await?;
    assert!(guest.get("lock").is_none(), "{guest}");
    Ok(())
}

#[tokio::test]
async fn a_server_keeps_it_and_one_that_is_killed_too() -> anyhow::Result<()> {
    let kept = Kept::new()?;
    let client = kept.host()?.connect().await?;
    let arguments = json!({ "vmid": 9000, "new_vmid": 160, "wait": false });
    client.call("clone_guest", arguments).await?;
    kill(client).await?;
    assert_eq!(kept.guest(160).await?["vmid"], 160);
    let client = kept.host()?.connect().await?;
    let arguments = json!({ "vmid": 140, "wait": false });
    client.call("start_guest", arguments).await?;
    client.finish().await?;
    assert_eq!(kept.guest(140).await?["status"], "running");
    // The file of a process that was killed while it wrote.
    fs::write(kept.folder.path().join(".cluster.json.draft"), "{\"for")?;
    kept.call(&["start_guest", "vmid=210"]).await?;
    assert_eq!(kept.guest(210).await?["status"], "running");
    Ok(())
}

#[tokio::test]
async fn a_server_over_http_keeps_it() -> anyhow::Result<()> {
    let kept = Kept::new()?;
    let web = kept.host()?.web().await?;
    let mut client = web.client(Era::Legacy, None);
    client.begin().await?;
    client.call("start_guest", json!({ "vmid": 140 })).await?;
    // A new reading of the policy does not start another cluster.
    web.hang_up("the policy was read again").await?;
    let mut client = web.client(Era::Legacy, None);
    client.begin().await?;
    client.call("start_guest", json!({ "vmid": 210 })).await?;
    web.terminate()?;
    web.ended().await?;
    for vmid in [140, 210] {
        assert_eq!(kept.guest(vmid).await?["status"], "running");
    }
    Ok(())
}

#[tokio::test]
async fn two_processes_at_once_are_refused() -> anyhow::Result<()> {
    let kept = Kept::new()?;
    let client = kept.host()?.connect().await?;
    let process = client.process_id().context("it has ended")?.to_string();
    let refused = kept.run(&["list_nodes"]).await?;
    refused.assert_refused_in_one_line(&["cluster.json", "another host-runner", &process]);
    client.finish().await?;
    kept.call(&["list_nodes"]).await?;
    Ok(())
}

/// A client restarts its server before the old one has ended.
#[tokio::test]
async fn the_next_process_waits_for_the_one_that_ends() -> anyhow::Result<()> {
    let kept = Kept::new()?;
    let client = kept.host()?.connect().await?;
    let (next, ended) = tokio::join!(kept.run(&["list_nodes"]), client.finish());
    ended?;
    next?.assert_succeeds();
    Ok(())
}

#[tokio::test]
async fn a_file_of_something_else_is_left_as_it_is() -> anyhow::Result<()> {
    let kept = Kept::new()?;
    kept.call(&["list_nodes"]).await?;
    let whole = fs::read_to_string(kept.path())?;
    let torn = whole.get(..whole.len() / 2).context("too short")?;
    let newer = whole.replacen("\"version\":1", "\"version\":1000", 1);
    for (text, word) in [
        (torn, "is damaged"),
        (&newer, "another version"),
        ("{\"guests\":[]}", "does not contain a simulated cluster"),
        ("[demo]\n", "does not contain a simulated cluster"),
    ] {
        fs::write(kept.path(), text)?;
        let refused = kept.run(&["start_guest", "vmid=140"]).await?;
        refused.assert_refused_in_one_line(&["cluster.json", word, "move this one away"]);
        assert_eq!(fs::read_to_string(kept.path())?, text);
    }
    // As `mktemp` makes it.
    fs::write(kept.path(), "")?;
    kept.call(&["list_nodes"]).await?;
    Ok(())
}

#[tokio::test]
async fn a_place_that_cannot_be_written_is_an_error_at_once() -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    let absent = folder.path().join("absent/cluster.json");
    let refused = host(&absent)?.run(&["call", "list_nodes"]).await?;
    refused.assert_refused_in_one_line(&["absent", "name a file in a folder"]);
    let refused = host(folder.path())?.run(&["call", "list_nodes"]).await?;
    refused.assert_refused_in_one_line(&["not a regular file", "name another file"]);
    let lock = format!(".{}.lock", folder.path().file_name().unwrap().display());
    assert!(!folder.path().with_file_name(lock).exists());
    // Root may write into every folder, but not into this one.
    let refused = host(Path::new("/proc/cluster.json"))?;
    let refused = refused.run(&["call", "list_nodes"]).await?;
    refused.assert_refused_in_one_line(&["/proc/", "name a file in a folder"]);
    Ok(())
}

/// What cannot be saved is not changed, so the next process sees what this one has said.
#[tokio::test]
async fn a_change_that_cannot_be_saved_is_not_made() -> anyhow::Result<()> {
    let kept = Kept::new()?;
    let client = kept.host()?.connect().await?;
    // A draft that cannot be removed.
    let draft = kept.folder.path().join(".cluster.json.draft");
    fs::create_dir(&draft)?;
    let error = client.error("start_guest", json!({ "vmid": 140 })).await?;
    assert!(error.contains("nothing was changed"), "{error}");
    assert!(error.contains("cluster.json"), "{error}");
    let guest = client.call("get_guest", json!({ "vmid": 140 })).await?;
    assert_eq!(guest["status"], "stopped", "{guest}");
    fs::remove_dir(&draft)?;
    client.call("start_guest", json!({ "vmid": 140 })).await?;
    client.finish().await?;
    assert_eq!(kept.guest(140).await?["status"], "running");
    Ok(())
}

#[tokio::test]
async fn it_is_given_like_any_setting() -> anyhow::Result<()> {
    let kept = Kept::new()?;
    let path = kept.path().display().to_string();
    let host = HostRunner::new()?.env("PROXMOX_MCP_DEMO_STATE", &path);
    let started = host.run(&["call", "start_guest", "vmid=140"]).await?;
    started.assert_succeeds();
    assert_eq!(kept.guest(140).await?["status"], "running");

    let url = ["--url", "https://pve.example.com:8006"];
    let refused = kept.host()?.args(url).run(&["call", "list_nodes"]).await?;
    refused.assert_refused(&["--demo-state", "--url"]);
    let host = HostRunner::new()?.env("PROXMOX_MCP_DEMO_STATE", &path);
    let refused = host.args(url).run(&["call", "list_nodes"]).await?;
    refused.assert_refused(&["PROXMOX_MCP_DEMO_STATE"]);

    // A client starts it in another folder.
    let host = HostRunner::new()?.args(["--demo-state", "cluster.json"]);
    let folder = host.directory().canonicalize()?;
    let shown = host.run(&["client", "cursor"]).await?;
    assert_eq!(shown.status, Some(0), "{shown:?}");
    let absolute = folder.join("cluster.json").display().to_string();
    assert!(shown.stdout.contains(&absolute), "{shown:?}");
    Ok(())
}
