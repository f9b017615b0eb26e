//! Two hundred worlds.

use std::ops::Range;

use ottla_sim::{Trace, run};

fn check(seeds: Range<u64>) {
    let mut failed = Vec::new();
    for seed in seeds {
        failed.extend(run(seed, &Trace::none()).iter().map(|violation| format!("seed {seed}: {violation}")));
    }
    assert!(failed.is_empty(), "`cargo xtask sim SEED` tells the story of a seed\n{}", failed.join("\n"));
}

// Four tests, so that they run on several cores.

#[test]
fn seeds_0_to_49() {
    check(0..50);
}

#[test]
fn seeds_50_to_99() {
    check(50..100);
}

#[test]
fn seeds_100_to_149() {
    check(100..150);
}

#[test]
fn seeds_150_to_199() {
    check(150..200);
}
