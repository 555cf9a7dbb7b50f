//! The conventions of the command line: formats, arguments, help, exit statuses, Ctrl-C.

use std::path::Path;

use anyhow::Context as _;
use harness::{HostRunner, Output, Sim};
use serde_json::{Value, json};

/// Runs the rest of the command line on a terminal; what it writes to stdout and stderr is
/// on stdout.
const TERMINAL: [&str; 4] = [
    "/bin/sh",
    "-c",
    "exec script -qec \"stty rows 40 cols ${COLUMNS:-200}; $*\" /dev/null",
    "sh",
];

/// The same, and presses Ctrl-C when a UPID is shown.
const CTRL_C: [&str; 4] = [
    "/bin/sh",
    "-c",
    "(until grep -q UPID: session 2> /dev/null; do sleep 0.1; done; printf '\\003'; sleep 1) | \
     script -qefc \"$*\" session",
    "sh",
];

/// Without any settings, on the simulated cluster.
async fn demo(arguments: &[&str]) -> anyhow::Result<Output> {
    HostRunner::new()?.arg("--demo").run(arguments).await
}

fn on_terminal() -> anyhow::Result<HostRunner> {
    Ok(HostRunner::new()?.wrapper(&TERMINAL).env("TERM", "xterm"))
}

#[tokio::test]
async fn a_result_is_a_table_on_a_terminal_and_json_in_a_pipe() -> anyhow::Result<()> {
    let call = ["--demo", "call", "list_nodes"];
    let piped = HostRunner::new()?.run(&call).await?;
    let result: Value = serde_json::from_str(&piped.stdout)?;
    let node = result["nodes"][0]["node"].as_str().context("no node")?;
    assert_eq!(piped.stdout.lines().count(), 1, "{piped:?}");

    let shown = on_terminal()?.run(&call).await?;
    assert_eq!(shown.status, Some(0), "{shown:?}");
    assert!(
        shown.stdout.contains("\u{1b}[1mnodes:\u{1b}[0m"),
        "{shown:?}"
    );
    assert!(
        shown.stdout.contains(node) && !shown.stdout.contains('{'),
        "{shown:?}"
    );
    // A terminal without colours, and a narrow one.
    for (name, value) in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let plain = on_terminal()?.env(name, value).run(&call).await?;
        assert!(!plain.stdout.contains('\u{1b}'), "{name}: {plain:?}");
    }
    let narrow = on_terminal()?.env("COLUMNS", "40").env("NO_COLOR", "1");
    let narrow = narrow.run(&call).await?;
    assert!(
        narrow.stdout.contains("\r\n      memory_used: "),
        "{narrow:?}"
    );

    let yaml = demo(&["call", "list_nodes", "-o", "yaml"]).await?;
    yaml.assert_succeeds();
    assert!(yaml.stdout.starts_with("nodes:\n"), "{yaml:?}");
    let table = demo(&["call", "list_nodes", "-o", "table"]).await?;
    assert!(table.stdout.starts_with("nodes:\n  node"), "{table:?}");
    // An error is in the format that was asked for, and else on stderr.
    let error = demo(&["call", "get_guest", "vmid=999", "-o", "yaml"]).await?;
    assert_eq!(error.status, Some(1), "{error:?}");
    assert!(error.stdout.starts_with("error: not-found\n"), "{error:?}");
    let error = demo(&["call", "get_guest", "vmid=999"]).await?;
    assert_eq!(
        (error.status, error.stdout.as_str()),
        (Some(1), ""),
        "{error:?}"
    );
    Ok(())
}

#[tokio::test]
async fn ctrl_c_names_the_task_that_keeps_running() -> anyhow::Result<()> {
    let host = HostRunner::new()?.wrapper(&CTRL_C).env("TERM", "dumb");
    let output = host
        .run(&["--demo", "call", "start_guest", "vmid=140"])
        .await?;
    assert_eq!(output.status, Some(130), "{output:?}");
    for text in [
        "task UPID:",
        "its Proxmox task UPID:",
        "may still be running",
        "host-runner call wait_task upid='UPID:",
        "host-runner call stop_task upid='UPID:",
    ] {
        assert!(output.stdout.contains(text), "{text}: {output:?}");
    }
    Ok(())
}

