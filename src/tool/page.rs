//! Lists that are shown in parts: `offset` and `limit`, and how many entries fit into
//! one result.
//!
//! A tool cuts its longest list with [`Page`]. If the result is still longer than the
//! host allows, [`Part::fit`] leaves out further entries, so that the next call
//! continues where this one ends.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::room::Room;

/// Entries to skip.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct Offset(pub(crate) u32);

/// The part of a list that a call asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Page {
    pub(crate) offset: usize,
    pub(crate) limit: usize,
}

/// The part of a list that a result shows.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    /// A JSON pointer to the list in the result.
    list: &'static str,
    /// The arguments that narrow the list: "node or type". Empty if there are none.
    narrow: &'static str,
    /// What the entries are, unless they are called as their list is.
    noun: Option<&'static str>,
    offset: usize,
    shown: usize,
    total: usize,
    /// There may be more than `total`.
    is_partial: bool,
    order: Order,
}

/// Which entry of the list is the last one of the part.
#[derive(Debug, Clone)]
enum Order {
    /// The last one of the list.
    Last,
    /// The first one: the list shows the newest entries, oldest first.
    First,
    /// The positions in the list, in the order of paging.
    Ranked(Vec<usize>),
    /// The entries are in a field of the list's objects: the position of the object of
    /// each, in the order of paging.
    Nested(&'static str, Vec<usize>),
    /// The last line of a part that begins at `log_start`, or the first one: the result
    /// shows the end of a log.
    Lines { is_end: bool },
}

/// What the notes of a part need at most, in bytes.
const NOTE_BYTES: usize = 400;

impl Page {
    /// The part that the arguments ask for.
    pub(crate) fn new(offset: Option<Offset>, limit: Option<u32>, default: u32) -> Self {
        Self {
            offset: offset.unwrap_or_default().0 as usize,
            limit: limit.unwrap_or(default) as usize,
        }
    }

    /// How many entries are needed from the start of the list.
    pub(crate) fn end(self) -> usize {
        self.offset.saturating_add(self.limit)
    }

    /// Keeps this part of a list, which the result shows at `list`.
    pub(crate) fn cut<T>(self, all: &mut Vec<T>, list: &'static str, narrow: &'static str) -> Part {
        let part = self.part(all.len(), list, narrow);
        // A drain would be compiled for every type.
        for at in 0..part.shown {
            all.swap(at, part.offset + at);
        }
        all.truncate(part.shown);
        part
    }

    /// The same of a list of so many entries, of which this part is already cut.
    pub(crate) fn part(self, total: usize, list: &'static str, narrow: &'static str) -> Part {
        Part {
            list,
            narrow,
            noun: None,
            offset: self.offset,
            shown: total.min(self.end()).saturating_sub(self.offset),
            total,
            is_partial: false,
            order: Order::Last,
        }
    }
}

impl Part {
    /// Lines of a log from `log_start` on, or its last ones.
    pub(crate) fn lines(log_start: usize, shown: usize, total: usize, is_end: bool) -> Self {
        Self {
            list: "/log",
            noun: None,
            narrow: "",
            offset: log_start,
            shown,
            total,
            is_partial: false,
            order: Order::Lines { is_end },
        }
    }

    /// A JSON pointer to the list in the result.
    pub(super) fn list(&self) -> &'static str {
        self.list
    }

    /// The total is only a lower bound.
    pub(crate) fn partial(mut self, is_partial: bool) -> Self {
        self.is_partial = is_partial;
        self
    }

    /// Names the entries in notes, where the list's name does not say what they are.
    pub(crate) fn named(mut self, noun: &'static str) -> Self {
        self.noun = Some(noun);
        self
    }

    /// The part is counted from the end of the list, and shown in the list's order.
    pub(crate) fn counted_back(mut self) -> Self {
        self.order = Order::First;
        self
    }

    /// The entries are shown in another order than that of paging: the positions in the
    /// shown list, in the order of paging.
    pub(crate) fn ranked(mut self, positions: Vec<usize>) -> Self {
        self.order = Order::Ranked(positions);
        self
    }

    /// The entries are in this field of the list's objects: the position of the object
    /// of each, in the order of paging.
    pub(crate) fn nested(mut self, field: &'static str, objects: Vec<usize>) -> Self {
        self.order = Order::Nested(field, objects);
        self
    }

