//! `host-runner inspect`, and the component's digest as a condition.

use std::path::Path;

use anyhow::Context as _;
use harness::{HostRunner, component, hostile_component, hostile_sockets_component};
use serde_json::Value;

/// What is shown about a component, or about the embedded one.
async fn inspect(file: Option<&Path>) -> anyhow::Result<(Value, String)> {
    let file = file.map(|file| file.display().to_string());
    let mut arguments = vec!["inspect"];
    arguments.extend(file.as_deref());
    let text = [arguments.as_slice(), &["-o", "table"]].concat();
    let text = HostRunner::new()?.run(&text).await?;
    arguments.extend(["-o", "json"]);
    let json = HostRunner::new()?.run(&arguments).await?;
    for output in [&text, &json] {
        assert_eq!(output.status, Some(0), "{output:?}");
        assert_eq!(output.stderr, "");
    }
    Ok((serde_json::from_str(&json.stdout)?, text.stdout))
}

/// The imports that are granted, or that are not.
fn imports(inspection: &Value, granted: bool) -> Vec<&str> {
    let imports = inspection.get("imports").and_then(Value::as_array);
    imports
        .into_iter()
        .flatten()
        .filter(|import| import.get("granted") == Some(&Value::Bool(granted)))
        .filter_map(|import| import.get("name")?.as_str())
        .collect()
}

/// The embedded list was read when the component was embedded.
#[tokio::test]
async fn the_embedded_list_of_tools_is_that_of_the_component() -> anyhow::Result<()> {
    let embedded = HostRunner::new()?.run(&["tools", "-o", "json"]).await?;
    let own = HostRunner::new()?.component(&component()?);
    let own = own.run(&["tools", "-o", "json"]).await?;
    embedded.assert_succeeds();
    assert_eq!(embedded.stdout, own.stdout);
    assert!(own.stdout.contains("list_guests"), "{}", own.stdout);
    Ok(())
}

