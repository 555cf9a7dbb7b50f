//! Several clusters in one server: each call names its cluster, and reaches no other.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use harness::{Era, HostRunner, Sim, User, assert_says};
use serde_json::{Value, json};

/// The section of a cluster, whose secret is in the variable `NAME_SECRET`.
fn section(sim: &Sim, name: &str, url: &str, policy: Option<&str>) -> anyhow::Result<String> {
    let token = sim.token("all")?;
    let policy = policy.map(|file| format!("policy = {file:?}\n"));
    Ok(format!(
        "[clusters.{name}]\nurl = {url:?}\ntoken_id = {:?}\ntoken_secret_env = \"{}_SECRET\"\n\
         ca_file = {:?}\n{}",
        token.id,
        name.to_uppercase(),
        sim.ca_file.display().to_string(),
        policy.unwrap_or_default()
    ))
}

/// `lyon` only reads; `paris` may do what any policy can allow.
fn host(paris: &Sim, lyon: &Sim, lyons_url: &str) -> anyhow::Result<HostRunner> {
    let clusters = [
        section(paris, "paris", &paris.url, Some("paris.toml"))?,
        section(lyon, "lyon", lyons_url, Some("lyon.toml"))?,
    ];
    HostRunner::new()?
        .env("PARIS_SECRET", &paris.token("all")?.secret)
        .env("LYON_SECRET", &lyon.token("all")?.secret)
        .env("PROXMOX_MCP_CLUSTERS", "clusters.toml")
        .file("clusters.toml", &clusters.join("\n"))?
        .file("paris.toml", "preset = \"admin\"\n")?
        .file("lyon.toml", "preset = \"observe\"\n")
}

fn closed() -> anyhow::Result<String> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    Ok(format!(
        "https://127.0.0.1:{}",
        listener.local_addr()?.port()
    ))
}

fn schema<'a>(tools: &'a [Value], name: &str) -> anyhow::Result<&'a Value> {
    let tool = tools.iter().find(|tool| tool["name"] == name);
    let tool = tool.with_context(|| format!("no tool {name}"))?;
    tool.get("inputSchema").context("no schema")
}

#[tokio::test]
async fn a_call_reaches_its_cluster_only() -> anyhow::Result<()> {
    let (mut paris, mut lyon) = (Sim::start().await?, Sim::start().await?);
    paris.set_guest(100, json!({ "running": false })).await?;
    let client = host(&paris, &lyon, &lyon.url)?
        .arg("--audit=audit.jsonl")
        .connect()
        .await?;
    let list = schema(client.tools(), "list_guests")?;
    let of_cluster = list.pointer("/properties/cluster_name/enum");
    assert_eq!(of_cluster, Some(&json!(["lyon", "paris", "all"])));
    assert_eq!(list.pointer("/required/0"), Some(&json!("cluster_name")));
    let start = schema(client.tools(), "start_guest")?;
    let of_cluster = start.pointer("/properties/cluster_name/enum");
    assert_eq!(of_cluster, Some(&json!(["paris"])));

    client
        .call("list_guests", json!({ "cluster_name": "paris" }))
        .await?;
    let arguments = json!({ "cluster_name": "paris", "vmid": 100 });
    client.call("start_guest", arguments).await?;
    assert_eq!(lyon.served().await?, 0);
    let before = paris.served().await?;
    client
        .call(
            "list_guests",
            json!({ "cluster_name": "lyon", "detail": "full" }),
        )
        .await?;
    assert_eq!(paris.served().await?, before);

    // The policies differ.
    let arguments = json!({ "cluster_name": "lyon", "vmid": 100 });
    let error = client.error("start_guest", arguments).await?;
    assert_says(&error, &["cluster lyon", "only lets reads through"]);
    assert_eq!(lyon.sent("POST")?.len(), 0);
    for wrong in [
        json!({}),
        json!({ "cluster_name": "nice" }),
        json!({ "cluster_name": 1 }),
    ] {
        let error = client.error("list_guests", wrong).await?;
        assert_says(&error, &["cluster", "lyon", "paris", "all"]);
    }
    let error = client.error("start_guest", json!({ "cluster_name": "all", "vmid": 100 }));
    assert_says(&error.await?, &["cluster", "lyon, paris"]);
    let instructions = client.server_info()?;
    assert_says(
        &instructions.to_string(),
        &["lyon, paris", "Of the cluster lyon"],
    );
    client.finish().await?;
    Ok(())
}

