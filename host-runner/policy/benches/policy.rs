//! What the policy adds to a call: reading a request, deciding about it, and
//! filtering the response by a scope.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark ends with what does not fit"
)]

use std::collections::BTreeSet;
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use host_runner_policy::{
    ApiRequest, DeclaredCalls, Directory, Listing, Policy, Preset, read_directory,
};

const LIST: &str = "/api2/json/cluster/resources?type=vm";
const CONFIG: &str = "/api2/json/nodes/pve1/qemu/1004/config";
const FORM: &str = "application/x-www-form-urlencoded";
const CHANGE: &[u8] = b"cores=2&memory=4096&description=Web+server&digest=\
                        0123456789abcdef0123456789abcdef01234567";

/// A response that lists so many guests, of which every tenth is in a pool.
fn resources(guests: u32) -> Vec<u8> {
    let guests: Vec<String> = (0..guests)
        .map(|guest| {
            let pool = if guest % 10 == 0 { r#","pool":"lab""# } else { "" };
            format!(
                r#"{{"id":"qemu/{vmid}","vmid":{vmid},"type":"qemu","node":"pve1","status":"running",
                    "name":"vm-{guest:05}","tags":"prod;web","template":0,"cpu":0.03,"maxcpu":2,
                    "mem":1015030619,"maxmem":2147483648,"maxdisk":33554432,"uptime":18000{pool}}}"#,
                vmid = 1000 + guest,
            )
        })
        .collect();
    format!(r#"{{"data":[{}]}}"#, guests.join(",")).into_bytes()
}

fn requests(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("request");
    group.bench_function("parse a read", |bencher| {
        bencher.iter(|| ApiRequest::parse("GET", black_box(LIST), None, b""));
    });
    group.bench_function("parse a change", |bencher| {
        bencher.iter(|| ApiRequest::parse("PUT", CONFIG, Some(FORM), black_box(CHANGE)));
    });
    group.bench_function("is it declared", |bencher| {
        let calls = [
            "GET /cluster/resources",
            "GET /nodes",
            "GET /nodes/{node}/qemu/{vmid}/config",
            "GET /nodes/{node}/lxc/{vmid}/config",
        ];
        let calls = calls.map(str::to_owned);
        let declared = DeclaredCalls::new(&calls);
        let request = ApiRequest::parse("GET", CONFIG, None, b"").unwrap();
        bencher.iter(|| declared.cover(black_box(&request)));
    });
    group.finish();
}

fn verdicts(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("verdict");
    let read = ApiRequest::parse("GET", LIST, None, b"").unwrap();
    let change = ApiRequest::parse("PUT", CONFIG, Some(FORM), CHANGE).unwrap();
    let operate = Policy::preset(Preset::Operate);
    let admin = Policy::preset(Preset::Admin);
    assert!(operate.decide(Ok(&read), &Directory::new()).allowed);
    group.bench_function("read", |bencher| {
        bencher.iter(|| operate.decide(Ok(black_box(&read)), &Directory::new()));
    });
    assert!(admin.decide(Ok(&change), &Directory::new()).allowed);
    group.bench_function("change", |bencher| {
        bencher.iter(|| admin.decide(Ok(black_box(&change)), &Directory::new()));
    });
    let directory = read_directory(&resources(1_000)).unwrap();
    let mut scoped = admin;
    scoped.scope.vmids = vec![1000..=1999];
    scoped.scope.nodes = BTreeSet::from(["pve1".to_owned()]);
    assert!(scoped.decide(Ok(&change), &directory).allowed);
    group.bench_function("change within a scope", |bencher| {
        bencher.iter(|| scoped.decide(Ok(black_box(&change)), &directory));
    });
    group.finish();
}

fn responses(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("response");
    let answer = resources(1_000);
    group.bench_function("directory of 1,000 guests", |bencher| {
        bencher.iter(|| read_directory(black_box(&answer)));
    });
    let directory = read_directory(&answer).unwrap();
    let mut policy = Policy::preset(Preset::Observe);
    policy.scope.pools = BTreeSet::from(["lab".to_owned()]);
    let shown = policy.scope.filter(Listing::Resources, &answer, &directory);
    assert!(shown.is_some_and(|shown| shown.len() < answer.len()));
    group.bench_function("filter a list of 1,000 guests", |bencher| {
        bencher.iter(|| {
            let answer = black_box(&answer);
            policy.scope.filter(Listing::Resources, answer, &directory)
        });
    });
    group.finish();
}

criterion_group!(benches, requests, verdicts, responses);
criterion_main!(benches);
