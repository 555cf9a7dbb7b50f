//! How answers are read: strictly first, and where something odd is in the
//! way, without it.
//!
//! The API is untyped Perl. A number comes as text, a field as null, an entry
//! without a field that all others have. One such value must not hide the rest
//! of a list, so what cannot be read is taken out: the field where its type
//! allows that, otherwise the entry of the nearest list around it. What was
//! taken out is counted in [`Losses`].

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;
use serde_json::value::RawValue;

use super::num::Num;
use super::repair;
use crate::json::{self, DeserializeFields, Reader, Step};
use crate::text;

/// What could not be read of an answer, and is missing from the result.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Losses {
    /// How many entries of lists.
    pub(crate) entries: usize,
    /// The names of fields, in entries that are there apart from them.
    pub(crate) fields: BTreeSet<String>,
    /// What was wrong with the first entry.
    pub(crate) example: Option<String>,
}

/// Why nothing could be read of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// It has no data, where there has to be some.
    NoData,
    /// A web page, or something else that the API never answers; in words.
    NotApi(String),
    /// JSON that ends too early or holds a mistake; in words.
    Broken(String),
    /// The data has another shape; where, and what is there.
    Shape(String),
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    total: Option<&'a RawValue>,
}

/// Reads JSON into this place. All else is the same code for all types.
pub(super) fn into<T: DeserializeOwned>(
    data: &mut Option<T>,
) -> impl FnMut(&mut Reader<'_>) -> Option<Wrong> {
    |reader| match T::deserialize(reader) {
        Ok(read) => {
            *data = Some(read);
            None
        }
        Err(error) => Some(error.into()),
    }
}

/// Reads JSON as some type and keeps the outcome, or says what is wrong with
/// it.
type Read<'a> = dyn FnMut(&str) -> Option<Wrong> + 'a;

/// The same, from a place within other JSON.
pub(super) type ReadAt<'a> = dyn FnMut(&mut Reader<'_>) -> Option<Wrong> + 'a;

/// Reads the body of an answer, with the count of the whole list where it has
/// one. A type without a value, such as `()`, takes any data, and an empty body.
pub(super) fn read_body(
    body: &[u8],
    any_data: bool,
    read: &mut ReadAt<'_>,
) -> Result<(Option<u64>, Losses), Unreadable> {
    // Odd bytes in a description must not hide the guest that has it.
    let body = match std::str::from_utf8(body) {
        // The usual case, and the faster check.
        Ok(body) => Cow::Borrowed(body),
        Err(_) => String::from_utf8_lossy(body),
    };
    let body = body.trim();
    if let Some(total) = read_once(body, any_data, read) {
        return Ok((total, Losses::default()));
    }
    let read: &mut Read<'_> = &mut |json| {
        let mut reader = Reader::new(json);
        read(&mut reader).or_else(|| reader.end().err().map(Wrong::from))
    };
    if body.is_empty() {
        return match read("null") {
            None => Ok((None, Losses::default())),
            Some(_) => Err(Unreadable::NoData),
        };
    }
    if body.starts_with('<') {
        return Err(Unreadable::NotApi("a web page".into()));
    }
    if !body.starts_with('{') {
        return Err(Unreadable::NotApi(
            match serde_json::from_str::<IgnoredAny>(body) {
                Ok(_) => "JSON of another kind".into(),
                Err(_) => "text that is not JSON".into(),
            },
        ));
    }
    read_json(body, any_data, true, read)
}

/// Reads a body that has nothing odd in it, in one pass. None for any other.
fn read_once(body: &str, any_data: bool, read: &mut ReadAt<'_>) -> Option<Option<u64>> {
    let (mut is_read, mut total) = (false, None);
    let mut reader = Reader::new(body);
    let fields = reader.fields(&mut |key, reader| {
        match key {
            "data" if any_data => {
                reader.skip()?;
                is_read = read(&mut Reader::new("null")).is_none();
            }
            "data" => {
                if read(reader).is_some() {
                    return Err(json::Wrong::not_json());
                }
                is_read = true;
            }
            "total" => total = Some(Num::<u64>::deserialize(reader)?.0),
            _ => reader.skip()?,
        }
        Ok(())
    });
    (fields.is_ok() && reader.end().is_ok() && is_read).then_some(total)
}