/// One cluster is down: neither the start nor calls for the other one wait for it, and `all`
/// says which one did not answer.
#[tokio::test]
async fn a_cluster_that_is_down_holds_nobody_up() -> anyhow::Result<()> {
    let (paris, lyon) = (Sim::start().await?, Sim::start().await?);
    let url = closed()?;
    let began = Instant::now();
    let client = host(&paris, &lyon, &url)?
        .env("PROXMOX_MCP_FIT_TOKEN", "auto")
        .connect()
        .await?;
    client
        .call("list_nodes", json!({ "cluster_name": "paris" }))
        .await?;
    ensure!(began.elapsed() < Duration::from_secs(10), "it waits");
    let result = client
        .call("list_nodes", json!({ "cluster_name": "all" }))
        .await?;
    let of_lyon = result.pointer("/clusters/0").context("lyon")?;
    assert_eq!(of_lyon["cluster"], "lyon");
    assert_says(&of_lyon["error"].to_string(), &["refused"]);
    let of_paris = result.pointer("/clusters/1").context("paris")?;
    assert_eq!(of_paris["cluster"], "paris");
    ensure!(of_paris.pointer("/result/nodes/0").is_some(), "{of_paris}");
    let arguments = json!({ "cluster_name": "all", "detail": "concise" });
    let result = client.request("list_nodes", arguments).await??;
    let text = result.content.first().and_then(|block| block.as_text());
    let text = text.context("no text")?.text.clone();
    assert_says(&text, &["## lyon: no result", "## paris\n"]);
    let error = client
        .error("list_nodes", json!({ "cluster_name": "lyon" }))
        .await?;
    assert_says(&error, &["refused"]);
    client.finish().await?;

    // Nobody answers: an error.
    let client = host(&paris, &lyon, &url)?
        .file(
            "clusters.toml",
            &[
                section(&paris, "paris", &closed()?, None)?,
                section(&lyon, "lyon", &url, None)?,
            ]
            .concat(),
        )?
        .connect()
        .await?;
    let error = client
        .error("list_nodes", json!({ "cluster_name": "all" }))
        .await?;
    assert_says(&error, &["## lyon: no result", "## paris: no result"]);
    Ok(())
}

/// The audit log names the cluster of each line.
#[tokio::test]
async fn the_audit_log_names_the_cluster() -> anyhow::Result<()> {
    let (paris, lyon) = (Sim::start().await?, Sim::start().await?);
    let host = host(&paris, &lyon, &lyon.url)?.arg("--audit=audit.jsonl");
    let log = host.directory().join("audit.jsonl");
    let client = host.connect().await?;
    client
        .call("list_nodes", json!({ "cluster_name": "paris" }))
        .await?;
    let text = std::fs::read_to_string(&log)?;
    let lines: Vec<Value> = text
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    ensure!(lines.len() >= 3, "{text}");
    ensure!(
        lines.iter().all(|line| line["cluster"] == "paris"),
        "{text}"
    );
    client
        .call("list_nodes", json!({ "cluster_name": "all" }))
        .await?;
    let text = std::fs::read_to_string(&log)?;
    assert_says(&text, &["\"cluster\":\"lyon\""]);
    client.finish().await?;
    Ok(())
}

/// Who consents to a change sees which cluster it is for.
#[tokio::test]
async fn a_question_names_the_cluster() -> anyhow::Result<()> {
    let (mut paris, lyon) = (Sim::start().await?, Sim::start().await?);
    paris.set_guest(100, json!({ "running": false })).await?;
    let host = host(&paris, &lyon, &lyon.url)?.arg("--confirm=writes");
    let client = host.connect_with(Era::Legacy, User::Agrees).await?;
    let arguments = json!({ "cluster_name": "paris", "vmid": 100 });
    client.call("start_guest", arguments).await?;
    let questions = client.questions();
    ensure!(questions.len() == 1, "{questions:?}");
    assert_says(&questions.concat(), &["Cluster: paris\n"]);
    client.finish().await?;
    Ok(())
}

