//! `serve --http` for clients with access tokens of an OAuth issuer.

use std::time::Duration;

use harness::{
    Answered, Era, HostRunner, Issuer, PATIENCE, Piece, Rogue, SigningKey, Sim, Web,
    assert_case_says, assert_says, unsigned, with,
};
use serde_json::{Value, json};

const RESOURCE: &str = "https://mcp.example.com/mcp";
const ALICE: &str = "alices-token-0123456789abcdef012345";
const ERAS: [Era; 2] = [Era::Legacy, Era::Stateless];
const ALL: &str = "proxmox:observe proxmox:operate";

/// A host-runner that accepts tokens of this issuer.
fn trusting(host: HostRunner, issuer: &Issuer) -> HostRunner {
    host.env("PROXMOX_MCP_OAUTH_ISSUERS", &issuer.name)
        .env(
            "PROXMOX_MCP_OAUTH_CA_FILE",
            issuer.ca_file.display().to_string(),
        )
        .env("PROXMOX_MCP_HTTP_URL", RESOURCE)
}

/// The same, also with a static token.
fn with_static_token(host: HostRunner) -> anyhow::Result<HostRunner> {
    Ok(host
        .private_file("tokens", &format!("alice:{ALICE}\n"))?
        .env("PROXMOX_MCP_HTTP_TOKENS_FILE", "tokens")
        .secret(ALICE))
}

async fn discover(web: &Web, token: &str) -> anyhow::Result<Answered> {
    let client = web.client(Era::Stateless, Some(token));
    let answered = client.ask("server/discover", json!({})).await?;
    assert!(!format!("{answered:?}").contains(token), "{answered:?}");
    Ok(answered)
}

async fn refused(host: HostRunner, says: &[&str]) -> anyhow::Result<()> {
    let output = host.run(&["serve", "--http=127.0.0.1:0"]).await?;
    output.assert_refused_in_one_line(says);
    Ok(())
}

#[tokio::test]
async fn a_right_token_is_admitted() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let keys = [SigningKey::es256("a")?, SigningKey::ed25519("b")?];
    let issuer = Issuer::start(&[&keys[0], &keys[1]]).await?;
    let claims = issuer.claims("alice", RESOURCE, ALL);
    let several =
        json!({ "aud": ["https://other.example", RESOURCE], "scope": null, "scp": [ALL] });
    let tokens = [
        keys[0].sign(&claims)?,
        keys[1].sign(&claims)?,
        keys[0].sign_with(json!({ "typ": "JWT" }), &with(&claims, several))?,
        keys[0].sign_with(
            json!({ "typ": "application/at+jwt" }),
            &with(&claims, json!({ "scp": ALL })),
        )?,
        keys[0].sign_with(json!({ "typ": null }), &claims)?,
    ];
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("audit.jsonl");
    let mut host = with_static_token(trusting(sim.host()?, &issuer))?;
    for token in &tokens {
        host = host.secret(token);
    }
    let web = host
        .arg("--audit")
        .arg(file.display().to_string())
        .web()
        .await?;
    assert_eq!(issuer.fetched(), 0);
    for (at, token) in tokens.iter().enumerate() {
        for era in ERAS {
            let mut client = web.client(era, Some(token));
            let begun = client.begin().await;
            assert!(begun.is_ok() || at == 2, "{at}: {begun:?}");
            if at != 2 {
                client.call("list_nodes", json!({})).await?;
            }
        }
    }
    // `scp` as a list has one scope in each entry.
    assert_eq!(discover(&web, &tokens[2]).await?.head.status, 403);
    let bearer = format!("Bearer {}", tokens[0]);
    let metrics = web
        .ask("GET", "/metrics", &[("Authorization", &bearer)])
        .await?;
    assert_eq!(metrics.status, 200, "{metrics:?}");
    // Tokens of the operator's own are accepted beside them.
    web.client(Era::Stateless, Some(ALICE))
        .call("list_nodes", json!({}))
        .await?;
    assert_eq!(issuer.fetched(), 1);
    let text = std::fs::read_to_string(&file)?;
    assert_says(&text, &["\"user\":\"oauth:alice\"", "\"user\":\"alice\""]);
    Ok(())
}

