//! The API keys: one file each, one line each in [`TABLE`], which is also what ApiVersions answers.
//!
//! Most keys are *cold*: an owned message in, an owned message out, run as a barrier of their connection. Produce and Fetch
//! are *hot*: plain functions that borrow the frame, stage or answer, and never await.

mod altered;
mod answer_room;
mod described;
pub mod k00_produce;
pub mod k01_fetch;
mod k02_list_offsets;
mod k03_metadata;
mod k08_offset_commit;
mod k09_offset_fetch;
mod k10_find_coordinator;
mod k11_join_group;
mod k12_heartbeat;
mod k13_leave_group;
mod k14_sync_group;
mod k15_describe_groups;
mod k16_list_groups;
mod k18_api_versions;
mod k19_create_topics;
mod k20_delete_topics;
mod k21_delete_records;
mod k22_init_producer_id;
mod k23_offset_for_leader_epoch;
mod k32_describe_configs;
mod k33_alter_configs;
mod k34_alter_replica_log_dirs;
mod k35_describe_log_dirs;
mod k37_create_partitions;
mod k42_delete_groups;
mod k44_incremental_alter_configs;
mod k45_alter_partition_reassignments;
mod k46_list_partition_reassignments;
mod k47_offset_delete;
mod k60_describe_cluster;
mod k61_describe_producers;
mod k68_consumer_group_heartbeat;
mod k69_consumer_group_describe;
mod k74_list_config_resources;
mod k75_describe_topic_partitions;

mod loggers;
pub mod outcome;

use std::future::{Future, poll_fn};
use std::ops::Range;
use std::pin::pin;

use ottla_net::{BoxFuture, Next, Out, Replies};
use ottla_rt::Rt;
use ottla_wire::frame::{RequestStart, ResponseFrame};
use ottla_wire::{ApiKey, DecodeError, Message, Reader, Request, Writer, each_error};

use crate::ctx::Ctx;
use crate::metrics::requests::Taken;
use crate::serve::Turn;

pub use k18_api_versions::unsupported as unsupported_api_versions;

/// For more partitions, or requests, than this a turn takes memory of its own: that costs little beside what they cost.
const KEPT_MAX: usize = 1024;

/// Every API key that this broker answers.
pub const TABLE: &[Api] = &[
    k00_produce::API,
    k01_fetch::API,
    k02_list_offsets::API,
    k03_metadata::API,
    k08_offset_commit::API,
    k09_offset_fetch::API,
    k10_find_coordinator::API,
    k11_join_group::API,
    k12_heartbeat::API,
    k13_leave_group::API,
    k14_sync_group::API,
    k15_describe_groups::API,
    k16_list_groups::API,
    k18_api_versions::API,
    k19_create_topics::API,
    k20_delete_topics::API,
    k21_delete_records::API,
    k22_init_producer_id::API,
    k23_offset_for_leader_epoch::API,
    k32_describe_configs::API,
    k33_alter_configs::API,
    k34_alter_replica_log_dirs::API,
    k35_describe_log_dirs::API,
    k37_create_partitions::API,
    k42_delete_groups::API,
    k44_incremental_alter_configs::API,
    k45_alter_partition_reassignments::API,
    k46_list_partition_reassignments::API,
    k47_offset_delete::API,
    k60_describe_cluster::API,
    k61_describe_producers::API,
    k68_consumer_group_heartbeat::API,
    k69_consumer_group_describe::API,
    k74_list_config_resources::API,
    k75_describe_topic_partitions::API,
];

/// One API key. Its versions are those of Kafka 4.3.1 ([`ottla_wire::api`]).
#[derive(Clone, Copy, Debug)]
pub struct Api {
    pub key: ApiKey,
    pub run: Run,
}

#[derive(Clone, Copy, Debug)]
pub enum Run {
    Hot(fn(&mut Turn, HotCall<'_>, &mut Replies) -> Next),
    Cold(fn(ColdCall<'_>) -> Result<Answer, DecodeError>),
}

/// What answers a request of a cold key, or why its connection is closed instead.
pub type Answer = BoxFuture<Result<Out, &'static str>>;

/// A request of a hot key, whose body lies at `body` in the connection's receive buffer.
#[derive(Debug)]
pub struct HotCall<'a> {
    pub start: RequestStart,
    pub buffer: &'a [u8],
    pub body: Range<usize>,
    pub taken: Taken,
}

/// A request of a cold key.
#[derive(Debug)]
pub struct ColdCall<'a> {
    pub ctx: Ctx,
    pub start: RequestStart,
    pub body: &'a [u8],
    pub taken: Taken,
}

impl ColdCall<'_> {
    /// Decodes the request and gives what answers it. Nothing is done before that is awaited.
    pub fn answer<Q, F>(self, handle: fn(Ctx, Q) -> F) -> Result<Answer, DecodeError>
    where
        Q: Request + Send + 'static,
        F: Future<Output = Q::Response> + Send + 'static,
    {
        let ColdCall { ctx, start, body, taken } = self;
        let request = Q::decode(&mut Reader::new(body), start.version)?;
        Ok(Box::pin(async move {
            let broker = ctx.broker.clone();
            // It has waited until all answers before it had left.
            let taken = Taken { at_us: broker.rt.mono_us(), ..taken };
            let (response, waited_from_us) = follow(&broker.rt, handle(ctx, request)).await;
            let requests = &broker.metrics.requests;
            each_error(&response, |code| requests.errors(taken.row, code, 1));
            let out = encode::<Q>(&response, start);
            requests.answered(taken, waited_from_us, broker.rt.mono_us());
            out
        }))
    }
}

/// Awaits what a handler does, and tells from when on ([`Rt::mono_us`]) it has waited for something else, if it had to: for a
/// log that has to be read or synced, other members of a group, a thread.
async fn follow<T>(rt: &Rt, handler: impl Future<Output = T>) -> (T, Option<i64>) {
    let (mut handler, mut waited_from_us) = (pin!(handler), None);
    let response = poll_fn(|cx| {
        let polled = handler.as_mut().poll(cx);
        if polled.is_pending() {
            waited_from_us.get_or_insert_with(|| rt.mono_us());
        }
        polled
    });
    (response.await, waited_from_us)
}

/// The API of a key, if it is served, and its row.
pub fn find(key: i16) -> Option<(usize, &'static Api)> {
    TABLE.iter().enumerate().find(|(_, api)| api.key.code() == key)
}

/// A response with its frame, unless it is larger than any frame.
pub fn encode<Q: Request>(response: &Q::Response, start: RequestStart) -> Result<Out, &'static str> {
    let mut out = Out::default();
    let frame = ResponseFrame::begin(&mut out.bytes, start);
    response.encode(&mut Writer::new(&mut out.bytes), start.version);
    frame.try_end(&mut out.bytes, 0).map_err(|_| "an answer of 2 GiB or more")?;
    Ok(out)
}