/// Resources have the cluster's name as the first part of their address.
#[tokio::test]
async fn resources_name_their_cluster() -> anyhow::Result<()> {
    let (mut paris, mut lyon) = (Sim::start().await?, Sim::start().await?);
    paris
        .set_guest(100, json!({ "config": { "name": "of-paris" } }))
        .await?;
    let mut raw = host(&paris, &lyon, &lyon.url)?.raw()?;
    let templates = raw
        .request("resources/templates/list", with_tasks(json!({})))
        .await?;
    let templates = templates.to_string();
    assert_says(
        &templates,
        &["pve://paris/guests/{vmid}", "pve://lyon/guests/{vmid}"],
    );
    let read = json!({ "uri": "pve://paris/guests/100" });
    let read = raw.request("resources/read", with_tasks(read)).await?;
    assert_says(
        &read["result"].to_string(),
        &["of-paris", "pve://paris/guests/100"],
    );
    assert_eq!(lyon.served().await?, 0);
    for wrong in ["pve://guests/100", "pve://nice/guests/100"] {
        let read = raw
            .request("resources/read", with_tasks(json!({ "uri": wrong })))
            .await?;
        ensure!(read.get("error").is_some(), "{read:#}");
    }
    let complete = |uri: &str| {
        with_tasks(json!({
            "ref": { "type": "ref/resource", "uri": uri },
            "argument": { "name": "vmid", "value": "10" },
        }))
    };
    let values = raw.request("completion/complete", complete("pve://paris/guests/{vmid}"));
    let values = values.await?;
    assert_says(&values["result"].to_string(), &["\"100\""]);
    assert_eq!(lyon.served().await?, 0);
    let before = paris.served().await?;
    let list = raw.request("resources/list", with_tasks(json!({}))).await?;
    assert_says(
        &list.to_string(),
        &["pve://lyon/guests/100", "pve://paris/guests/100"],
    );
    ensure!(lyon.served().await? > 0 && paris.served().await? >= before);
    raw.finish().await?;
    Ok(())
}

/// One cluster works as without the file, and `--cluster` chooses one.
#[tokio::test]
async fn one_cluster_needs_no_argument() -> anyhow::Result<()> {
    let (paris, mut lyon) = (Sim::start().await?, Sim::start().await?);
    let client = host(&paris, &lyon, &lyon.url)?
        .arg("--cluster=paris")
        .connect()
        .await?;
    let list = schema(client.tools(), "list_guests")?;
    ensure!(list.pointer("/properties/cluster_name").is_none(), "{list}");
    client.call("list_guests", json!({})).await?;
    client.finish().await?;
    assert_eq!(lyon.served().await?, 0);

    let call = ["call", "list_nodes", "{}"];
    let output = host(&paris, &lyon, &lyon.url)?.run(&call).await?;
    assert_eq!(output.status, Some(2), "{output:?}");
    assert_says(&output.stderr, &["--cluster", "lyon, paris"]);
    let output = host(&paris, &lyon, &lyon.url)?
        .arg("--cluster=nice")
        .run(&call);
    assert_says(&output.await?.stderr, &["--cluster", "lyon, paris"]);
    let output = host(&paris, &lyon, &lyon.url)?
        .arg("--cluster=lyon")
        .run(&call);
    output.await?.assert_succeeds();
    ensure!(lyon.served().await? > 0);
    let show = host(&paris, &lyon, &lyon.url)?.arg("--cluster=lyon");
    let show = show.run(&["policy", "show"]).await?;
    assert_says(&show.stdout, &["observe"]);
    let surface = host(&paris, &lyon, &lyon.url)?.run(&["tools", "--surface"]);
    assert_says(&surface.await?.stdout, &["\"cluster_name\"", "\"lyon\""]);
    Ok(())
}

