//! ACT's own words for annotations and kinds of errors.

use adapter_common::{Kind, Tool};

/// A tool's annotations as ACT's metadata, in CBOR.
pub(crate) fn metadata(tool: &Tool) -> Vec<(String, Vec<u8>)> {
    let annotations = &tool.annotations;
    [
        ("std:read-only", annotations.read_only),
        ("std:idempotent", annotations.idempotent),
        (
            "std:destructive",
            annotations.destructive && !annotations.read_only,
        ),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), switch(value)))
    .collect()
}

/// CBOR's simple values 20 and 21.
fn switch(value: bool) -> Vec<u8> {
    vec![if value { 0xf5 } else { 0xf4 }]
}

/// The kind of an error. Those of ACT's own that say the same, hosts know.
pub(crate) fn kind(kind: Kind) -> String {
    match kind {
        Kind::UnknownTool | Kind::NotFound => "std:not-found".to_owned(),
        Kind::InvalidArguments => "std:invalid-args".to_owned(),
        Kind::Internal => "std:internal".to_owned(),
        other => format!("proxmox-mcp:{other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use adapter_common::Annotations;

    #[test]
    fn annotations_become_cbor() {
        let tool = Tool {
            name: "stop_guest".to_owned(),
            title: String::new(),
            description: String::new(),
            toolset: String::new(),
            by_default: true,
            previews: false,
            input_schema: String::new(),
            secret_arguments: Vec::new(),
            output_schema: String::new(),
            calls: Vec::new(),
            annotations: Annotations {
                read_only: false,
                destructive: true,
                idempotent: true,
                open_world: false,
                dangerous: false,
            },
        };
        let (yes, no) = (vec![0xf5], vec![0xf4]);
        assert_eq!(
            metadata(&tool),
            [
                ("std:read-only".to_owned(), no),
                ("std:idempotent".to_owned(), yes.clone()),
                ("std:destructive".to_owned(), yes),
            ]
        );
    }

    #[test]
    fn kinds_are_acts_own_where_it_has_them() {
        assert_eq!(kind(Kind::NotFound), "std:not-found");
        assert_eq!(kind(Kind::Conflict), "proxmox-mcp:conflict");
    }
}
