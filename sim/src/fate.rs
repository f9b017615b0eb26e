//! What befalls a machine and its network: crashes, faults of the disk, bad connections, and stops that were asked for.

use std::io::ErrorKind;
use std::time::Duration;

use ottla_net::Weather;
use ottla_rt::{Rt, Stalls};
use ottla_storage::disk::Operation;

use crate::dice::Dice;
use crate::machine::{Crash, Machine};

/// Disk operations until a doomed process ends. A start takes some hundred.
const DOOM_OPERATIONS_MAX: u64 = 300;

/// Troubles a machine for so long.
pub async fn trouble(machine: &mut Machine<'_>, rt: &Rt, dice: &Dice, duration: Duration) {
    let until_ms = rt.now().mono_ms + duration.as_millis() as i64;
    while rt.now().mono_ms < until_ms {
        if dice.one_in(3) {
            change_weather(machine, dice);
        }
        if !machine.is_up() {
            begin_again(machine, rt, dice).await;
            continue;
        }
        machine.wait(ms(dice, 100..=2500)).await;
        if !machine.is_up() {
            continue;
        }
        match dice.within(0..=10) {
            0 | 1 => machine.crash(how(dice)).await,
            2 | 3 => {
                machine.doom(dice.within(1..=DOOM_OPERATIONS_MAX), how(dice));
                machine.wait(ms(dice, 500..=3000)).await;
            }
            4 => {
                if dice.one_in(3) {
                    machine.doom(dice.within(1..=DOOM_OPERATIONS_MAX), how(dice));
                }
                machine.stop().await;
            }
            5 | 6 => fail(machine, dice).await,
            7 => {
                let free = dice.within(0..=2000);
                machine.history.tell(format!("== {free} bytes are free"));
                machine.set_free_bytes(Some(free));
                machine.wait(ms(dice, 200..=3000)).await;
                machine.set_free_bytes(None);
            }
            8 => fail_once(machine, dice),
            9 => fail_syncs(machine, dice).await,
            _ => {
                machine.history.tell("== the disk stalls");
                machine.set_stalls(Stalls { per_mille: dice.within(50..=500), ms_max: dice.within(50..=3000) });
                machine.wait(ms(dice, 200..=3000)).await;
                machine.set_stalls(Stalls::default());
            }
        }
    }
}

/// Ends all trouble and sees to it that the broker runs.
pub async fn heal(machine: &mut Machine<'_>) {
    machine.history.tell("== no more trouble");
    machine.network.set_weather(Weather { delay_ms_max: 2, splits_per_mille: 100, ..Weather::default() });
    machine.calm_disk();
    if machine.is_doomed() {
        machine.crash(Crash::Kill).await;
    }
    if machine.lacks_a_directory() {
        machine.stop().await;
    }
    while !machine.is_up() {
        machine.start_well().await;
    }
}

/// Starts a broker that is down, perhaps not for long.
async fn begin_again(machine: &mut Machine<'_>, rt: &Rt, dice: &Dice) {
    rt.sleep(ms(dice, 1..=1000)).await;
    if dice.one_in(4) {
        machine.doom(dice.within(1..=DOOM_OPERATIONS_MAX), how(dice));
    }
    if dice.one_in(8) {
        machine.history.tell("== the disk fails now and then");
        machine.set_odds(dice.within(1..=30));
    }
    machine.start().await;
    machine.set_odds(0);
}

/// Some of all operations fail, for a while.
async fn fail(machine: &mut Machine<'_>, dice: &Dice) {
    let per_mille = dice.pick(&[5, 50, 500]);
    machine.history.tell(format!("== {per_mille} of 1000 disk operations fail"));
    machine.set_odds(per_mille);
    machine.wait(ms(dice, 50..=2000)).await;
    machine.set_odds(0);
}

/// One operation fails, whenever it comes.
fn fail_once(machine: &Machine<'_>, dice: &Dice) {
    let operation = dice.pick(&[
        Operation::Open,
        Operation::Read,
        Operation::Write,
        Operation::SetSize,
        Operation::Sync,
        Operation::Sync,
        Operation::Names,
    ]);
    let path = dice.pick(&[
        ".log",
        ".log",
        ".index",
        "checkpoint",
        "cluster_metadata",
        "consumer_offsets",
        "consumer_offsets",
        "",
    ]);
    machine.history.tell(format!("== the next {operation:?} of *{path}* fails"));
    machine.disk.fail_next(operation, path, ErrorKind::Other);
}

/// No sync of some logs succeeds, for a while.
async fn fail_syncs(machine: &mut Machine<'_>, dice: &Dice) {
    let path = dice.pick(&["-0/", "-1/", "s.synced-0/", "cluster_metadata", "consumer_offsets", ""]);
    machine.history.tell(format!("== syncs of *{path}* fail"));
    machine.disk.fail_all(Operation::Sync, path, ErrorKind::Other);
    machine.wait(ms(dice, 100..=5000)).await;
    if dice.one_in(3) {
        machine.stop().await;
    }
    machine.disk.mend();
}

fn change_weather(machine: &Machine<'_>, dice: &Dice) {
    let calm = Weather { delay_ms_max: dice.within(0..=5), splits_per_mille: 100, ..Weather::default() };
    let weather = match dice.within(0..=3) {
        0 => calm,
        1 => Weather { delay_ms_max: dice.within(0..=400), ..calm },
        2 => Weather { cuts_per_mille: dice.within(1..=60), ..calm },
        _ => Weather { cuts_per_mille: 5, losses_per_mille: dice.within(1..=20), splits_per_mille: 500, ..calm },
    };
    machine.history.tell(format!("== {weather:?}"));
    machine.network.set_weather(weather);
}

fn how(dice: &Dice) -> Crash {
    if dice.one_in(3) { Crash::PowerLoss } else { Crash::Kill }
}

fn ms(dice: &Dice, range: std::ops::RangeInclusive<u64>) -> Duration {
    Duration::from_millis(dice.within(range))
}
