//! A producer: batches to the partitions of one topic, several in flight, kept or sent again as Kafka's clients do it.
//!
//! It goes in rounds. In each it sends what is not acknowledged, oldest first, together with something new, without
//! waiting in between; then it takes the answers. An idempotent producer does so until everything is kept, one of the
//! plain kind sends everything once.

use std::time::Duration;

use ottla_records::{Attributes, BatchOptions, Codec};
use ottla_wire::ErrorCode;
use ottla_wire::messages::InitProducerIdRequest;

use crate::client::{Answered, Client, Gone, Part, ProduceRequest};
use crate::history::{Batch, Event, LogId};
use crate::record::pack;
use crate::site::{Site, Topic};

/// The batches that a broker recognises when they come again; so many may be in flight.
const IN_FLIGHT_MAX: u32 = 5;
const RECORDS_MAX: u64 = 5;
const INIT_PRODUCER_ID: i16 = 4;
/// Versions of Produce, but for some that are as the one before.
pub const VERSIONS: &[i16] = &[3, 5, 7, 8, 9, 11, 12, 13];
/// Those that name a topic by its id: what is sent to a topic does not come to the next one of its name.
pub const VERSIONS_WITH_IDS: &[i16] = &[13];
/// The first version in which Kafka takes zstd (KIP-110).
const ZSTD_FROM: i16 = 7;
const CODECS: &[Codec] = &[Codec::None, Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// With sequences, acks=all.
    Idempotent,
    /// Of these acks.
    Plain(i16),
}

#[derive(Debug)]
pub struct Producer {
    site: Site,
    kind: Kind,
    topic: Topic,
    version: i16,
    codec: Codec,
    lanes: Vec<Lane>,
    is_topic_gone: bool,
}

/// The way to one partition, with an id and sequences of its own.
#[derive(Debug)]
struct Lane {
    log: LogId,
    number: u32,
    id: Option<i64>,
    /// Something was kept under this id. Before, a broker takes any sequence for the first (KIP-360), so only one batch may be
    /// in flight.
    is_known: bool,
    next_record: u32,
    next_sequence: i32,
    next_batch: u32,
    batches_left: u32,
    unkept: Vec<Unkept>,
}

/// A batch that was made and is not acknowledged.
#[derive(Clone, Copy, Debug)]
struct Unkept {
    batch: Batch,
    /// Which of the lane's batches it is.
    index: u32,
    sequence: i32,
    is_kept: bool,
}

/// What a producer is to do.
#[derive(Clone, Debug)]
pub struct Orders {
    pub kind: Kind,
    pub topic: Topic,
    /// For each partition.
    pub batches: u32,
    /// The number under which its first partition goes; each has one of its own.
    pub first_number: u32,
    /// Versions of Produce to choose from.
    pub versions: &'static [i16],
}

impl Producer {
    pub fn new(site: Site, orders: Orders) -> Producer {
        let Orders { kind, topic, batches, first_number, versions } = orders;
        let lane = |(number, log)| Lane {
            log,
            number,
            id: None,
            is_known: false,
            next_record: 0,
            next_sequence: 0,
            next_batch: 0,
            batches_left: batches,
            unkept: Vec::new(),
        };
        let version = site.dice.pick(versions);
        let codec = site.dice.pick(CODECS);
        Producer {
            lanes: (first_number..).zip(topic.logs()).map(lane).collect(),
            codec: if codec == Codec::Zstd && version < ZSTD_FROM { Codec::None } else { codec },
            site,
            kind,
            topic,
            version,
            is_topic_gone: false,
        }
    }

    /// Until all is sent (and kept, if it is idempotent), or the topic is gone; waits at most `pause_ms_max` between rounds.
    pub async fn run(mut self, pause_ms_max: u64) {
        let mut client = self.site.client();
        while !self.is_topic_gone && self.lanes.iter().any(Lane::has_more) {
            let pause = Duration::from_millis(self.site.dice.within(0..=pause_ms_max));
            self.site.rt.sleep(pause).await;
            if self.site.dice.one_in(20) {
                client.hang_up();
            }
            // Gone: the next round connects again.
            let _ = self.round(&mut client).await;
            self.end_round();
        }
    }

    async fn round(&mut self, client: &mut Client) -> Result<(), Gone> {
        if self.kind == Kind::Idempotent {
            self.take_ids(client).await?;
        }
        let depth = self.site.dice.within(1..=u64::from(IN_FLIGHT_MAX)) as usize;
        for lane in &mut self.lanes {
            lane.fill(depth, &self.site, self.kind);
        }
        let mut sent = Vec::new();
        let deepest = self.lanes.iter().map(|lane| lane.in_flight(self.kind)).max().unwrap_or(0);
        for place in 0..deepest {
            let request = self.request(place);
            let Ok(pending) = client.send_produce(&request, self.version).await else { break };
            sent.push((place, pending, request));
        }
        if self.acks() == 0 {
            return Ok(());
        }
        for (place, pending, request) in sent {
            for answered in client.receive_produce(pending, &request).await? {
                self.take_answer(place, answered);
            }
        }
        Ok(())
    }

