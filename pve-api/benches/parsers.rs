//! Parsers of values in responses and arguments.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use pve_api::{Upid, owner_of, size, tags};

const UPID: &str = "UPID:pve1:000A1B2C:01234567:6926F0A0:qmclone:104:mcp@pve!tools:";

fn parsers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parsers");
    group.bench_function("upid", |bencher| {
        bencher.iter(|| black_box(UPID).parse::<Upid>());
    });
    group.bench_function("size", |bencher| {
        bencher.iter(|| size::bytes(black_box("1.5 TiB")));
    });
    group.bench_function("size of a disk", |bencher| {
        bencher.iter(|| size::parse(black_box("32G")));
    });
    group.bench_function("owner of a volume", |bencher| {
        bencher.iter(|| owner_of(black_box("local-zfs:vm-104-disk-0")));
    });
    group.bench_function("tags", |bencher| {
        bencher.iter(|| tags(black_box("prod;web;team-a")).count());
    });
    group.finish();
}

criterion_group!(benches, parsers);
criterion_main!(benches);
