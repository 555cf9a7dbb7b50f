//! `list_pools`: resource pools and their members.

use std::collections::BTreeMap;

use pve_api::calls;
use schemars::JsonSchema;

use crate::error::{Error, Result};
use crate::json::{DeserializeFields, SerializeFields};
use crate::order;
use crate::pve::{At, Guest, Listed, Params, Pve, Text, Vmid, guests};
use crate::text;
use crate::tool::declared::Calls;
use crate::tool::{Offset, Page, Part, Reply, Run};

/// Pools.
#[derive(Debug, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListPools {
    /// Only this pool, with its guests.
    #[schemars(length(min = 1))]
    pool: Option<String>,
    /// Default 100.
    #[schemars(range(min = 1, max = 500))]
    limit: Option<u32>,
    /// Pools to skip; with pool, its guests.
    offset: Option<Offset>,
}

const DEFAULT_LIMIT: u32 = 100;

#[derive(Debug, SerializeFields, JsonSchema)]
pub(crate) struct PoolList {
    pools: Vec<Pool>,
    /// Also those that are not shown.
    total: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(Debug, SerializeFields, JsonSchema)]
struct Pool {
    /// Nested ones have a slash: `lab/web`.
    pool: String,
    guest_count: usize,
    running_count: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    guests: Option<Vec<Member>>,
}

#[derive(Debug, PartialEq, SerializeFields, JsonSchema)]
struct Member {
    vmid: Vmid,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    node: String,
    status: String,
}

#[derive(Debug, DeserializeFields)]
struct RawPool {
    poolid: Text,
    comment: Option<String>,
}

const COMMENT_LENGTH: usize = 200;

impl Run for ListPools {
    type Output = PoolList;

    const CALLS: &'static [Calls] = &[
        Calls::One(&calls::access::POOLS),
        Calls::One(&calls::cluster::RESOURCES),
    ];

    const OTHER_NAMES: &'static [(&'static str, &'static str)] = &[("poolid", "pool")];

    fn run(self, pve: &Pve) -> Result<Reply<PoolList>> {
        let request = calls::access::POOLS.at([]);
        let page = Page::new(self.offset, self.limit, DEFAULT_LIMIT);
        let mut notes = Vec::new();
        let found: Vec<RawPool> = pve.send(&request, &Params::new())?;
        let mut members: BTreeMap<String, Vec<Guest>> = BTreeMap::new();
        let guests = guests(pve)?;
        // Otherwise 0 guests would be taken for a fact.
        if guests.is_empty() && !found.is_empty() {
            notes.push(format!("guests: {}", pve.empty_hint(Listed::GuestsOfPools)));
        }
        for guest in guests {
            if let Some(pool) = guest.pool.clone() {
                members.entry(pool).or_default().push(guest);
            }
        }
        let wanted = match &self.pool {
            Some(name) => Some(find(pve, &found, name)?),
            None => None,
        };
        let mut part = None;
        let mut pools: Vec<Pool> = found
            .into_iter()
            .filter(|raw| wanted.as_ref().is_none_or(|name| *name == raw.poolid.0))
            .map(|raw| {
                let guests = members.remove(&raw.poolid.0).unwrap_or_default();
                let shown = wanted.is_some().then_some(page);
                let (pool, guests) = Pool::new(raw, guests, shown);
                part = guests.or(part.take());
                pool
            })
            .collect();
        order::by(&mut pools, |a, b| a.pool.cmp(&b.pool));
        let total = pools.len();
        if total == 0 {
            notes.push(pve.empty_hint(Listed::Pools));
        }
        let part = part.unwrap_or_else(|| page.cut(&mut pools, "/pools", "pool"));
        notes.extend(part.note());
        let text = match pools.as_slice() {
            [only] => format!(
                "pool {}: {}, {} running",
                only.pool,
                text::count(only.guest_count, "guest"),
                only.running_count
            ),
            _ => text::count(total, "pool"),
        };
        let list = PoolList {
            pools,
            total,
            hint: (!notes.is_empty()).then(|| notes.join("; ")),
        };
        Ok(Reply::Listed(list, text, part))
    }
}

/// The name of a pool that exists.
fn find(pve: &Pve, all: &[RawPool], name: &str) -> Result<String> {
    let names = || all.iter().map(|pool| pool.poolid.0.as_str());
    if names().any(|one| one == name) {
        return Ok(name.to_owned());
    }
    let known = if all.is_empty() {
        pve.empty_hint(Listed::Pools)
    } else {
        format!("the pools are: {}", text::names(names()))
    };
    Err(Error::NotFound(format!(
        "there is no pool {}{}; {known}",
        text::quoted(name),
        text::meant(name, names())
    )))
}

impl Pool {
    /// A pool with the number of its guests, and the part of them that is to be shown.
    fn new(raw: RawPool, guests: Vec<Guest>, shown: Option<Page>) -> (Self, Option<Part>) {
        let mut pool = Self {
            pool: raw.poolid.0,
            guest_count: guests.len(),
            running_count: guests.iter().filter(|guest| guest.is_running()).count(),
            comment: raw
                .comment
                .and_then(|comment| text::short(&comment, COMMENT_LENGTH)),
            guests: None,
        };
        let part = shown.map(|page| {
            let mut members: Vec<Member> = guests.into_iter().map(Member::from).collect();
            let part = page.cut(&mut members, "/pools/0/guests", "");
            pool.guests = Some(members);
            part
        });
        (pool, part)
    }
}

impl From<Guest> for Member {
    fn from(guest: Guest) -> Self {
        Self {
            vmid: guest.vmid,
            status: if guest.status.is_empty() {
                "unknown".to_owned()
            } else {
                guest.status
            },
            name: guest.name,
            node: guest.node,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn members_of_a_pool() {
        let raw = || -> RawPool {
            serde_json::from_value(json!({"poolid": "lab/web", "comment": "web servers\n"}))
                .unwrap()
        };
        let guests: Vec<Guest> = serde_json::from_value(json!([
            {"type": "lxc", "vmid": 100, "node": "beta", "status": "running"},
            {"type": "qemu", "vmid": 101, "node": "alpha", "name": "b"},
        ]))
        .unwrap();
        let page = Page::new(None, Some(1), 100);
        let (pool, part) = Pool::new(raw(), guests.clone(), Some(page));
        assert_eq!((pool.guest_count, pool.running_count), (2, 1));
        assert_eq!(pool.guests.unwrap()[0].vmid.get(), 100);
        assert_eq!(
            part.unwrap().note().unwrap(),
            "guests 1-1 of 2 are shown: for the next, set offset to 1"
        );
        assert_eq!(pool.comment.as_deref(), Some("web servers"));
        assert_eq!(Pool::new(raw(), guests, None).0.guests, None);
    }
}
