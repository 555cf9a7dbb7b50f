//! The ceiling of a result is stated alike wherever it is stated.

use std::fs;
use std::path::Path;

/// The default ceiling, in tokens and in bytes of text.
const TOKENS: &str = "20,000";
const BYTES: &str = "40,000";

#[test]
fn the_ceiling_of_a_result_is_the_same_everywhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let rust = |number: &str| number.replace(',', "_");
    for (path, words) in [
        (
            "host-runner/core/src/ceiling.rs",
            "BYTES_PER_TOKEN: usize = 2;".to_owned(),
        ),
        (
            "xtask/src/commands/lists.rs",
            "BYTES_PER_TOKEN: usize = 2;".to_owned(),
        ),
        (
            "host-runner/core/src/settings/variable.rs",
            format!("Self({})", rust(TOKENS)),
        ),
        (
            "src/settings.rs",
            format!("RESULT_BYTES: usize = {};", rust(BYTES)),
        ),
        (
            "tests/tools/lists.rs",
            format!("CEILING: usize = {};", rust(BYTES)),
        ),
        ("wit/world.wit", format!("(default {BYTES})")),
        ("docs/hosts.md", format!("in bytes, default {BYTES}")),
        (
            "docs/lists.md",
            format!("{TOKENS} tokens are {BYTES} bytes"),
        ),
        (
            "docs/settings.md",
            format!("2 bytes of text each (default {TOKENS};"),
        ),
    ] {
        let text = fs::read_to_string(root.join(path)).unwrap();
        assert!(text.contains(&words), "{path} lacks: {words}");
    }
}
