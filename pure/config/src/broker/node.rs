//! This process: its roles, its number, its place.

use crate::bounds::Bounds::*;
use crate::key::Scope::*;
use crate::key::keys;

keys! {
    /// What this process does. Ottla is broker and controller in one process: `broker,controller`.
    acts PROCESS_ROLES: list "process.roles" = "broker,controller", SomeOf(&["broker", "controller"]), ReadOnly;
    /// Number of this node in the cluster.
    acts NODE_ID: int "node.id" = 1, AtLeast(0), ReadOnly;
    /// Older name of `node.id`. If both are set they must be equal.
    acts BROKER_ID: int "broker.id" = 1, Any, ReadOnly;
    /// Rack or zone of this node, as clients see it in the metadata.
    acts BROKER_RACK: string "broker.rack", Any, ReadOnly;
    /// Time between two heartbeats of a broker to the controller.
    later: int "broker.heartbeat.interval.ms" = 2000, Any, ReadOnly;
    /// Silence after which the controller takes a broker for dead.
    later: int "broker.session.timeout.ms" = 9000, Any, ReadOnly;
    /// Time in which a starting broker must get registered, or it gives up.
    later: int "initial.broker.registration.timeout.ms" = 60000, Any, ReadOnly;
    /// Hands leadership to other nodes before this one stops.
    later: boolean "controlled.shutdown.enable" = true, Any, ReadOnly;
    /// Time that a request from this node to another one may take.
    later: int "request.timeout.ms" = 30000, Any, ReadOnly;
    /// Threads for housekeeping, such as removing files.
    moot: int "background.threads" = 10, AtLeast(1), ClusterWide;
    /// Time that a start may take before it counts as failed.
    later: long "server.max.startup.time.ms" = 9223372036854775807, AtLeast(0), Hidden;
    /// Providers that fill in `${...}` references in values, mostly to keep secrets out of the file.
    refused: list "config.providers" = "", Any, ClusterWide;
    /// Offers API versions that are still being developed.
    later: boolean "unstable.api.versions.enable" = false, Any, Hidden;
    /// Allows feature levels that are still being developed.
    later: boolean "unstable.feature.versions.enable" = false, Any, Hidden;
}
