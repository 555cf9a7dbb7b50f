//! Words for people and models.

use std::time::{Duration, UNIX_EPOCH};

use crate::order::Ordered as _;

/// The last second of the year 9999. A later time is a mistake.
pub(crate) const LAST_SECOND: u64 = 253_402_300_799;

/// Whether an address is not a URL because its host has characters that are not
/// ASCII, for which the component has no tables.
pub(crate) fn lacks_ascii_host(address: &str, error: url::ParseError) -> bool {
    let rest = address.split_once(':').map_or("", |(_, rest)| rest);
    let authority = rest
        .trim_start_matches(['/', '\\'])
        .split(['/', '\\', '?', '#'])
        .next();
    let host = authority.and_then(|authority| authority.rsplit('@').next());
    error == url::ParseError::IdnaError && !host.is_none_or(str::is_ascii)
}

/// Seconds since 1970 as `2026-11-22T15:28:00Z`.
pub(crate) fn time(seconds: u64) -> String {
    // Far beyond the year 9999 humantime cannot write, and
    // such a time is a mistake.
    let seconds = seconds.min(LAST_SECOND);
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds)).to_string()
}

/// `3h 12m`: the two largest units of a duration.
pub(crate) fn duration(seconds: u64) -> String {
    humantime::format_duration(Duration::from_secs(seconds))
        .to_string()
        .split(' ')
        .take(2)
        .collect::<Vec<_>>()
        .join(" ")
}

/// `1.5 GiB`.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in UNITS {
        unit = next;
        if value < 1024.0 {
            break;
        }
        if next != "PiB" {
            value /= 1024.0;
        }
    }
    if value.fract() < 0.05 || unit == "B" {
        format!("{value:.0} {unit}")
    } else {
        format!("{value:.1} {unit}")
    }
}

/// A share in percent, to one decimal; 0 of nothing is 0.
pub(crate) fn percent(part: f64, whole: f64) -> f64 {
    if whole <= 0.0 {
        return 0.0;
    }
    round(part / whole * 100.0, 1)
}

/// A number to some decimals.
pub(crate) fn round(value: f64, decimals: i32) -> f64 {
    let scale = 10f64.powi(decimals);
    (value * scale).round() / scale
}

/// `1 guest`, `2 guests`.
pub(crate) fn count(number: usize, what: &str) -> String {
    if number == 1 {
        format!("1 {what}")
    } else {
        format!("{number} {what}s")
    }
}

/// A text of at most so many characters.
pub(crate) fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(most.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// The same of the beginning and the end of a text, which says most at its end.
pub(crate) fn cut_middle(text: &str, most: usize) -> String {
    let chars = text.chars().count();
    if chars <= most {
        return text.to_owned();
    }
    let kept = most.saturating_sub(1);
    let end = kept / 2;
    let mut cut: String = text.chars().take(kept - end).collect();
    cut.push('…');
    cut.extend(text.chars().skip(chars - end));
    cut
}

/// A text that somebody wrote, trimmed and [`cut`]. None of a blank one.
pub(crate) fn short(text: &str, most: usize) -> Option<String> {
    Some(cut(text.trim(), most)).filter(|text| !text.is_empty())
}

/// Names in a message: as many as fit, and how many there are beyond them.
pub(crate) fn names<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    const MOST: usize = 20;
    let all: Vec<&str> = names.into_iter().collect();
    let mut shown: Vec<String> = all.iter().take(MOST).map(|name| cut(name, 80)).collect();
    if all.len() > MOST {
        shown.push(format!("and {} more", all.len() - MOST));
    }
    shown.join(", ")
}

/// Names in a message, sorted, each once; see [`names`].
pub(crate) fn distinct<'a>(all: impl IntoIterator<Item = &'a str>) -> String {
    names(all.into_iter().ordered::<std::collections::BTreeSet<_>>())
}

/// How much of a refused text a message quotes.
const QUOTED_LENGTH: usize = 60;

/// A refused text in quotes, shortened.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(cut(text, QUOTED_LENGTH)).to_string()
}

/// The candidate that a wrong name most likely means: the one that differs in
/// case only, or else the nearest by edits, up to one edit and a quarter of its
/// letters.
pub(crate) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let lower = name.to_lowercase();
    candidates
        .into_iter()
        .filter_map(|candidate| Some((distance(name, &lower, candidate)?, candidate)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How far a name is from a candidate; absent where it is too far.
#[inline(never)]
fn distance(name: &str, lower: &str, candidate: &str) -> Option<usize> {
    let distance = match candidate.to_lowercase() == lower {
        true => 0,
        false => strsim::damerau_levenshtein(name, candidate),
    };
    (distance <= 1 + candidate.len() / 4).then_some(distance)
}

/// What a message about a wrong name adds: `, pve1 is probably meant`, or nothing
/// where no candidate is near.
pub(crate) fn meant<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, candidates).map_or_else(String::new, |near| probably(name, near))
}

/// `, pve1 is probably meant`, and why where only the case differs.
pub(crate) fn probably(name: &str, near: &str) -> String {
    let why = match near.to_lowercase() == name.to_lowercase() {
        true => " (case matters)",
        false => "",
    };
    format!(", {near} is probably meant{why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(2_147_483_648), "2 GiB");
        assert_eq!(bytes(1_610_612_736), "1.5 GiB");
        assert_eq!(time(1_795_338_154), "2026-11-22T09:02:34Z");
        assert_eq!(duration(11_530), "3h 12m");
        assert_eq!(percent(1.0, 3.0), 33.3);
        assert_eq!(percent(1.0, 0.0), 0.0);
    }

    #[test]
    fn nearest_name() {
        assert_eq!(
            nearest("list_guest", ["list_guests", "get_guest"]),
            Some("list_guests")
        );
        assert_eq!(nearest("delete_guest", ["list_nodes"]), None);
        assert_eq!(nearest("PROD", ["prod2", "prod"]), Some("prod"));
        assert_eq!(
            meant("PROD", ["prod"]),
            ", prod is probably meant (case matters)"
        );
        assert_eq!(meant("prdo", ["prod"]), ", prod is probably meant");
        assert_eq!(meant("x", ["prod"]), "");
    }

    #[test]
    fn names_are_counted_where_they_are_many() {
        let all: Vec<String> = (0..30).map(|number| format!("n{number}")).collect();
        let said = names(all.iter().map(String::as_str));
        assert!(
            said.starts_with("n0, n1, ") && said.ends_with("n19, and 10 more"),
            "{said}"
        );
    }
}
