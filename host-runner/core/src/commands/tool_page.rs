//! `host-runner tools NAME`: all about one tool.

use host_runner_policy::privileges_of;
use serde_json::{Map, Value};

use super::CommandError;
use super::output::style;
use super::words::resolved;
use crate::engine::{Annotations, Tool};
use crate::render;

/// Deeper fields of a result are not listed.
const MOST_DEPTH: usize = 6;

/// The page for a person. `not_offered` says why clients do not get the tool.
pub(super) fn text(tool: &Tool, not_offered: Option<&str>) -> Result<String, CommandError> {
    let bold = style::is_wanted();
    let mut page = Page {
        lines: vec![format!("{}: {}", style::bold(&tool.name, bold), tool.title)],
        bold,
    };
    page.lines.push(tool.description.clone());
    page.lines.push(String::new());
    let by_default = match tool.by_default {
        true => "on by default",
        false => "off by default",
    };
    page.line("Toolset", &format!("{} ({by_default})", tool.toolset));
    page.line("Effect", effect_in_words(&tool.annotations));
    page.line(
        "Offered",
        &not_offered.map_or_else(|| "yes".to_owned(), |why| format!("no: {why}")),
    );
    page.line("Annotations", &annotations(&tool.annotations));
    page.schema(
        "Arguments",
        &render::schema(tool, &tool.input_schema)?,
        Kind::Arguments,
    );
    page.schema(
        "Result",
        &render::schema(tool, &tool.output_schema)?,
        Kind::Result,
    );
    page.heading("Calls to Proxmox VE, with the privileges that the token needs");
    let width = tool.calls.iter().map(String::len).max().unwrap_or_default();
    for call in &tool.calls {
        let privileges = privileges_of(call).unwrap_or_else(|| "no call of a tool".to_owned());
        page.lines.push(format!("  {call:width$}  {privileges}"));
    }
    page.heading("Example");
    page.lines.push(format!("  {}", example(tool)?));
    Ok(page.lines.join("\n"))
}

/// What a call may do, in one word.
pub(super) fn effect(annotations: &Annotations) -> &'static str {
    match annotations {
        annotations if annotations.dangerous => "dangerous",
        annotations if annotations.read_only => "reads",
        annotations if annotations.destructive => "destructive",
        _ => "writes",
    }
}

fn effect_in_words(annotations: &Annotations) -> &'static str {
    match effect(annotations) {
        "dangerous" => "dangerous: its arguments do not show what it does",
        "reads" => "reads: it changes nothing",
        "destructive" => "destructive: this can interrupt a guest or lose data",
        _ => "writes: reversible or additive changes",
    }
}

fn annotations(annotations: &Annotations) -> String {
    format!(
        "readOnlyHint {}, destructiveHint {}, idempotentHint {}, openWorldHint {}",
        annotations.read_only,
        annotations.destructive,
        annotations.idempotent,
        annotations.open_world
    )
}

/// A command that calls the tool with its required arguments. Values that only the user
/// knows are those of the demo: a test runs it there.
pub(super) fn example(tool: &Tool) -> Result<String, CommandError> {
    if let Some((name, arguments)) = ON_THE_DEMO.iter().find(|(name, _)| *name == tool.name) {
        return Ok(format!("host-runner call {name} {arguments}"));
    }
    let schema = Value::Object(render::schema(tool, &tool.input_schema)?);
    let empty = Map::new();
    let properties = schema.get("properties").and_then(Value::as_object);
    let properties = properties.unwrap_or(&empty);
    let mut words = vec!["host-runner call".to_owned(), tool.name.clone()];
    // Most changes take one guest or several, so `vmid` is not required.
    let changes = !tool.annotations.read_only || properties.contains_key("cluster");
    let subject = ["vmid", "node"]
        .into_iter()
        .find(|name| properties.contains_key(*name));
    let subject = subject.or_else(|| properties.contains_key("vmids").then_some("vmids"));
    // A change needs something to change.
    let mut others = properties.keys().filter(|name| is_required(&schema, name));
    let is_complete = others.any(|name| !matches!(name.as_str(), "vmid" | "node" | "name"));
    let mut wanted = WANTED
        .into_iter()
        .filter(|names| names.iter().all(|name| properties.contains_key(*name)));
    let wanted = wanted.next().filter(|_| changes && !is_complete);
    let wanted = wanted.unwrap_or_default();
    for (name, property) in properties {
        if is_required(&schema, name)
            || wanted.contains(&name.as_str())
            || (changes && subject == Some(name.as_str()))
        {
            words.push(format!(
                "{name}={}",
                example_value(name, resolved(&schema, property))
            ));
        }
    }
    Ok(words.join(" "))
}

