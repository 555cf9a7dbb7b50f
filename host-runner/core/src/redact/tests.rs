//! Tests of all ways by which a secret is recognized.

use proptest::prelude::*;
use serde_json::json;

use super::*;

const UUID: &str = "8a7f1c52-0b1e-4c5e-9d61-2f0c5d3e7a90";

fn masked(value: Value) -> Value {
    super::arguments(&value, &json!({"type": "object"})).0
}

#[test]
fn by_schema() {
    let schema = json!({
        "type": "object",
        "properties": {
            "vmid": {"type": "integer"},
            "one": {"type": "string", "writeOnly": true},
            "two": {"type": ["string", "null"], "format": "password"},
            "three": {"anyOf": [{"$ref": "#/$defs/Hush"}, {"type": "null"}]},
            "list": {"type": "array", "items": {"type": "object", "properties": {
                "shown": {"type": "string"},
                "four": {"type": "integer", "writeOnly": true},
            }}},
            "map": {"type": "object", "additionalProperties": {"$ref": "#/$defs/Hush"}},
            "loop": {"$ref": "#/properties/loop"},
        },
        "$defs": {"Hush": {"type": "string", "format": "password"}},
    });
    let value = json!({
        "vmid": 100, "one": "hush", "two": "hush", "three": "hush", "loop": "seen",
        "list": [{"shown": "yes", "four": 1234}, {"four": true}], "map": {"a": "hush", "b": ""},
    });
    assert_eq!(
        super::arguments(&value, &schema).0,
        json!({
            "vmid": 100, "one": HIDDEN, "two": HIDDEN, "three": HIDDEN, "loop": "seen",
            "list": [{"shown": "yes", "four": HIDDEN}, {"four": HIDDEN}],
            "map": {"a": HIDDEN, "b": ""},
        })
    );
    // Whatever the schema is.
    for schema in [
        json!(null),
        json!(true),
        json!({"properties": 3, "anyOf": {}}),
    ] {
        assert_eq!(
            super::arguments(&json!({"a": 1}), &schema).0,
            json!({"a": 1})
        );
    }
    let endless = json!({"anyOf": vec![json!({"type": "string"}); 100]});
    assert_eq!(super::arguments(&json!("x"), &endless).0, json!(HIDDEN));
}

#[test]
fn by_name() {
    for name in [
        "password",
        "cipassword",
        "Password",
        "new_password",
        "rootpw-passwd",
        "client_secret",
        "token",
        "lock-token",
        "ticket",
        "vncticket",
        "encryption-key",
        "privateKey",
        "apiKey",
        "key",
        "keys",
        "keyring",
        "otp",
        "db_pass",
        "dbPass",
        "psk",
        "PVEAuthCookie",
        "eab-hmac-key",
        "stdin",
        "input-data",
    ] {
        assert_eq!(
            masked(json!({name: "hush"})),
            json!({name: HIDDEN}),
            "{name}"
        );
        assert_eq!(
            masked(json!({"a": [{"b": {name: ["hush", 7]}}]})),
            json!({"a": [{"b": {name: HIDDEN}}]}),
            "{name}"
        );
        assert_eq!(masked(json!({name: ""})), json!({name: ""}));
        assert_eq!(masked(json!({name: null})), json!({name: null}));
    }
    for name in [
        "vmid",
        "node",
        "sshkeys",
        "ssh_keys",
        "ssh-public-keys",
        "master-pubkey",
        "public_key",
        "keyboard",
        "tokenid",
        "token_id",
        "upid",
        "digest",
        "bypass_name",
        "description",
        "verify-certificates",
        "passthrough",
        "comment",
        "config-keys",
    ] {
        assert_eq!(
            masked(json!({name: "seen"})),
            json!({name: "seen"}),
            "{name}"
        );
    }
    assert_eq!(
        masked(json!({"has_password": true})),
        json!({"has_password": true})
    );
}

#[test]
fn parameters() {
    let params = |pairs: &[(&str, &str)]| {
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        super::params(&pairs).0
    };
    assert_eq!(
        params(&[
            ("cipassword", "hush"),
            ("cores", "2"),
            ("delete", "cipassword"),
            ("input-data", "hush"),
            ("content", "iso,vztmpl"),
            ("sshkeys", "ssh-ed25519%20AAAA%20me"),
            ("url", "https://me:hush@example.com/a.iso"),
        ]),
        json!({
            "cipassword": HIDDEN, "cores": "2", "delete": "cipassword", "input-data": HIDDEN,
            "content": "iso,vztmpl", "sshkeys": "ssh-ed25519%20AAAA%20me",
            "url": "https://(hidden)@example.com/a.iso",
        })
    );
    assert_eq!(
        params(&[("content", "user=root\n")]),
        json!({"content": HIDDEN})
    );
    assert_eq!(
        params(&[
            ("command", "mysql"),
            ("command", "--password"),
            ("command", "hush"),
            ("command", "-v"),
            ("command", "--secret=hush"),
        ]),
        json!({"command": ["mysql", "--password", HIDDEN, "-v", "--secret=(hidden)"]})
    );
    assert_eq!(
        params(&[("password", "hush"), ("password", "hush")]),
        json!({"password": HIDDEN})
    );
    assert_eq!(params(&[]), json!({}));
}

