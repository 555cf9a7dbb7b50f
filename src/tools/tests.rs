//! Tests of the table.

use super::*;
use crate::tool::bulk::MOST_GUESTS;
use crate::tool::derived;
use std::collections::HashSet;

/// A host that keeps a log leaves these out of it.
#[test]
fn arguments_that_are_secret_are_named() {
    let secrets: Vec<_> = all()
        .map(|tool| (tool.name, tool.schemas.input.secrets()))
        .filter(|(_, names)| !names.is_empty())
        .collect();
    assert_eq!(
        secrets,
        [
            ("create_container", vec!["password".to_owned()]),
            ("set_cloud_init", vec!["password".to_owned()]),
            ("run_in_guest", vec!["stdin".to_owned()]),
        ]
    );
    // A secret further inside would have no name that a host could match.
    for tool in all() {
        let inner = (tool.input_schema)().to_string();
        assert_eq!(
            inner.matches("writeOnly").count(),
            tool.schemas.input.secrets().len(),
            "{}",
            tool.name
        );
    }
}

/// What is published of a schema says all that it holds, but for what is
/// checked without being said.
#[test]
fn publishing_a_schema_loses_nothing_that_a_client_needs() {
    fn without_unsaid(schema: &Value) -> Value {
        let mut schema = schema.clone();
        if let Value::Object(object) = &mut schema {
            for keyword in ["additionalProperties", "writeOnly", "x-clears", "x-splits"] {
                object.remove(keyword);
            }
            // No model makes up a vmid that high.
            if object.get("maximum") == Some(&Value::from(999_999_999)) {
                object.remove("maximum");
            }
            // No model asks for -1 entries.
            let low = object.get("minimum").and_then(Value::as_f64);
            if low == Some(0.0) || low == Some(1.0) {
                object.remove("minimum");
            }
            if let Some(Value::Object(properties)) = object.get_mut("properties") {
                for inner in properties.values_mut() {
                    *inner = without_unsaid(inner);
                }
            }
            if let Some(items) = object.get_mut("items") {
                *items = without_unsaid(items);
            }
        }
        schema
    }
    for tool in all() {
        let whole = (tool.input_schema)();
        assert_eq!(
            derived::published(whole.clone()),
            without_unsaid(&whole),
            "{}",
            tool.name
        );
    }
}

/// `cargo xtask docs` has this test write the file.
#[test]
fn the_generated_schemas_are_those_of_the_types() {
    let tools = all().map(|tool| (tool.name, (tool.input_schema)(), (tool.output_schema)()));
    let new = derived::file(tools);
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tool/schemas/all.rs");
    if std::env::var_os("PROXMOX_MCP_WRITE_SCHEMAS").is_some() {
        std::fs::write(&path, new).unwrap();
        return;
    }
    let old = std::fs::read_to_string(&path).unwrap();
    for (old, new) in old.lines().zip(new.lines()) {
        assert_eq!(old, new, "run `cargo xtask docs`");
    }
    assert_eq!(old.len(), new.len(), "run `cargo xtask docs`");
}

/// A description cannot be made of a constant.
#[test]
fn the_most_guests_of_a_call_are_as_described() {
    let several = |tool: &Tool| {
        let schema: Value = serde_json::from_str(tool.schemas.published_input).unwrap();
        let of = |name: &str| schema.pointer(&format!("/properties/{name}")).cloned();
        of("preview").and(of("vmids"))
    };
    let described: Vec<Value> = all().filter_map(several).collect();
    assert!(described.len() >= 8, "{described:?}");
    for vmids in described {
        assert_eq!(
            vmids["description"],
            format!("Several, at most {MOST_GUESTS}.")
        );
    }
}

#[test]
fn names_are_unique_and_plain() {
    let mut seen = HashSet::new();
    for tool in all() {
        assert!(seen.insert(tool.name), "{} is listed twice", tool.name);
        assert!((2..=41).contains(&tool.name.len()), "{}", tool.name);
        assert!(
            tool.name.starts_with(|c: char| c.is_ascii_lowercase()),
            "{}",
            tool.name
        );
        assert!(
            tool.name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b == b'_'),
            "{}",
            tool.name
        );
        assert!(!tool.title.is_empty() && !tool.description.is_empty());
    }
}

/// A property of a schema by its path, such as `guests/backups/volid`;
/// lists are walked into.
fn property(schema: &Value, path: &str) -> Option<Value> {
    fn resolved<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
        let mut schema = schema;
        loop {
            let named = schema
                .get("$ref")
                .and_then(Value::as_str)
                .and_then(|name| root.pointer(name.trim_start_matches('#')));
            match (named, schema.get("items")) {
                (Some(inner), _) | (None, Some(inner)) => schema = inner,
                (None, None) => return schema,
            }
        }
    }
    let mut found = resolved(schema, schema);
    for name in path.split('/') {
        found = resolved(schema, found.get("properties")?.get(name)?);
    }
    Some(found.clone())
}

