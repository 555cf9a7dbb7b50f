//! `docs/tools.md`: all that clients see of each tool, and what it asks of
//! Proxmox. A change of a published schema is a change of this page: a keyword
//! that has no words here is an error.

use std::fmt::Write as _;

use anyhow::{Context, Result, bail, ensure};
use pve_api::calls;
use serde_json::{Map, Value};

use crate::table;

const HEAD: &str = "\
<!-- Written by `cargo xtask docs`. -->

# Tools

All that a client sees of each tool: description, annotations, arguments and result. The descriptions are the text that the model reads. Arguments and fields that are not marked *optional* are required or always there. *Calls* are the calls to Proxmox VE that the tool declares, with the privileges that Proxmox requires of the token. After a `?` are parameters that each request has: one of several between `|`, all of those between `&`. `host-runner` refuses all others (rule `undeclared-call`), after the [policy](policy.md) has allowed them. To explain an error, every tool may also make `GET /version` and `GET /access/permissions`, which need no privileges, and `GET /cluster/status`. `host-runner tools -o json` prints the same as JSON Schema.

Many clients and models cope badly with long lists of tools, and some clients pass on only 40. So `host-runner` offers only some toolsets by default; `--toolsets default,firewall` adds one, `--toolsets all` turns on all of them, and `--tools` chooses tools by name. Tools that the policy always refuses are not offered either. A model learns from the instructions which toolsets are off, and from an error which toolset to ask for.

Tools that need a privilege which the token does not have on any path are not offered either: when it starts, the server asks Proxmox what the token may do. If there is no answer within 300 ms, or the token has no privileges yet, it offers them all. `--fit-token on` waits for the answer, and `--fit-token off` does not ask. Restart the server after you grant privileges.

`evacuate_node` shows its plan unless `plan` is false, and tools that change several guests or create one show theirs with `preview: true`. With `safe: true`, `set_guest_resources`, `resize_disk` and `set_nic` first take a snapshot, make the change, check that the guest still runs, answers and has an address, and report how to roll back.