#[test]
fn in_texts() {
    let header = format!("PVEAPIToken=root@pam!full={UUID}");
    for (text, masked) in [
        (format!("root@pam!full={UUID}"), "root@pam!full=(hidden)"),
        (
            format!("a root@pam!full={UUID} b"),
            "a root@pam!full=(hidden) b",
        ),
        (
            format!("backup@pbs!full:{UUID}"),
            "backup@pbs!full:(hidden)",
        ),
        (header, "PVEAPIToken=(hidden)"),
    ] {
        assert_eq!(super::text(&text), masked);
    }
    for (text, masked) in [
        ("https://user:hush@host/x", "https://(hidden)@host/x"),
        ("HTTPS:/user:hush@host/x", "HTTPS:/(hidden)@host/x"),
        (r"https:\\user:hush@host", r"https:\\(hidden)@host"),
        ("https:user:hush@host", "https:(hidden)@host"),
        (
            "get ftp://hush@a@host?q=1@2 now",
            "get ftp://(hidden)@host?q=1@2 now",
        ),
        (
            "a//b https://u:hush@h/ http://v:hush@h",
            "a//b https://(hidden)@h/ http://(hidden)@h",
        ),
        ("password=hush", "password=(hidden)"),
        ("a password=hush b", "a password=(hidden) b"),
        ("PGPASSWORD='hush hush' psql", "PGPASSWORD=(hidden) psql"),
        ("mysql --password hush -v", "mysql --password (hidden) -v"),
        (
            "password: correct horse\nuser: me",
            "password: (hidden)\nuser: me",
        ),
        ("password:\n  correct horse", "password:(hidden)"),
        ("secret: |\n  correct\n  horse", "secret: (hidden)"),
        (
            r#"{"password":"hush hush", "a":1}"#,
            r#"{"password":(hidden) "a":1}"#,
        ),
        (
            r#"{\"password\":\"hush hush\"}"#,
            r#"{\"password\":(hidden)"#,
        ),
        ("password = hush hush", "password = (hidden)"),
        ("Authorization: Bearer hush", "Authorization: (hidden)"),
        ("x?a=1&token=hush", "x?a=1&token=(hidden)"),
        (
            "https://example.com/a.iso?X-Amz-Expires=60&X-Amz-Signature=abc123&v=2",
            "https://example.com/a.iso?X-Amz-Expires=60&X-Amz-Signature=(hidden)&v=2",
        ),
        (
            "https://example.com/a.iso?sv=2026&sig=hush%2Fhush%3D b",
            "https://example.com/a.iso?sv=2026&sig=(hidden) b",
        ),
        (
            "https://example.com/?d=Q3JlZGVudGlhbHMxMjM0NTY3ODkw",
            "https://example.com/?d=(hidden)",
        ),
        ("PVE:root@pam:64F1::aGhzaA==", "PVE:(hidden)"),
        ("a PVEVNC:64F1::aGhzaA== b", "a PVEVNC:(hidden) b"),
        (
            "a -----BEGIN RSA PRIVATE KEY-----\nhush\n-----END RSA PRIVATE KEY----- b",
            "a (hidden) b",
        ),
        (
            "-----BEGIN%20OPENSSH%20PRIVATE%20KEY-----%0Ahush",
            "(hidden)",
        ),
        ("password=", "password="),
    ] {
        assert_eq!(super::text(text), masked);
    }
    for text in [
        "",
        "a",
        "https://example.com/a@b",
        "https://example.com/get?file=debian-12-generic-amd64-20260316.qcow2&v=2",
        "me@example.com",
        "user: me@example.com",
        "UPID:pve1:0000A1B2:00C3D4E5:66A1B2C3:qmstart:100:root@pam!secret:",
        "local:iso/debian-12.iso",
        "uuid=8a7f1c52-0b1e-4c5e-9d61-2f0c5d3e7a90",
        "virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1",
        "net0: virtio",
        "ssh-ed25519 AAAA me@host",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "fe80::1",
        "PVE::1",
        "the password is wrong",
        "2001:db8::1",
    ] {
        assert_eq!(super::text(text), text);
    }
}

#[test]
fn long_texts_take_no_long_time() {
    for part in [
        "http:",
        "a://",
        "!a=",
        "PVE:",
        "-----BEGIN PRIVATE",
        "x=\"",
        "P:@",
        "P=",
        "-a ",
        "@",
        "//",
        "p ",
    ] {
        super::text(&part.repeat(100_000));
    }
}

proptest! {
    #[test]
    fn a_secret_is_in_no_text(before in ".{0,20}", after in "[ \n/].{0,20}", secret in "hush[a-zA-Z0-9!$%*+.;,&:-]{4,12}") {
        for text in [
            format!("{before} https://me:{secret}@host{after}"),
            format!("{before} --password={secret}{after}"),
            format!("{before} api_token: {secret}{after}"),
        ] {
            prop_assert!(!super::text(&text).contains(&secret), "{}", super::text(&text));
        }
    }

    #[test]
    fn no_text_is_too_odd(text in any::<String>()) {
        super::text(&text);
    }
}
