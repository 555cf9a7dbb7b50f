//! How an agent's work on a request ended.

use serde_json::Value;

/// A token of the common tokenizers is about four bytes of English or JSON.
const BYTES_PER_TOKEN: usize = 4;

/// What an agent has used for one request.
#[derive(Default)]
pub(super) struct Used {
    pub(super) calls: usize,
    result_bytes: usize,
}

/// How a request ended.
pub(super) struct Outcome {
    pub(super) used: Used,
    /// Why it is not solved; empty if it is.
    pub(super) faults: Vec<String>,
}

impl Used {
    /// Counts what a client gives its model: the text, or the structured content
    /// where that is longer.
    pub(super) fn add_result(&mut self, result: &Value) {
        let blocks = result.get("content").and_then(Value::as_array);
        let text: usize = blocks
            .into_iter()
            .flatten()
            .filter_map(|block| block.get("text")?.as_str())
            .map(str::len)
            .sum();
        let content = result.get("structuredContent");
        let content = content.map_or(0, |content| content.to_string().len());
        self.result_bytes += text.max(content);
    }

    pub(super) fn tokens(&self) -> usize {
        self.result_bytes.div_ceil(BYTES_PER_TOKEN)
    }
}

impl Outcome {
    pub(super) fn is_solved(&self) -> bool {
        self.faults.is_empty()
    }
}