    /// How many entries there are in all, as far as is known.
    pub(crate) fn total(&self) -> usize {
        self.total
    }

    /// Says what is not shown, and how to see it. None if all of the list is shown from
    /// its start.
    pub(crate) fn note(&self) -> Option<String> {
        self.worded(false)
    }

    fn worded(&self, is_full: bool) -> Option<String> {
        let (offset, total) = (self.offset, self.total);
        if let Order::Lines { is_end } = self.order {
            return (self.shown < total).then(|| self.worded_lines(is_full, is_end));
        }
        let at_least = if self.is_partial { "at least " } else { "" };
        if self.shown == 0 {
            let is_beyond = offset > 0 && offset >= total;
            return is_beyond.then(|| {
                format!(
                    "nothing is left at offset {offset}: there are {at_least}{total} {}",
                    self.entries()
                )
            });
        }
        let next = offset + self.shown;
        if next >= total {
            return None;
        }
        let from_the_end = match self.order {
            Order::First => ", counted from the end,",
            _ => "",
        };
        let full = if is_full {
            ", as many as fit into one result"
        } else {
            ""
        };
        let narrow = match self.narrow {
            "" => String::new(),
            narrow => format!(", or narrow by {narrow}"),
        };
        Some(format!(
            "{} {}-{next} of {at_least}{total}{from_the_end} are shown{full}: for the next, set \
             offset to {next}{narrow}",
            self.entries(),
            offset + 1
        ))
    }

    fn worded_lines(&self, is_full: bool, is_end: bool) -> String {
        let more = match (is_full, is_end) {
            (false, _) => ": raise log_lines, or page by log_start".to_owned(),
            (true, true) => ", the last that fit into one result: for earlier ones, set a lower \
                             log_start"
                .to_owned(),
            (true, false) => format!(
                ", as many as fit into one result: for the next, set log_start to {}",
                self.offset + self.shown
            ),
        };
        format!("{} of {} log lines are shown{more}", self.shown, self.total)
    }

    /// What the entries are.
    fn entries(&self) -> &'static str {
        match (self.noun, &self.order) {
            (Some(noun), _) => noun,
            (None, Order::Nested(field, _)) => field,
            _ => self.list.rsplit('/').next().unwrap_or_default(),
        }
    }

    /// Leaves out entries until the result fits, but for one, and says so in `hint`.
    /// Returns whether the result is another one.
    pub(super) fn fit(mut self, result: &mut Value, room: Room) -> bool {
        let before = self.note();
        let hint = result.get("hint").and_then(Value::as_str);
        let is_noted = before
            .as_deref()
            .is_none_or(|note| hint.is_some_and(|hint| hint.contains(note)));
        if is_noted && room.excess(result, 0) == 0 {
            return false;
        }
        let all = self.shown;
        loop {
            let excess = room.excess(result, NOTE_BYTES);
            if excess == 0 || self.shown <= 1 {
                break;
            }
            // Half of what seems to be needed at a time: entries differ in length.
            self.leave_out(result, (room.share(self.shown, excess) / 2).max(1));
        }
        let is_cut = self.shown < all;
        if let Order::Lines { is_end: true } = self.order
            && let Some(log_start) = result.get_mut("log_start")
        {
            *log_start = (self.offset + all - self.shown).into();
        }
        if (is_cut || !is_noted)
            && let Some(after) = self.worded(is_cut)
        {
            replace_note(result, before.as_deref(), &after);
        }
        is_cut || !is_noted
    }

    /// Leaves out so many entries at the end of the part.
    fn leave_out(&mut self, result: &mut Value, entries: usize) {
        self.shown = self.shown.saturating_sub(entries);
        let most = self.shown;
        let Some(Value::Array(all)) = result.pointer_mut(self.list) else {
            return;
        };
        match &mut self.order {
            Order::Last | Order::Lines { is_end: false } => all.truncate(most),
            Order::First | Order::Lines { is_end: true } => {
                drop(all.drain(..all.len().saturating_sub(most)))
            }
            Order::Ranked(positions) => {
                positions.truncate(most);
                keep_at(all, positions, |_| {});
            }
            Order::Nested(field, objects) => {
                objects.truncate(most);
                let counted = objects.clone();
                let mut at = 0..;
                keep_at(all, objects, |object| {
                    let own = at.next();
                    if let Some(Value::Array(inner)) = object.get_mut(*field) {
                        inner.truncate(counted.iter().filter(|of| Some(**of) == own).count());
                    }
                });
            }
        }
    }
}