fn read_json(
    body: &str,
    any_data: bool,
    may_repair: bool,
    read: &mut Read<'_>,
) -> Result<(Option<u64>, Losses), Unreadable> {
    let repaired = || may_repair.then(|| repair::repair(body)).flatten();
    let envelope: Envelope<'_> = match serde_json::from_str(body) {
        Ok(envelope) => envelope,
        Err(error) => match repaired() {
            Some(body) => return read_json(&body, any_data, false, read),
            None if error.is_eof() => return Err(Unreadable::Broken("cut short".into())),
            None => {
                return Err(Unreadable::Broken(format!(
                    "not JSON at line {} column {}",
                    error.line(),
                    error.column()
                )));
            }
        },
    };
    let data = match envelope.data {
        Some(data) if !any_data => data.get(),
        _ => "null",
    };
    let total = envelope
        .total
        .and_then(|total| json::read::<Num<u64>>(total.get()).ok())
        .map(|total| total.0);
    let wrong = match read(data) {
        None => return Ok((total, Losses::default())),
        Some(_) if data == "null" => return Err(Unreadable::NoData),
        Some(wrong) => wrong,
    };
    // A number beyond all range is found only when it is read.
    if let Some(body) = repaired() {
        return read_json(&body, any_data, false, read);
    }
    let shape = |wrong: Wrong| Unreadable::Shape(wrong.to_string());
    let (json, losses) = salvage(data, wrong, read).map_err(shape)?;
    match read(&json) {
        None => Ok((total, losses)),
        Some(wrong) => Err(shape(wrong)),
    }
}

/// What a type found wrong. It holds no text from the answer but the names of
/// fields: a value may be a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    path: Vec<Step>,
    message: String,
}

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut place = String::new();
        for step in &self.path {
            match step {
                Step::Index(index) => {
                    let _ = write!(place, "[{index}]");
                }
                Step::Key(key) if place.is_empty() => place.push_str(&name(key)),
                Step::Key(key) => {
                    let _ = write!(place, ".{}", name(key));
                }
            }
        }
        if place.is_empty() {
            place.push_str("data");
        }
        match self.message.rsplit_once(", expected ") {
            Some((found, expected)) => write!(f, "{place}: {found}, expected {}", plain(expected)),
            None => match self
                .message
                .strip_prefix("missing field `")
                .and_then(|rest| rest.strip_suffix('`'))
            {
                Some(field) => write!(f, "{place}: {} is missing", name(field)),
                None => write!(f, "{place}: {}", self.message),
            },
        }
    }
}

/// What a type expects, without the words of a programming language.
fn plain(expected: &str) -> &str {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "u128" | "usize" => "a whole number",
        "i8" | "i16" | "i32" | "i64" | "i128" | "isize" => "an integer",
        "f32" | "f64" => "a number",
        "a string" | "a borrowed string" | "a character" => "a text",
        "a boolean" => "true or false",
        "a sequence" | "a tuple" => "a list",
        "a map" => "an object",
        "unit" => "null",
        other if other.contains("struct ") => "an object",
        other if other.contains("enum ") || other.contains("variant") => "a known value",
        other => other,
    }
}

/// A field's name in a message. A hostile one may hold anything.
pub(super) fn name(key: &str) -> String {
    let plain: String = key.chars().filter(|c| !c.is_control()).collect();
    text::cut(&plain, 40)
}

impl From<json::Wrong> for Wrong {
    fn from(wrong: json::Wrong) -> Self {
        let (path, message) = wrong.into_parts();
        Self { path, message }
    }
}

