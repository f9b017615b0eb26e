//! SASL. Each of these promises that clients are authenticated, so none may be set yet.

use crate::bounds::Bounds::*;
use crate::key::Scope::*;
use crate::key::keys;

keys! {
    /// SASL mechanisms that clients may use.
    refused: list "sasl.enabled.mechanisms" = "GSSAPI", Any, PerBroker;
    /// SASL mechanism between brokers.
    refused: string "sasl.mechanism.inter.broker.protocol" = "GSSAPI", Any, PerBroker;
    /// SASL mechanism towards controllers.
    refused: string "sasl.mechanism.controller.protocol" = "GSSAPI", Any, ReadOnly;
    /// Login module and credentials of a listener's mechanism, in JAAS form.
    refused: password "sasl.jaas.config", Any, PerBroker;
    /// Class that checks the credentials of clients.
    refused: class "sasl.server.callback.handler.class", Any, ReadOnly;
    /// Largest message that is read during authentication.
    refused: int "sasl.server.max.receive.size" = 524288, Any, ReadOnly;
    /// Class that supplies this node's credentials when it is the client.
    refused: class "sasl.client.callback.handler.class", Any, ReadOnly;
    /// Class that logs this node in.
    refused: class "sasl.login.class", Any, ReadOnly;
    /// Class that supplies the credentials of a login.
    refused: class "sasl.login.callback.handler.class", Any, ReadOnly;
    /// Time in which a connection to the identity provider must be made.
    refused: int "sasl.login.connect.timeout.ms", Any, ReadOnly;
    /// Time in which the identity provider must answer.
    refused: int "sasl.login.read.timeout.ms", Any, ReadOnly;
    /// First pause between attempts to log in.
    refused: long "sasl.login.retry.backoff.ms" = 100, Any, ReadOnly;
    /// Longest pause between attempts to log in.
    refused: long "sasl.login.retry.backoff.max.ms" = 10000, Any, ReadOnly;
    /// Share of a credential's life after which it is renewed.
    refused: double "sasl.login.refresh.window.factor" = 0.8, Any, PerBroker;
    /// Share of a credential's life that is added at random before it is renewed.
    refused: double "sasl.login.refresh.window.jitter" = 0.05, Any, PerBroker;
    /// Shortest time between two renewals of a credential.
    refused: short "sasl.login.refresh.min.period.seconds" = 60, Any, PerBroker;
    /// Time before the end of a credential's life by which it should be renewed.
    refused: short "sasl.login.refresh.buffer.seconds" = 300, Any, PerBroker;
    /// Kerberos name that the brokers run under.
    refused: string "sasl.kerberos.service.name", Any, PerBroker;
    /// Path of the kinit program.
    refused: string "sasl.kerberos.kinit.cmd" = "/usr/bin/kinit", Any, PerBroker;
    /// Share of a ticket's life after which it is renewed.
    refused: double "sasl.kerberos.ticket.renew.window.factor" = 0.8, Any, PerBroker;
    /// Share of random time that is added before a ticket is renewed.
    refused: double "sasl.kerberos.ticket.renew.jitter" = 0.05, Any, PerBroker;
    /// Shortest time between two Kerberos logins, in milliseconds.
    refused: long "sasl.kerberos.min.time.before.relogin" = 60000, Any, PerBroker;
    /// Rules that turn Kerberos principals into user names.
    refused: list "sasl.kerberos.principal.to.local.rules" = "DEFAULT", Any, PerBroker;
    /// Address of the keys with which tokens are checked.
    refused: string "sasl.oauthbearer.jwks.endpoint.url", Any, ReadOnly;
    /// Time between two loads of the keys with which tokens are checked.
    refused: long "sasl.oauthbearer.jwks.endpoint.refresh.ms" = 3600000, Any, ReadOnly;
    /// First pause between attempts to load those keys.
    refused: long "sasl.oauthbearer.jwks.endpoint.retry.backoff.ms" = 100, Any, ReadOnly;
    /// Longest pause between attempts to load those keys.
    refused: long "sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms" = 10000, Any, ReadOnly;
    /// Address that gives out tokens.
    refused: string "sasl.oauthbearer.token.endpoint.url", Any, ReadOnly;
    /// Audiences of which a token must name one.
    refused: list "sasl.oauthbearer.expected.audience" = "", Any, ReadOnly;
    /// Issuer that a token must name.
    refused: string "sasl.oauthbearer.expected.issuer", Any, ReadOnly;
    /// Difference between clocks that a token's times are allowed.
    refused: int "sasl.oauthbearer.clock.skew.seconds" = 30, Any, ReadOnly;
    /// Claim of a token that holds its scope.
    refused: string "sasl.oauthbearer.scope.claim.name" = "scope", Any, ReadOnly;
    /// Claim of a token that holds the user name.
    refused: string "sasl.oauthbearer.sub.claim.name" = "sub", Any, ReadOnly;
    /// Scope that is asked for with a token.
    refused: string "sasl.oauthbearer.scope", Any, ReadOnly;
    /// Client id with which a token is asked for.
    refused: string "sasl.oauthbearer.client.credentials.client.id", Any, ReadOnly;
    /// Secret with which a token is asked for.
    refused: password "sasl.oauthbearer.client.credentials.client.secret", Any, ReadOnly;
    /// Class that gets tokens.
    refused: class "sasl.oauthbearer.jwt.retriever.class" =
        "org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever", Any, ReadOnly;
    /// Class that checks tokens.
    refused: class "sasl.oauthbearer.jwt.validator.class" =
        "org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator", Any, ReadOnly;
    /// Algorithm that signs assertions.
    refused: string "sasl.oauthbearer.assertion.algorithm" = "RS256", OneOfAnyCase(&["ES256", "RS256"]), ReadOnly;
    /// Audience that an assertion names.
    refused: string "sasl.oauthbearer.assertion.claim.aud", Any, ReadOnly;
    /// Seconds for which an assertion is valid.
    refused: int "sasl.oauthbearer.assertion.claim.exp.seconds" = 300, Between(0, 86400), ReadOnly;
    /// Issuer that an assertion names.
    refused: string "sasl.oauthbearer.assertion.claim.iss", Any, ReadOnly;
    /// Gives each assertion an id of its own.
    refused: boolean "sasl.oauthbearer.assertion.claim.jti.include" = false, Any, ReadOnly;
    /// Seconds by which an assertion's validity begins before the present.
    refused: int "sasl.oauthbearer.assertion.claim.nbf.seconds" = 60, Between(0, 3600), ReadOnly;
    /// Subject that an assertion names.
    refused: string "sasl.oauthbearer.assertion.claim.sub", Any, ReadOnly;
    /// File with a ready assertion.
    refused: string "sasl.oauthbearer.assertion.file", Any, ReadOnly;
    /// File with the key that signs assertions.
    refused: string "sasl.oauthbearer.assertion.private.key.file", Any, ReadOnly;
    /// Password of the key that signs assertions.
    refused: password "sasl.oauthbearer.assertion.private.key.passphrase", Any, ReadOnly;
    /// File with headers and claims that assertions start from.
    refused: string "sasl.oauthbearer.assertion.template.file", Any, ReadOnly;
}
