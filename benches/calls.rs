//! How many seconds of whole calls one core simulates in a second: the real call, turn loop and media line in virtual time,
//! with a scripted caller and providers, over all golden scripts. The simulator itself is part of the figure.

#[path = "../tests/suite/sim/mod.rs"]
#[expect(dead_code, unused_imports, reason = "the tests use the rest of the simulator")]
mod sim;

use std::fs;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sim::{Script, run};

fn scripts() -> Vec<Script> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/calls");
    let mut paths: Vec<_> = fs::read_dir(folder).expect("fixtures/calls").flatten().map(|e| e.path()).collect();
    paths.sort();
    paths.retain(|p| p.extension().is_some_and(|e| e == "call"));
    paths.iter().map(|p| Script::parse(&fs::read_to_string(p).expect("a script"))).collect()
}

fn calls(c: &mut Criterion) {
    let scripts = scripts();
    let seconds: u64 = scripts.iter().map(|s| run(s).ended_ms).sum::<u64>() / 1_000;
    let mut group = c.benchmark_group("simulated call-seconds");
    group.sample_size(10).throughput(Throughput::Elements(seconds));
    let name = format!("{} scripts, {seconds} s", scripts.len());
    group.bench_function(name, |b| b.iter(|| scripts.iter().map(|s| run(s).finishes).sum::<u32>()));
    group.finish();
}

criterion_group!(benches, calls);
criterion_main!(benches);