fn tool(name: &str) -> &'static Tool {
    all().find(|tool| tool.name == name).unwrap()
}

/// A result of a tool, and the arguments of tools that take it.
type Chain = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
);

#[rustfmt::skip]
const CHAINS: &[Chain] = &[
    ("list_guests", "guests/vmid", &[
        ("get_guest", "vmid"), ("start_guest", "vmid"), ("clone_guest", "vmid"),
        ("create_backup", "vmid"), ("list_backups", "vmid"), ("list_tasks", "vmid"),
        ("audit_firewall", "vmid"), ("run_in_guest", "vmid")]),
    ("list_guests", "guests/node", &[("get_node", "node"), ("list_tasks", "node")]),
    ("list_guests", "guests/kind", &[("list_guests", "kind")]),
    ("list_guests", "guests/name", &[
        ("list_guests", "name"), ("set_guest_options", "name"),
        ("clone_guest", "name"), ("restore_backup", "name")]),
    ("list_guests", "guests/pool", &[("list_guests", "pool"), ("clone_guest", "pool")]),
    ("list_guests", "guests/tags", &[("set_guest_options", "tags")]),
    ("get_guest", "disks/disk", &[("resize_disk", "disk")]),
    ("get_guest", "nics/nic", &[("set_cloud_init", "addresses/nic")]),
    ("get_guest", "disks/storage", &[("list_storage_content", "storage")]),
    ("get_guest", "cpu/cores", &[("set_guest_resources", "cores")]),
    ("get_guest", "cpu/sockets", &[("set_guest_resources", "sockets")]),
    ("get_guest", "cpu/cpu_limit", &[("set_guest_resources", "cpu_limit")]),
    ("get_guest", "description", &[
        ("set_guest_options", "description"), ("clone_guest", "description")]),
    ("get_guest", "boot/start_at_boot", &[("set_guest_options", "start_at_boot")]),
    ("get_guest", "protection", &[("set_guest_options", "protection")]),
    ("get_guest", "cloud_init/user", &[("set_cloud_init", "user")]),
    ("list_nodes", "nodes/node", &[
        ("get_node", "node"), ("clone_guest", "target_node"),
        ("migrate_guest", "target_node"), ("restore_backup", "node")]),
    ("get_cluster_status", "nodes/node", &[("get_node", "node")]),
    ("check_migration", "targets/node", &[("migrate_guest", "target_node")]),
    ("check_migration", "node", &[("evacuate_node", "node")]),
    ("evacuate_node", "way_back/vmids", &[("evacuate_node", "vmids")]),
    ("evacuate_node", "way_back/target_nodes", &[("evacuate_node", "target_nodes")]),
    ("check_migration", "local_disks/disk", &[("resize_disk", "disk")]),
    ("list_storage", "storages/storage", &[
        ("list_storage_content", "storage"), ("create_backup", "storage"),
        ("clone_guest", "storage"), ("migrate_guest", "target_storage"),
        ("suspend_guest", "state_storage")]),
    ("list_storage_content", "volumes/volid", &[("restore_backup", "volid")]),
    ("list_storage_content", "volumes/content", &[("list_storage_content", "content")]),
    ("list_storage_content", "volumes/vmid", &[("list_backups", "vmid")]),
    ("list_backups", "guests/backups/volid", &[("restore_backup", "volid")]),
    ("list_backups", "guests/backups/node", &[("restore_backup", "node")]),
    ("list_backups", "guests/backups/notes", &[("create_backup", "notes")]),
    ("list_backups", "guests/backups/protected", &[("create_backup", "protected")]),
    ("create_backup", "volid", &[("restore_backup", "volid")]),
    ("restore_backup", "vmid", &[("start_guest", "vmid")]),
    ("clone_guest", "vmid", &[("start_guest", "vmid"), ("set_cloud_init", "vmid")]),
    ("clone_guest", "upid", &[
        ("wait_task", "upid"), ("get_task", "upid"), ("stop_task", "upid")]),
    ("list_tasks", "tasks/upid", &[("get_task", "upid")]),
    ("list_tasks", "tasks/status", &[("list_tasks", "status")]),
    ("list_tasks", "tasks/type", &[("list_tasks", "type")]),
    ("list_tasks", "tasks/user", &[("list_tasks", "user")]),
    ("list_templates", "templates/vmid", &[("clone_guest", "vmid")]),
    ("list_templates", "templates/name", &[("clone_guest", "source_name")]),
    ("list_templates", "templates/template", &[("download_template", "template")]),
    ("list_snapshots", "snapshots/snapshot", &[
        ("create_snapshot", "snapshot"), ("rollback_snapshot", "snapshot"),
        ("delete_snapshot", "snapshot"), ("clone_guest", "snapshot")]),
    ("list_snapshots", "snapshots/vmid", &[("rollback_snapshot", "vmid")]),
    ("report_waste", "findings/vmid", &[
        ("stop_guest", "vmid"), ("set_guest_resources", "vmid"), ("create_backup", "vmid")]),
    ("report_waste", "findings/snapshot", &[("clone_guest", "snapshot")]),
    ("start_guest", "guests/vmid", &[("start_guest", "vmid")]),
    ("list_snapshots", "snapshots/with_ram", &[("create_snapshot", "with_ram")]),
    ("create_snapshot", "snapshot", &[("rollback_snapshot", "snapshot")]),
    ("get_cloud_init", "user", &[("set_cloud_init", "user")]),
    ("get_cloud_init", "ssh_keys", &[("set_cloud_init", "ssh_keys")]),
    ("get_cloud_init", "dns_servers", &[("set_cloud_init", "dns_servers")]),
    ("get_cloud_init", "search_domain", &[("set_cloud_init", "search_domain")]),
    ("get_cloud_init", "upgrade", &[("set_cloud_init", "upgrade")]),
    ("get_cloud_init", "addresses/nic", &[("set_cloud_init", "addresses/nic")]),
    ("get_cloud_init", "addresses/ipv4", &[("set_cloud_init", "addresses/ipv4")]),
    ("get_cloud_init", "addresses/ipv6_gateway", &[
        ("set_cloud_init", "addresses/ipv6_gateway")]),
    ("audit_firewall", "rules/position", &[
        ("update_firewall_rule", "position"), ("update_firewall_rule", "new_position"),
        ("delete_firewall_rule", "position"), ("add_firewall_rule", "position")]),
    ("audit_firewall", "findings/position", &[("delete_firewall_rule", "position")]),
    ("add_firewall_rule", "position", &[("update_firewall_rule", "position")]),
    ("audit_firewall", "digest", &[
        ("update_firewall_rule", "digest"), ("delete_firewall_rule", "digest")]),
    ("audit_firewall", "enabled", &[("set_firewall_options", "enabled")]),
    ("audit_firewall", "policy_in", &[("set_firewall_options", "policy_in")]),
    ("audit_firewall", "policy_out", &[("set_firewall_options", "policy_out")]),
    ("run_in_guest", "pid", &[("run_in_guest", "pid")]),
    ("get_node_log", "node", &[("get_node_log", "node")]),
    ("get_cluster_log", "entries/user", &[("get_cluster_log", "user")]),
    ("get_cluster_log", "entries/severity", &[("get_cluster_log", "severity")]),
];