#[tokio::test]
async fn all_imports_of_the_component_are_granted() -> anyhow::Result<()> {
    let file = component()?;
    let bytes = std::fs::metadata(&file)?.len();
    for file in [None, Some(file.as_path())] {
        let (json, text) = inspect(file).await?;
        assert_eq!(json["would_run"], true, "{json}");
        assert_eq!(json["world_matches"], true, "{json}");
        assert_eq!(json["bytes"], bytes, "{json}");
        assert_eq!(imports(&json, false), [""; 0]);
        let granted = imports(&json, true);
        assert!(!granted.iter().any(|name| name.contains("sockets")));
        let http = json["imports"].as_array().unwrap().iter();
        let http = http.filter(|import| {
            import["name"]
                .as_str()
                .unwrap()
                .starts_with("wasi:http/outgoing-handler@")
        });
        let functions: Vec<_> = http.map(|import| import["functions"].clone()).collect();
        assert_eq!(functions, [serde_json::json!(["handle"])]);
        let exports = json["exports"].as_array().unwrap();
        assert!(
            exports.contains(&"proxmox:mcp/tools@0.1.0".into()),
            "{json}"
        );

        let digest = json["sha256"].as_str().unwrap();
        assert!(text.contains(digest), "{text}");
        assert!(text.contains("host-runner would run it"), "{text}");
        for name in granted {
            assert!(text.contains(&format!("granted  {name}")), "{text}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_component_that_would_be_refused_is_shown() -> anyhow::Result<()> {
    let (json, text) = inspect(Some(&hostile_sockets_component()?)).await?;
    assert_eq!(json["would_run"], false, "{json}");
    // It has the right exports, but imports too much.
    assert_eq!(json["world_matches"], true, "{json}");
    let refused = imports(&json, false);
    assert!(
        refused
            .iter()
            .any(|name| name.starts_with("wasi:sockets/tcp@")),
        "{json}"
    );
    assert!(
        refused.iter().all(|name| name.starts_with("wasi:sockets/")),
        "{json}"
    );
    for name in refused {
        assert!(text.contains(&format!("REFUSED  {name}")), "{text}");
    }
    assert!(text.contains("host-runner would NOT run it"), "{text}");

    // One whose attacks all use what is granted would be run.
    let (json, _) = inspect(Some(&hostile_component()?)).await?;
    assert_eq!(json["would_run"], true, "{json}");
    Ok(())
}

#[tokio::test]
async fn a_component_of_another_world_is_reported() -> anyhow::Result<()> {
    // A component without imports and exports.
    let empty = b"\0asm\x0d\0\x01\0";
    let folder = HostRunner::new()?;
    let file = folder.directory().join("empty.wasm");
    std::fs::write(&file, empty)?;
    let (json, text) = inspect(Some(&file)).await?;
    assert_eq!(json["world_matches"], false, "{json}");
    assert_eq!(json["would_run"], false, "{json}");
    assert!(text.contains("not proxmox:mcp/plugin"), "{text}");

    // And a file that is not a component at all.
    std::fs::write(&file, b"\0asm\x01\0\0\0")?;
    let name = file.display().to_string();
    for name in [name.as_str(), "/nonexistent.wasm", "/etc/passwd"] {
        let output = HostRunner::new()?
            .run(&["inspect", name, "-o", "table"])
            .await?;
        output.assert_refused(&[name]);
    }
    Ok(())
}

/// Before it is ever called: what each tool may ask of Proxmox.
#[tokio::test]
async fn the_calls_of_each_tool_are_shown_with_their_privileges() -> anyhow::Result<()> {
    let host = HostRunner::new()?;
    let output = host.run(&["inspect", "--calls", "-o", "json"]).await?;
    assert_eq!(output.status, Some(0), "{output:?}");
    let own: Value = serde_json::from_str(&output.stdout)?;
    let own = own["calls"].as_object().context("no calls")?;
    assert!(own.contains_key("list_nodes"), "{own:?}");
    for (tool, calls) in own {
        let calls = calls.as_array().context("no list")?;
        for call in calls {
            assert!(call["privileges"].is_string(), "{tool}: {call}");
        }
    }
    let hostile = hostile_component()?.display().to_string();
    let arguments = ["inspect", hostile.as_str(), "--calls", "-o", "table"];
    let output = HostRunner::new()?.run(&arguments).await?;
    let narrow = "send_raw_undeclared may make these calls\n  GET /version  (any token)\n";
    assert!(output.stdout.contains(narrow), "{output:?}");
    // What no row of the table is.
    let any = "  DELETE /{any}/{any}  (no call of a tool)\n";
    assert!(output.stdout.contains(any), "{output:?}");
    Ok(())
}

#[tokio::test]
async fn a_component_with_another_digest_is_not_run() -> anyhow::Result<()> {
    let (json, _) = inspect(None).await?;
    let digest = json["sha256"].as_str().unwrap();
    let hostile = hostile_component()?;
    let (json, _) = inspect(Some(&hostile)).await?;
    let other = json["sha256"].as_str().unwrap();
    let host = |expected: &str| -> anyhow::Result<HostRunner> {
        Ok(HostRunner::new()?.arg("--component-sha256").arg(expected))
    };

    for command in [
        &["tools"][..],
        &["inspect"],
        &["--demo", "call", "list_nodes"],
    ] {
        for expected in [digest, &digest.to_uppercase()] {
            let output = host(expected)?.run(command).await?;
            assert_eq!(output.status, Some(0), "{command:?}: {output:?}");
        }
        let output = host(other)?.run(command).await?;
        output.assert_refused(&[digest, other, "--component-sha256"]);
        assert_eq!(output.stderr.lines().count(), 1, "{output:?}");
        let output = host(digest)?.component(&hostile).run(command).await?;
        output.assert_refused(&[digest, other, "--component-sha256"]);
    }
    // When serving, too.
    let output = host(other)?.arg("--demo").raw()?.ended().await?;
    output.assert_refused(&[digest, other]);
    for nonsense in ["", "abc", &digest[1..]] {
        let output = host(nonsense)?.run(&["tools"]).await?;
        output.assert_refused(&["--component-sha256"]);
    }
    Ok(())
}