#[tokio::test]
async fn wrong_tokens_are_refused() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let (key, other) = (SigningKey::es256("a")?, SigningKey::es256("a")?);
    let issuer = Issuer::start(&[&key]).await?;
    let claims = issuer.claims("alice", RESOURCE, ALL);
    let now = claims["iat"].as_u64().unwrap_or_default();
    let changed = |changes: Value| key.sign(&with(&claims, changes));
    let right = changed(json!({}))?;
    let cases = [
        (
            "audience",
            changed(json!({ "aud": "https://mcp.example.com/other" }))?,
            "another audience",
        ),
        (
            "audiences",
            changed(json!({ "aud": ["a", "b"] }))?,
            "another audience",
        ),
        ("no audience", changed(json!({ "aud": null }))?, "lacks"),
        (
            "issuer",
            changed(json!({ "iss": "https://evil.example" }))?,
            "another issuer",
        ),
        (
            "issuers",
            changed(json!({ "iss": [issuer.name, "b"] }))?,
            "issuer",
        ),
        (
            "issuer with a slash",
            changed(json!({ "iss": format!("{}/", issuer.name) }))?,
            "another issuer",
        ),
        ("expired", changed(json!({ "exp": now - 120 }))?, "expired"),
        ("no expiry", changed(json!({ "exp": null }))?, "lacks"),
        (
            "expiry as a text",
            changed(json!({ "exp": "never" }))?,
            "lacks",
        ),
        (
            "not yet",
            changed(json!({ "nbf": now + 120 }))?,
            "not valid yet",
        ),
        ("no subject", changed(json!({ "sub": null }))?, "claims"),
        ("empty subject", changed(json!({ "sub": "" }))?, "sub"),
        (
            "long subject",
            changed(json!({ "sub": "x".repeat(300) }))?,
            "sub",
        ),
        ("ID token", changed(json!({ "at_hash": "x" }))?, "ID token"),
        (
            "ID token without a hash",
            key.sign_with(
                json!({ "typ": null }),
                &with(&claims, json!({ "nonce": "x" })),
            )?,
            "ID token",
        ),
        (
            "Keycloak's ID token",
            changed(json!({ "typ": "ID" }))?,
            "ID token",
        ),
        (
            "type",
            key.sign_with(json!({ "typ": "logout+jwt" }), &claims)?,
            "not an access token",
        ),
        ("none", unsigned(&claims), "not a signed JWT"),
        ("HS256", key.misuse(&claims), "not a signed JWT"),
        ("another key", other.sign(&claims)?, "signature"),
        (
            "unknown key",
            key.sign_with(json!({ "kid": "b" }), &claims)?,
            "does not publish",
        ),
        (
            "another algorithm",
            key.sign_with(json!({ "alg": "EdDSA" }), &claims)?,
            "does not publish",
        ),
        (
            "cut",
            right
                .rsplit_once('.')
                .map(|(head, _)| format!("{head}."))
                .unwrap_or_default(),
            "signature",
        ),
        (
            "opaque",
            "mF_9.B5f-4.1JqMs0hU2kX7wZ3vTq8Lr6".to_owned(),
            "none of this server's",
        ),
    ];
    let mut host = trusting(sim.host()?, &issuer);
    for (_, token, _) in &cases {
        host = host.secret(token);
    }
    let web = host.web().await?;
    for (name, token, says) in &cases {
        let answered = discover(&web, token).await?;
        assert_eq!(answered.head.status, 401, "{name}: {answered:?}");
        let challenge = answered.head.header("www-authenticate").unwrap_or_default();
        let metadata = "resource_metadata=\"https://mcp.example.com/.well-known/\
                        oauth-protected-resource/mcp\"";
        let words = [
            "Bearer error=\"invalid_token\"",
            says,
            metadata,
            "scope=\"proxmox:observe\"",
        ];
        assert_case_says(name, challenge, &words);
        assert_case_says(name, &answered.response.to_string(), &[says]);
    }
    assert_eq!(discover(&web, &right).await?.head.status, 200);
    let without = web.ask("GET", "/mcp", &[]).await?;
    assert_eq!(without.status, 401);
    let challenge = without.header("www-authenticate").unwrap_or_default();
    assert_says(
        challenge,
        &["Bearer resource_metadata=", "scope=\"proxmox:observe\""],
    );
    assert!(!challenge.contains("error"), "{challenge}");
    // In the address, a token counts for nothing.
    let path = format!("/mcp?access_token={right}");
    assert_eq!(web.ask("GET", &path, &[]).await?.status, 401);
    Ok(())
}