[Resources, prompts](#resources-and-prompts) and [views](#views) are at the end of this page. The size is that of the published list in JSON, without the schemas of the results.

";

const GUIDE_HEAD: &str = "
# Resources and prompts

A client can read resources without calling a tool by name, so a user can attach a guest to a conversation. A resource is the result of a tool and is read by calling that tool: it is offered only with the tool, and policy, scope, limits and audit log apply as to any call. Values of the variables are suggested while the user types, also by the names of guests. *Listed* resources appear in `resources/list`, at most 500 of each kind. A client that watches a resource is notified when it changes: `host-runner` reads watched resources every 10 seconds (`--poll-seconds`), and load and uptime do not count as changes.

";

const PROMPTS_HEAD: &str = "
Prompts are instructions that a user picks in the client, often as a slash command. A prompt is offered only with the tools that it cannot do without. `host-runner tools --guide` prints the texts; an operator adds prompts or replaces these in the [policy file](policy.md#prompts).

";

const VIEWS_HEAD: &str = "
# Views

A client with the MCP Apps extension (`io.modelcontextprotocol/ui`), such as Claude, ChatGPT, VS Code or Goose, also shows the results of these tools to its user as a page. Other clients get the lists and results without it, and the model gets the same text in every client. A page is a part of the component, loads nothing, and shows whatever comes from the cluster as text. It works with the keyboard and a screen reader, in a light or dark theme, and from a width of 320 pixels.

A page does not make changes: clients are told that only the model may call tools that change something. The button of a preview sends a message in the user's name that asks the model to make the change. The message names the tool and the guests, but repeats no name or note that comes from the cluster. The call that follows is judged like any other: where the policy requires consent, `host-runner` asks the user by elicitation, which a page cannot answer.

";

const VIEWS_TAIL: &str = "
![The view of the cluster: a problem, the nodes and the largest guests with bars for their load](images/view-cluster.png)

![The view of an evacuation: which guests can move where, and why the others stay](images/view-evacuation.png)

![The view of a change: what a preview would do to each guest, and a button that asks the assistant to do it](images/view-change.png)
";

/// Whether [`HEAD`] says enough of a call: every tool may make it, and any token.
fn is_in_head(call: &str) -> bool {
    let mut common = calls::EXPLAIN.iter().filter(|call| call.needs().is_empty());
    common.any(|common| common.to_string() == call)
}

/// The page, from what `host-runner tools -o json` and `tools --guide` print.
pub(super) fn page(tools: &[Value], guide: &Value) -> Result<String> {
    let mut page = HEAD.to_owned();
    page.push_str(&toolsets(tools)?);
    page.push('\n');
    let rows: Vec<Vec<String>> = tools.iter().map(row).collect::<Result<_>>()?;
    page.push_str(&table::markdown(
        &["Toolset", "Tool", "Description", "Effect"],
        rows,
    ));
    for tool in tools {
        let name = text(tool, "name")?;
        section(&mut page, tool).with_context(|| format!("the tool {name}"))?;
    }
    guide_section(&mut page, guide).context("the resources, prompts and views")?;
    Ok(page)
}

/// What is offered besides the tools.
fn guide_section(page: &mut String, guide: &Value) -> Result<()> {
    let list = |key: &str| {
        let list = guide.get(key).and_then(Value::as_array);
        list.with_context(|| format!("no {key}"))
    };
    page.push_str(GUIDE_HEAD);
    let resource = |one: &Value| {
        let is_listed = one.get("listed").and_then(Value::as_bool) == Some(true);
        Ok(vec![
            format!("`{}`", text(one, "uri")?),
            text(one, "description")?.to_owned(),
            format!("`{}`", text(one, "tool")?),
            if is_listed { "yes" } else { "" }.to_owned(),
        ])
    };
    let rows: Vec<_> = list("resources")?
        .iter()
        .map(resource)
        .collect::<Result<_>>()?;
    let columns = ["Resource", "Description", "Tool", "Listed"];
    page.push_str(&table::markdown(&columns, rows));
    page.push_str(PROMPTS_HEAD);
    let prompt = |one: &Value| {
        let arguments = one.get("arguments").and_then(Value::as_array);
        let arguments = arguments.into_iter().flatten().map(|argument| {
            let is_required = argument.get("required").and_then(Value::as_bool) == Some(true);
            let optional = if is_required { "" } else { " (optional)" };
            Ok(format!("`{}`{optional}", text(argument, "name")?))
        });
        Ok(vec![
            format!("`{}`", text(one, "name")?),
            text(one, "description")?.to_owned(),
            arguments.collect::<Result<Vec<_>>>()?.join(", "),
        ])
    };
    let rows: Vec<_> = list("prompts")?.iter().map(prompt).collect::<Result<_>>()?;
    page.push_str(&table::markdown(
        &["Prompt", "Description", "Arguments"],
        rows,
    ));
    page.push_str(VIEWS_HEAD);
    let view = |one: &Value| {
        let tools = one.get("tools").and_then(Value::as_array);
        let tools = tools.into_iter().flatten().filter_map(Value::as_str);
        let tools: Vec<_> = tools.map(|tool| format!("`{tool}`")).collect();
        Ok(vec![
            format!("`{}`", text(one, "uri")?),
            text(one, "description")?.to_owned(),
            tools.join(", "),
        ])
    };
    let rows: Vec<_> = list("views")?.iter().map(view).collect::<Result<_>>()?;
    page.push_str(&table::markdown(&["View", "Shows", "Tools"], rows));
    page.push_str(VIEWS_TAIL);
    Ok(())
}

/// The toolsets, with what each adds to the list of tools.
fn toolsets(tools: &[Value]) -> Result<String> {
    let mut sets: Vec<Toolset<'_>> = Vec::new();
    for tool in tools {
        let name = text(tool, "toolset")?;
        let mut published = Map::new();
        for key in ["name", "title", "description", "annotations", "inputSchema"] {
            let value = tool.get(key).with_context(|| format!("no {key}"))?;
            published.insert(key.to_owned(), value.clone());
        }
        let bytes = Value::from(published).to_string().len();
        match sets.iter_mut().find(|set| set.name == name) {
            Some(set) => {
                set.tools += 1;
                set.bytes += bytes;
            }
            None => sets.push(Toolset {
                name,
                by_default: tool.get("by_default").and_then(Value::as_bool) == Some(true),
                tools: 1,
                bytes,
            }),
        }
    }
    let total = |name, only_default: bool| {
        let counted = sets.iter().filter(|set| set.by_default || !only_default);
        let none = Toolset {
            name,
            by_default: only_default,
            tools: 0,
            bytes: 0,
        };
        counted.fold(none, |sum, set| Toolset {
            tools: sum.tools + set.tools,
            bytes: sum.bytes + set.bytes,
            ..sum
        })
    };
    let totals = [total("default", true), total("all", false)];
    let rows = sets.iter().chain(&totals).map(|set| {
        vec![
            format!("`{}`", set.name),
            if set.by_default { "yes" } else { "" }.to_owned(),
            set.tools.to_string(),
            format!("{:.1} KiB", set.bytes as f64 / 1024.0),
        ]
    });
    Ok(table::markdown(
        &["Toolset", "By default", "Tools", "Size"],
        rows,
    ))
}

/// What a toolset adds to the list of tools.
struct Toolset<'a> {
    name: &'a str,
    by_default: bool,
    tools: usize,
    bytes: usize,
}

fn row(tool: &Value) -> Result<Vec<String>> {
    let name = text(tool, "name")?;
    Ok(vec![
        text(tool, "toolset")?.to_owned(),
        format!("[`{name}`](#{name})"),
        text(tool, "description")?.to_owned(),
        effect(tool).to_owned(),
    ])
}

fn section(page: &mut String, tool: &Value) -> Result<()> {
    let part = |key: &str| tool.get(key).with_context(|| format!("no {key}"));
    writeln!(page, "\n## {}\n", text(tool, "name")?)?;
    writeln!(
        page,
        "{}. {}\n",
        text(tool, "title")?,
        text(tool, "description")?
    )?;
    let annotations = part("annotations")?.as_object().context("no annotations")?;
    let annotations: Vec<String> = annotations
        .iter()
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    writeln!(page, "Annotations: {}.", annotations.join(", "))?;
    for (title, key) in [("Arguments", "inputSchema"), ("Result", "outputSchema")] {
        let schema = part(key)?;
        let empty = Map::new();
        let definitions = schema.get("$defs").and_then(Value::as_object);
        let fields = Fields {
            definitions: definitions.unwrap_or(&empty),
        };
        let mut lines = String::new();
        let (words, inner) = fields.of(schema).with_context(|| key.to_owned())?;
        ensure!(words == "object", "{key} is {words}");
        fields.write(&mut lines, inner.context("no fields")?, 0)?;
        match lines.is_empty() {
            true => writeln!(page, "\n{title}: none.")?,
            false => writeln!(page, "\n{title}:\n\n{}", lines.trim_end())?,
        }
    }
    let mut calls = String::new();
    for call in part("calls")?.as_array().into_iter().flatten() {
        let name = text(call, "call")?;
        if is_in_head(name) {
            continue;
        }
        match call.get("privileges").and_then(Value::as_str) {
            None | Some("") => writeln!(calls, "- `{name}`")?,
            Some(privileges) => writeln!(calls, "- `{name}`: {privileges}")?,
        }
    }
    if !calls.is_empty() {
        write!(page, "\nCalls:\n\n{calls}")?;
    }
    Ok(())
}

fn effect(tool: &Value) -> &'static str {
    let is = |pointer: &str| tool.pointer(pointer).and_then(Value::as_bool) == Some(true);
    if is("/dangerous") {
        "dangerous"
    } else if is("/annotations/readOnlyHint") {
        "reads"
    } else if is("/annotations/destructiveHint") {
        "destructive"
    } else {
        "writes"
    }
}

fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str> {
    let text = value.get(key).and_then(Value::as_str);
    text.with_context(|| format!("there is no {key} in {value}"))
}

/// Schemas in words.
struct Fields<'a> {
    definitions: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    /// One line for each field of an object, with those of inner objects below.
    fn write(&self, page: &mut String, object: &'a Value, depth: usize) -> Result<()> {
        ensure!(depth < 8, "a schema nests too deeply");
        let properties = object.get("properties").and_then(Value::as_object);
        for (name, schema) in properties.into_iter().flatten() {
            let required = object.get("required").and_then(Value::as_array);
            let is_required = required.is_some_and(|all| all.iter().any(|one| one == name));
            let (words, inner) = self.of(schema).with_context(|| name.clone())?;
            let optional = if is_required { "" } else { ", optional" };
            let indent = "  ".repeat(depth);
            write!(page, "{indent}- `{name}` ({words}{optional})")?;
            match schema.get("description").and_then(Value::as_str) {
                Some(description) => writeln!(page, ": {}", description.replace('\n', " "))?,
                None => writeln!(page)?,
            }
            if let Some(inner) = inner {
                self.write(page, inner, depth + 1)?;
            }
        }
        Ok(())
    }

    /// A type in words, and the object whose fields are to be listed below it.
    fn of(&self, schema: &'a Value) -> Result<(String, Option<&'a Value>)> {
        let keywords = schema.as_object().context("a schema is not an object")?;
        let (mut words, mut inner) = (Vec::new(), None);
        let limit = |keyword: &str| schema.get(keyword);
        let limits = [
            ("", limit("minimum"), limit("maximum")),
            (" characters", limit("minLength"), limit("maxLength")),
            (" items", limit("minItems"), limit("maxItems")),
        ];
        for (keyword, value) in keywords {
            match keyword.as_str() {
                // Their words are written elsewhere.
                "properties" | "required" | "description" | "$defs" => {}
                "type" => match value.as_str().context("a type is not one word")? {
                    "object" => {
                        words.push("object".to_owned());
                        if keywords.contains_key("properties") {
                            inner = Some(schema);
                        }
                    }
                    "array" => {
                        let items = schema.get("items").context("an array without items")?;
                        let (of, below) = self.of(items)?;
                        words.push(format!("array of {of}"));
                        inner = below;
                    }
                    // Its words say it.
                    "string" if is_choice(keywords) => {}
                    other => words.push(other.to_owned()),
                },
                "items" => {}
                "enum" => {
                    let all = value.as_array().context("an enum without values")?;
                    let all: Vec<String> =
                        all.iter().map(|one| format!("`{}`", bare(one))).collect();
                    words.push(all.join(" | "));
                }
                "const" => words.push(format!("`{}`", bare(value))),
                "oneOf" => {
                    let all = value.as_array().context("oneOf without schemas")?;
                    let all = all.iter().map(|one| Ok(self.of(one)?.0));
                    words.push(all.collect::<Result<Vec<_>>>()?.join(" | "));
                }
                "$ref" => {
                    let path = value.as_str().context("a reference is not a string")?;
                    let name = path
                        .strip_prefix("#/$defs/")
                        .context("a reference elsewhere")?;
                    let target = self.definitions.get(name).context("a dangling reference")?;
                    let (of, below) = self.of(target)?;
                    words.push(of);
                    inner = below;
                }
                "additionalProperties" if value == false => {
                    words.push("no other fields".to_owned())
                }
                "additionalProperties" => {
                    words.push(format!("each field {}", self.of(value)?.0));
                }
                "minimum" | "maximum" | "minLength" | "maxLength" | "minItems" | "maxItems" => {}
                other => bail!("the page has no words for the keyword {other}"),
            }
        }
        for (unit, least, most) in limits {
            match (least, most) {
                (None, None) => {}
                (Some(least), None) => words.push(format!("at least {least}{unit}")),
                (None, Some(most)) => words.push(format!("at most {most}{unit}")),
                (Some(least), Some(most)) => words.push(format!("{least} to {most}{unit}")),
            }
        }
        Ok((words.join(", "), inner))
    }
}

