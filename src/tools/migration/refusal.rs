//! Why Proxmox refuses a node as the target.

use serde_json::Value;

use crate::tool_names;

pub(super) fn unavailable(storages: &[&str]) -> String {
    format!(
        "storage {} is not available there: choose another by target_storage of {}",
        storages.join(", "),
        tool_names::MIGRATE_GUEST
    )
}

/// Whether missing storages are all that a refusal is about.
pub(super) fn is_about_storages(refusal: &Value) -> bool {
    refusal.as_object().is_some_and(|fields| {
        fields
            .iter()
            .all(|(key, value)| key.replace('_', "-") == "unavailable-storages" || is_empty(value))
    })
}

/// A refusal of Proxmox as a sentence. An empty one is not a refusal: Proxmox lists
/// allowed nodes like that.
pub(super) fn refusal_reasons(refusal: &Value) -> Vec<String> {
    let Value::Object(fields) = refusal else {
        return refusal.as_str().map(str::to_owned).into_iter().collect();
    };
    fields
        .iter()
        .filter(|(_, value)| !is_empty(value))
        .map(|(key, value)| {
            let items: Vec<String> = match value {
                Value::Array(items) => items.iter().map(item).collect(),
                other => vec![item(other)],
            };
            let names: Vec<&str> = items.iter().map(String::as_str).collect();
            // VMs and containers differ in their hyphens here as well.
            match key.replace('_', "-").as_str() {
                "unavailable-storages" => unavailable(&names),
                "unavailable-resources" => {
                    format!(
                        "mapped devices are not available there: {}; add the node to their resource \
                         mapping in the web interface",
                        names.join(", ")
                    )
                }
                "blocking-ha-resources" => format!(
                    "HA rules forbid it: {}; {} shows the rules",
                    names.join(", "),
                    tool_names::GET_HA
                ),
                other => format!("{other}: {}", names.join(", ")),
            }
        })
        .collect()
}

/// One entry of a refusal: a name, or an HA resource with its cause.
fn item(value: &Value) -> String {
    let field = |name: &str| value.get(name).and_then(Value::as_str);
    match (value, field("sid"), field("cause")) {
        (_, Some(sid), Some("node-affinity")) => format!("{sid} may not run on this node"),
        (_, Some(sid), Some("resource-affinity")) => {
            format!("{sid} is on that node, and they must not be on the same one")
        }
        (_, Some(sid), Some(cause)) => format!("{sid} ({cause})"),
        (_, Some(sid), None) => sid.to_owned(),
        (Value::String(text), _, _) => text.clone(),
        _ => value.to_string(),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}