/// Finds what of some data can be read, as JSON that `check` finds nothing
/// wrong with, and what had to be left out. The work is linear in the data's
/// length, however odd it is.
fn salvage(data: &str, wrong: Wrong, check: &mut Read<'_>) -> Result<(String, Losses), Wrong> {
    let mut losses = Losses::default();
    if !data.starts_with('[') {
        let mut value: Value = serde_json::from_str(data).map_err(|_| wrong.clone())?;
        mend(&mut value, check, &mut losses, &mut fuel(data)).map_err(|_| wrong)?;
        return Ok((value.to_string(), losses));
    }
    if check("[]").is_some() {
        return Err(wrong);
    }
    let entries: Vec<&RawValue> = serde_json::from_str(data).map_err(|_| wrong)?;
    let mut json = String::with_capacity(data.len());
    json.push('[');
    for (index, entry) in entries.into_iter().enumerate() {
        let alone = format!("[{entry}]");
        let Some(mut wrong) = check(&alone) else {
            append(&mut json, entry.get());
            continue;
        };
        if let Some(Step::Index(first)) = wrong.path.first_mut() {
            *first = index;
        }
        let mut own = Losses::default();
        let mended = serde_json::from_str::<Value>(&alone)
            .ok()
            .and_then(|mut value| {
                mend(&mut value, check, &mut own, &mut fuel(&alone)).ok()?;
                match value {
                    Value::Array(kept) if !kept.is_empty() => Some(kept),
                    _ => None,
                }
            });
        match mended {
            Some(kept) => {
                kept.iter()
                    .for_each(|entry| append(&mut json, &entry.to_string()));
                losses.merge(own);
            }
            None => losses.entry(&wrong),
        }
    }
    json.push(']');
    Ok((json, losses))
}

fn append(list: &mut String, entry: &str) {
    if list.len() > 1 {
        list.push(',');
    }
    list.push_str(entry);
}

/// How many bytes may be looked at to mend some data.
fn fuel(data: &str) -> usize {
    data.len().saturating_mul(64).saturating_add(4096)
}

/// Takes out of a value what is wrong with it.
fn mend(
    value: &mut Value,
    check: &mut Read<'_>,
    losses: &mut Losses,
    fuel: &mut usize,
) -> Result<(), Wrong> {
    loop {
        let json = value.to_string();
        let Some(wrong) = check(&json) else {
            return Ok(());
        };
        let Some(left) = fuel.checked_sub(json.len()) else {
            return Err(wrong);
        };
        *fuel = left;
        if let Some(list) = list_around(value, &wrong.path) {
            mend_entries(value, list, check, losses, fuel)?;
        } else if !coerce(value, &wrong) && !remove(value, &wrong, losses) {
            return Err(wrong);
        }
    }
}

/// The path of the outermost list with several entries around what is wrong.
fn list_around<'a>(value: &Value, path: &'a [Step]) -> Option<&'a [Step]> {
    let mut value = value;
    for (depth, step) in path.iter().enumerate() {
        if matches!(value, Value::Array(entries) if entries.len() > 1) {
            return path.get(..depth);
        }
        value = match step {
            Step::Index(index) => value.get(*index)?,
            Step::Key(key) => value.get(key)?,
        };
    }
    None
}

