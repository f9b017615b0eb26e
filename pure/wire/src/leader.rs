//! Who leads a partition and how to reach it, told along with an error so that the client need not ask (KIP-951).

use ottla_base::{LeaderEpoch, NodeId};

use crate::reader::Form;
use crate::writer::Writer;

/// The leader of a partition, for a client that took another node for it or knows only an older epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CurrentLeader {
    pub leader_id: NodeId,
    pub leader_epoch: LeaderEpoch,
}

impl CurrentLeader {
    /// Bytes on the wire: two int32 and an empty tag section.
    const BYTES: u32 = 9;

    pub(crate) fn write_tag(self, writer: &mut Writer<'_>, tag: u32) {
        writer.uvarint(tag);
        writer.uvarint(CurrentLeader::BYTES);
        writer.i32(self.leader_id.0);
        writer.i32(self.leader_epoch.0);
        writer.uvarint(0);
    }
}

/// Where a node listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeEndpoint<'a> {
    pub node_id: NodeId,
    pub host: &'a str,
    pub port: i32,
    pub rack: Option<&'a str>,
}

/// The tag section that ends a response: the endpoints as tag 0, or nothing if there are none.
#[inline]
pub(crate) fn write_endpoints(writer: &mut Writer<'_>, endpoints: &[NodeEndpoint<'_>]) {
    if endpoints.is_empty() {
        writer.uvarint(0);
    } else {
        write_endpoints_tag(writer, endpoints);
    }
}

fn write_endpoints_tag(writer: &mut Writer<'_>, endpoints: &[NodeEndpoint<'_>]) {
    writer.uvarint(1);
    writer.uvarint(0);
    let start = writer.position();
    writer.array_len(endpoints.len(), Form::Compact);
    for endpoint in endpoints {
        writer.i32(endpoint.node_id.0);
        writer.str(endpoint.host, Form::Compact);
        writer.i32(endpoint.port);
        writer.nullable_str(endpoint.rack, Form::Compact);
        writer.uvarint(0);
    }
    let size = u32::try_from(writer.position() - start).expect("no frame holds 4 GiB");
    writer.insert_uvarints(start, &[size]);
}