/// Whatever the policy allows.
#[tokio::test]
async fn scopes_limit_what_a_client_may_do() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let key = SigningKey::es256("a")?;
    let issuer = Issuer::start(&[&key]).await?;
    let token = |scope: &str| key.sign(&issuer.claims("alice", RESOURCE, scope));
    let none = token("openid other:observe proxmox:observer")?;
    let (observe, operate) = (token("openid proxmox:observe")?, token("proxmox:operate")?);
    let web = trusting(sim.admin()?, &issuer).web().await?;
    let answered = discover(&web, &none).await?;
    assert_eq!(answered.head.status, 403, "{answered:?}");
    let challenge = answered.head.header("www-authenticate").unwrap_or_default();
    assert_says(
        challenge,
        &[
            "insufficient_scope",
            "scope=\"proxmox:observe\"",
            "resource_metadata=",
        ],
    );
    let start = json!({ "name": "start_guest", "arguments": { "vmid": 201 } });
    for era in ERAS {
        let mut client = web.client(era, Some(&observe));
        client.begin().await?;
        client.call("list_guests", json!({})).await?;
        let unknown = json!({ "name": "nothing", "arguments": {} });
        for params in [start.clone(), unknown] {
            let answered = client.ask("tools/call", params).await?;
            assert_eq!(answered.head.status, 403, "{answered:?}");
            let challenge = answered.head.header("www-authenticate").unwrap_or_default();
            assert_says(
                challenge,
                &["insufficient_scope", "scope=\"proxmox:operate\""],
            );
            assert_eq!(answered.response["error"], "insufficient_scope");
        }
        // Nor by an answer to a question.
        let consent = json!({ "taskId": "x", "inputResponses": {} });
        let answered = client.ask("tasks/update", consent).await?;
        assert_eq!(answered.head.status, 403, "{answered:?}");
    }
    let bearer = format!("Bearer {observe}");
    let headers = [
        ("Authorization", bearer.as_str()),
        ("Content-Type", "application/json"),
    ];
    let plain = web.ask("POST", "/tools/start_guest", &headers).await?;
    assert_eq!(plain.status, 403, "{plain:?}");
    let plain = web.ask("POST", "/tools/list_nodes", &headers).await?;
    assert_eq!(plain.status, 200, "{plain:?}");
    assert_eq!(sim.writes()?.len(), 0);
    let client = web.client(Era::Stateless, Some(&operate));
    client.call("start_guest", json!({ "vmid": 201 })).await?;
    assert_eq!(sim.writes()?.len(), 1);
    // The policy allows it, and the scope does not.
    let stop = json!({ "name": "stop_guest", "arguments": { "vmid": 201, "mode": "hard" } });
    let refused = client.ask("tools/call", stop.clone()).await?;
    assert_says(&refused.response.to_string(), &["actions", "hard-stop"]);
    assert_eq!(sim.writes()?.len(), 1);
    let admin = token("proxmox:observe proxmox:admin")?;
    let client = web.client(Era::Stateless, Some(&admin));
    let stopped = client.result("tools/call", stop).await?;
    assert_eq!(stopped["isError"], false, "{stopped}");
    Ok(())
}

