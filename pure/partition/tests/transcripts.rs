//! Transcripts of a partition's life, one event a line: `event -> what it answers`, a refusal as Kafka's error code.
//! An Apache Kafka 4.3.1 gave these answers to `sequences`, `producer_epochs`, the clean stop of `restarts` and all of
//! `leader_epochs` in which batches were sent.
//!
//! ```text
//! open epoch=E …               a leader over an empty log, or one with end=, start=, flushed=, checkpoint=0:0,2:6;
//!                              rules are flush.messages=, replicas=, min.insync.replicas=, and stay until named again
//! send 7/0 3-5 @9 [acks=all]   a batch of producer 7, epoch 0, sequences 3 to 5, max timestamp 9; `plain 3`: no producer
//! turn … commit | abandon      the lines in between share one write; a send outside is a turn of its own
//! roll                         the log keeps a producer snapshot of its end (`snapshot N` in a turn prints that of N)
//! stop epoch=E                 roll, then open from what the files say; `crash epoch=E` without the roll, and with cut=N
//!                              of a log that reaches no farther, checkpoint= of an older checkpoint
//! ```

use std::collections::BTreeMap;
use std::fmt::Write;

use ottla_base::{LeaderEpoch, Seed};
use ottla_partition::{
    Acks, Admitted, Checkpoint, EpochEntry, EpochMismatch, Expiry, LastFetched, Leader, Moved, Opened,
    ProducerSnapshot, Recovery, Refusal, Rules, Staged,
};
use ottla_records::{Attributes, BatchHeader};

#[test]
fn sequences() {
    check("sequences", include_str!("../testdata/sequences.txt"));
}

#[test]
fn producer_epochs() {
    check("producer_epochs", include_str!("../testdata/producer_epochs.txt"));
}

#[test]
fn turns() {
    check("turns", include_str!("../testdata/turns.txt"));
}

#[test]
fn restarts() {
    check("restarts", include_str!("../testdata/restarts.txt"));
}

#[test]
fn expiry() {
    check("expiry", include_str!("../testdata/expiry.txt"));
}

#[test]
fn acks() {
    check("acks", include_str!("../testdata/acks.txt"));
}

#[test]
fn leader_epochs() {
    check("leader_epochs", include_str!("../testdata/leader_epochs.txt"));
}

fn check(name: &str, transcript: &str) {
    let mut lines = transcript
        .lines()
        .enumerate()
        .map(|(at, line)| (at + 1, line.split('#').next().unwrap_or_default().trim()))
        .filter(|(_, line)| !line.is_empty())
        .map(|(at, line)| {
            let (event, answer) = line.split_once("->").unwrap_or((line, ""));
            Line { at, event: event.trim(), answer: answer.trim() }
        });
    let mut world = World::new();
    let mut wrong = String::new();
    while let Some(line) = lines.next() {
        if line.event == "turn" {
            world.turn(&mut lines, &mut wrong);
        } else {
            line.compare(&world.event(line.event), &mut wrong);
        }
    }
    assert!(wrong.is_empty(), "testdata/{name}.txt:\n{wrong}");
}

struct Line<'a> {
    at: usize,
    event: &'a str,
    answer: &'a str,
}

impl Line<'_> {
    fn compare(&self, answer: &str, wrong: &mut String) {
        if self.answer != answer {
            writeln!(wrong, "{}: {} -> {}   (was: {answer})", self.at, self.event, self.answer).unwrap();
        }
    }
}

/// A leader, and what a log would keep of it.
struct World {
    leader: Leader,
    rules: Rules,
    log: Vec<BatchHeader>,
    snapshot: Option<ProducerSnapshot>,
}

impl World {
    fn new() -> World {
        let rules = Rules { replicas: 1, min_insync_replicas: 1, flush_messages: i64::MAX };
        let opened = Opened { start: 0, end: 0, flushed: 0 };
        let leader = Leader::new(LeaderEpoch(0), rules, opened, Recovery::new(Seed::new(1), &[], None, 0));
        World { leader, rules, log: Vec::new(), snapshot: None }
    }

