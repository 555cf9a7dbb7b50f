//! What several clusters offer together: each tool once, with the argument that names the
//! cluster.

use serde_json::{Map, Value, json};

use super::{Offer, OfferError};
use crate::engine::Tool;
use crate::guide::CLUSTER as NAME;
use crate::render;
use crate::settings::ALL_CLUSTERS;

/// The member of a result that is of several clusters.
pub(crate) const RESULTS: &str = "clusters";

impl Offer {
    /// What several clusters offer together, by their names.
    pub(super) fn merged(offers: &[(&str, &Self)]) -> Result<Self, OfferError> {
        let Some((_, first)) = offers.first() else {
            return Err(OfferError::Nothing);
        };
        let mut merged = Self {
            tools: Vec::new(),
            withheld: first.withheld.clone(),
            toolsets: first.toolsets.clone(),
        };
        for (_, offer) in offers {
            for tool in &offer.tools {
                if merged.tools.iter().any(|one| one.name == tool.name) {
                    continue;
                }
                let offering = offers
                    .iter()
                    .filter(|(_, offer)| offer.find(&tool.name).is_ok());
                let names: Vec<_> = offering.map(|(name, _)| *name).collect();
                merged.tools.push(for_clusters(tool, &names)?);
            }
        }
        let tools = &merged.tools;
        let is_offered = |name: &str| tools.iter().any(|one| one.name == name);
        merged.withheld.retain(|(tool, _)| !is_offered(&tool.name));
        Ok(merged)
    }
}

/// A tool with the argument for its cluster and, if it only reads, with the form of the
/// results of all clusters beside its own.
fn for_clusters(tool: &Tool, names: &[&str]) -> Result<Tool, OfferError> {
    let mut tool = tool.clone();
    let mut input = render::schema(&tool, &tool.input_schema).map_err(OfferError::Tools)?;
    let mut choices = names.to_vec();
    if tool.annotations.read_only {
        choices.push(ALL_CLUSTERS);
    }
    let taken = || OfferError::Cluster(tool.name.clone());
    let cluster = json!({ "type": "string", "enum": choices });
    if !add(&mut input, NAME, cluster) {
        return Err(taken());
    }
    let required = input.entry("required").or_insert_with(|| json!([]));
    if let Value::Array(required) = required {
        required.insert(0, NAME.into());
    }
    if tool.annotations.read_only {
        let mut output = render::schema(&tool, &tool.output_schema).map_err(OfferError::Tools)?;
        let of_all = json!({
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "cluster": { "type": "string" },
                    "result": { "type": "object" },
                    "error": { "type": "string" },
                },
                "required": ["cluster"],
            },
        });
        if !add(&mut output, RESULTS, of_all) {
            return Err(taken());
        }
        output.shift_remove("required");
        tool.output_schema = Value::Object(output).to_string();
    }
    tool.input_schema = Value::Object(input).to_string();
    Ok(tool)
}

/// Adds a property to a schema. Whether it has none of this name yet.
fn add(schema: &mut Map<String, Value>, name: &str, property: Value) -> bool {
    let properties = schema.entry("properties").or_insert_with(|| json!({}));
    match properties.as_object_mut() {
        Some(properties) => properties.insert(name.to_owned(), property).is_none(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Annotations;

    fn tool(name: &str, read_only: bool, input: &str, output: &str) -> Tool {
        let (input, output) = (
            format!(r#"{{"type":"object","properties":{{{input}}},"required":["vmid"]}}"#),
            format!(r#"{{"type":"object","properties":{{{output}}},"required":["name"]}}"#),
        );
        Tool {
            name: name.to_owned(),
            title: String::new(),
            description: String::new(),
            input_schema: input,
            output_schema: output,
            annotations: Annotations {
                read_only,
                destructive: false,
                idempotent: false,
                open_world: false,
                dangerous: false,
            },
            toolset: "guests".to_owned(),
            by_default: true,
            previews: false,
            calls: Vec::new(),
            secret_arguments: Vec::new(),
        }
    }

    fn offer(tools: &[Tool], withheld: &[Tool]) -> Offer {
        let withheld = withheld.iter().cloned();
        Offer {
            tools: tools.to_vec(),
            withheld: withheld
                .map(|tool| (tool, super::super::Reason::Writes))
                .collect(),
            toolsets: "default".to_owned(),
        }
    }

    #[test]
    fn a_tool_is_offered_where_any_cluster_offers_it() {
        let get = tool("get_guest", true, "", "\"name\":{}");
        let start = tool("start_guest", false, "", "\"name\":{}");
        let reads = offer(std::slice::from_ref(&get), std::slice::from_ref(&start));
        let all = offer(&[get, start], &[]);
        let merged = Offer::merged(&[("lyon", &reads), ("paris", &all)]).unwrap();
        let schema = |name: &str, output: bool| -> Value {
            let tool = merged.find(name).unwrap();
            let text = if output {
                &tool.output_schema
            } else {
                &tool.input_schema
            };
            serde_json::from_str(text).unwrap()
        };
        let of = |name: &str| schema(name, false)["properties"][NAME]["enum"].clone();
        assert_eq!(of("get_guest"), json!(["lyon", "paris", "all"]));
        assert_eq!(of("start_guest"), json!(["paris"]));
        assert_eq!(
            schema("get_guest", false)["required"],
            json!([NAME, "vmid"])
        );
        // Its own results and those of all clusters fit.
        let output = schema("get_guest", true);
        assert!(output.get("required").is_none());
        assert!(output["properties"][RESULTS].is_object());
        assert_eq!(schema("start_guest", true)["required"], json!(["name"]));
    }

    #[test]
    fn a_name_that_a_tool_has_for_itself_is_refused() {
        let input = tool("a", false, "\"cluster_name\":{}", "");
        let output = tool("a", true, "", "\"clusters\":{}");
        for tool in [input, output] {
            let offer = offer(&[tool], &[]);
            let error = Offer::merged(&[("lyon", &offer), ("paris", &offer)]);
            assert!(matches!(error, Err(OfferError::Cluster(_))));
        }
    }
}
