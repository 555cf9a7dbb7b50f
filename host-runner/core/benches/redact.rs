//! The masking of secrets in what is logged or shown.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::json;

#[expect(
    dead_code,
    unused_imports,
    reason = "a private module, of which this uses a part"
)]
#[path = "../src/redact/mod.rs"]
mod redact;

fn masking(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("redact");
    group.bench_function("arguments of get_guest", |bencher| {
        let arguments = json!({ "vmid": 104 });
        let schema = json!({
            "type": "object",
            "properties": { "vmid": { "type": "integer", "minimum": 100 } },
            "required": ["vmid"],
        });
        bencher.iter(|| redact::arguments(black_box(&arguments), black_box(&schema)));
    });
    group.bench_function("arguments with a secret", |bencher| {
        let arguments = json!({
            "vmid": 104,
            "user": "admin",
            "password": "a password that the schema marks",
            "ssh_keys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 admin@example.com"],
        });
        let schema = json!({
            "type": "object",
            "properties": {
                "vmid": { "type": "integer" },
                "user": { "type": "string" },
                "password": { "type": "string", "writeOnly": true },
                "ssh_keys": { "type": "array", "items": { "type": "string" } },
            },
        });
        bencher.iter(|| redact::arguments(black_box(&arguments), black_box(&schema)));
    });
    group.bench_function("parameters of a request", |bencher| {
        let params = [
            ("name", "web-01"),
            ("cipassword", "secret"),
            ("net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0"),
            ("description", "owner: team-a"),
        ];
        let params = params.map(|(name, value)| (name.to_owned(), value.to_owned()));
        bencher.iter(|| redact::params(black_box(&params)));
    });
    group.bench_function("a kilobyte of text", |bencher| {
        let line = "vzdump 104 --storage backup: user=admin@pve, see https://pve.example.com/log ";
        let text = line.repeat(14);
        bencher.iter(|| redact::text(black_box(&text)));
    });
    group.finish();
}

criterion_group!(benches, masking);
criterion_main!(benches);