/// Entra ID has the resource in the names that clients request, and not in its tokens.
#[tokio::test]
async fn scopes_may_have_another_prefix() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let key = SigningKey::es256("a")?;
    let issuer = Issuer::start(&[&key]).await?;
    let web = trusting(sim.host()?, &issuer)
        .env("PROXMOX_MCP_OAUTH_SCOPE_PREFIX", "api://proxmox/vm.")
        .env("PROXMOX_MCP_OAUTH_AUDIENCES", "6a1b, api://proxmox")
        .web()
        .await?;
    for (audience, scope, status) in [
        ("6a1b", "api://proxmox/vm.observe", 200),
        ("api://proxmox", "vm.operate", 200),
        ("api://proxmox", "proxmox:observe observe", 403),
        (RESOURCE, "vm.operate", 401),
    ] {
        let token = key.sign(&issuer.claims("alice", audience, scope))?;
        let answered = discover(&web, &token).await?;
        assert_eq!(answered.head.status, status, "{scope}: {answered:?}");
        if status == 403 {
            let challenge = answered.head.header("www-authenticate").unwrap_or_default();
            assert_says(challenge, &["scope=\"api://proxmox/vm.observe\""]);
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_metadata_is_open() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let key = SigningKey::es256("a")?;
    let issuer = Issuer::start(&[&key]).await?;
    let web = trusting(sim.host()?, &issuer)
        .env("PROXMOX_MCP_HTTP_ORIGINS", "https://app.example")
        .web()
        .await?;
    for path in [
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-protected-resource/mcp",
    ] {
        // The host in the URL that clients use is known.
        let headers = [
            ("Origin", "https://app.example"),
            ("Host", "mcp.example.com"),
        ];
        let answer = web.ask("GET", path, &headers).await?;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(
            answer.header("access-control-allow-origin"),
            Some("https://app.example")
        );
        assert_eq!(
            answer.json()?,
            json!({
                "resource": RESOURCE,
                "authorization_servers": [issuer.name],
                "scopes_supported": ["proxmox:observe"],
                "bearer_methods_supported": ["header"],
            })
        );
        let strange = web
            .ask("GET", path, &[("Origin", "https://evil.example")])
            .await?;
        assert_eq!(strange.status, 403, "{strange:?}");
    }
    assert_eq!(web.ask("GET", "/.well-known/other", &[]).await?.status, 401);
    // Without an issuer, there is none.
    let web = sim.host()?.web().await?;
    let answer = web
        .ask("GET", "/.well-known/oauth-protected-resource", &[])
        .await?;
    assert_eq!(answer.status, 404, "{answer:?}");
    Ok(())
}

/// That of a static token with the name of a subject neither.
#[tokio::test]
async fn a_session_belongs_to_its_subject() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let key = SigningKey::es256("a")?;
    let issuer = Issuer::start(&[&key]).await?;
    let token = |sub: &str| key.sign(&issuer.claims(sub, RESOURCE, ALL));
    let (alice, bob) = (token("alice")?, token("bob")?);
    let web = with_static_token(trusting(sim.host()?, &issuer))?
        .web()
        .await?;
    let mut owner = web.client(Era::Legacy, Some(&alice));
    owner.begin().await?;
    for other in [bob.as_str(), ALICE] {
        let mut thief = web.client(Era::Legacy, Some(other));
        thief.session.clone_from(&owner.session);
        let stolen = thief.ask("tools/list", json!({})).await?;
        assert_eq!(stolen.head.status, 404, "{stolen:?}");
        assert_eq!(thief.end().await?, 404);
    }
    // A later token of the same subject continues it.
    let mut renewed = web.client(Era::Legacy, Some(&token("alice")?));
    renewed.session.clone_from(&owner.session);
    renewed.result("ping", json!({})).await?;
    Ok(())
}

#[tokio::test]
async fn an_issuer_that_is_down_is_asked_again() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let key = SigningKey::es256("a")?;
    let mut issuer = Issuer::start(&[&key]).await?;
    issuer.stop().await;
    let token = key.sign(&issuer.claims("alice", RESOURCE, ALL))?;
    let host = with_static_token(trusting(sim.host()?, &issuer))?.secret(&token);
    let web = host.web().await?;
    let answered = discover(&web, &token).await?;
    assert_eq!(answered.head.status, 503, "{answered:?}");
    assert!(answered.head.header("retry-after").is_some());
    assert_says(
        &answered.response.to_string(),
        &["no_issuer_keys", &issuer.name, "try again"],
    );
    assert_says(
        &web.stderr()?,
        &["the keys of", &issuer.name, "cannot be read"],
    );
    // That does not concern others.
    assert_eq!(discover(&web, ALICE).await?.head.status, 200);
    issuer.resume().await?;
    let admitted = async {
        while discover(&web, &token).await?.head.status != 200 {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, admitted).await??;
    // The keys are kept.
    issuer.stop().await;
    assert_eq!(discover(&web, &token).await?.head.status, 200);
    // Whether there is another key, nobody can say now.
    let unknown = key.sign_with(
        json!({ "kid": "b" }),
        &issuer.claims("alice", RESOURCE, ALL),
    )?;
    assert_eq!(discover(&web, &unknown).await?.head.status, 503);
    assert_eq!(discover(&web, &token).await?.head.status, 200);
    Ok(())
}

#[tokio::test]
async fn rotated_keys_are_fetched() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let (old, new) = (SigningKey::es256("old")?, SigningKey::ed25519("new")?);
    let issuer = Issuer::start(&[&old]).await?;
    let claims = issuer.claims("alice", RESOURCE, ALL);
    let (by_old, by_new) = (old.sign(&claims)?, new.sign(&claims)?);
    let web = trusting(sim.host()?, &issuer).web().await?;
    assert_eq!(discover(&web, &by_old).await?.head.status, 200);
    issuer.publish(&[&new]);
    assert_eq!(discover(&web, &by_new).await?.head.status, 200);
    assert_eq!(discover(&web, &by_old).await?.head.status, 401);
    // Tokens with unknown keys cannot make the server ask again and again.
    for kid in ["x", "y", "z"] {
        let token = new.sign_with(json!({ "kid": kid }), &claims)?;
        assert_eq!(discover(&web, &token).await?.head.status, 401);
    }
    assert_eq!(issuer.fetched(), 2);
    Ok(())
}

