//! Policies for some of the clients over HTTP, and a policy that is read again.

use harness::{Era, HostRunner, Sim, Web, WebClient, assert_says};
use serde_json::{Value, json};

const ALICE: &str = "alices-token-0123456789abcdef012345";
const CI: &str = "cis-token-0123456789abcdef0123456789";
const ERAS: [Era; 2] = [Era::Legacy, Era::Stateless];

const POLICY: &str = r#"
preset = "operate"

[[clients]]
match = ["ci", "deploy-*"]
preset = "observe"
[clients.scope]
vmids = [100]
"#;

/// Clients `alice` and `ci`, and the policy in `policy.toml`.
fn guarded(sim: &Sim, policy: &str) -> anyhow::Result<HostRunner> {
    Ok(sim
        .host()?
        .private_file("tokens", &format!("alice:{ALICE}\nci:{CI}\n"))?
        .private_file("policy.toml", policy)?
        .env("PROXMOX_MCP_HTTP_TOKENS_FILE", "tokens")
        .env("PROXMOX_MCP_POLICY", "policy.toml")
        .secret(ALICE)
        .secret(CI))
}

async fn client(web: &Web, era: Era, token: &str) -> anyhow::Result<WebClient> {
    let mut client = web.client(era, Some(token));
    client.begin().await?;
    Ok(client)
}

async fn names(client: &WebClient) -> anyhow::Result<Vec<String>> {
    let list = client.result("tools/list", json!({})).await?;
    let tools = list.get("tools").and_then(Value::as_array).cloned();
    let tools = tools.unwrap_or_default();
    let name = |tool: &Value| tool["name"].as_str().unwrap_or_default().to_owned();
    Ok(tools.iter().map(name).collect())
}

async fn vmids(client: &WebClient) -> anyhow::Result<Vec<u64>> {
    let listed = client.call("list_guests", json!({})).await?;
    let guests = listed.get("guests").and_then(Value::as_array).cloned();
    let guests = guests.unwrap_or_default();
    Ok(guests
        .iter()
        .filter_map(|guest| guest["vmid"].as_u64())
        .collect())
}

async fn refusal(client: &WebClient, tool: &str, arguments: Value) -> anyhow::Result<String> {
    let params = json!({ "name": tool, "arguments": arguments });
    Ok(client.ask("tools/call", params).await?.response.to_string())
}

#[tokio::test]
async fn each_client_has_the_policy_of_its_section() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let web = guarded(&sim, POLICY)?.web().await?;
    for era in ERAS {
        let (alice, ci) = (
            client(&web, era, ALICE).await?,
            client(&web, era, CI).await?,
        );
        assert!(names(&alice).await?.contains(&"start_guest".to_owned()));
        let of_ci = names(&ci).await?;
        assert!(of_ci.contains(&"list_guests".to_owned()), "{of_ci:?}");
        assert!(!of_ci.contains(&"start_guest".to_owned()), "{of_ci:?}");
        assert!(vmids(&alice).await?.len() > 1);
        assert_eq!(vmids(&ci).await?, [100]);
        let refused = refusal(&ci, "start_guest", json!({ "vmid": 100 })).await?;
        assert_says(&refused, &["start_guest", "only lets reads through"]);
        let hidden = refusal(&ci, "get_guest", json!({ "vmid": 103 })).await?;
        assert_says(&hidden, &["scope"]);
    }
    let ask = async |token: &str| {
        let bearer = format!("Bearer {token}");
        let headers = [("Authorization", bearer.as_str())];
        web.ask("GET", "/openapi.json", &headers).await
    };
    assert!(ask(ALICE).await?.body.contains("/tools/start_guest"));
    assert!(!ask(CI).await?.body.contains("/tools/start_guest"));
    Ok(())
}

#[tokio::test]
async fn a_section_that_cannot_be_used_ends_the_program() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    for (section, says) in [
        ("preset = \"root\"", vec!["policy.toml", "observe, operate"]),
        (
            "tools = [\"list_gests\"]",
            vec!["list_gests", "list_guests"],
        ),
        ("[clients.scope]\nvmids = []", vec!["vmids", "empty list"]),
        ("locked = true", vec!["locked"]),
    ] {
        let policy = format!("[[clients]]\nmatch = [\"*\"]\n{section}");
        let host = guarded(&sim, &policy)?;
        let output = host.run(&["serve", "--http=127.0.0.1:0"]).await?;
        output.assert_refused_in_one_line(&says);
    }
    // What is locked binds the sections of other files.
    let host = guarded(&sim, "[[clients]]\nmatch = [\"ci\"]\npreset = \"admin\"")?
        .private_file("ceiling.toml", "locked = true\npreset = \"operate\"")?
        .arg("--policy")
        .arg("ceiling.toml");
    let output = host.run(&["policy", "show"]).await?;
    assert_eq!(output.status, Some(0), "{output:?}");
    Ok(())
}

#[tokio::test]
async fn the_policy_of_a_client_is_shown() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let show = async |args: &[&str]| guarded(&sim, POLICY)?.run(args).await;
    let alice = show(&["policy", "show", "--client", "alice"]).await?;
    assert_says(&alice.stdout, &["preset = \"operate\""]);
    let deploy = show(&["policy", "show", "--client", "deploy-7"]).await?;
    assert_says(&deploy.stdout, &["preset = \"observe\"", "100"]);
    Ok(())
}

#[tokio::test]
async fn a_policy_is_read_again_on_sighup() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let web = guarded(&sim, POLICY)?.web().await?;
    let alice = client(&web, Era::Stateless, ALICE).await?;
    let params = json!({ "name": "restart_guest", "arguments": { "vmid": 103 } });
    // A call that is under way ends by the policy that it began with.
    let restart = alice.message("tools/call", params);
    let running = alice.open_message(&restart).await?;
    web.replace("policy.toml", "preset = \"observe\"")?;
    web.hang_up("the policy was read again").await?;
    let text = running.text().await?;
    assert_says(&text, &["\"isError\":false"]);
    assert!(!names(&alice).await?.contains(&"start_guest".to_owned()));
    let refused = refusal(&alice, "start_guest", json!({ "vmid": 100 })).await?;
    assert_says(&refused, &["only lets reads through"]);
    // The section for ci is gone.
    let ci = client(&web, Era::Stateless, CI).await?;
    assert!(vmids(&ci).await?.len() > 1);

    web.replace("policy.toml", "preset = \"root\"")?;
    web.hang_up("the policy was not read again").await?;
    assert_says(
        &web.stderr()?,
        &["the old one still counts", "observe, operate"],
    );
    assert!(!names(&alice).await?.contains(&"start_guest".to_owned()));
    Ok(())
}

#[tokio::test]
async fn sessions_begin_anew_when_the_policy_is_read_again() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let web = guarded(&sim, POLICY)?.web().await?;
    let mut alice = client(&web, Era::Legacy, ALICE).await?;
    assert!(names(&alice).await?.contains(&"start_guest".to_owned()));
    web.replace("policy.toml", "preset = \"observe\"")?;
    web.hang_up("the policy was read again").await?;
    let message = alice.message("tools/list", json!({}));
    assert_eq!(alice.post(&message).await?.head.status, 404);
    alice.session = None;
    alice.begin().await?;
    assert!(!names(&alice).await?.contains(&"start_guest".to_owned()));
    Ok(())
}