/// Mends the entries of a list one by one, each alone in an otherwise hollow
/// copy of all.
fn mend_entries(
    value: &mut Value,
    list: &[Step],
    check: &mut Read<'_>,
    losses: &mut Losses,
    fuel: &mut usize,
) -> Result<(), Wrong> {
    let Some(Value::Array(entries)) = at(value, list).map(Value::take) else {
        return Ok(());
    };
    let hollow = hollow(value, list);
    let mut kept = Vec::with_capacity(entries.len());
    for (index, entry) in entries.into_iter().enumerate() {
        let mut alone = hollow.clone();
        if let Some(place) = at(&mut alone, list) {
            *place = Value::Array(vec![entry]);
        }
        let mut own = Losses::default();
        let mended = mend(&mut alone, check, &mut own, fuel);
        match (mended, at(&mut alone, list).map(Value::take)) {
            (Ok(()), Some(Value::Array(mut entry))) => {
                kept.append(&mut entry);
                losses.merge(own);
            }
            (Ok(()), _) => losses.merge(own),
            (Err(mut wrong), _) => {
                if let Some(Step::Index(first)) = wrong.path.get_mut(list.len()) {
                    *first = index;
                }
                losses.entry(&wrong);
            }
        }
    }
    if let Some(place) = at(value, list) {
        *place = Value::Array(kept);
    }
    Ok(())
}

/// A copy in which all lists are empty but those on the way.
fn hollow(value: &Value, way: &[Step]) -> Value {
    match value {
        Value::Array(entries) => Value::Array(match way {
            [Step::Index(index), rest @ ..] => entries
                .get(*index)
                .map(|entry| vec![hollow(entry, rest)])
                .unwrap_or_default(),
            _ => Vec::new(),
        }),
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .map(|(key, field)| {
                    let rest = match way {
                        [Step::Key(next), rest @ ..] if next == key => rest,
                        _ => &[],
                    };
                    (key.clone(), hollow(field, rest))
                })
                .collect(),
        ),
        other => other.clone(),
    }
}

fn at<'a>(value: &'a mut Value, path: &[Step]) -> Option<&'a mut Value> {
    path.iter().try_fold(value, |value, step| match step {
        Step::Index(index) => value.get_mut(*index),
        Step::Key(key) => value.get_mut(key),
    })
}

/// Writes a value as the type wants it, where that is the same value: a name
/// that came as a number, a number that came as text.
fn coerce(value: &mut Value, wrong: &Wrong) -> bool {
    let Some((_, expected)) = wrong.message.rsplit_once(", expected ") else {
        return false;
    };
    let Some(value) = at(value, &wrong.path) else {
        return false;
    };
    let wanted = match (expected, &*value) {
        ("a string" | "a borrowed string", Value::Number(number)) => {
            Value::String(number.to_string())
        }
        ("a string" | "a borrowed string", Value::Bool(flag)) => {
            Value::String(u8::from(*flag).to_string())
        }
        ("a boolean", Value::Number(number)) => Value::Bool(number.as_f64() != Some(0.0)),
        ("a boolean", Value::String(text)) if matches!(text.as_str(), "0" | "1" | "") => {
            Value::Bool(text == "1")
        }
        ("f64" | "f32", Value::String(text)) => match text.trim().parse::<f64>() {
            Ok(number) if number.is_finite() => number.into(),
            _ => return false,
        },
        ("u8" | "u16" | "u32" | "u64" | "usize", Value::String(_) | Value::Number(_)) => {
            match Num::<u64>::deserialize(&*value) {
                Ok(number) if value.as_u64() != Some(number.0) => number.0.into(),
                _ => return false,
            }
        }
        ("i8" | "i16" | "i32" | "i64" | "isize", Value::String(_) | Value::Number(_)) => {
            match Num::<i64>::deserialize(&*value) {
                Ok(number) if value.as_i64() != Some(number.0) => number.0.into(),
                _ => return false,
            }
        }
        _ => return false,
    };
    *value = wanted;
    true
}

/// Takes a value out of what holds it. False where nothing holds it.
fn remove(value: &mut Value, wrong: &Wrong, losses: &mut Losses) -> bool {
    let Some((last, holder)) = wrong.path.split_last() else {
        return false;
    };
    match (at(value, holder), last) {
        (Some(Value::Object(fields)), Step::Key(key)) => match fields.shift_remove(key) {
            // Both say that there is no value.
            Some(Value::Null) => true,
            Some(Value::String(text)) if text.trim().is_empty() => true,
            Some(_) => {
                losses.fields.insert(name(key));
                true
            }
            None => false,
        },
        (Some(Value::Array(entries)), Step::Index(index)) if *index < entries.len() => {
            entries.remove(*index);
            losses.entry(wrong);
            true
        }
        _ => false,
    }
}