    fn turn<'a>(&mut self, lines: &mut impl Iterator<Item = Line<'a>>, wrong: &mut String) {
        let epoch = self.leader.marks().leader_epoch;
        let mut staged = self.leader.stage();
        let mut written = Vec::new();
        for line in lines {
            let (event, rest) = line.event.split_once(' ').unwrap_or((line.event, ""));
            match event {
                "commit" => {
                    self.log.extend(written);
                    return line.compare(&moved(staged.commit()), wrong);
                }
                "abandon" => return drop(staged),
                "snapshot" => line.compare(&producers(&staged.producer_snapshot(rest.parse().unwrap())), wrong),
                _ => line.compare(&send(&mut staged, epoch, line.event, &mut written), wrong),
            }
        }
        panic!("a turn does not end");
    }

    fn event(&mut self, event: &str) -> String {
        let (verb, rest) = event.split_once(' ').unwrap_or((event, ""));
        let options: BTreeMap<&str, &str> = rest.split(' ').filter_map(|word| word.split_once('=')).collect();
        let number = |name| options.get(name).map(|value| value.parse::<i64>().unwrap());
        let checkpoint =
            options.get("checkpoint").map(|entries| entries.split(',').map(epoch_entry).collect::<Vec<_>>());
        let marks = self.leader.marks();
        match verb {
            "open" => {
                self.log.clear();
                self.snapshot = None;
                self.rules = Rules {
                    replicas: number("replicas").map_or(self.rules.replicas, |n| n as usize),
                    min_insync_replicas: number("min.insync.replicas")
                        .map_or(self.rules.min_insync_replicas, |n| n as usize),
                    flush_messages: number("flush.messages").unwrap_or(self.rules.flush_messages),
                };
                let (start, end) = (number("start").unwrap_or(0), number("end").unwrap_or(0));
                let opened = Opened { start, end, flushed: number("flushed").unwrap_or(0) };
                self.open(number("epoch").unwrap(), opened, &checkpoint.unwrap_or_default());
                String::new()
            }
            "stop" | "crash" => {
                if verb == "stop" {
                    self.snapshot = Some(self.leader.producer_snapshot());
                }
                let end = number("cut").unwrap_or(marks.end);
                self.log.retain(|batch| batch.next_offset() <= end);
                let opened = Opened { start: marks.start, end, flushed: end };
                let checkpoint = checkpoint.unwrap_or_else(|| self.leader.epochs().entries().to_vec());
                self.open(number("epoch").unwrap(), opened, &checkpoint);
                String::new()
            }
            "roll" => {
                self.snapshot = Some(self.leader.producer_snapshot());
                String::new()
            }
            "send" | "plain" => {
                let mut staged = self.leader.stage();
                let answer = send(&mut staged, marks.leader_epoch, event, &mut self.log);
                let _ = staged.commit();
                answer
            }
            "producers" => producers(&self.leader.producer_snapshot()),
            "expire" => {
                let (now_wall_ms, expiration_ms) = (number("now").unwrap(), number("after").unwrap());
                self.leader.expire_producers(Expiry { now_wall_ms, expiration_ms });
                String::new()
            }
            "flushed" => moved(self.leader.flushed(rest.parse().unwrap())),
            "flush_due" => self.leader.flush_due().to_string(),
            "marks" => {
                assert_eq!(marks.last_stable, marks.high_watermark);
                assert_eq!(
                    [Acks::None, Acks::Leader, Acks::All].map(|acks| marks.acked(acks)),
                    [marks.end, marks.leader_acked, marks.high_watermark]
                );
                format!("{}..{} acked {} hw {}", marks.start, marks.end, marks.leader_acked, marks.high_watermark)
            }
            "start_moved" => match self.leader.start_moved(rest.parse().unwrap()) {
                Checkpoint::Changed => "changed".to_owned(),
                Checkpoint::Same => "same".to_owned(),
            },
            "epochs" => {
                let entries = self.leader.epochs().entries().iter();
                entries.map(|entry| format!("{} {}", entry.epoch, entry.start_offset)).collect::<Vec<_>>().join(", ")
            }
            "epoch_for" => match self.leader.epochs().epoch_for(rest.parse().unwrap()) {
                Some(epoch) => epoch.to_string(),
                None => "none".to_owned(),
            },
            "end_of" => match self.leader.end_offset_for(LeaderEpoch(rest.parse().unwrap())) {
                Some(end) => format!("{} {}", end.epoch, end.end_offset),
                None => "none".to_owned(),
            },
            "fetched" => {
                let epoch = LeaderEpoch(number("epoch").unwrap() as i32);
                match self.leader.diverging(LastFetched { fetch_offset: number("offset").unwrap(), epoch }) {
                    Ok(None) => "read".to_owned(),
                    Ok(Some(end)) => format!("diverging {} {}", end.epoch, end.end_offset),
                    Err(_) => "1".to_owned(),
                }
            }
            "check_epoch" => match marks.check_epoch(LeaderEpoch(rest.parse().unwrap())) {
                Ok(()) => "0".to_owned(),
                Err(EpochMismatch::Fenced) => "74".to_owned(),
                Err(EpochMismatch::Unknown) => "75".to_owned(),
            },
            _ => panic!("no such event: {event}"),
        }
    }

    /// Opens the log as storage would: all it has is a checkpoint, a snapshot and the heads of its batches.
    fn open(&mut self, epoch: i64, opened: Opened, checkpoint: &[EpochEntry]) {
        let mut recovery = Recovery::new(Seed::new(1), checkpoint, self.snapshot.as_ref(), 0);
        self.log.iter().for_each(|batch| assert_eq!(recovery.replay(batch, None), None));
        self.leader = Leader::new(LeaderEpoch(epoch as i32), self.rules, opened, recovery);
    }
}

