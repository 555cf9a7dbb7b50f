//! Property strings and forms of the component, compiled natively.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};

#[expect(
    dead_code,
    unused_imports,
    reason = "a private module of the component, of which this uses a part"
)]
#[path = "../src/pve/params.rs"]
mod params;
#[expect(
    dead_code,
    unused_imports,
    reason = "a private module of the component, of which this uses a part"
)]
#[path = "../src/pve/property.rs"]
mod property;

use params::Params;
use property::Properties;

const DISK: &str = "local-zfs:vm-104-disk-0,cache=writeback,discard=on,iothread=1,size=32G,ssd=1";
const NIC: &str = "virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1,tag=20";

fn encoders(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encoders");
    group.bench_function("property string of a disk", |bencher| {
        bencher.iter(|| Properties::parse(black_box(DISK)));
    });
    group.bench_function("a key of a property string", |bencher| {
        let properties = Properties::parse(NIC);
        bencher.iter(|| properties.get(black_box("tag")).map(str::len));
    });
    group.bench_function("form of a new guest", |bencher| {
        let form = Params::new()
            .set("vmid", 104)
            .set("name", "web-01")
            .set("cores", 2)
            .set("memory", 4096)
            .set("scsi0", DISK)
            .set("net0", NIC)
            .set(
                "description",
                "Web server: owner = team-a; see https://wiki.example.com/web?x=1",
            )
            .flag("onboot", true);
        bencher.iter(|| black_box(&form).encode());
    });
    group.finish();
}

criterion_group!(benches, encoders);
criterion_main!(benches);