impl Losses {
    /// Whether all could be read.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries == 0 && self.fields.is_empty()
    }

    fn entry(&mut self, wrong: &Wrong) {
        self.entries = self.entries.saturating_add(1);
        self.example.get_or_insert_with(|| wrong.to_string());
    }

    fn merge(&mut self, other: Self) {
        self.entries = self.entries.saturating_add(other.entries);
        self.fields.extend(other.fields);
        if self.example.is_none() {
            self.example = other.example;
        }
    }
}

/// The class and the description of an error that a guest's agent answered:
/// Proxmox passes some on with status 200, as `{"result":{"error":{…}}}`.
pub(super) fn agent_error(body: &[u8]) -> Option<(String, String)> {
    #[derive(DeserializeFields)]
    struct Body {
        data: Data,
    }
    #[derive(DeserializeFields)]
    struct Data {
        #[serde(default)]
        result: Option<Value>,
        #[serde(default)]
        error: Option<Value>,
    }
    // A look at the start spares reading each answer once more: an error is
    // short.
    if body.len() > 65_536 {
        return None;
    }
    let body = std::str::from_utf8(body).ok()?;
    let Data { result, error } = json::read::<Body>(body).ok()?.data;
    let error = match result {
        Some(Value::Object(mut result)) => result.remove("error"),
        _ => error,
    }?;
    let text = |key: &str| {
        let text = error.get(key).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    match &error {
        Value::Object(_) if error.get("class").is_some() || error.get("desc").is_some() => {
            Some((text("class"), text("desc")))
        }
        Value::String(text) => Some((String::new(), text.clone())),
        _ => None,
    }
}

/// Whether a body is a JSON object that says that the call failed, as
/// `/api2/extjs` and some proxies answer it with status 200.
pub(super) fn failed_status(body: &[u8]) -> Option<u16> {
    #[derive(DeserializeFields)]
    struct Body {
        success: Num<u8>,
        #[serde(default)]
        status: Option<Num<u16>>,
        #[serde(default, rename = "data")]
        _data: IgnoredAny,
    }
    // A look at the start spares reading each answer once more: a list is no failure.
    if body.len() >= 65_536 || body.starts_with(b"{\"data\":[") {
        return None;
    }
    let body = std::str::from_utf8(body)
        .ok()
        .filter(|body| body.trim_start().starts_with('{') && body.contains("\"success\""))?;
    let body: Body = json::read(body).ok()?;
    if body.success.0 != 0 {
        return None;
    }
    Some(body.status.map_or(500, |status| status.0))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    /// What was read of an answer.
    #[derive(Debug)]
    struct Decoded<T> {
        data: T,
        total: Option<u64>,
        losses: Losses,
    }

    /// Reads the body of an answer. A type without a value, such as `()`, reads
    /// from any data, and from an empty body.
    fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<Decoded<T>, Unreadable> {
        let mut data = None;
        let (total, losses) = read_body(body, size_of::<T>() == 0, &mut into(&mut data))?;
        let data = data.ok_or(Unreadable::NoData)?;
        Ok(Decoded {
            data,
            total,
            losses,
        })
    }

    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[derive(Debug, DeserializeFields, PartialEq)]
    struct Thing {
        id: u32,
        #[serde(default)]
        name: String,
        #[serde(default)]
        size: Option<Num<u64>>,
        #[serde(default)]
        parts: Vec<Part>,
    }

    #[derive(Debug, DeserializeFields, PartialEq)]
    struct Part {
        key: String,
        #[serde(default)]
        count: Option<Num<u32>>,
    }

    fn read<T: DeserializeOwned>(data: &Value) -> Decoded<T> {
        decode(json!({ "data": data }).to_string().as_bytes()).unwrap()
    }

    fn fail<T: DeserializeOwned + std::fmt::Debug>(body: &str) -> Unreadable {
        decode::<T>(body.as_bytes()).unwrap_err()
    }

    #[test]
    fn null_data_is_an_answer_where_none_is_needed() {
        assert!(
            decode::<Option<Vec<u8>>>(br#"{"data":null}"#)
                .unwrap()
                .data
                .is_none()
        );
        for body in [r#"{"data":null}"#, "", r#"{"data":"UPID:x"}"#, "{}"] {
            assert!(decode::<()>(body.as_bytes()).is_ok(), "{body}");
        }
        for body in [r#"{"data":null}"#, "", " \n", "{}"] {
            assert_eq!(fail::<Vec<u8>>(body), Unreadable::NoData, "{body:?}");
        }
    }

    #[test]
    fn totals_come_in_any_dress() {
        for (total, read) in [
            ("7", Some(7)),
            ("\"7\"", Some(7)),
            ("null", None),
            ("-1", None),
        ] {
            let body = format!(r#"{{"data":[1],"total":{total}}}"#);
            assert_eq!(decode::<Vec<u8>>(body.as_bytes()).unwrap().total, read);
        }
    }

    #[test]
    fn an_odd_field_is_left_out() {
        let read = read::<Vec<Thing>>(&json!([
            {"id": 1, "name": null, "size": -5},
            {"id": "2", "name": 17, "size": 1e40},
            {"id": 3.0, "name": "c", "size": "12"},
        ]));
        let ids: Vec<_> = read.data.iter().map(|thing| thing.id).collect();
        assert_eq!(ids, [1, 2, 3]);
        assert_eq!(read.data[1].name, "17");
        assert_eq!(read.data[2].size, Some(Num(12)));
        assert_eq!(read.losses.entries, 0);
        assert_eq!(read.losses.fields, BTreeSet::from(["size".to_owned()]));
    }

    #[test]
    fn an_entry_that_cannot_be_read_is_counted() {
        let read = read::<Vec<Thing>>(&json!([
            {"id": 1}, {"name": "lost"}, "hush", {"id": -4}, null, {"id": 9}
        ]));
        assert_eq!(read.data.len(), 2);
        assert_eq!(read.losses.entries, 4);
        assert_eq!(read.losses.example.as_deref(), Some("[1]: id is missing"));
    }

    #[test]
    fn lists_within_are_read_entry_by_entry() {
        let parts = json!([{"key": "a", "count": "x"}, {"count": 2}, {"key": "b", "count": 3}]);
        let read_one = read::<Thing>(&json!({"id": 1, "parts": parts}));
        assert_eq!(read_one.data.parts.len(), 2);
        assert_eq!(read_one.losses.entries, 1);
        let read_all = read::<Vec<Thing>>(&json!([{"id": 1, "parts": parts}, {"id": 2}]));
        assert_eq!(read_all.data[0], read_one.data);
        assert_eq!(read_all.losses.entries, 1);
        assert_eq!(read_all.losses.fields, BTreeSet::from(["count".to_owned()]));
    }

    #[test]
    fn an_object_keeps_what_can_be_read() {
        let read = read::<BTreeMap<String, u8>>(&json!({"a": 1, "b": null, "c": [], "d": "4"}));
        assert_eq!(read.data.len(), 2);
        assert_eq!(read.losses.fields, BTreeSet::from(["c".to_owned()]));
    }

    #[test]
    fn what_is_wrong_is_told_without_the_value() {
        assert_eq!(
            fail::<Thing>(r#"{"data":{"id":"hush"}}"#),
            Unreadable::Shape("id: a text, expected a whole number".into())
        );
        assert_eq!(
            fail::<Vec<Thing>>(r#"{"data":"hush, expected u32 hush"}"#),
            Unreadable::Shape("data: a text, expected a list".into())
        );
        assert_eq!(
            fail::<Thing>("<!doctype html><title>Sign in</title>"),
            Unreadable::NotApi("a web page".into())
        );
        assert_eq!(
            fail::<Thing>("[]"),
            Unreadable::NotApi("JSON of another kind".into())
        );
        assert_eq!(
            fail::<Thing>("hush"),
            Unreadable::NotApi("text that is not JSON".into())
        );
        assert_eq!(
            fail::<Thing>(r#"{"data":"#),
            Unreadable::Broken("cut short".into())
        );
        assert_eq!(
            fail::<Thing>(r#"{"data":hush}"#),
            Unreadable::Broken("not JSON at line 1 column 9".into())
        );
    }

    #[test]
    fn what_is_not_quite_json_is_read() {
        let body = br#"{"data":[{"id":1,"size":nan},{"id":2,"size":1e999},{"id":3,"size":5}]}"#;
        let read = decode::<Vec<Thing>>(body).unwrap();
        assert_eq!(read.data.len(), 3);
        assert_eq!(read.data[2].size, Some(Num(5)));
        assert!(read.losses.is_empty());
    }

    #[test]
    fn odd_bytes_do_not_hide_the_rest() {
        let read = decode::<Vec<Thing>>(b"{\"data\":[{\"id\":1,\"name\":\"caf\xe9\"}]}").unwrap();
        assert_eq!(read.data[0].name, "caf\u{fffd}");
    }

    #[test]
    fn a_long_list_of_odd_entries_takes_linear_work() {
        let looks = std::cell::Cell::new(0);
        let work = |entries: usize| {
            looks.set(0);
            let parts = vec![json!({"key": 1, "count": {}}); entries];
            let data = json!({"id": 1, "parts": parts}).to_string();
            let mut check = |json: &str| {
                looks.set(looks.get() + json.len());
                json::read::<Thing>(json).err().map(Wrong::from)
            };
            let wrong = check(&data).unwrap();
            salvage(&data, wrong, &mut check).unwrap();
            looks.get()
        };
        assert!(work(4000) < 5 * work(1000));
    }

    #[test]
    fn failures_in_a_200_are_seen() {
        assert_eq!(
            failed_status(br#"{"success":0,"status":403,"data":null}"#),
            Some(403)
        );
        assert_eq!(failed_status(br#"{"success":1,"data":[]}"#), None);
        assert_eq!(failed_status(br#"{"data":{"success":0}}"#), None);
    }

    #[test]
    fn an_agents_error_is_seen() {
        let class = |body: &[u8]| agent_error(body).map(|(class, _)| class);
        assert_eq!(
            class(br#"{"data":{"result":{"error":{"class":"CommandNotFound","desc":"x"}}}}"#),
            Some("CommandNotFound".into())
        );
        for fine in [
            &br#"{"data":{"result":[{"name":"lo"}]}}"#[..],
            br#"{"data":{"result":{"hostname":"web"}}}"#,
            br#"{"data":{"pid":7}}"#,
            br#"{"data":{"result":{"error":null}}}"#,
        ] {
            assert_eq!(class(fine), None);
        }
    }

    proptest! {
        #[test]
        fn any_body_is_safe(body in any::<Vec<u8>>()) {
            let _ = decode::<Vec<Thing>>(&body);
        }

        #[test]
        fn good_entries_survive_any_other(odd in prop::collection::vec("[\\[\\]{}a-z0-9:\",.-]{0,12}", 0..6)) {
            let mut entries: Vec<Value> = odd
                .iter()
                .map(|text| serde_json::from_str(text).unwrap_or_else(|_| json!(text)))
                .collect();
            entries.push(json!({"id": 77}));
            let read = read::<Vec<Thing>>(&Value::Array(entries));
            prop_assert_eq!(read.data.last().map(|thing| thing.id), Some(77));
        }
    }
}
