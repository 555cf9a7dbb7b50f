//! Named formats and property strings (`virtio=AA:BB:…,bridge=vmbr0`), with
//! the real API's wording of what is wrong.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::params::{
    Arg, Args, Errors, INT, Kind, Param, TEXT, Type, check_object, matches_whole, req,
};

/// How the text of a value is checked beyond its type.
#[derive(Clone, Copy)]
pub(crate) enum Format {
    /// A named check of the whole value.
    Named(&'static str, Check),
    /// The same check for each element of a list.
    List(&'static str, Check),
    /// A comma-separated list of `key=value`.
    Props(&'static Props),
    /// The same, under a registered name.
    NamedProps(&'static str, &'static Props),
}

pub(crate) type Check = fn(&str) -> Result<(), String>;

/// A property string's declaration.
#[derive(Debug)]
pub(crate) struct Props {
    pub(crate) params: &'static [Param],
    /// The key that a value without a key belongs to.
    pub(crate) default_key: Option<&'static str>,
    pub(crate) aliases: &'static [Alias],
}

/// `alias` is another name of `key`; with `named_in`, the alias itself becomes
/// the value of that key (`virtio=MAC` means `model=virtio,macaddr=MAC`).
#[derive(Debug)]
pub(crate) struct Alias {
    pub(crate) alias: &'static str,
    pub(crate) key: &'static str,
    pub(crate) named_in: Option<&'static str>,
}

pub(crate) const fn alias(alias: &'static str, key: &'static str) -> Alias {
    Alias {
        alias,
        key,
        named_in: None,
    }
}

impl fmt::Debug for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl Format {
    /// The name that the API's schema gives it; empty for an unnamed property string.
    pub(crate) fn name(&self) -> String {
        match self {
            Format::Named(name, _) | Format::NamedProps(name, _) => (*name).to_owned(),
            Format::List(name, _) => format!("{name}-list"),
            Format::Props(_) => String::new(),
        }
    }

    pub(crate) fn check(&self, text: &str, path: &str) -> Result<(), String> {
        match self {
            Format::Named(_, check) => check(text),
            Format::List(_, check) => split_list(text).try_for_each(check),
            Format::Props(props) | Format::NamedProps(_, props) => {
                props.parse(text, path).map(drop)
            }
        }
    }
}

impl Props {
    /// The fields of a property string, checked.
    pub(crate) fn parse(&self, text: &str, path: &str) -> Result<Args, String> {
        let mut fields = Args::new();
        let mut default_used = false;
        for part in text.split(',').filter(|part| !part.trim().is_empty()) {
            match part.split_once('=') {
                Some((key, value)) if !key.is_empty() && !value.is_empty() => {
                    if fields.contains_key(key) {
                        return Err(format!(
                            "duplicate key in comma-separated list property: {key}\n"
                        ));
                    }
                    self.put(&mut fields, key, value)?;
                }
                Some(_) => return Err("missing key in comma-separated list property\n".into()),
                None => {
                    let Some(key) = self.default_key else {
                        return Err(
                            "value without key, but schema does not define a default key\n".into(),
                        );
                    };
                    if default_used || fields.contains_key(key) {
                        return Err(format!(
                            "duplicate key in comma-separated list property: {key}\n"
                        ));
                    }
                    default_used = true;
                    self.put(&mut fields, key, part)?;
                }
            }
        }
        let mut errors = Errors::new();
        check_object(&fields, self.params.iter(), path, &mut errors);
        if errors.is_empty() {
            return Ok(fields);
        }
        let lines: String = errors
            .iter()
            .map(|(key, message)| format!("{key}: {message}\n"))
            .collect();
        Err(format!("format error\n{lines}"))
    }

    fn put(&self, fields: &mut Args, key: &str, value: &str) -> Result<(), String> {
        let mut key = key;
        if let Some(alias) = self.aliases.iter().find(|alias| alias.alias == key) {
            if let Some(named_in) = alias.named_in {
                if fields.contains_key(named_in) {
                    return Err(format!("key alias '{named_in}' is already defined\n"));
                }
                fields.insert(named_in.to_owned(), Arg::One(key.to_owned()));
            }
            key = alias.key;
        }
        let Some(param) = self.params.iter().find(|param| param.name == key) else {
            return Err(format!(
                "invalid key in comma-separated list property: {key}\n"
            ));
        };
        let value = match (param.kind.ty, value.to_ascii_lowercase().as_str()) {
            (Type::Bool, "1" | "on" | "yes" | "true") => "1",
            (Type::Bool, "0" | "off" | "no" | "false") => "0",
            _ => value,
        };
        fields.insert(key.to_owned(), Arg::One(value.to_owned()));
        Ok(())
    }
}

/// Splits as PVE's lists are split: on commas, semicolons, NULs and white space.
pub(crate) fn split_list(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c == ',' || c == ';' || c == '\0' || c.is_whitespace())
        .filter(|part| !part.is_empty())
}

/// A property string's fields in order, unchecked: for reading what is stored.
pub(crate) fn fields(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split(',')
        .filter(|part| !part.is_empty())
        .map(|part| part.split_once('=').unwrap_or(("", part)))
}

/// One field of a stored property string; `""` is the value without a key.
pub(crate) fn field<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    fields(text)
        .find(|(name, _)| *name == key)
        .map(|(_, value)| value)
}

fn pattern(
    pattern: &'static str,
    text: &str,
    wrong: impl FnOnce() -> String,
) -> Result<(), String> {
    if matches_whole(pattern, text) {
        Ok(())
    } else {
        Err(wrong())
    }
}

pub(crate) fn check_configid(text: &str) -> Result<(), String> {
    pattern("[a-zA-Z][a-zA-Z0-9_-]+", text, || {
        format!("invalid configuration ID '{text}'\n")
    })
}

fn check_vmid(text: &str) -> Result<(), String> {
    pattern("[1-9][0-9]{2,8}", text, || {
        "value does not look like a valid VM ID\n".into()
    })
}

pub(crate) fn check_node(text: &str) -> Result<(), String> {
    pattern("[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?", text, || {
        "value does not look like a valid node name\n".into()
    })
}

pub(crate) fn check_storage(text: &str) -> Result<(), String> {
    pattern("[a-zA-Z][a-zA-Z0-9._-]*[a-zA-Z0-9]", text, || {
        format!("storage ID '{text}' contains illegal characters\n")
    })
}

fn check_urlencoded(text: &str) -> Result<(), String> {
    pattern("[-%a-zA-Z0-9_.!~*'()]*", text, || {
        format!("invalid urlencoded string: {text}\n")
    })
}

fn check_tag(text: &str) -> Result<(), String> {
    pattern("[a-zA-Z0-9_][a-zA-Z0-9_+.-]*", text, || {
        "invalid characters in tag\n".into()
    })
}

pub(crate) fn check_dns_name(text: &str) -> Result<(), String> {
    pattern(
        "([a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?\\.)*[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?",
        text,
        || "value does not look like a valid DNS name\n".into(),
    )
}

fn check_pool(text: &str) -> Result<(), String> {
    pattern("[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+){0,2}", text, || {
        format!("pool name '{text}' contains invalid characters\n")
    })
}

pub(crate) fn check_ip(text: &str) -> Result<(), String> {
    if text.parse::<Ipv4Addr>().is_ok() || text.parse::<Ipv6Addr>().is_ok() {
        return Ok(());
    }
    Err("value does not look like a valid IP address\n".into())
}

pub(crate) fn is_cidr4(text: &str) -> bool {
    text.split_once('/').is_some_and(|(ip, bits)| {
        ip.parse::<Ipv4Addr>().is_ok()
            && bits.parse().is_ok_and(|bits: u8| (8..=32).contains(&bits))
    })
}

pub(crate) fn is_cidr6(text: &str) -> bool {
    text.split_once('/').is_some_and(|(ip, bits)| {
        ip.parse::<Ipv6Addr>().is_ok()
            && bits.parse().is_ok_and(|bits: u8| (8..=128).contains(&bits))
    })
}

fn check_task_status(text: &str) -> Result<(), String> {
    pattern(
        "(ok|error|warning|unknown)",
        &text.to_ascii_lowercase(),
        || format!("invalid status '{text}'\n"),
    )
}

const CONTENT: [&str; 8] = [
    "images", "rootdir", "vztmpl", "iso", "backup", "snippets", "import", "none",
];

fn check_content(text: &str) -> Result<(), String> {
    if CONTENT.contains(&text) {
        Ok(())
    } else {
        Err(format!("invalid content type '{text}'\n"))
    }
}

pub(crate) const VMID: Kind = INT
    .min(100)
    .max(999_999_999)
    .format(Format::Named("pve-vmid", check_vmid));
pub(crate) const NODE: Kind = TEXT.format(Format::Named("pve-node", check_node));
pub(crate) const STORAGE: Kind = TEXT.format(Format::Named("pve-storage-id", check_storage));
pub(crate) const SNAPSHOT_NAME: Kind = TEXT
    .max_len(40)
    .format(Format::Named("pve-configid", check_configid));
pub(crate) const CONFIG_IDS: Kind = TEXT.format(Format::List("pve-configid", check_configid));
pub(crate) const URLENCODED: Kind = TEXT.format(Format::Named("urlencoded", check_urlencoded));
pub(crate) const TAGS: Kind = TEXT.format(Format::List("pve-tag", check_tag));
pub(crate) const DNS_NAME: Kind = TEXT.format(Format::Named("dns-name", check_dns_name));
pub(crate) const POOL: Kind = TEXT.format(Format::Named("pve-poolid", check_pool));
pub(crate) const CONTENT_KIND: Kind =
    TEXT.format(Format::Named("pve-storage-content", check_content));
pub(crate) const CONTENT_KINDS: Kind =
    TEXT.format(Format::List("pve-storage-content", check_content));
pub(crate) const TASK_STATUSES: Kind =
    TEXT.format(Format::List("pve-task-status-type", check_task_status));
pub(crate) const DIGEST: Kind = TEXT.max_len(40);

pub(crate) static MEMORY: Props = Props {
    params: &[req("current", INT.min(16))],
    default_key: Some("current"),
    aliases: &[],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn property_strings_say_what_is_wrong() {
        assert_eq!(
            MEMORY.parse("2048", "memory").map(|fields| fields.len()),
            Ok(1)
        );
        assert_eq!(
            MEMORY.parse("2048,foo=1", "memory"),
            Err("invalid key in comma-separated list property: foo\n".into())
        );
        assert_eq!(
            MEMORY.parse("current=1,current=2", "memory"),
            Err("duplicate key in comma-separated list property: current\n".into())
        );
    }

    #[test]
    fn lists_are_split_as_pve_does() {
        assert_eq!(
            split_list("a;b,c d").collect::<Vec<_>>(),
            ["a", "b", "c", "d"]
        );
        assert!(TAGS.format.is_some_and(
            |f| f.check("a b;c!", "tags") == Err("invalid characters in tag\n".into())
        ));
    }
}
