//! Typed parameters: a small language to declare them, and the checks that
//! answer in the real API's words.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, OnceLock, PoisonError};

use regex::Regex;
use serde_json::{Value, json};

use crate::formats::{Format, Props};

/// A value as it came in, before it is typed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Arg {
    /// A key without a value (`a` or `a=` in a form, `null` in JSON): Perl's `undef`.
    Undef,
    One(String),
    Many(Vec<String>),
    Bool(bool),
    /// A JSON object, which no parameter takes.
    Hash,
}

impl Arg {
    /// As `--log` writes it.
    pub(crate) fn to_json(&self) -> Value {
        match self {
            Arg::Undef => json!(""),
            Arg::One(text) => json!(text),
            Arg::Many(list) => json!(list),
            Arg::Bool(flag) => json!(flag),
            Arg::Hash => json!({}),
        }
    }
}

/// The parameters of one request, by name.
pub(crate) type Args = BTreeMap<String, Arg>;

/// What went wrong, by parameter.
pub(crate) type Errors = BTreeMap<String, String>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    Bool,
    Int,
    Number,
    Text,
    /// A list of strings; a single value is taken as a list of one.
    Array,
}

/// What a value must look like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    pub(crate) ty: Type,
    pub(crate) min: Option<i64>,
    pub(crate) max: Option<i64>,
    pub(crate) min_len: Option<usize>,
    pub(crate) max_len: Option<usize>,
    choices: &'static [&'static str],
    numbered: &'static [&'static Numbered],
    pub(crate) pattern: Option<&'static str>,
    pub(crate) format: Option<Format>,
}

/// Names, each with the number of its slots: `scsi0` to `scsi30`.
pub(crate) type Numbered = [(&'static str, u32)];

pub(crate) const BOOL: Kind = Kind::of(Type::Bool);
pub(crate) const INT: Kind = Kind::of(Type::Int);
pub(crate) const NUMBER: Kind = Kind::of(Type::Number);
pub(crate) const TEXT: Kind = Kind::of(Type::Text);
pub(crate) const ARRAY: Kind = Kind::of(Type::Array);

impl Kind {
    const fn of(ty: Type) -> Kind {
        Kind {
            ty,
            min: None,
            max: None,
            min_len: None,
            max_len: None,
            choices: &[],
            numbered: &[],
            pattern: None,
            format: None,
        }
    }

    pub(crate) const fn min(mut self, min: i64) -> Kind {
        self.min = Some(min);
        self
    }

    pub(crate) const fn max(mut self, max: i64) -> Kind {
        self.max = Some(max);
        self
    }

    pub(crate) const fn min_len(mut self, length: usize) -> Kind {
        self.min_len = Some(length);
        self
    }

    pub(crate) const fn max_len(mut self, length: usize) -> Kind {
        self.max_len = Some(length);
        self
    }

    pub(crate) const fn choices(mut self, choices: &'static [&'static str]) -> Kind {
        self.choices = choices;
        self
    }

    /// More choices, in order.
    pub(crate) const fn numbered(mut self, names: &'static [&'static Numbered]) -> Kind {
        self.numbered = names;
        self
    }

    /// What a text may be; empty if it is not one of a list.
    pub(crate) fn all_choices(&self) -> Vec<Cow<'static, str>> {
        let named = self.choices.iter().map(|name| Cow::Borrowed(*name));
        let numbered = self
            .numbered
            .iter()
            .copied()
            .flatten()
            .flat_map(|(name, count)| (0..*count).map(move |number| format!("{name}{number}")));
        named.chain(numbered.map(Cow::Owned)).collect()
    }

    pub(crate) const fn pattern(mut self, pattern: &'static str) -> Kind {
        self.pattern = Some(pattern);
        self
    }

    pub(crate) const fn format(mut self, format: Format) -> Kind {
        self.format = Some(format);
        self
    }

    pub(crate) const fn props(self, props: &'static Props) -> Kind {
        self.format(Format::Props(props))
    }
}