/// A connection comes from one place, and the file is checked.
#[tokio::test]
async fn a_file_that_cannot_be_used_is_explained() -> anyhow::Result<()> {
    let (paris, lyon) = (Sim::start().await?, Sim::start().await?);
    let call = ["call", "list_nodes", "{}"];
    let mixed = host(&paris, &lyon, &lyon.url)?.env("PROXMOX_URL", "https://pve.example.com");
    let output = mixed.run(&call).await?;
    assert_eq!(output.status, Some(2), "{output:?}");
    assert_says(&output.stderr, &["PROXMOX_URL", "PROXMOX_MCP_CLUSTERS"]);
    for (text, says) in [
        (
            "[clusters.all]\nurl = \"https://a\"\ntoken_id = \"a@pve!b\"\n",
            "\"all\"",
        ),
        (
            "[clusters.a]\nurl = \"https://a\"\ntoken_id = \"a@pve!b\"\n",
            "token_secret_file",
        ),
        (
            "[clusters.a]\nurl = \"http://a\"\ntoken_id = \"a@pve!b\"\ntoken_secret_env = \"PARIS_SECRET\"\n",
            "clusters.a",
        ),
        ("[cluster.a]\n", "clusters.toml"),
    ] {
        let host = host(&paris, &lyon, &lyon.url)?.file("clusters.toml", text)?;
        let output = host.run(&call).await?;
        assert_eq!(output.status, Some(2), "{output:?}");
        assert_says(&output.stderr, &[says]);
    }
    Ok(())
}

/// A task's id says in which cluster the task is.
#[tokio::test]
async fn a_task_is_followed_in_its_cluster_after_a_restart() -> anyhow::Result<()> {
    let mut paris = Sim::options().arg("--task-seconds=3600").start().await?;
    let mut lyon = Sim::start().await?;
    paris.set_guest(100, json!({ "running": false })).await?;
    let mut raw = host(&paris, &lyon, &lyon.url)?.raw()?;
    let arguments = json!({ "cluster_name": "paris", "vmid": 100 });
    let params = with_tasks(json!({ "name": "start_guest", "arguments": arguments }));
    let task = raw.request("tools/call", params).await?;
    let id = task["result"]["taskId"]
        .as_str()
        .context("no task")?
        .to_owned();
    ensure!(id.contains(".wait_task@paris.UPID:"), "{id}");
    raw.finish().await?;
    let mut again = host(&paris, &lyon, &lyon.url)?.raw()?;
    let about = |id: &str| with_tasks(json!({ "taskId": id }));
    let now = again.request("tasks/get", about(&id)).await?;
    assert_eq!(now["result"]["status"], "working", "{now:#}");
    // Without a cluster, or with one that does not exist, nobody is asked.
    let before = (paris.served().await?, lyon.served().await?);
    for wrong in [id.replace("@paris", ""), id.replace("@paris", "@nice")] {
        let refused = again.request("tasks/get", about(&wrong)).await?;
        ensure!(refused.get("error").is_some(), "{refused:#}");
    }
    assert_eq!(before.1, 0);
    assert_eq!(lyon.served().await?, 0);
    Ok(())
}

fn with_tasks(mut params: Value) -> Value {
    if let Value::Object(fields) = &mut params {
        let meta = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
            "io.modelcontextprotocol/clientCapabilities": {
                "extensions": { "io.modelcontextprotocol/tasks": {} },
            },
        });
        fields.insert("_meta".to_owned(), meta);
    }
    params
}

/// Plain HTTP: the description, calls, and the metrics of each cluster.
#[tokio::test]
async fn plain_http_takes_the_cluster() -> anyhow::Result<()> {
    let (paris, lyon) = (Sim::start().await?, Sim::start().await?);
    let web = host(&paris, &lyon, &closed()?)?.web().await?;
    let ask = |tool: &str, body: Value| {
        let body = body.to_string();
        format!(
            "POST /tools/{tool} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
    };
    let answer = web
        .send(&ask("list_nodes", json!({ "cluster_name": "all" })))
        .await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    let answer = web.send(&ask("list_nodes", json!({}))).await?;
    assert_eq!(answer.status, 400, "{answer:?}");
    let metrics = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let metrics = format!("{:?}", web.send(metrics).await?);
    assert_says(&metrics, &["cluster=", "paris", "lyon"]);
    Ok(())
}