/// What a tool returns under a name, the next tool takes under that name.
/// A second one of its kind has a role before it: `new_vmid`.
#[test]
fn results_and_arguments_have_the_same_names() {
    for (from, result, arguments) in CHAINS {
        let output = (tool(from).output_schema)();
        let Some(returned) = property(&output, result) else {
            panic!("{from} returns no {result}");
        };
        let name = result.rsplit('/').next().unwrap();
        for (to, argument) in *arguments {
            let Some(taken) = property(&(tool(to).input_schema)(), argument) else {
                panic!("{to} takes no {argument}");
            };
            let last = argument.rsplit('/').next().unwrap();
            assert!(
                last == name || last.ends_with(&format!("_{name}")),
                "{from} returns {name}, {to} takes {last}"
            );
            assert_eq!(
                returned.get("type"),
                taken.get("type"),
                "{from}/{result}, {to}/{argument}"
            );
        }
    }
}

#[test]
fn every_field_of_a_rule_that_an_audit_shows_can_be_written_back() {
    let audit = (tool("audit_firewall").output_schema)();
    let rules = property(&audit, "rules").unwrap();
    for name in rules["properties"].as_object().unwrap().keys() {
        assert!(
            name == "errors"
                || property(&(tool("update_firewall_rule").input_schema)(), name).is_some(),
            "{name}"
        );
    }
}