/// The signal comes while the tool waits for its first answer.
#[tokio::test]
async fn ctrl_c_before_a_change_says_that_nothing_was_changed() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    sim.fault(json!({ "kind": "hang" })).await?;
    const INTERRUPT: &str = "\"$@\" & pid=$!; sleep 3; kill -INT $pid; wait $pid";
    let host = sim.host()?.wrapper(&["/bin/sh", "-c", INTERRUPT, "sh"]);
    let output = host.run(&["call", "stop_guest", "vmid=100"]).await?;
    assert_eq!(output.status, Some(130), "{output:?}");
    assert!(
        output.stderr.contains("nothing was changed")
            || output.stderr.contains("has changed nothing"),
        "{output:?}"
    );
    assert_eq!(sim.writes()?.len(), 0);
    Ok(())
}

#[tokio::test]
async fn arguments_are_typed_by_the_schema_of_the_tool() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    for arguments in [
        &["call", "list_guests", "status=running", "limit=1"][..],
        &["call", "list_guests", r#"{"status":"running","limit":1}"#],
    ] {
        let output = sim.host()?.run(arguments).await?;
        output.assert_succeeds();
        let result: Value = serde_json::from_str(&output.stdout)?;
        assert_eq!(
            result["guests"].as_array().map(Vec::len),
            Some(1),
            "{result}"
        );
    }
    let stdin = sim
        .host()?
        .wrapper(&["/bin/sh", "-c", "echo '{\"limit\":1}' | \"$@\"", "sh"]);
    let output = stdin.run(&["call", "list_guests", "-"]).await?;
    output.assert_succeeds();
    for (arguments, words) in [
        (
            &["statsu=running"][..],
            &[
                "list_guests has no argument \"statsu\"",
                "\"status\"",
                "limit",
            ][..],
        ),
        (
            &["limit=many"],
            &["\"limit\" must be an integer, not \"many\""],
        ),
        (
            &["status=runing"],
            &["must be one of running", "perhaps \"running\""],
        ),
        (
            &["limit=1", "limit=2"],
            &["\"limit\" is given more than once"],
        ),
        (
            &["limit=1", "{}"],
            &["\"{}\" is not key=value", "key=value"],
        ),
    ] {
        let all = [&["call", "list_guests"], arguments].concat();
        let output = sim.host()?.run(&all).await?;
        output.assert_refused_in_one_line(words);
    }
    let explain = ["policy", "explain", "stop_guest", "vmdi=100"];
    sim.host()?
        .run(&explain)
        .await?
        .assert_refused(&["\"vmid\""]);
    assert_eq!(sim.writes()?.len(), 0);
    Ok(())
}

#[tokio::test]
async fn a_tool_is_described_with_an_example_that_fits_it() -> anyhow::Result<()> {
    let list = demo(&["tools", "-o", "json", "--toolsets=all"]).await?;
    let list: Vec<Value> = serde_json::from_str(&list.stdout)?;
    let text = demo(&["tools", "clone_guest", "-o", "table"]).await?;
    text.assert_succeeds();
    for part in [
        "clone_guest",
        "Arguments:",
        "vmid",
        "integer ≥ 100",
        "Result:",
        "VM.Clone",
        "host-runner call clone_guest",
        "readOnlyHint false",
    ] {
        assert!(text.stdout.contains(part), "{part}: {}", text.stdout);
    }
    for tool in list {
        let name = tool["name"].as_str().context("no name")?;
        let described = demo(&["tools", name, "-o", "json"]).await?;
        let described: Value = serde_json::from_str(&described.stdout)?;
        let example = described["example"].as_str().context("no example")?;
        let example = example
            .strip_prefix("host-runner call ")
            .context("no call")?;
        // What the tool itself says of values that only the user knows is its own matter.
        let explain = [
            &["policy", "explain"],
            example.split(' ').collect::<Vec<_>>().as_slice(),
        ]
        .concat();
        let output = HostRunner::new()?
            .args(["--preset=admin", "--toolsets=all"])
            .run(&explain)
            .await?;
        assert!(
            !output.stderr.contains("invalid arguments"),
            "{example}: {output:?}"
        );
        assert_ne!(output.status, Some(2), "{example}: {output:?}");
    }
    demo(&["tools", "list_gests"])
        .await?
        .assert_refused(&["perhaps \"list_guests\""]);
    Ok(())
}

#[tokio::test]
async fn misspelt_names_get_suggestions_and_status_2() -> anyhow::Result<()> {
    for (arguments, suggestion) in [
        (&["cal", "list_nodes"][..], "call"),
        (&["call", "list_nodes", "--outptu=json"], "--output"),
        (&["call", "list_nods"], "list_nodes"),
        (&["help", "cal"], "\"call\""),
        (&["policy", "shwo"], "show"),
    ] {
        let output = demo(arguments).await?;
        output.assert_refused(&[suggestion]);
    }
    Ok(())
}