fn epoch_entry(text: &str) -> EpochEntry {
    let (epoch, start) = text.split_once(':').unwrap();
    EpochEntry { epoch: LeaderEpoch(epoch.parse().unwrap()), start_offset: start.parse().unwrap() }
}

fn send(staged: &mut Staged<'_>, epoch: LeaderEpoch, event: &str, written: &mut Vec<BatchHeader>) -> String {
    let mut header = batch(event);
    let acks = if event.ends_with("acks=all") { Acks::All } else { Acks::Leader };
    match staged.admit(&header, acks) {
        Ok(Admitted::Append { base_offset }) => {
            header.base_offset = base_offset;
            header.leader_epoch = epoch.0;
            written.push(header);
            format!("at {base_offset}")
        }
        Ok(Admitted::Duplicate(first)) => {
            format!("again {}-{} @{}", first.base_offset, first.last_offset, first.timestamp)
        }
        Err(Refusal::NotEnoughReplicas) => "19".to_owned(),
        Err(Refusal::OutOfOrderSequence) => "45".to_owned(),
        Err(Refusal::InvalidProducerEpoch) => "47".to_owned(),
        Err(Refusal::InvalidTxnState) => "48".to_owned(),
    }
}

fn batch(event: &str) -> BatchHeader {
    let words: Vec<&str> = event.split(' ').collect();
    let mut header = BatchHeader {
        base_offset: 0,
        batch_length: 49,
        leader_epoch: -1,
        magic: 2,
        crc: 0,
        attributes: Attributes(0),
        last_offset_delta: 0,
        base_timestamp: 0,
        max_timestamp: 0,
        producer_id: -1,
        producer_epoch: -1,
        base_sequence: -1,
        record_count: 0,
    };
    match words[0] {
        "plain" => header.last_offset_delta = words[1].parse::<i32>().unwrap() - 1,
        "send" => {
            let (id, epoch) = words[1].split_once('/').unwrap();
            let (first, last) = words[2].split_once('-').unwrap_or((words[2], words[2]));
            header.producer_id = id.parse().unwrap();
            header.producer_epoch = epoch.parse().unwrap();
            header.base_sequence = first.parse().unwrap();
            header.last_offset_delta = last.parse::<i32>().unwrap().wrapping_sub(header.base_sequence) & i32::MAX;
        }
        _ => panic!("no such event: {event}"),
    }
    if let Some(timestamp) = words.iter().find_map(|word| word.strip_prefix('@')) {
        header.max_timestamp = timestamp.parse().unwrap();
    }
    header.record_count = header.last_offset_delta + 1;
    header
}

fn moved(moved: Moved) -> String {
    let mark = |name: &str, to: Option<i64>| to.map(|to| format!("{name} {to}"));
    let marks = [mark("acked", moved.leader_acked), mark("hw", moved.high_watermark)];
    marks.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

fn producers(snapshot: &ProducerSnapshot) -> String {
    let entry = |entry: &ottla_partition::ProducerEntry| {
        let first = entry.last_offset - i64::from(entry.offset_delta);
        format!(
            "{}/{} seq {} at {first}-{} @{}",
            entry.producer_id, entry.producer_epoch, entry.last_sequence, entry.last_offset, entry.timestamp
        )
    };
    snapshot.producers.iter().map(entry).collect::<Vec<_>>().join(", ")
}
