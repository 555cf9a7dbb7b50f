//! Tests of the whole policy: requests in, verdicts and filtered responses out.

mod effects;
mod firewall;
mod lists;
mod rules;
mod scope;
mod verdicts;

use super::*;

fn request(method: &str, target: &str, body: &str) -> Result<ApiRequest, Malformed> {
    let form = "application/x-www-form-urlencoded";
    let content_type = (!body.is_empty()).then_some(form);
    ApiRequest::parse(method, target, content_type, body.as_bytes())
}

fn decide(policy: &Policy, method: &str, path: &str, body: &str) -> Verdict {
    let target = format!("/api2/json{path}");
    policy.decide(request(method, &target, body).as_ref(), &directory())
}

fn directory() -> Directory {
    let resident = |node: &str, pool: Option<&str>, tags: &[&str]| Resident {
        name: None,
        node: node.into(),
        pool: pool.map(str::to_owned),
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        is_under_ha: false,
    };
    Directory::from([
        (100, resident("pve1", Some("prod"), &["web"])),
        (
            101,
            Resident {
                is_under_ha: true,
                ..resident("pve1", None, &[])
            },
        ),
        (200, resident("pve2", Some("lab"), &["web", "db"])),
    ])
}

fn scoped(change: impl FnOnce(&mut Scope)) -> Policy {
    let mut policy = Policy::preset(Preset::Admin);
    change(&mut policy.scope);
    policy
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}