/// The advice leads to a command line that works, or says why there is none.
#[tokio::test]
async fn advice_on_the_command_line_fits_the_mistake() -> anyhow::Result<()> {
    for (arguments, advice) in [
        (
            &["call", "get_guest", "--vmid", "101"][..],
            "written as name=value, without dashes;",
        ),
        (
            &["call", "get_guest", "--vmid=101"],
            "written as name=value, without dashes;",
        ),
        (
            &["call", "list_guests", "--status", "running"],
            "`host-runner tools list_guests`",
        ),
        (
            &["policy", "explain", "get_guest", "--vmid", "101"],
            "written as name=value, without dashes;",
        ),
        (
            &["-o", "table", "policy", "show"],
            "`host-runner policy show -o …`",
        ),
        (
            &["policy", "--json", "show"],
            "`host-runner policy show --json …`",
        ),
        (&["call", "delete_guest"], "no tool deletes guests"),
        (&["tools", "destroy_vm"], "no tool deletes guests"),
        (
            &["tools", "--memory-mib", "0"],
            "a whole number of at least 1",
        ),
        (
            &["tools", "--wait-seconds", "soon"],
            "a whole number, without a unit",
        ),
        (
            &["tools", "--writes-per-minute", "-1"],
            "a whole number of at least 1",
        ),
        (
            &["tools", "--log-level", "loud"],
            "must be off, error, warn, info",
        ),
    ] {
        let output = demo(arguments).await?;
        output.assert_refused(&[advice]);
        assert!(!output.stderr.contains("--vmids"), "{output:?}");
        assert!(!output.stderr.contains("perhaps"), "{output:?}");
    }
    Ok(())
}

/// A destructive tool is never suggested: whoever follows a suggestion blindly would lose
/// something.
#[tokio::test]
async fn destructive_tools_are_not_suggested() -> anyhow::Result<()> {
    for name in ["stop_gest", "delete_snapshots", "rollback_snapshots"] {
        let output = demo(&["call", name]).await?;
        output.assert_refused(&["unknown tool"]);
        assert!(!output.stderr.contains("perhaps"), "{output:?}");
    }
    Ok(())
}

#[tokio::test]
async fn health_without_an_address_does_not_advise_setup() -> anyhow::Result<()> {
    let output = HostRunner::new()?.run(&["health"]).await?;
    output.assert_refused(&["host-runner health 127.0.0.1:8080", "PROXMOX_MCP_HTTP"]);
    assert!(!output.stderr.contains("setup"), "{output:?}");
    let host = HostRunner::new()?.env("PROXMOX_MCP_TLS_CERT", "cert.pem");
    let serve = host
        .run(&["serve", "--demo", "--http", "127.0.0.1:0"])
        .await?;
    serve.assert_refused(&["PROXMOX_MCP_TLS_KEY", "as an option"]);
    assert!(!serve.stderr.contains("setup"), "{serve:?}");
    Ok(())
}

/// The default of -o is not the same everywhere.
#[tokio::test]
async fn help_names_the_format_that_a_command_has_in_a_pipe() -> anyhow::Result<()> {
    for (command, default) in [
        (&["help", "doctor"][..], "[default: table]"),
        (&["help", "policy", "show"], "[default: table]"),
        (&["help", "tools"], "json otherwise]"),
    ] {
        let output = HostRunner::new()?.run(command).await?;
        output.assert_succeeds();
        let text = output
            .stdout
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        assert!(text.contains(default), "{command:?}: {text}");
    }
    Ok(())
}

/// A command that is nothing by itself shows its own commands, not the options of all.
#[tokio::test]
async fn commands_of_commands_are_listed_briefly() -> anyhow::Result<()> {
    for (command, inner) in [("policy", "explain"), ("audit", "verify")] {
        let output = demo(&[command]).await?;
        assert_eq!(output.status, Some(2), "{output:?}");
        for part in [inner, "Examples:", "host-runner help"] {
            assert!(output.stderr.contains(part), "{output:?}");
        }
        assert!(output.stderr.lines().count() < 20, "{output:?}");
    }
    Ok(())
}

/// A person reads the reason in the error of the call, so the log does not repeat it.
#[tokio::test]
async fn a_refused_call_gives_its_reason_once() -> anyhow::Result<()> {
    let call = ["call", "stop_guest", "vmid=101"];
    let output = demo(&call).await?;
    assert_eq!(output.status, Some(1), "{output:?}");
    assert_eq!(output.stderr.matches("hard-stop").count(), 2, "{output:?}");
    assert!(!output.stderr.contains("WARN"), "{output:?}");
    let host = HostRunner::new()?.arg("--demo").arg("--log-level=warn");
    let logged = host.run(&call).await?;
    assert!(logged.stderr.contains("WARN refused POST"), "{logged:?}");
    Ok(())
}

