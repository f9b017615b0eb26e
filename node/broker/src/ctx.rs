//! Who asks: what a handler knows of a request besides its message.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use ottla_observe::Entered;

use crate::Broker;

/// Rows of an answer that are made within a millisecond.
const QUICK_ROWS_MAX: usize = 1000;

/// The context of one request of a cold API.
#[derive(Clone, Debug)]
pub struct Ctx {
    pub broker: Arc<Broker>,
    pub client: Arc<Client>,
    /// As the request's header says; empty if it does not.
    pub client_id: Arc<str>,
    /// Version of the request, for the few answers whose meaning, not only their bytes, depends on it.
    pub version: i16,
}

/// The client at the other end of a connection.
#[derive(Debug)]
pub struct Client {
    pub address: SocketAddr,
    /// Name of the listener that it has connected to: it is told where brokers are reached by that one.
    pub listener: Arc<str>,
    /// Its place among the connections of its kind, once it has said of what kind it is.
    pub software: Mutex<Option<Entered>>,
}

/// What a request wants to do, with Kafka's codes of operations (`AclOperation`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Operation {
    Read = 3,
    Write = 4,
    Create = 5,
    Delete = 6,
    Alter = 7,
    Describe = 8,
    ClusterAction = 9,
    DescribeConfigs = 10,
    AlterConfigs = 11,
    IdempotentWrite = 12,
}

/// What it wants to do it to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource<'a> {
    Cluster,
    Topic(&'a str),
    Group(&'a str),
}

impl Resource<'_> {
    /// The operations that there are on a resource of this type.
    fn operations(self) -> &'static [Operation] {
        use Operation::*;
        match self {
            Resource::Cluster => {
                &[Create, Alter, Describe, ClusterAction, DescribeConfigs, AlterConfigs, IdempotentWrite]
            }
            Resource::Group(_) => &[Read, Delete, Describe, DescribeConfigs, AlterConfigs],
            Resource::Topic(_) => &[Read, Write, Create, Delete, Alter, Describe, DescribeConfigs, AlterConfigs],
        }
    }
}

impl Ctx {
    /// Makes so many rows of an answer; the other connections go elsewhere meanwhile, if that takes long.
    pub fn make<T>(&self, rows: usize, make: impl FnOnce() -> T) -> T {
        if rows > QUICK_ROWS_MAX { self.broker.rt.in_place(make) } else { make() }
    }

    /// The client says with what software it has connected.
    pub fn note_software(&self, name: &str, version: &str) {
        let entered = self.broker.metrics.software.enter(&self.client.listener, name, version);
        *self.client.software.lock().unwrap_or_else(PoisonError::into_inner) = entered;
    }

    /// The client's address, as Kafka shows it.
    pub fn client_host(&self) -> Arc<str> {
        format!("/{}", self.client.address.ip().to_canonical()).into()
    }

    /// Asked before a handler looks at a resource.
    pub fn may(&self, operation: Operation, resource: Resource<'_>) -> bool {
        self.client.may(operation, resource)
    }

    /// The bits of the operations that the client may do (KIP-430).
    pub fn authorized_operations(&self, resource: Resource<'_>) -> i32 {
        let may = resource.operations().iter().filter(|operation| self.may(**operation, resource));
        may.fold(0, |bits, operation| bits | 1 << *operation as u8)
    }
}

impl Client {
    /// There is no authoriser yet: the answer is yes.
    pub fn may(&self, _operation: Operation, _resource: Resource<'_>) -> bool {
        true
    }
}
