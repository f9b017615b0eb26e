//! Listeners, sockets, connections, and the memory and threads for requests.

use crate::bounds::Bounds::*;
use crate::key::Scope::*;
use crate::key::keys;

keys! {
    /// Addresses that this node listens on, each as `NAME://host:port`. No host means all interfaces. While it runs, only those
    /// can come and go that are not advertised.
    acts LISTENERS: list "listeners" = "PLAINTEXT://127.0.0.1:9092", NotEmpty, PerBroker;
    /// Addresses that clients are told to connect to, for each listener. Without it they are those of `listeners`.
    acts ADVERTISED_LISTENERS: list "advertised.listeners", NotEmpty, ReadOnly;
    /// Security protocol of each listener name, as `NAME:PROTOCOL`. Only PLAINTEXT can be used.
    acts LISTENER_SECURITY_PROTOCOL_MAP: string "listener.security.protocol.map" =
        "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT", Any, PerBroker;
    /// Listener over which brokers talk to each other.
    later INTER_BROKER_LISTENER_NAME: string "inter.broker.listener.name", Any, ReadOnly;
    /// Listeners that open before the authorizer has loaded.
    later: list "early.start.listeners", Any, ReadOnly;
    /// Send buffer that the kernel keeps for a connection; -1 leaves the choice to the kernel.
    acts SOCKET_SEND_BUFFER_BYTES: int "socket.send.buffer.bytes" = -1, Any, ReadOnly;
    /// Receive buffer that the kernel keeps for a connection; -1 leaves the choice to the kernel.
    acts SOCKET_RECEIVE_BUFFER_BYTES: int "socket.receive.buffer.bytes" = -1, Any, ReadOnly;
    /// Connections that may wait in the kernel to be accepted.
    acts SOCKET_LISTEN_BACKLOG_SIZE: int "socket.listen.backlog.size" = 50, AtLeast(1), ReadOnly;
    /// Largest request. A connection that announces more is closed.
    acts SOCKET_REQUEST_MAX_BYTES: int "socket.request.max.bytes" = 104857600, AtLeast(1), ReadOnly;
    /// Memory for requests that are being read and handled, in the whole process. -1 means 64 MiB.
    acts QUEUED_MAX_REQUEST_BYTES: long "queued.max.request.bytes" = -1, Any, ReadOnly;
    /// Requests that may wait to be handled before connections are no longer read.
    moot: int "queued.max.requests" = 500, AtLeast(1), ReadOnly;
    /// Silence after which a connection is closed.
    acts CONNECTIONS_MAX_IDLE_MS: long "connections.max.idle.ms" = 600000, Any, ReadOnly;
    /// Connections that this node accepts, and each listener (`listener.name.<name>.max.connections`). Further ones wait until
    /// others close.
    acts MAX_CONNECTIONS: int "max.connections" = 2147483647, AtLeast(0), ClusterWide;
    /// Connections that this node accepts from one address. Further ones are closed.
    acts MAX_CONNECTIONS_PER_IP: int "max.connections.per.ip" = 2147483647, AtLeast(0), ClusterWide;
    /// Limits for single addresses in place of `max.connections.per.ip`, as `address:count,...`.
    acts MAX_CONNECTIONS_PER_IP_OVERRIDES: string "max.connections.per.ip.overrides" = "", Any, ClusterWide;
    /// New connections that are accepted in a second.
    later: int "max.connection.creation.rate" = 2147483647, AtLeast(0), ClusterWide;
    /// Time before a connection whose authentication failed is closed.
    later: int "connection.failed.authentication.delay.ms" = 100, AtLeast(0), ReadOnly;
    /// Time in which a connection to another node must be made, at the first attempt.
    later: long "socket.connection.setup.timeout.ms" = 10000, Any, ReadOnly;
    /// Time in which a connection to another node must be made, at most, after failed attempts.
    later: long "socket.connection.setup.timeout.max.ms" = 30000, Any, ReadOnly;
    /// Threads that read requests and write replies.
    moot: int "num.network.threads" = 3, AtLeast(1), ClusterWide;
    /// Threads that handle requests.
    moot: int "num.io.threads" = 8, AtLeast(1), ClusterWide;
}
