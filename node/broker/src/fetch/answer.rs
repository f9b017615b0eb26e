//! Writes the answer of a fetch: all but the records, and where their file ranges belong.

use std::ops::Range;

use ottla_base::NodeId;
use ottla_net::Out;
use ottla_wire::ErrorCode;
use ottla_wire::fetch::{PartitionResponse, ResponseHead, ResponseWriter};
use ottla_wire::frame::{RequestStart, ResponseFrame};

use super::plan::{Asked, Found};
use super::session::{News, Session};

/// Which partitions an answer lists.
#[derive(Debug)]
pub enum List<'a> {
    All,
    /// All, and the session takes note of it.
    AllOf(&'a mut Session),
    /// Those with news for the session.
    NewsOf(&'a mut Session),
}

/// Appends an answer to `out`. `asked` and `found` go together.
pub fn write(out: &mut Out, request: RequestStart, asked: &[Asked], found: &mut [Found], list: List<'_>) {
    let session_id = tell(list, asked, found);
    let (bytes, mut files) = out.parts();
    let frame = ResponseFrame::begin(bytes, request);
    let head = ResponseHead { throttle_time_ms: 0, error: ErrorCode::None, session_id };
    let mut writer = ResponseWriter::begin(bytes, request.version, head, runs(asked, found).count());
    for Run { range, listed } in runs(asked, found) {
        writer.topic(asked[range.start].topic.key(), listed);
        for at in range.filter(|&at| found[at].is_listed) {
            let cut = writer.partition(&response(asked[at].index, &found[at]));
            if let Some(records) = &found[at].records {
                files.insert(cut, records.file.clone(), records.range.clone());
            }
        }
    }
    let records_bytes = writer.end(&[]);
    frame.end(bytes, records_bytes);
}

/// An answer that says only what is wrong with the request as a whole.
pub fn refuse(out: &mut Out, request: RequestStart, error: ErrorCode) {
    let frame = ResponseFrame::begin(&mut out.bytes, request);
    let head = ResponseHead { throttle_time_ms: 0, error, session_id: 0 };
    ResponseWriter::begin(&mut out.bytes, request.version, head, 0).end(&[]);
    frame.end(&mut out.bytes, 0);
}

/// Tells the session what was found, marks what is to be listed, and gives the id for the answer.
fn tell(list: List<'_>, asked: &[Asked], found: &mut [Found]) -> i32 {
    let (session, all) = match list {
        List::All => return 0,
        List::AllOf(session) => (session, true),
        List::NewsOf(session) => (session, false),
    };
    for (asked, found) in asked.iter().zip(found) {
        let news = News {
            is_error: found.error != ErrorCode::None,
            log_start_offset: found.log_start_offset,
            high_watermark: found.high_watermark,
            records_bytes: found.records_bytes(),
        };
        found.is_listed = session.answered(&asked.topic, asked.index, news) || all || found.diverging_epoch.is_some();
    }
    session.id
}

/// Neighbours of one topic, at least one of which is listed: one entry of the answer's topics.
struct Run {
    range: Range<usize>,
    listed: usize,
}

fn next_run(asked: &[Asked], found: &[Found], from: usize) -> Option<Run> {
    let start = from + found[from..].iter().position(|found| found.is_listed)?;
    let topic = &asked[start].topic;
    let range = start..start + asked[start..].iter().take_while(|asked| asked.topic == *topic).count();
    Some(Run { listed: found[range.clone()].iter().filter(|found| found.is_listed).count(), range })
}

fn runs(asked: &[Asked], found: &[Found]) -> impl Iterator<Item = Run> {
    std::iter::successors(next_run(asked, found, 0), |run| next_run(asked, found, run.range.end))
}

fn response(index: i32, found: &Found) -> PartitionResponse<'_> {
    PartitionResponse {
        index,
        error: found.error,
        high_watermark: found.high_watermark,
        last_stable_offset: found.last_stable_offset,
        log_start_offset: found.log_start_offset,
        aborted_transactions: found.aborted_transactions.as_deref(),
        preferred_read_replica: NodeId::NONE,
        records_bytes: found.records_bytes(),
        diverging_epoch: found.diverging_epoch,
        current_leader: found.current_leader,
        snapshot_id: None,
    }
}
