//! The tools that are offered: the component's, less those that need the
//! operator's word.

use crate::engine::Tool;

/// The tools that may be listed and called, in the component's order.
pub(crate) struct Offer {
    tools: Vec<Tool>,
    withheld: Vec<String>,
}

/// A name that cannot be called.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum NotOffered {
    /// There is no such tool.
    #[error("unknown tool {0:?}: tools/list names those that there are")]
    Unknown(String),
    /// It is dangerous, and nobody allowed it.
    #[error(
        "the tool {0:?} is turned off, as it can do what its arguments do not show: the operator \
         of this server can allow it by starting host-runner with --allow-tool {0}"
    )]
    Withheld(String),
}

impl Offer {
    /// Leaves out the dangerous tools that `allowed` does not name.
    pub(crate) fn new(tools: Vec<Tool>, allowed: &[String]) -> Self {
        for name in allowed {
            if !tools.iter().any(|tool| tool.name == *name) {
                tracing::warn!("--allow-tool {name:?} names no tool");
            }
        }
        let (tools, withheld): (Vec<_>, Vec<_>) = tools
            .into_iter()
            .partition(|tool| !tool.annotations.dangerous || allowed.contains(&tool.name));
        Self {
            tools,
            withheld: withheld.into_iter().map(|tool| tool.name).collect(),
        }
    }

    /// Those that are offered.
    pub(crate) fn tools(&self) -> &[Tool] {
        &self.tools
    }

    /// The tool of this name, if it may be called.
    pub(crate) fn find(&self, name: &str) -> Result<&Tool, NotOffered> {
        if let Some(tool) = self.tools.iter().find(|tool| tool.name == name) {
            return Ok(tool);
        }
        if self.withheld.iter().any(|withheld| withheld == name) {
            return Err(NotOffered::Withheld(name.to_owned()));
        }
        Err(NotOffered::Unknown(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Annotations;

    fn tool(name: &str, dangerous: bool) -> Tool {
        Tool {
            name: name.to_owned(),
            title: String::new(),
            description: String::new(),
            toolset: String::new(),
            input_schema: "{}".to_owned(),
            output_schema: "{}".to_owned(),
            annotations: Annotations {
                read_only: false,
                destructive: true,
                idempotent: false,
                open_world: false,
                dangerous,
            },
        }
    }

    fn names(offer: &Offer) -> Vec<&str> {
        offer
            .tools()
            .iter()
            .map(|tool| tool.name.as_str())
            .collect()
    }

    #[test]
    fn dangerous_tools_need_the_operators_word() {
        let tools = vec![tool("b", false), tool("run", true), tool("a", false)];
        let offer = Offer::new(tools.clone(), &[]);
        assert_eq!(names(&offer), ["b", "a"]);
        assert!(matches!(offer.find("run"), Err(NotOffered::Withheld(_))));
        assert!(matches!(offer.find("c"), Err(NotOffered::Unknown(_))));

        let offer = Offer::new(tools, &["run".to_owned()]);
        assert_eq!(names(&offer), ["b", "run", "a"]);
        assert!(offer.find("run").is_ok());
    }
}