    /// An id for each lane that has none.
    async fn take_ids(&mut self, client: &mut Client) -> Result<(), Gone> {
        for lane in self.lanes.iter_mut().filter(|lane| lane.id.is_none() && lane.has_more()) {
            let request = InitProducerIdRequest {
                transactional_id: None,
                producer_id: -1,
                producer_epoch: -1,
                ..Default::default()
            };
            let response = client.call(&request, INIT_PRODUCER_ID).await?;
            match ErrorCode::from_code(response.error_code) {
                Some(ErrorCode::None) => {
                    self.site.history.note(Event::ProducerId { id: response.producer_id });
                    lane.begin(response.producer_id);
                }
                Some(ErrorCode::CoordinatorLoadInProgress) => return Err(Gone),
                other => {
                    self.site.broken(format!("no producer id: {other:?}"));
                    return Err(Gone);
                }
            }
        }
        Ok(())
    }

    /// The batches that stand at one place in their lanes.
    fn request(&self, place: usize) -> ProduceRequest {
        let timestamp = self.site.rt.now().wall_ms;
        let parts = self.lanes.iter().filter_map(|lane| {
            let Unkept { batch, sequence, .. } = *lane.unkept[..lane.in_flight(self.kind)].get(place)?;
            self.site.history.note(Event::Sent { batch });
            let idempotence = lane.id.map(|producer_id| BatchOptions {
                producer_id,
                producer_epoch: 0,
                base_sequence: sequence,
                ..BatchOptions::default()
            });
            let attributes = Attributes::default().with_codec(self.codec);
            let options = BatchOptions { attributes, ..idempotence.unwrap_or_default() };
            Some(Part { partition: lane.log.partition, batch: pack(batch.records(), timestamp, options) })
        });
        ProduceRequest {
            acks: self.acks(),
            timeout_ms: self.site.dice.pick(&[100, 1000, 3000]),
            topic: self.topic.name.clone(),
            parts: parts.collect(),
        }
    }

    fn acks(&self) -> i16 {
        match self.kind {
            Kind::Idempotent => -1,
            Kind::Plain(acks) => acks,
        }
    }

    fn take_answer(&mut self, place: usize, Answered { partition, error, base_offset }: Answered) {
        let acks_all = self.acks() == -1;
        let Some(lane) = self.lanes.iter_mut().find(|lane| lane.log.partition == partition) else { return };
        let behind_trouble = lane.unkept[..place].iter().any(|before| !before.is_kept);
        let unkept = &mut lane.unkept[place];
        let batch = unkept.batch;
        if error == ErrorCode::None {
            unkept.is_kept = true;
            lane.is_known = true;
            return self.site.history.note(Event::Kept { batch, base_offset, acks_all });
        }
        self.site.history.note(Event::Refused { batch, error, behind_trouble });
        match error {
            // The log has lost what came before: a new id has no past.
            ErrorCode::OutOfOrderSequenceNumber if !behind_trouble => lane.id = None,
            ErrorCode::UnknownTopicOrPartition | ErrorCode::UnknownTopicId => self.is_topic_gone = true,
            _ => {}
        }
    }

    fn end_round(&mut self) {
        for lane in &mut self.lanes {
            match self.kind {
                Kind::Idempotent => lane.unkept.retain(|unkept| !unkept.is_kept),
                Kind::Plain(_) => lane.unkept.clear(),
            }
        }
    }
}

impl Lane {
    fn has_more(&self) -> bool {
        self.batches_left > 0 || !self.unkept.is_empty()
    }

    /// How many of the batches that are not kept may be sent at once.
    fn in_flight(&self, kind: Kind) -> usize {
        if kind == Kind::Idempotent && !self.is_known { self.unkept.len().min(1) } else { self.unkept.len() }
    }

    /// Makes new batches, until so many are not kept.
    fn fill(&mut self, depth: usize, site: &Site, kind: Kind) {
        while self.unkept.len() < depth && self.batches_left > 0 {
            // One that is older than the last five could not be recognised when it is sent again.
            if self.unkept.first().is_some_and(|oldest| self.next_batch - oldest.index >= IN_FLIGHT_MAX) {
                return;
            }
            let count = site.dice.within(1..=RECORDS_MAX) as u32;
            let batch = Batch {
                log: self.log,
                producer: self.number,
                first: self.next_record,
                count,
                is_idempotent: kind == Kind::Idempotent,
            };
            self.unkept.push(Unkept { batch, index: self.next_batch, sequence: self.next_sequence, is_kept: false });
            self.next_record += count;
            self.next_sequence += count as i32;
            self.next_batch += 1;
            self.batches_left -= 1;
        }
    }

    /// With a new id, sequences begin anew.
    fn begin(&mut self, id: i64) {
        self.id = Some(id);
        self.is_known = false;
        self.next_sequence = 0;
        for unkept in &mut self.unkept {
            unkept.sequence = self.next_sequence;
            self.next_sequence += unkept.batch.count as i32;
        }
    }
}
