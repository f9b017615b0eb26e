//! The keys that Kafka does not have. They are called after Ottla, so that none of Kafka's own will ever be called the same.

use crate::bounds::Bounds::*;
use crate::key::Scope::*;
use crate::key::keys;

keys! {
    /// Address (`host:port`) of metrics and health, for everybody who reaches it. Empty turns it off. If it is not set and another process has the port, there is a warning, and no metrics and health.
    acts OTTLA_HTTP_LISTENER: string "ottla.http.listener" = "127.0.0.1:9644", Any, ReadOnly;
}
