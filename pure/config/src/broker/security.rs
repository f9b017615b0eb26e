//! Who a client is and what it may do.

use crate::bounds::Bounds::*;
use crate::key::Scope::*;
use crate::key::keys;

/// What Kafka's own authorizer is set up with. They are keys of that class, and no broker keys, so they are in no table; and
/// they promise as much as the class.
pub const OF_THE_AUTHORIZER: [&str; 2] = ["super.users", "allow.everyone.if.no.acl.found"];

keys! {
    /// Class that decides who may do what. Empty means that everybody may do everything.
    refused: string "authorizer.class.name" = "", Any, ReadOnly;
    /// Class that turns what a client authenticated with into a user name.
    refused: class "principal.builder.class" =
        "org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder", Any, PerBroker;
    /// Security protocol between brokers.
    refused: string "security.inter.broker.protocol" = "PLAINTEXT",
        OneOf(&["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]), ReadOnly;
    /// Java classes that add security algorithms.
    refused: string "security.providers", Any, ReadOnly;
    /// Time after which a client must authenticate again; 0 means never.
    refused: long "connections.max.reauth.ms" = 0, Any, ReadOnly;
    /// Secret that signs delegation tokens. Without it there are none.
    refused: password "delegation.token.secret.key", Any, ReadOnly;
    /// Longest life of a delegation token, renewals included.
    later: long "delegation.token.max.lifetime.ms" = 604800000, AtLeast(1), ReadOnly;
    /// Life of a delegation token until it must be renewed.
    later: long "delegation.token.expiry.time.ms" = 86400000, AtLeast(1), ReadOnly;
    /// Time between two looks for expired delegation tokens.
    later: long "delegation.token.expiry.check.interval.ms" = 3600000, AtLeast(1), ReadOnly;
}