/// All commands that help shows, by their words.
const COMMANDS: [&str; 17] = [
    "",
    "serve",
    "tools",
    "call",
    "forward",
    "health",
    "policy",
    "policy show",
    "policy explain",
    "audit",
    "audit verify",
    "inspect",
    "setup",
    "doctor",
    "client",
    "completions",
    "man",
];

#[tokio::test]
async fn every_help_has_examples_and_those_of_the_demo_work() -> anyhow::Result<()> {
    for command in COMMANDS {
        let words: Vec<_> = ["help"]
            .into_iter()
            .chain(command.split(' '))
            .filter(|word| !word.is_empty())
            .collect();
        let help = HostRunner::new()?.run(&words).await?;
        help.assert_succeeds();
        let examples = examples(&help.stdout);
        assert!(!examples.is_empty(), "{command}: {}", help.stdout);
        for example in examples
            .iter()
            .filter(|line| line.contains("--demo") && !line.contains(" serve"))
        {
            runs(example).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_examples_of_the_page_work() -> anyhow::Result<()> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cli.md");
    let page = std::fs::read_to_string(page)?;
    let lines = page
        .lines()
        .filter(|line| line.contains("host-runner --demo "));
    let examples: Vec<_> = lines.filter(|line| !line.starts_with(['`', '#'])).collect();
    assert!(examples.len() >= 8, "{examples:?}");
    for example in examples {
        runs(example).await?;
    }
    Ok(())
}

fn examples(help: &str) -> Vec<&str> {
    let lines = help.lines().skip_while(|line| *line != "Examples:").skip(1);
    lines
        .take_while(|line| line.starts_with("  "))
        .map(str::trim)
        .collect()
}

/// Runs a command as it would be typed.
async fn runs(example: &str) -> anyhow::Result<()> {
    let typed = example.replace("host-runner", "\"$1\"");
    let output = HostRunner::new()?
        .wrapper(&["/bin/sh", "-c", &typed, "sh"])
        .run(&[])
        .await?;
    assert_eq!(output.status, Some(0), "{example}: {output:?}");
    assert!(!output.stdout.is_empty(), "{example}: {output:?}");
    Ok(())
}

#[tokio::test]
async fn there_are_completions_and_manual_pages() -> anyhow::Result<()> {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let output = HostRunner::new()?.run(&["completions", shell]).await?;
        output.assert_succeeds();
        assert!(output.stdout.contains("policy"), "{shell}");
    }
    let bash = HostRunner::new()?.run(&["completions", "bash"]).await?;
    assert!(!bash.stdout.contains("precompile"), "{}", bash.stdout);
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("script");
    for (typed, offered) in [
        ("host-runner doctor --js", "--json"),
        ("host-runner client cu", "cursor"),
        ("host-runner policy ex", "explain"),
        ("host-runner setup --rep", "--replace"),
        ("host-runner serve --preset o", "observe operate"),
        ("host-runner call --confirm-fallback r", "refuse"),
        ("host-runner doctor -o y", "yaml"),
    ] {
        let (before, word) = typed.rsplit_once(' ').context("no words")?;
        let last = before.rsplit(' ').next().unwrap_or_default();
        let script = format!(
            "{}\nCOMP_WORDS=({typed}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n\
             _host__runner host-runner {word} {last}; echo \"${{COMPREPLY[@]}}\"",
            bash.stdout
        );
        std::fs::write(&file, script)?;
        let output = std::process::Command::new("bash").arg(&file).output()?;
        let found = String::from_utf8(output.stdout)?;
        assert_eq!(found.trim(), offered, "{typed}");
    }
    let page = HostRunner::new()?.run(&["man"]).await?;
    page.assert_succeeds();
    assert!(
        page.stdout.contains(".TH host\\-runner 1") || page.stdout.contains(".TH host-runner 1"),
        "{}",
        page.stdout
    );
    let directory = tempfile::tempdir()?;
    let folder = directory.path().display().to_string();
    HostRunner::new()?.run(&["man", "--out", &folder]).await?;
    for name in [
        "host-runner.1",
        "host-runner-call.1",
        "host-runner-policy-explain.1",
    ] {
        assert!(directory.path().join(name).exists(), "{name}");
    }
    Ok(())
}
