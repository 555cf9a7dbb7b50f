//! Compares every declared endpoint with the real API's schema, where that is at hand.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::api::FAMILIES;
use crate::endpoint::Endpoint;
use crate::formats::Format;
use crate::params::{Kind, Param, Type};
use crate::permission::Permission;
use crate::router::Router;

fn schema() -> Option<Vec<Value>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/pve/schema.json");
    serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()
}

fn number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

fn compare_kind(at: &str, kind: &Kind, spec: &Value, wrong: &mut Vec<String>) {
    let ty = match kind.ty {
        Type::Bool => "boolean",
        Type::Int => "integer",
        Type::Number => "number",
        Type::Text => "string",
        Type::Array => "array",
    };
    let mut differ = |what: &str, ours: String, theirs: String| {
        if ours != theirs {
            wrong.push(format!("{at}: {what} is {ours}, the schema has {theirs}"));
        }
    };
    differ(
        "type",
        ty.into(),
        spec["type"].as_str().unwrap_or("string").into(),
    );
    differ(
        "minimum",
        format!("{:?}", kind.min),
        format!("{:?}", number(&spec["minimum"])),
    );
    differ(
        "maximum",
        format!("{:?}", kind.max),
        format!("{:?}", number(&spec["maximum"])),
    );
    let length = |length: Option<usize>| format!("{length:?}");
    let theirs = |name: &str| length(number(&spec[name]).and_then(|n| usize::try_from(n).ok()));
    differ("minLength", length(kind.min_len), theirs("minLength"));
    differ("maxLength", length(kind.max_len), theirs("maxLength"));
    let choices: Vec<&str> = spec["enum"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    differ(
        "enum",
        format!("{:?}", kind.all_choices()),
        format!("{choices:?}"),
    );
    differ(
        "pattern",
        kind.pattern.is_some().to_string(),
        spec["pattern"].is_string().to_string(),
    );
    match (&kind.format, &spec["format"]) {
        (Some(Format::Props(props)), Value::Object(fields)) => {
            let declared = props.params.iter().copied();
            let real = fields.iter().filter(|(_, spec)| spec["alias"].is_null());
            let real: BTreeMap<&str, &Value> =
                real.map(|(name, spec)| (name.as_str(), spec)).collect();
            compare_params(at, declared, &real, true, wrong);
            let default = fields
                .iter()
                .find(|(_, spec)| spec["default_key"] == 1)
                .map(|(name, _)| name.as_str());
            if props.default_key != default {
                wrong.push(format!(
                    "{at}: default key {:?}, the schema has {default:?}",
                    props.default_key
                ));
            }
            for (name, spec) in fields.iter().filter(|(_, spec)| spec["alias"].is_string()) {
                if !props
                    .aliases
                    .iter()
                    .any(|alias| alias.alias == name && Some(alias.key) == spec["alias"].as_str())
                {
                    wrong.push(format!("{at}: alias {name} is missing"));
                }
            }
        }
        (ours, theirs) => {
            let ours = ours.as_ref().map(Format::name);
            if ours.as_deref() != theirs.as_str() {
                wrong.push(format!("{at}: format {ours:?}, the schema has {theirs}"));
            }
        }
    }
}

fn compare_params(
    at: &str,
    declared: impl Iterator<Item = Param> + Clone,
    real: &BTreeMap<&str, &Value>,
    all: bool,
    wrong: &mut Vec<String>,
) {
    let name = |param: &Param| {
        if param.count.is_some() {
            format!("{}[n]", param.name)
        } else {
            param.name.to_owned()
        }
    };
    for param in declared.clone() {
        let name = name(&param);
        let at = format!("{at} {name}");
        let Some(spec) = real.get(name.as_str()) else {
            wrong.push(format!("{at}: not in the schema"));
            continue;
        };
        if param.optional != (spec["optional"] == 1) {
            wrong.push(format!("{at}: optional is {}", param.optional));
        }
        if param.requires != spec["requires"].as_str() {
            wrong.push(format!(
                "{at}: requires {:?}, the schema has {}",
                param.requires, spec["requires"]
            ));
        }
        compare_kind(&at, &param.kind, spec, wrong);
    }
    for (real, spec) in real {
        let missing = !declared.clone().any(|param| name(&param) == *real);
        if missing && (all || spec["optional"] != 1) {
            wrong.push(format!("{at} {real}: not declared"));
        }
    }
}

fn compare_access(at: &str, access: &Permission, spec: &Value, wrong: &mut Vec<String>) {
    let (ours, real) = (access_json(access), &spec["check"]);
    if ours != *real {
        wrong.push(format!("{at}: access {ours}, the schema has {real}"));
    }
}

/// A check as the schema writes it.
fn access_json(access: &Permission) -> Value {
    let all = |list: &[Permission], name: &str| {
        let inner = list.iter().map(access_json);
        std::iter::once(json!(name)).chain(inner).collect()
    };
    match access {
        Permission::Everyone => Value::Null,
        Permission::All(path, privileges) => json!(["perm", path, privileges]),
        Permission::Any(path, privileges) => json!(["perm", path, privileges, "any", 1]),
        Permission::And(list) => all(list, "and"),
        Permission::Or(list) => all(list, "or"),
        Permission::IfParam(name, access) => {
            let mut inner = access_json(access);
            if let Some(list) = inner.as_array_mut() {
                list.extend([json!("require_param"), json!(name)]);
            }
            inner
        }
    }
}

fn compare(endpoint: &Endpoint, spec: &Value, wrong: &mut Vec<String>) {
    let at = format!("{} {}", endpoint.method.as_str(), endpoint.path);
    let real = spec["parameters"].as_object().unwrap();
    let real = real
        .iter()
        .map(|(name, spec)| (name.as_str(), spec))
        .collect();
    compare_params(&at, endpoint.declared().into_iter(), &real, false, wrong);
    compare_access(&at, &endpoint.access, &spec["permissions"], wrong);
    let proxied = spec["proxyto"] == "node";
    if endpoint.path.contains("{node}") && proxied == endpoint.local {
        wrong.push(format!(
            "{at}: local is {}, the schema proxies to {}",
            endpoint.local, spec["proxyto"]
        ));
    }
    if spec["allowtoken"] == 0 {
        wrong.push(format!("{at}: no token may call it"));
    }
}

#[test]
fn every_endpoint_is_as_the_schema_has_it() {
    let Some(schema) = schema() else {
        println!("no schema beside the project: skipped");
        return;
    };
    let mut wrong = Vec::new();
    let mut count = 0;
    // The index of all is not in the schema.
    let router = Router::new(FAMILIES);
    for endpoint in router.endpoints().filter(|it| it.path != "/") {
        count += 1;
        let found = schema.iter().find(|spec| {
            spec["method"] == endpoint.method.as_str() && spec["path"] == endpoint.path
        });
        match found {
            Some(spec) => compare(endpoint, spec, &mut wrong),
            None => wrong.push(format!(
                "{} {}: not in the schema",
                endpoint.method.as_str(),
                endpoint.path
            )),
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {count} endpoints' declarations differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    println!("{count} endpoints agree with the schema");
}

#[test]
fn every_pattern_compiles() {
    fn check(params: &[Param], seen: &mut usize) {
        for param in params {
            if let Some(pattern) = param.kind.pattern {
                *seen += 1;
                assert!(
                    regex::Regex::new(&format!("^(?:{pattern})$")).is_ok(),
                    "{}: {pattern}",
                    param.name
                );
            }
            if let Some(Format::Props(props) | Format::NamedProps(_, props)) = param.kind.format {
                check(props.params, seen);
            }
        }
    }
    let mut seen = 0;
    for endpoint in Router::new(FAMILIES).endpoints() {
        check(&endpoint.declared(), &mut seen);
    }
    assert!(seen > 0);
}

#[test]
fn no_endpoint_is_declared_twice() {
    let mut seen = std::collections::BTreeSet::new();
    for endpoint in Router::new(FAMILIES).endpoints() {
        assert!(
            seen.insert((endpoint.method.as_str(), endpoint.path)),
            "{} {}",
            endpoint.method.as_str(),
            endpoint.path
        );
    }
}
