//! TLS. Each of these promises an encrypted or authenticated connection, so none may be set yet.

use crate::bounds::Bounds::*;
use crate::key::Scope::*;
use crate::key::keys;

keys! {
    /// TLS version that is used by preference.
    refused: string "ssl.protocol" = "TLSv1.3", Any, PerBroker;
    /// TLS versions that are accepted.
    refused: list "ssl.enabled.protocols" = "TLSv1.2,TLSv1.3", Any, PerBroker;
    /// Cipher suites that are accepted; empty means all that are available.
    refused: list "ssl.cipher.suites" = "", Any, PerBroker;
    /// Whether clients must show a certificate.
    refused: string "ssl.client.auth" = "none", OneOf(&["required", "requested", "none"]), PerBroker;
    /// How the name in a server's certificate is checked; empty means not at all.
    refused: string "ssl.endpoint.identification.algorithm" = "https", Any, PerBroker;
    /// Rules that turn the name in a client's certificate into a user name.
    refused: string "ssl.principal.mapping.rules" = "DEFAULT", Any, ReadOnly;
    /// Format of the key store.
    refused: string "ssl.keystore.type" = "JKS", Any, PerBroker;
    /// File with this node's key and certificate.
    refused: string "ssl.keystore.location", Any, PerBroker;
    /// Password of the key store.
    refused: password "ssl.keystore.password", Any, PerBroker;
    /// Private key of this node, as PEM text.
    refused: password "ssl.keystore.key", Any, PerBroker;
    /// Certificates of this node, as PEM text.
    refused: password "ssl.keystore.certificate.chain", Any, PerBroker;
    /// Password of the private key.
    refused: password "ssl.key.password", Any, PerBroker;
    /// Algorithm of the key manager.
    refused: string "ssl.keymanager.algorithm" = "SunX509", Any, PerBroker;
    /// Format of the trust store.
    refused: string "ssl.truststore.type" = "JKS", Any, PerBroker;
    /// File with the certificates that this node trusts.
    refused: string "ssl.truststore.location", Any, PerBroker;
    /// Password of the trust store.
    refused: password "ssl.truststore.password", Any, PerBroker;
    /// Certificates that this node trusts, as PEM text.
    refused: password "ssl.truststore.certificates", Any, PerBroker;
    /// Algorithm of the trust manager.
    refused: string "ssl.trustmanager.algorithm" = "PKIX", Any, PerBroker;
    /// Java security provider for TLS.
    refused: string "ssl.provider", Any, PerBroker;
    /// Java source of random numbers for TLS.
    refused: string "ssl.secure.random.implementation", Any, PerBroker;
    /// Class that makes the TLS engines.
    refused: class "ssl.engine.factory.class", Any, PerBroker;
    /// Allows a new key store whose certificate has another name.
    refused: boolean "ssl.allow.dn.changes" = false, Any, ReadOnly;
    /// Allows a new key store whose certificate has other alternative names.
    refused: boolean "ssl.allow.san.changes" = false, Any, ReadOnly;
}