/// One thing has one name: these are other words for one that is in use.
#[test]
fn nothing_has_a_second_name() {
    fn names(schema: &Value, found: &mut Vec<String>) {
        match schema {
            Value::Object(object) => {
                if let Some(Value::Object(properties)) = object.get("properties") {
                    found.extend(properties.keys().cloned());
                }
                object.values().for_each(|inner| names(inner, found));
            }
            Value::Array(items) => items.iter().for_each(|inner| names(inner, found)),
            _ => {}
        }
    }
    const OTHERS: &[&str] = &[
        "archive",
        "volume",
        "volume_id",
        "vm_id",
        "guest",
        "guest_id",
        "newid",
        "target",
        "target_vmid",
        "host",
        "hostname",
        "snapname",
        "snapshot_name",
        "task",
        "task_id",
        "created",
        "pos",
        "iface",
        "disk_id",
        "storage_id",
        "pool_id",
        "poolid",
        "on_boot",
    ];
    for tool in all() {
        for schema in [(tool.input_schema)(), (tool.output_schema)()] {
            let mut found = Vec::new();
            names(&schema, &mut found);
            for name in found {
                assert!(!OTHERS.contains(&name.as_str()), "{}: {name}", tool.name);
            }
        }
    }
    // Other words are understood all the same where a tool has them.
    for tool in all() {
        for (other, name) in tool.other_names {
            let input = (tool.input_schema)();
            assert!(property(&input, name).is_some(), "{}: {name}", tool.name);
            assert!(property(&input, other).is_none(), "{}: {other}", tool.name);
        }
    }
}

/// Gemini and OpenAI refuse a whole list for one such schema.
#[test]
fn schemas_suit_every_client() {
    fn walk(tool: &str, schema: &Value) {
        match schema {
            Value::Object(object) => {
                if object.get("type") == Some(&Value::from("array")) {
                    assert!(object.contains_key("items"), "{tool}: array without items");
                }
                assert!(
                    !object.get("type").is_some_and(Value::is_array),
                    "{tool}: union of types"
                );
                if let Some(items) = object.get("items") {
                    assert!(items.is_object(), "{tool}: items is no schema");
                    assert!(items.get("anyOf").is_none(), "{tool}: union in items");
                }
                if let Some(Value::Object(properties)) = object.get("properties") {
                    for (name, property) in properties {
                        assert!(property.is_object(), "{tool}: {name} is no schema");
                    }
                }
                object.values().for_each(|inner| walk(tool, inner));
            }
            Value::Array(items) => items.iter().for_each(|inner| walk(tool, inner)),
            _ => {}
        }
    }
    for tool in all() {
        for schema in [(tool.input_schema)(), (tool.output_schema)()] {
            assert_eq!(
                schema.get("type"),
                Some(&Value::from("object")),
                "{}",
                tool.name
            );
            walk(tool.name, &schema);
        }
        let input = (tool.input_schema)();
        assert!(!input.to_string().contains("$ref"), "{}", tool.name);
        assert_eq!(
            input.get("additionalProperties"),
            Some(&Value::Bool(false)),
            "{} takes unknown arguments",
            tool.name
        );
        for (name, property) in input["properties"].as_object().unwrap() {
            assert!(
                // A vmid is the field's own word for it.
                name == "vmid" || property.get("description").is_some(),
                "{}: {name} has no description",
                tool.name
            );
        }
    }
}

/// What clients get of a tool without the schema of its result, as JSON.
fn published(tool: &Tool) -> usize {
    let effects = tool.effects;
    let published = serde_json::json!({
        "name": tool.name,
        "title": tool.title,
        "description": tool.description,
        "inputSchema": derived::published((tool.input_schema)()),
        "annotations": {
            "readOnlyHint": effects.read_only,
            "destructiveHint": effects.destructive,
            "idempotentHint": effects.idempotent,
            "openWorldHint": effects.open_world,
        },
    });
    published.to_string().len()
}

/// What a list of tools costs in a model's context, and how many some clients pass on.
#[test]
fn the_list_fits_its_budget() {
    let fits = |toolsets: &str, tools: Vec<&Tool>, most: usize, most_bytes: usize| {
        let mut sizes: Vec<_> = tools.iter().map(|one| (published(one), one.name)).collect();
        sizes.sort_unstable();
        let bytes: usize = sizes.iter().map(|(bytes, _)| bytes).sum();
        assert!(
            tools.len() <= most && bytes <= most_bytes,
            "{toolsets}: {} tools of {bytes} bytes are more than {most} of {most_bytes}: shorten \
             descriptions, merge tools, or put a tool into a toolset in ON_REQUEST; {sizes:?}",
            tools.len(),
        );
    };
    let default = all().filter(|tool| is_by_default(tool)).collect();
    fits("the default toolsets", default, 40, 32 * 1024);
    fits("all toolsets", all().collect(), 75, 60 * 1024);
}