/// One declared parameter.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Param {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) optional: bool,
    /// `net[n]`: how many there are (`net0` to `net31`).
    pub(crate) count: Option<u32>,
    /// Another parameter that must come with this one.
    pub(crate) requires: Option<&'static str>,
    /// Only `root@pam` itself, without a token, may send it.
    pub(crate) root_only: bool,
}

/// The name of the parameter that a segment of an endpoint's path stands for.
pub(crate) fn placeholder(segment: &str) -> Option<&str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

/// A parameter that must be given.
pub(crate) const fn req(name: &'static str, kind: Kind) -> Param {
    Param {
        name,
        kind,
        optional: false,
        count: None,
        requires: None,
        root_only: false,
    }
}

/// A parameter that may be given.
pub(crate) const fn opt(name: &'static str, kind: Kind) -> Param {
    Param {
        optional: true,
        ..req(name, kind)
    }
}

/// A numbered family: `many("net", 32, NET)` declares `net0` to `net31`.
pub(crate) const fn many(name: &'static str, count: u32, kind: Kind) -> Param {
    Param {
        count: Some(count),
        ..opt(name, kind)
    }
}

impl Param {
    pub(crate) const fn requires(mut self, other: &'static str) -> Param {
        self.requires = Some(other);
        self
    }

    pub(crate) const fn root_only(mut self) -> Param {
        self.root_only = true;
        self
    }

    /// Whether `name` is this parameter (or one of this numbered family).
    pub(crate) fn matches(&self, name: &str) -> bool {
        let Some(count) = self.count else {
            return self.name == name;
        };
        let Some(digits) = name.strip_prefix(self.name) else {
            return false;
        };
        let canonical = digits == "0" || !digits.starts_with('0');
        canonical
            && digits.bytes().all(|b| b.is_ascii_digit())
            && digits.parse().is_ok_and(|n: u32| n < count)
    }
}

/// Checks every value against its declaration.
pub(crate) fn check<'a>(args: &Args, declared: impl Iterator<Item = &'a Param> + Clone) -> Errors {
    let mut errors = Errors::new();
    check_object(args, declared.clone(), "", &mut errors);
    if !errors.is_empty() {
        return errors;
    }
    for param in declared.filter(|param| param.root_only && args.contains_key(param.name)) {
        add(
            &mut errors,
            param.name.to_owned(),
            "Only root may use this option.",
        );
    }
    errors
}

/// Checks the fields of a request or of a property string; `path` prefixes their names.
pub(crate) fn check_object<'a>(
    args: &Args,
    declared: impl Iterator<Item = &'a Param> + Clone,
    path: &str,
    errors: &mut Errors,
) {
    let full = |name: &str| {
        if path.is_empty() {
            name.to_owned()
        } else {
            format!("{path}.{name}")
        }
    };
    for param in declared.clone() {
        if param.count.is_none()
            && !param.optional
            && matches!(args.get(param.name), None | Some(Arg::Undef))
        {
            add(
                errors,
                full(param.name),
                "property is missing and it is not optional",
            );
        }
    }
    for (name, value) in args {
        let Some(param) = declared.clone().find(|param| param.matches(name)) else {
            add(
                errors,
                full(name),
                "property is not defined in schema and the schema does not allow additional properties",
            );
            continue;
        };
        if *value == Arg::Undef {
            continue;
        }
        check_value(&full(name), value, &param.kind, errors);
        if let Some(other) = param.requires
            && matches!(args.get(other), None | Some(Arg::Undef))
        {
            add(
                errors,
                full(other),
                &format!("missing property required by '{}'", full(name)),
            );
        }
    }
}