/// Keeps the entries at these positions, which then are those in what is left. Each entry
/// is looked at before.
fn keep_at(all: &mut Vec<Value>, positions: &mut [usize], mut look: impl FnMut(&mut Value)) {
    let mut left: Vec<Option<usize>> = Vec::new();
    let mut kept = 0;
    all.retain_mut(|entry| {
        look(entry);
        let is_kept = positions.contains(&left.len());
        left.push(is_kept.then_some(kept));
        kept += usize::from(is_kept);
        is_kept
    });
    for position in positions {
        if let Some(Some(now)) = left.get(*position) {
            *position = *now;
        }
    }
}

/// Puts the note on a part in the place of another one in `hint`.
fn replace_note(result: &mut Value, before: Option<&str>, after: &str) {
    let hint = result.get("hint").and_then(Value::as_str);
    let hint = match (hint, before) {
        (Some(hint), Some(before)) if hint.contains(before) => hint.replace(before, after),
        (Some(hint), _) => format!("{after}; {hint}"),
        (None, _) => after.to_owned(),
    };
    if let Value::Object(fields) = result {
        fields.insert("hint".to_owned(), hint.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::room::Layout;
    use proptest::prelude::*;
    use serde_json::json;

    fn page(offset: u32, limit: u32) -> Page {
        Page::new(Some(Offset(offset)), Some(limit), 50)
    }

    fn cut(offset: u32, limit: u32, total: u32) -> (Vec<u32>, Option<String>) {
        let mut all: Vec<u32> = (0..total).collect();
        let part = page(offset, limit).cut(&mut all, "/guests", "name or tag");
        (all, part.note())
    }

    #[test]
    fn a_part_names_both_ways_to_see_more() {
        let (shown, note) = cut(2, 3, 10);
        assert_eq!(shown, [2, 3, 4]);
        assert_eq!(
            note.unwrap(),
            "guests 3-5 of 10 are shown: for the next, set offset to 5, or narrow by name or tag"
        );
        assert_eq!(cut(0, 10, 10), ((0..10).collect(), None));
        assert_eq!(cut(8, 3, 10), (vec![8, 9], None));
        assert_eq!(cut(0, 3, 0), (vec![], None));
        let lines = page(0, 2).part(9, "/lines", "").partial(true);
        assert_eq!(
            lines.counted_back().note().unwrap(),
            "lines 1-2 of at least 9, counted from the end, are shown: for the next, set offset to 2"
        );
        let unnamed = page(0, 50).part(987, "/uncovered", "");
        assert_eq!(
            unnamed.named("guests without a job").note().unwrap(),
            "guests without a job 1-50 of 987 are shown: for the next, set offset to 50"
        );
    }

    #[test]
    fn beyond_the_end_is_nothing_but_the_number() {
        for offset in [10, 11, u32::MAX] {
            let (shown, note) = cut(offset, 3, 10);
            assert_eq!(shown, Vec::<u32>::new());
            assert_eq!(
                note.unwrap(),
                format!("nothing is left at offset {offset}: there are 10 guests")
            );
        }
        assert!(cut(1, 3, 0).1.unwrap().ends_with("there are 0 guests"));
    }

    fn room(bytes: usize) -> Room {
        Room::new(bytes, Layout::Json)
    }

    #[test]
    fn what_does_not_fit_is_left_for_the_next_call() {
        let mut all: Vec<u32> = (1000..2000).collect();
        let part = page(100, 500).cut(&mut all, "/guests", "name");
        let mut result = json!({"guests": all, "hint": format!("a; {}; b", part.note().unwrap())});
        assert!(!part.clone().fit(&mut result, room(5_000)));
        assert!(part.fit(&mut result, room(1_000)));
        let shown = result["guests"].as_array().unwrap().len();
        assert!(result.to_string().len() <= 1_000 && shown > 50, "{result}");
        let next = 100 + shown;
        assert_eq!(
            result["hint"],
            format!(
                "a; guests 101-{next} of 1000 are shown, as many as fit into one result: for the \
                 next, set offset to {next}, or narrow by name; b"
            )
        );
        assert_eq!(result["guests"][0], 1100);
    }

    #[test]
    fn the_last_entries_by_the_order_of_paging_are_left_out() {
        let lines: Vec<String> = (0..100).map(|line| format!("line {line:03}")).collect();
        let mut result = json!({"lines": lines});
        let part = page(0, 100).part(100, "/lines", "").counted_back();
        assert!(part.fit(&mut result, room(900)));
        assert_eq!(
            result["lines"].as_array().unwrap().last().unwrap(),
            "line 099"
        );

        let mut result = json!({"snapshots": lines});
        let part = page(0, 100).part(100, "/snapshots", "");
        let part = part.ranked((0..100).rev().collect());
        assert!(part.fit(&mut result, room(900)));
        let snapshots = result["snapshots"].as_array().unwrap();
        assert_eq!(snapshots.last().unwrap(), "line 099");

        let backups = ["newest", "second", "third"].map(|name| name.repeat(8));
        let guest = |vmid: u32| json!({"vmid": vmid, "backups": backups});
        let mut result = json!({"guests": (0..20).map(guest).collect::<Vec<_>>()});
        let part = page(0, 60).part(60, "/guests", "vmid");
        let part = part.nested("backups", (0..60).map(|entry| entry % 20).collect());
        assert!(part.fit(&mut result, room(3_000)));
        let guests = result["guests"].as_array().unwrap();
        let count = |guest: &Value| guest["backups"].as_array().unwrap().len();
        let counts: Vec<usize> = guests.iter().map(count).collect();
        assert_eq!(guests.len(), 20);
        let is_fair = counts.is_sorted_by(|a, b| a >= b) && counts[0] <= counts[19] + 1;
        assert!(is_fair, "{counts:?}");
        let hint = result["hint"].as_str().unwrap();
        assert!(hint.starts_with("backups 1-"), "{hint}");
    }

    #[test]
    fn the_end_of_a_log_stays() {
        let lines: Vec<String> = (0..100).map(|line| format!("line {line:03}")).collect();
        let log = |start: usize, is_end| {
            let part = Part::lines(start, 100, 300, is_end);
            let mut result = json!({"log": lines, "log_start": start, "hint": part.note()});
            assert!(part.fit(&mut result, room(900)));
            result
        };
        let end = log(200, true);
        let shown = end["log"].as_array().unwrap();
        assert_eq!(shown.last().unwrap(), "line 099");
        assert_eq!(end["log_start"], 300 - shown.len());
        let hint = end["hint"].as_str().unwrap();
        assert!(
            hint.starts_with(&format!(
                "{} of 300 log lines are shown, the last",
                shown.len()
            )),
            "{hint}"
        );

        let next = log(50, false);
        let shown = next["log"].as_array().unwrap();
        assert_eq!(
            (&shown[0], &next["log_start"]),
            (&json!("line 000"), &json!(50))
        );
        let hint = next["hint"].as_str().unwrap();
        assert!(
            hint.ends_with(&format!("set log_start to {}", 50 + shown.len())),
            "{hint}"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn parts_follow_each_other(total in 0u32..300, limit in 1u32..50) {
            let (mut all, mut offset) = (Vec::new(), 0);
            loop {
                let (shown, note) = cut(offset, limit, total);
                offset += u32::try_from(shown.len()).unwrap();
                all.extend(shown);
                let Some(note) = note else {
                    break;
                };
                let next = format!("offset to {offset},");
                prop_assert!(note.contains(&next));
            }
            prop_assert_eq!(all, (0..total).collect::<Vec<_>>());
        }

        #[test]
        fn a_result_that_is_too_long_shows_what_fits(
            entries in 2usize..400,
            length in 0usize..200,
            bytes in 1_000usize..20_000,
        ) {
            let mut all = vec![json!({"text": "x".repeat(length)}); entries];
            let part = page(0, u32::MAX).cut(&mut all, "/guests", "name");
            let mut result = json!({"guests": all});
            let is_long = result.to_string().len() > bytes;
            prop_assert_eq!(part.fit(&mut result, room(bytes)), is_long);
            prop_assert!(result.to_string().len() <= bytes);
        }
    }
}