/// The arguments of tools that need a guest in a certain state, or whose arguments depend on
/// each other.
const ON_THE_DEMO: [(&str, &str); 15] = [
    ("start_guest", "vmid=140"),
    ("rollback_snapshot", "vmid=110 snapshot=before-pg17"),
    ("delete_snapshot", "vmid=110 snapshot=before-pg17"),
    ("create_backup", "vmid=101 storage=backup"),
    ("set_backup_job", "vmids=102 storage=backup schedule=02:00"),
    ("clone_guest", "vmid=9000 name=web2"),
    (
        "create_vm",
        "name=web2 node=pve1 iso=local:iso/debian-13.1.0-amd64-netinst.iso storage=ceph",
    ),
    (
        "create_container",
        "name=web2 node=pve1 template=debian-13-standard storage=ceph",
    ),
    (
        "download_template",
        "node=pve1 storage=local template=ubuntu-24.04-standard_24.04-2_amd64.tar.zst",
    ),
    (
        "download_iso",
        "node=pve1 storage=local url=https://cdimage.example.org/debian-13.2.0-amd64-netinst.iso",
    ),
    ("set_cloud_init", "vmid=9000 user=anna"),
    (
        "set_cdrom",
        "vmid=140 volid=backup:iso/virtio-win-0.1.271.iso",
    ),
    ("move_disk", "vmid=121 disk=scsi0 storage=ceph"),
    ("convert_to_template", "vmid=140"),
    ("run_in_guest", "vmid=101 command=df,-h"),
];

/// Arguments that many changes need, though none of them is required: those of the first
/// entry that the tool has.
const WANTED: [&[&str]; 9] = [
    &["storage", "schedule"],
    &["iso"],
    &["cores"],
    &["add_tags"],
    &["bridge"],
    &["eject"],
    &["user"],
    &["enabled"],
    &["command"],
];

fn example_value(name: &str, schema: &Value) -> String {
    let choice = schema.pointer("/enum/0").and_then(Value::as_str);
    let value = match name {
        "vmid" | "vmids" => "101",
        "node" => "pve1",
        "target_node" => "pve2",
        "storage" | "target_storage" => "local",
        "upid" => "UPID:pve1:00000001:00000002:6925A000:qmstart:101:root@pam:",
        "snapshot" => "before-update",
        "iso" => "local:iso/debian-13.iso",
        "cores" => "4",
        "bridge" => "vmbr0",
        "add_tags" => "web",
        "name" => "web2",
        "disk" => "scsi0",
        "size" => "60G",
        "tags" => "web,prod",
        "command" => "[\"uptime\"]",
        "action" => choice.unwrap_or("ACCEPT"),
        "template" => "local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst",
        "url" => "https://example.com/image.iso",
        "backup" | "volid" => "local:backup/vzdump-qemu-101-2026_11_27-02_00_00.vma.zst",
        "schedule" => "02:00",
        _ => "",
    };
    if let (true, Some(choice)) = (value.is_empty(), choice) {
        return choice.to_owned();
    }
    let kind = schema.get("type").and_then(Value::as_str);
    match (value, kind) {
        ("", Some("integer" | "number")) => {
            let least = schema.get("minimum").and_then(Value::as_u64);
            least.unwrap_or(1).to_string()
        }
        ("", Some("boolean")) => "true".to_owned(),
        ("", _) => name.to_owned(),
        (value, _) => value.to_owned(),
    }
}

fn is_required(object: &Value, name: &str) -> bool {
    let required = object.get("required").and_then(Value::as_array);
    required.is_some_and(|all| all.iter().any(|one| one == name))
}

/// What a schema is of: arguments are optional unless it says otherwise, and fields of a
/// result are there unless it says otherwise.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Arguments,
    Result,
}

struct Page {
    lines: Vec<String>,
    bold: bool,
}

/// A field of an object.
struct Field {
    name: String,
    words: String,
    description: String,
}

impl Page {
    fn line(&mut self, name: &str, value: &str) {
        let heading = format!("{name}:");
        let padded = format!("{heading:13}");
        self.lines
            .push(format!("{}{value}", style::bold(padded, self.bold)));
    }