fn check_value(path: &str, value: &Arg, kind: &Kind, errors: &mut Errors) {
    let text = match (kind.ty, value) {
        (Type::Bool, Arg::Bool(_)) => return,
        (Type::Array, Arg::Many(list)) => {
            let item = Kind {
                ty: Type::Text,
                ..*kind
            };
            for (index, text) in list.iter().enumerate() {
                check_text(&format!("{path}[{index}]"), text, &item, errors);
            }
            return;
        }
        (Type::Array, Arg::One(text)) => {
            let item = Kind {
                ty: Type::Text,
                ..*kind
            };
            return check_text(&format!("{path}[0]"), text, &item, errors);
        }
        (Type::Array, _) => return add(errors, path.to_owned(), "type check ('array') failed"),
        (_, Arg::One(text)) => text,
        (_, other) => {
            let got = match other {
                Arg::Many(_) => "ARRAY",
                Arg::Bool(_) => "JSON::PP::Boolean",
                _ => "HASH",
            };
            return add(
                errors,
                path.to_owned(),
                &format!("type check ('{}') failed - got {got}", type_name(kind.ty)),
            );
        }
    };
    check_text(path, text, kind, errors);
}

fn check_text(path: &str, text: &str, kind: &Kind, errors: &mut Errors) {
    let of_type = match kind.ty {
        Type::Bool => matches!(text, "0" | "1"),
        Type::Int => is_integer(text),
        Type::Number => is_number(text),
        Type::Text | Type::Array => true,
    };
    let mut wrong = |message: &str| add(errors, path.to_owned(), message);
    if !of_type {
        return wrong(&format!(
            "type check ('{}') failed - got '{text}'",
            type_name(kind.ty)
        ));
    }
    if let Some(format) = &kind.format
        && let Err(message) = format.check(text, path)
    {
        return wrong(&format!("invalid format - {message}"));
    }
    if let Some(pattern) = kind.pattern
        && !matches_whole(pattern, text)
    {
        return wrong("value does not match the regex pattern");
    }
    let length = text.chars().count();
    if let Some(max) = kind.max_len
        && length > max
    {
        return wrong(&format!("value may only be {max} characters long"));
    }
    if let Some(min) = kind.min_len
        && length < min
    {
        return wrong(&format!("value must be at least {min} characters long"));
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "bounds in the schema are far below 2^53"
    )]
    if let Some(number) = Some(text)
        .filter(|text| is_number(text))
        .and_then(|text| text.parse::<f64>().ok())
    {
        if let Some(max) = kind.max
            && number > max as f64
        {
            return wrong(&format!("value must have a maximum value of {max}"));
        }
        if let Some(min) = kind.min
            && number < min as f64
        {
            return wrong(&format!("value must have a minimum value of {min}"));
        }
    }
    let choices = kind.all_choices();
    if !choices.is_empty() && !choices.iter().any(|choice| choice == text) {
        wrong(&format!(
            "value '{text}' does not have a value in the enumeration '{}'",
            choices.join(", ")
        ));
    }
}

fn type_name(ty: Type) -> &'static str {
    match ty {
        Type::Bool => "boolean",
        Type::Int => "integer",
        Type::Number => "number",
        Type::Text => "string",
        Type::Array => "array",
    }
}

fn add(errors: &mut Errors, path: String, message: &str) {
    errors
        .entry(path)
        .and_modify(|old| {
            // A literal backslash and n, as the real one joins them.
            old.push_str("\\n");
            old.push_str(message);
        })
        .or_insert_with(|| message.to_owned());
}

fn is_integer(text: &str) -> bool {
    matches_whole("[+-]?[0-9]+", text)
}

fn is_number(text: &str) -> bool {
    matches_whole(
        r"[+-]?([0-9]+\.[0-9]+|[0-9]+\.|\.[0-9]+|[0-9]+)([eE][+-]?[0-9]+)?",
        text,
    )
}