fn is_choice(keywords: &Map<String, Value>) -> bool {
    keywords.contains_key("enum") || keywords.contains_key("const")
}

fn bare(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tool() -> Value {
        json!({
            "toolset": "snapshots",
            "name": "list_snapshots",
            "title": "List snapshots",
            "description": "A guest's snapshots.",
            "annotations": {"readOnlyHint": true},
            "calls": [{"call": "GET /version"}, {"call": "GET /nodes", "privileges": "VM.Audit"}],
            "inputSchema": {
                "type": "object",
                "properties": {
                    "vmid": {"type": "integer", "minimum": 100},
                    "sort": {"type": "string", "enum": ["name", "age"], "description": "By what."},
                },
                "required": ["vmid"],
            },
            "outputSchema": {
                "type": "object",
                "properties": {"snapshots": {"type": "array", "items": {"$ref": "#/$defs/Node"}}},
                "required": ["snapshots"],
                "$defs": {"Node": {
                    "type": "object",
                    "additionalProperties": false,
                    "properties": {"name": {"type": "string", "maxLength": 40}},
                }},
            },
        })
    }

    #[test]
    fn the_head_names_the_calls_of_every_tool() {
        for call in calls::EXPLAIN {
            assert!(HEAD.contains(&format!("`{call}`")), "{call}");
        }
    }

    #[test]
    fn a_tool_has_a_row_and_a_section() {
        let none = json!({"resources": [], "prompts": [], "views": []});
        let page = page(&[tool()], &none).unwrap();
        let page = page.strip_prefix(HEAD).unwrap();
        let (page, _) = page.split_once(GUIDE_HEAD).unwrap();
        assert_eq!(
            page,
            "| Toolset | By default | Tools | Size |\n|---|---|---|---|\n\
             | `snapshots` |  | 1 | 0.3 KiB |\n\
             | `default` | yes | 0 | 0.0 KiB |\n\
             | `all` |  | 1 | 0.3 KiB |\n\n\
             | Toolset | Tool | Description | Effect |\n|---|---|---|---|\n\
             | snapshots | [`list_snapshots`](#list_snapshots) | A guest's snapshots. | reads |\n\
             \n## list_snapshots\n\n\
             List snapshots. A guest's snapshots.\n\n\
             Annotations: readOnlyHint true.\n\n\
             Arguments:\n\n\
             - `vmid` (integer, at least 100)\n\
             - `sort` (`name` | `age`, optional): By what.\n\n\
             Result:\n\n\
             - `snapshots` (array of object, no other fields)\n\
             \x20 - `name` (string, at most 40 characters, optional)\n\n\
             Calls:\n\n\
             - `GET /nodes`: VM.Audit\n"
        );
    }

    #[test]
    fn resources_prompts_and_views_have_rows() {
        let mut page = String::new();
        let guide = json!({
            "resources": [
                {"uri": "pve://cluster", "description": "All.", "tool": "a", "listed": true},
                {"uri": "pve://x/{y}", "description": "One.", "tool": "b", "listed": false},
            ],
            "prompts": [{"name": "p", "description": "Does.", "arguments": [
                {"name": "vmid", "required": true},
                {"name": "note", "required": false},
            ]}],
            "views": [{"uri": "ui://a", "description": "Shows.", "tools": ["a", "b"]}],
        });
        guide_section(&mut page, &guide).unwrap();
        for row in [
            "| `pve://cluster` | All. | `a` | yes |",
            "| `pve://x/{y}` | One. | `b` |  |",
            "| `p` | Does. | `vmid`, `note` (optional) |",
            "| `ui://a` | Shows. | `a`, `b` |",
        ] {
            assert!(page.contains(row), "{row}: {page}");
        }
    }

    #[test]
    fn an_unknown_keyword_is_an_error() {
        let mut tool = tool();
        tool["inputSchema"]["properties"]["vmid"]["multipleOf"] = json!(2);
        let error = format!("{:#}", page(&[tool], &json!({})).unwrap_err());
        assert!(
            error.contains("no words for the keyword multipleOf"),
            "{error}"
        );
    }
}
