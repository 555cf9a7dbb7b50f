//! JSON pointers, in which `*` stands for every entry of a list.

use serde_json::Value;

/// Removes what a pointer leads to, as far as it is there.
pub(super) fn remove(value: &mut Value, pointer: &str) {
    let Some(path) = pointer.strip_prefix('/') else {
        return;
    };
    let segments: Vec<_> = path.split('/').collect();
    remove_at(value, &segments);
}

fn remove_at(value: &mut Value, path: &[&str]) {
    match (value, path) {
        (Value::Object(members), [last]) => {
            members.shift_remove(&*unescaped(last));
        }
        (Value::Object(members), [name, rest @ ..]) => {
            if let Some(inner) = members.get_mut(&*unescaped(name)) {
                remove_at(inner, rest);
            }
        }
        (Value::Array(entries), ["*", rest @ ..]) if !rest.is_empty() => {
            for entry in entries {
                remove_at(entry, rest);
            }
        }
        _ => {}
    }
}

fn unescaped(segment: &str) -> String {
    segment.replace("~1", "/").replace("~0", "~")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn members_are_removed_where_they_are() {
        let mut value = json!({"a": 1, "b": {"c": 2, "d/e": 3}, "l": [{"x": 1, "y": 2}, 5, {}]});
        for pointer in [
            "/a", "/b/d~1e", "/l/*/x", "/l/*", "/none/x", "/b/c/z", "", "a",
        ] {
            remove(&mut value, pointer);
        }
        assert_eq!(value, json!({"b": {"c": 2}, "l": [{"y": 2}, 5, {}]}));
    }
}