/// So each toolset is turned on or off as a whole, by a name that is not a keyword.
#[test]
fn no_toolset_is_only_partly_offered_by_default() {
    for tool in ON_REQUEST.iter().copied().flatten() {
        assert!(!is_by_default(tool), "{}", tool.toolset.0);
    }
    for tool in all() {
        assert!(
            !["all", "default"].contains(&tool.toolset.0),
            "{}",
            tool.name
        );
    }
}

/// A host offers such a tool even where it refuses the changes.
#[test]
fn a_tool_that_previews_is_marked() {
    let takes = |tool: &Tool, name: &str| property(&(tool.input_schema)(), name).is_some();
    let previews = |tool: &Tool| takes(tool, "preview") || takes(tool, "plan");
    for tool in all() {
        assert_eq!(tool.previews(), previews(tool), "{}", tool.name);
    }
    assert!(tool("rollback_snapshot").previews() && tool("evacuate_node").previews());
}

#[test]
fn messages_name_tools_that_exist() {
    for name in crate::tool_names::ALL {
        assert!(find(name).is_some(), "there is no tool {name}");
    }
}

/// Calls a tool whose arguments are refused before anything is sent.
fn refusal(name: &str, arguments: &str) -> String {
    let pve = || Ok(Pve::new(crate::settings::Settings::sample()));
    match call(pve, name, arguments) {
        Err(error @ Error::InvalidArguments(_)) => error.message(),
        other => panic!("{name} {arguments}: {other:?}"),
    }
}

#[test]
fn refused_values_are_quoted_unless_they_may_be_secret() {
    for (name, arguments, quotes) in [
        (
            "set_guest_options",
            r#"{"vmid":100,"tags":["no good"]}"#,
            "\"no good\"",
        ),
        (
            "set_cloud_init",
            r#"{"vmid":100,"dns_servers":["resolver"]}"#,
            "\"resolver\"",
        ),
        (
            "set_cloud_init",
            r#"{"vmid":100,"addresses":[{"nic":"eth0","ipv4":"dhcp"}]}"#,
            "\"eth0\"",
        ),
        (
            "set_cloud_init",
            r#"{"vmid":100,"search_domain":"a b"}"#,
            "\"a b\"",
        ),
        (
            "add_firewall_rule",
            r#"{"vmid":100,"direction":"in","action":"ALLOW"}"#,
            "\"ALLOW\"",
        ),
        (
            "add_firewall_rule",
            r#"{"vmid":100,"direction":"in","action":"DROP","proto":"tcp","dport":"a b"}"#,
            "\"a b\"",
        ),
        (
            "resize_disk",
            r#"{"vmid":100,"disk":"scsi0","size":"ten"}"#,
            "\"ten\"",
        ),
        ("clone_guest", r#"{"vmid":100,"name":"web_2"}"#, "\"web_2\""),
    ] {
        let message = refusal(name, arguments);
        assert_eq!(message.matches(quotes).count(), 1, "{message}");
    }
    for (name, arguments) in [
        (
            "set_cloud_init",
            r#"{"vmid":100,"password":"hunter2\u0007"}"#,
        ),
        (
            "set_cloud_init",
            r#"{"vmid":100,"ssh_keys":["-----BEGIN OPENSSH PRIVATE KEY----- hunter2"]}"#,
        ),
        (
            "download_iso",
            r#"{"url":"https://joe:hunter2@example.com/a.iso","content":"iso"}"#,
        ),
    ] {
        let message = refusal(name, arguments);
        assert!(!message.contains("hunter2"), "{message}");
    }
}

#[test]
fn unknown_tools_and_arguments_are_refused_before_anything_is_sent() {
    let unreached = || -> Result<Pve> { panic!("a client was made") };
    assert!(matches!(
        call(unreached, "list_node", "{}"),
        Err(Error::UnknownTool(message)) if message.contains("list_nodes")
    ));
    for arguments in ["[]", "{", r#"{"nod":1}"#] {
        assert!(matches!(
            call(unreached, "list_nodes", arguments),
            Err(Error::InvalidArguments(_))
        ));
    }
}

#[test]
fn every_tool_has_the_file_of_its_name() {
    let tools = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tools");
    let entries = std::fs::read_dir(tools).unwrap();
    let folders: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    for tool in all() {
        let file = |folder: &std::path::PathBuf| folder.join(tool.name).with_extension("rs");
        assert!(
            folders.iter().any(|folder| file(folder).is_file()),
            "there is no {}.rs",
            tool.name
        );
    }
}