/// Whether `pattern` matches all of `text`; compiled patterns are kept.
pub(crate) fn matches_whole(pattern: &'static str, text: &str) -> bool {
    static COMPILED: OnceLock<Mutex<HashMap<&'static str, Option<Regex>>>> = OnceLock::new();
    let mut compiled = COMPILED
        .get_or_init(Mutex::default)
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    compiled
        .entry(pattern)
        .or_insert_with(|| Regex::new(&format!("^(?:{pattern})$")).ok())
        .as_ref()
        .is_some_and(|regex| regex.is_match(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::{MEMORY, SNAPSHOT_NAME, VMID};

    const DECLARED: &[Param] = &[
        req("vmid", VMID),
        opt("cores", INT.min(1)),
        opt("memory", TEXT.props(&MEMORY)),
        opt("full", BOOL),
        opt("type", TEXT.choices(&["vm", "node"])),
        opt("snapname", SNAPSHOT_NAME),
        opt("checksum", TEXT).requires("checksum-algorithm"),
        opt("checksum-algorithm", TEXT.choices(&["md5", "sha256"])),
        many("net", 32, TEXT),
        opt("command", ARRAY),
    ];

    fn errors(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let args: Args = pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), Arg::One((*v).to_owned())))
            .collect();
        check(&args, DECLARED.iter()).into_iter().collect()
    }

    fn one(key: &str, message: &str) -> Vec<(String, String)> {
        vec![(key.to_owned(), message.to_owned())]
    }

    #[test]
    fn wording_is_that_of_the_real_api() {
        assert_eq!(
            errors(&[]),
            one("vmid", "property is missing and it is not optional")
        );
        assert_eq!(
            errors(&[("vmid", "abc")]),
            one("vmid", "type check ('integer') failed - got 'abc'")
        );
        assert_eq!(
            errors(&[("vmid", "5")]),
            one(
                "vmid",
                "invalid format - value does not look like a valid VM ID\n"
            )
        );
        assert_eq!(
            errors(&[("vmid", "100"), ("foo", "1")]),
            one(
                "foo",
                "property is not defined in schema and the schema does not allow additional properties"
            )
        );
        assert_eq!(
            errors(&[("vmid", "100"), ("memory", "-5")]),
            one(
                "memory",
                "invalid format - format error\nmemory.current: value must have a minimum value of 16\n"
            )
        );
        assert_eq!(
            errors(&[("vmid", "100"), ("full", "true")]),
            one("full", "type check ('boolean') failed - got 'true'")
        );
        assert_eq!(
            errors(&[("vmid", "100"), ("type", "bogus")]),
            one(
                "type",
                "value 'bogus' does not have a value in the enumeration 'vm, node'"
            )
        );
        assert_eq!(
            errors(&[("vmid", "100"), ("snapname", "1bad")]),
            one(
                "snapname",
                "invalid format - invalid configuration ID '1bad'\n"
            )
        );
        assert_eq!(
            errors(&[("vmid", "100"), ("checksum", "00")]),
            one(
                "checksum-algorithm",
                "missing property required by 'checksum'"
            )
        );
        assert_eq!(
            errors(&[("vmid", "100"), ("cores", "0")]),
            one("cores", "value must have a minimum value of 1")
        );
    }

    #[test]
    fn numbered_families_have_bounds() {
        assert_eq!(
            errors(&[("vmid", "100"), ("net31", "x"), ("net0", "x")]),
            []
        );
        assert_eq!(errors(&[("vmid", "100"), ("net32", "x")]).len(), 1);
        assert_eq!(errors(&[("vmid", "100"), ("net01", "x")]).len(), 1);
    }

    #[test]
    fn lists_and_references_are_told_apart() {
        let args = |value: Arg| -> Args {
            [
                ("vmid".to_owned(), Arg::One("100".into())),
                ("command".to_owned(), value),
            ]
            .into()
        };
        assert!(
            check(
                &args(Arg::Many(vec!["a".into(), "b".into()])),
                DECLARED.iter()
            )
            .is_empty()
        );
        assert!(check(&args(Arg::One("a".into())), DECLARED.iter()).is_empty());
        let many: Args = [(
            "vmid".to_owned(),
            Arg::Many(vec!["100".into(), "101".into()]),
        )]
        .into();
        assert_eq!(
            check(&many, DECLARED.iter())
                .get("vmid")
                .map(String::as_str),
            Some("type check ('integer') failed - got ARRAY")
        );
    }
}
