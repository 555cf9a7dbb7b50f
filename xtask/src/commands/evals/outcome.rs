//! How an agent's work on a request ended.

use serde_json::Value;

/// A token of the common tokenizers is about four bytes of English or JSON.
const BYTES_PER_TOKEN: usize = 4;

/// What an agent has used for one request.
#[derive(Default)]
pub(super) struct Used {
    pub(super) calls: usize,
    text_bytes: usize,
    json_bytes: usize,
}

/// How a request ended.
pub(super) struct Outcome {
    pub(super) used: Used,
    /// Why it is not solved; empty if it is.
    pub(super) faults: Vec<String>,
}

impl Used {
    /// Counts what a client gives its model: the text of a result, or, in some
    /// clients, its structured content.
    pub(super) fn add_result(&mut self, result: &Value) {
        let blocks = result.get("content").and_then(Value::as_array);
        let text: usize = blocks
            .into_iter()
            .flatten()
            .filter_map(|block| block.get("text")?.as_str())
            .map(str::len)
            .sum();
        let content = result.get("structuredContent");
        let content = content.map(|content| content.to_string().len());
        self.text_bytes += text;
        // An error has only text.
        self.json_bytes += content.unwrap_or(text);
    }

    /// In a client that shows the texts to the model.
    pub(super) fn tokens(&self) -> usize {
        self.text_bytes.div_ceil(BYTES_PER_TOKEN)
    }

    /// In one that shows it the structured content.
    pub(super) fn json_tokens(&self) -> usize {
        self.json_bytes.div_ceil(BYTES_PER_TOKEN)
    }
}

impl Outcome {
    pub(super) fn is_solved(&self) -> bool {
        self.faults.is_empty()
    }
}