#[tokio::test]
async fn requests_at_the_same_time_share_one_fetch() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let key = SigningKey::es256("a")?;
    let issuer = Issuer::start(&[&key]).await?;
    let token = key.sign(&issuer.claims("alice", RESOURCE, ALL))?;
    let web = trusting(sim.host()?, &issuer).web().await?;
    let (a, b, c, d) = tokio::try_join!(
        discover(&web, &token),
        discover(&web, &token),
        discover(&web, &token),
        discover(&web, &token),
    )?;
    for answered in [a, b, c, d] {
        assert_eq!(answered.head.status, 200, "{answered:?}");
    }
    assert_eq!(issuer.fetched(), 1);
    // Without any credentials.
    for request in issuer.requests() {
        assert!(request.starts_with("GET "), "{request}");
        assert!(
            !request.to_lowercase().contains("authorization:"),
            "{request}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn an_issuer_with_bad_answers_admits_nobody() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let key = SigningKey::es256("a")?;
    let answer = |status: &str, body: &str| {
        format!(
            "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let elsewhere = "302 Found\r\nLocation: https://127.0.0.1:1/keys";
    for (answer, says) in [
        (answer(elsewhere, ""), "redirects are not followed"),
        (answer("500 Broken", ""), "500"),
        (answer("200 OK", "<html>"), "JSON Web Key Set"),
        (answer("200 OK", r#"{"keys":[]}"#), "no key"),
        (
            answer("200 OK", &format!("{}{{}}", " ".repeat(70_000))),
            "body cannot be read",
        ),
        ("nonsense\r\n\r\n".to_owned(), "keys"),
    ] {
        let issuer = Issuer::start(&[&key]).await?;
        issuer.answers_with(answer);
        let token = key.sign(&issuer.claims("alice", RESOURCE, ALL))?;
        let web = trusting(sim.host()?, &issuer).web().await?;
        let answered = discover(&web, &token).await?;
        assert_eq!(answered.head.status, 503, "{says}: {answered:?}");
        assert_says(&web.stderr()?, &["cannot be read", says]);
    }
    Ok(())
}

/// Only origins that the operator named are asked.
#[tokio::test]
async fn keys_at_another_origin_must_be_named() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let key = SigningKey::es256("a")?;
    let (issuer, other) = (Issuer::start(&[]).await?, Issuer::start(&[&key]).await?);
    let token = key.sign(&issuer.claims("alice", RESOURCE, ALL))?;
    issuer.says(json!({ "issuer": issuer.name, "jwks_uri": other.keys_url() }));
    let web = trusting(sim.host()?, &issuer).web().await?;
    assert_eq!(discover(&web, &token).await?.head.status, 503);
    assert_says(&web.stderr()?, &["another origin", "--oauth-jwks"]);
    assert_eq!(other.requests().len(), 0);
    let web = trusting(sim.host()?, &issuer)
        .env(
            "PROXMOX_MCP_OAUTH_CA_FILE",
            other.ca_file.display().to_string(),
        )
        .env("PROXMOX_MCP_OAUTH_JWKS", other.keys_url())
        .web()
        .await?;
    assert_eq!(discover(&web, &token).await?.head.status, 200);
    // Metadata of another issuer counts for nothing.
    issuer.says(json!({ "issuer": other.name, "jwks_uri": issuer.keys_url() }));
    let web = trusting(sim.host()?, &issuer).web().await?;
    assert_eq!(discover(&web, &token).await?.head.status, 503);
    assert_says(&web.stderr()?, &["--oauth-issuers", &other.name]);
    Ok(())
}

#[tokio::test]
async fn subjects_of_several_issuers_are_different_users() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let (key, another) = (SigningKey::es256("a")?, SigningKey::es256("a")?);
    let (one, two) = (
        Issuer::start(&[&key]).await?,
        Issuer::start(&[&another]).await?,
    );
    let both = [&one.ca_file, &two.ca_file].map(std::fs::read_to_string);
    let [first, second] = both;
    let web = trusting(sim.host()?, &one)
        .file("both.pem", &format!("{}{}", first?, second?))?
        .env("PROXMOX_MCP_OAUTH_CA_FILE", "both.pem")
        .env(
            "PROXMOX_MCP_OAUTH_ISSUERS",
            format!("{}, {}", one.name, two.name),
        )
        .arg("--log-level=info")
        .web()
        .await?;
    let mut alice = web.client(
        Era::Legacy,
        Some(&key.sign(&one.claims("alice", RESOURCE, ALL))?),
    );
    alice.begin().await?;
    let other = another.sign(&two.claims("alice", RESOURCE, ALL))?;
    let mut thief = web.client(Era::Legacy, Some(&other));
    thief.session.clone_from(&alice.session);
    assert_eq!(thief.ask("ping", json!({})).await?.head.status, 404);
    let name = |issuer: &Issuer| format!(" oauth:alice#{} ", issuer.name);
    assert_says(&web.stderr()?, &[&name(&one), &name(&two)]);
    // A key counts for its own issuer only.
    let forged = another.sign(&one.claims("alice", RESOURCE, ALL))?;
    assert_eq!(discover(&web, &forged).await?.head.status, 401);
    Ok(())
}

/// What leaves the process has the token of Proxmox VE and nothing of the client's.
#[tokio::test]
async fn an_access_token_is_never_forwarded() -> anyhow::Result<()> {
    let proxmox = Rogue::start(|_| {
        let answer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n\
                      {\"data\":[]}";
        vec![Piece::Bytes(answer.as_bytes().to_vec())]
    })
    .await?;
    let key = SigningKey::es256("a")?;
    let issuer = Issuer::start(&[&key]).await?;
    let token = key.sign(&issuer.claims("alice", RESOURCE, ALL))?;
    let host = trusting(proxmox.host()?, &issuer).secret(&token);
    let web = host.arg("--log-level=trace").web().await?;
    for era in ERAS {
        let mut client = web.client(era, Some(&token));
        client.begin().await?;
        let params = json!({ "name": "list_guests", "arguments": {} });
        let result = client.result("tools/call", params).await?;
        assert!(!result.to_string().contains(&token), "{result}");
    }
    let requests = proxmox.requests();
    assert!(!requests.is_empty());
    for request in requests.iter().chain(&issuer.requests()) {
        assert!(!request.contains(&token), "{request}");
        assert!(!request.contains("Bearer"), "{request}");
    }
    assert!(!web.stderr()?.contains(&token));
    Ok(())
}

#[tokio::test]
async fn settings_of_oauth_are_checked() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let key = SigningKey::es256("a")?;
    let issuer = Issuer::start(&[&key]).await?;
    for (name, value, says) in [
        (
            "PROXMOX_MCP_OAUTH_ISSUERS",
            "http://id.example.com",
            "https://",
        ),
        (
            "PROXMOX_MCP_OAUTH_ISSUERS",
            "https://a@id.example.com",
            "user",
        ),
        (
            "PROXMOX_MCP_OAUTH_JWKS",
            "https://a.example/1,https://a.example/2",
            "each issuer",
        ),
        ("PROXMOX_MCP_OAUTH_CA_FILE", "absent", "cannot be read"),
        ("PROXMOX_MCP_HTTP_URL", "", "PROXMOX_MCP_HTTP_URL"),
        (
            "PROXMOX_MCP_HTTP_URL",
            "mcp.example.com",
            "PROXMOX_MCP_HTTP_URL",
        ),
        ("PROXMOX_MCP_OAUTH_ISSUERS", "", "PROXMOX_MCP_OAUTH_ISSUERS"),
        ("PROXMOX_MCP_OAUTH_SCOPE_PREFIX", "a\"b", "no scope"),
    ] {
        let host = trusting(sim.host()?, &issuer).env(name, value);
        refused(host, &[says]).await?;
    }
    let host = trusting(sim.host()?, &issuer).file("ca.pem", "nothing")?;
    let host = host.env("PROXMOX_MCP_OAUTH_CA_FILE", "ca.pem");
    refused(host, &["PROXMOX_MCP_OAUTH_CA_FILE", "PEM"]).await?;
    // It is authentication enough for other addresses.
    let host = trusting(sim.host()?, &issuer).env("PROXMOX_MCP_HTTP", "0.0.0.0:0");
    let web = host.arg("serve").web_as_is().await?;
    assert!(!web.stderr()?.contains("no authentication"));
    Ok(())
}
