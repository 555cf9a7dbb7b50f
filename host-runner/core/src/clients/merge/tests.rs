//! What else is in a configuration remains as it is.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn entry(format: Format) -> Entry {
    Entry {
        section: match format {
            Format::Json => "servers",
            Format::Toml => "mcp_servers",
        },
        name: "proxmox".to_owned(),
        value: json!({"command": "C:\\Program Files\\a \"b\".exe", "args": ["--env-file", "/é"]}),
        input: None,
        format,
        holds_secret: false,
    }
}

fn changed(text: &str, entry: &Entry) -> String {
    match merge(text, entry, true) {
        Ok(Merged::Changed { text, .. }) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn comments_and_spaces_remain() {
    let before = "// mine\r\n{\r\n\t\"a\" : 1, // one\r\n\t\"servers\": {\r\n\t\t\"x\": {}, /* y */\r\n\t},\r\n}\r\n";
    let after = changed(before, &entry(Format::Json));
    let (head, rest) = before.split_at(before.find("/* y */").unwrap());
    assert!(after.starts_with(head), "{after}");
    assert!(after.ends_with("\r\n\t},\r\n}\r\n"), "{after}");
    assert!(after.contains("/* y */") && rest.contains("/* y */"));
}

#[test]
fn a_byte_order_mark_remains() {
    let after = changed("\u{feff}{}", &entry(Format::Json));
    assert!(after.starts_with("\u{feff}{"));
}

#[test]
fn a_new_file_is_readable_and_the_same_again() {
    for format in [Format::Json, Format::Toml] {
        let entry = entry(format);
        let text = changed("", &entry);
        assert!(text.ends_with('\n'), "{text}");
        assert_eq!(merge(&text, &entry, false).unwrap(), Merged::Unchanged);
        let value: Value = match format {
            Format::Json => serde_json::from_str(&text).unwrap(),
            Format::Toml => toml::from_str(&text).unwrap(),
        };
        assert_eq!(value[entry.section]["proxmox"], entry.value, "{text}");
    }
}

#[test]
fn mistakes_have_a_line_and_a_column() {
    let json = merge("{\n  \"a\": 1,\n  b\n}", &entry(Format::Json), true);
    assert!(
        json.unwrap_err()
            .to_string()
            .starts_with("line 3, column 3:")
    );
    let toml = merge("a = 1\nb = \n", &entry(Format::Toml), true);
    assert!(toml.unwrap_err().to_string().starts_with("line 2, column "));
    for other in ["[]", "1", "{\"servers\": []}"] {
        assert!(merge(other, &entry(Format::Json), true).is_err(), "{other}");
    }
    assert!(merge("mcp_servers = 1", &entry(Format::Toml), true).is_err());
}

#[test]
fn another_entry_is_replaced_only_if_that_is_wanted() {
    let text = "{\"servers\": {\"proxmox\": {\"command\": \"old\"}}}";
    let error = merge(text, &entry(Format::Json), false).unwrap_err();
    assert!(matches!(error, MergeError::Other { .. }));
    let after: Value = serde_json::from_str(&changed(text, &entry(Format::Json))).unwrap();
    assert_eq!(after["servers"]["proxmox"], entry(Format::Json).value);
}

#[test]
fn what_is_asked_for_is_listed_once() {
    let mut entry = entry(Format::Json);
    entry.input = Some(json!({"id": "t", "type": "promptString"}));
    let first = changed("{\"inputs\": [{\"id\": \"u\"}]}", &entry);
    entry.value = json!({"url": "x"});
    let second: Value = serde_json::from_str(&changed(&first, &entry)).unwrap();
    assert_eq!(second["inputs"].as_array().unwrap().len(), 2);
}

#[test]
fn tables_of_toml_remain() {
    let before = "# mine\nmodel = \"x\" # one\n\n[mcp_servers.a]\ncommand = 'b'   # c\n\n[z]\n";
    let after = changed(before, &entry(Format::Toml));
    for line in before.lines() {
        assert!(after.contains(line), "{line} is not in {after}");
    }
    let inline = changed(
        "mcp_servers = { a = { command = \"b\" } }\n",
        &entry(Format::Toml),
    );
    let value: Value = toml::from_str(&inline).unwrap();
    assert_eq!(value["mcp_servers"]["a"]["command"], "b");
}

#[test]
fn line_ends_of_toml_remain() {
    let before =
        "\u{feff}# mine\r\nmodel = \"x\"\r\n\r\n[mcp_servers.a]\r\ncommand = 'b'\r\n\r\n[z]\r\n";
    let after = changed(before, &entry(Format::Toml));
    assert!(after.starts_with("\u{feff}# mine\r\nmodel"), "{after:?}");
    assert_eq!(
        after.matches('\n').count(),
        after.matches("\r\n").count(),
        "{after:?}"
    );
    assert!(after.lines().count() > before.lines().count());
    assert_eq!(
        merge(&after, &entry(Format::Toml), false).unwrap(),
        Merged::Unchanged
    );
    // Each line keeps its own end; the last line need not have one.
    let mixed = changed("a = 1\nb = 2\r\nc = 3", &entry(Format::Toml));
    assert!(mixed.starts_with("a = 1\nb = 2\r\nc = 3\n"), "{mixed:?}");
    assert!(toml::from_str::<Value>(&mixed).is_ok(), "{mixed:?}");
}

#[test]
fn comments_in_front_of_a_replaced_table_remain() {
    let before = "# mine\n[mcp_servers.proxmox]\ncommand = \"x\"\n\n# other\n[z]\nq = 1\n";
    let after = changed(before, &entry(Format::Toml));
    assert!(
        after.starts_with("# mine\n[mcp_servers.proxmox]\n"),
        "{after}"
    );
    assert!(after.ends_with("\n\n# other\n[z]\nq = 1\n"), "{after}");
}

/// Readers differ in which of the two they take.
#[test]
fn a_key_that_is_there_twice_is_refused() {
    for (text, key) in [
        ("{\"servers\": {}, \"servers\": {}}", "\"servers\""),
        (
            "{\"servers\": {\"proxmox\": {}, \"proxmox\": {}}}",
            "\"proxmox\"",
        ),
    ] {
        let error = merge(text, &entry(Format::Json), true).unwrap_err();
        assert!(matches!(error, MergeError::Duplicate(_)), "{error}");
        assert!(error.to_string().contains(key), "{error}");
    }
}

/// JSON as people write it: with members that are ours or not, comments and spaces.
fn json_text() -> impl Strategy<Value = String> {
    let space = prop_oneof![
        Just(" "),
        Just(""),
        Just("\n  "),
        Just("\t"),
        Just(" /* c */ "),
        Just(" // d\n")
    ];
    let leaf = prop_oneof![
        Just("1.50".to_owned()),
        Just("null".to_owned()),
        Just("\"\\u0041/\\\"\"".to_owned()),
        Just("[1, 2,]".to_owned())
    ];
    let value = leaf.prop_recursive(3, 12, 4, move |inner| {
        let key = prop_oneof![Just("a"), Just("b"), Just("proxmox")];
        let member = (key, space.clone(), inner, space.clone());
        prop::collection::vec(member, 0..4).prop_map(|members| {
            let members = members
                .iter()
                .enumerate()
                .map(|(at, (key, left, value, right))| {
                    format!("{left}\"{key}{at}\":{right}{value}{left}")
                });
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        })
    });
    (value.clone(), value, any::<bool>()).prop_map(|(other, section, has)| match has {
        true => format!("{{\"o\": {other},\n  \"servers\": {{\"x\": {section}}} // end\n}}\n"),
        false => format!("{{\"o\": {other}}}"),
    })
}

/// Without white space and commas, which have to change beside an entry.
fn signs(text: &str) -> String {
    text.chars()
        .filter(|sign| !sign.is_whitespace() && *sign != ',')
        .collect()
}

proptest! {
    #[test]
    fn all_else_remains(text in json_text()) {
        let entry = entry(Format::Json);
        let after = changed(&text, &entry);
        // What was inserted is in one place.
        let (old, new) = (signs(&text), signs(&after));
        let head = old.chars().zip(new.chars()).take_while(|(a, b)| a == b).count();
        let tail = old.chars().rev().zip(new.chars().rev()).take_while(|(a, b)| a == b).count();
        prop_assert!(head + tail >= old.chars().count(), "{text}\n{after}");
        // The text of every other member, to the byte.
        let begin = text.find("\"o\": ").unwrap();
        let end = text.rfind(",\n  \"servers\"").unwrap_or(text.len() - 1);
        prop_assert!(after.contains(&text[begin..end]), "{text}\n{after}");
        prop_assert_eq!(merge(&after, &entry, false).unwrap(), Merged::Unchanged);
    }
}