    fn heading(&mut self, text: &str) {
        self.lines.push(String::new());
        self.lines
            .push(style::bold(format_args!("{text}:"), self.bold));
    }

    fn schema(&mut self, title: &str, schema: &Map<String, Value>, kind: Kind) {
        let root = Value::Object(schema.clone());
        let mut fields = Vec::new();
        collect(&root, &root, kind, 1, &mut fields);
        self.heading(title);
        if fields.is_empty() {
            self.lines.push("  none".to_owned());
        }
        let width = |text: fn(&Field) -> &String| {
            let widths = fields.iter().map(|field| text(field).chars().count());
            widths.max().unwrap_or_default().min(40)
        };
        let names = width(|field| &field.name);
        let words = width(|field| &field.words);
        for field in &fields {
            let line = format!(
                "{:names$}  {:words$}  {}",
                field.name, field.words, field.description
            );
            self.lines.push(line.trim_end().to_owned());
        }
    }
}

fn collect(root: &Value, object: &Value, kind: Kind, depth: usize, fields: &mut Vec<Field>) {
    let properties = object.get("properties").and_then(Value::as_object);
    for (name, schema) in properties.into_iter().flatten() {
        let resolved = resolved(root, schema);
        let (mut words, inner) = in_words(root, resolved);
        match (kind, is_required(object, name)) {
            (Kind::Arguments, true) => words.push_str(", required"),
            (Kind::Result, false) => words.push_str(", optional"),
            _ => {}
        }
        if let Some(default) = schema.get("default") {
            words.push_str(&format!(", default {default}"));
        }
        let described = [schema, resolved].into_iter();
        let mut described = described.filter_map(|one| one.get("description")?.as_str());
        fields.push(Field {
            name: format!("{}{name}", "  ".repeat(depth)),
            words,
            description: described.next().unwrap_or_default().replace('\n', " "),
        });
        if let Some(inner) = inner
            && depth < MOST_DEPTH
        {
            collect(root, inner, kind, depth + 1, fields);
        }
    }
}

/// A type in words, and the object whose fields are listed below it.
fn in_words<'a>(root: &'a Value, schema: &'a Value) -> (String, Option<&'a Value>) {
    let kind = match schema.get("type") {
        Some(Value::String(kind)) => kind.clone(),
        Some(Value::Array(kinds)) => {
            let kinds: Vec<_> = kinds.iter().filter_map(Value::as_str).collect();
            kinds.join(" or ")
        }
        _ => match one_of(schema) {
            Some(choices) => return (choices, None),
            None => "any".to_owned(),
        },
    };
    match kind.as_str() {
        "array" => {
            let items = resolved(root, schema.get("items").unwrap_or(&Value::Null));
            let (words, inner) = in_words(root, items);
            return (format!("list of {words}"), inner);
        }
        "object" => return (kind, Some(schema)),
        _ => {}
    }
    if let Some(choices) = schema.get("enum").and_then(Value::as_array) {
        let choices: Vec<_> = choices
            .iter()
            .map(|one| one.as_str().map_or_else(|| one.to_string(), str::to_owned))
            .collect();
        return (choices.join("|"), None);
    }
    let mut words = kind;
    let limit = |key: &str| schema.get(key).filter(|value| value.is_number());
    match (limit("minimum"), limit("maximum")) {
        (Some(least), Some(most)) => words.push_str(&format!(" {least}–{most}")),
        (Some(least), None) => words.push_str(&format!(" ≥ {least}")),
        (None, Some(most)) => words.push_str(&format!(" ≤ {most}")),
        (None, None) => {}
    }
    if let Some(most) = limit("maxLength") {
        words.push_str(&format!(" of at most {most} characters"));
    }
    (words, None)
}

/// The choices of a schema that lists them one by one.
fn one_of(schema: &Value) -> Option<String> {
    let choices = schema.get("oneOf")?.as_array()?.iter();
    let texts: Option<Vec<Vec<&str>>> = choices
        .map(|choice| match (choice.get("const"), choice.get("enum")) {
            (Some(text), _) => Some(vec![text.as_str()?]),
            (None, Some(texts)) => texts.as_array()?.iter().map(Value::as_str).collect(),
            (None, None) => None,
        })
        .collect();
    Some(texts?.concat().join("|"))
}
