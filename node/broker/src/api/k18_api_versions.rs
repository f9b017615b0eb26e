//! ApiVersions: which keys and versions this broker answers, and at which feature levels (KIP-35, KIP-511, KIP-584).
//!
//! Versions 0-4. A version that is not known is answered all the same, in version 0, with the versions that are: see
//! [`unsupported`].

use ottla_net::Out;
use ottla_wire::frame::RequestStart;
use ottla_wire::messages::{
    ApiVersion, ApiVersionsRequest, ApiVersionsResponse, FinalizedFeatureKey, SupportedFeatureKey,
};
use ottla_wire::{ApiKey, ErrorCode};

use super::{Api, Run, TABLE, encode};
use crate::ctx::Ctx;

pub const API: Api = Api { key: ApiKey::ApiVersions, run: Run::Cold(|call| call.answer(handle)) };

async fn handle(ctx: Ctx, request: ApiVersionsRequest) -> ApiVersionsResponse {
    if ctx.version >= 3
        && !(is_software_word(&request.client_software_name) && is_software_word(&request.client_software_version))
    {
        return ApiVersionsResponse { error_code: ErrorCode::InvalidRequest.code(), ..Default::default() };
    }
    if ctx.version >= 3 {
        ctx.note_software(&request.client_software_name, &request.client_software_version);
    }
    let published = ctx.broker.published();
    let image = &published.image;
    let supported = ottla_metadata::features::FEATURES.iter().map(|feature| SupportedFeatureKey {
        name: feature.name.into(),
        min_version: *feature.supported.start(),
        max_version: *feature.supported.end(),
        ..Default::default()
    });
    let finalized = image.features().iter().map(|(name, level)| FinalizedFeatureKey {
        name: name.into(),
        max_version_level: level,
        min_version_level: level,
        ..Default::default()
    });
    ApiVersionsResponse {
        api_keys: TABLE.iter().map(|api| version_range(api.key)).collect(),
        // Clients before version 4 take a minimum of 0 for malformed (KAFKA-17011).
        supported_features: supported.filter(|feature| ctx.version >= 4 || feature.min_version > 0).collect(),
        finalized_features_epoch: image.offset(),
        finalized_features: finalized.collect(),
        ..Default::default()
    }
}

/// The answer to a version that is not known: version 0, UNSUPPORTED_VERSION, and the one key with which to ask again.
pub fn unsupported(start: RequestStart) -> Result<Out, &'static str> {
    let response = ApiVersionsResponse {
        error_code: ErrorCode::UnsupportedVersion.code(),
        api_keys: vec![version_range(ApiKey::ApiVersions)],
        ..Default::default()
    };
    encode::<ApiVersionsRequest>(&response, RequestStart { version: 0, ..start })
}

fn version_range(key: ApiKey) -> ApiVersion {
    let versions = &key.api().versions;
    ApiVersion {
        api_key: key.code(),
        min_version: *versions.start(),
        max_version: *versions.end(),
        ..Default::default()
    }
}

/// Letters, digits, dots and dashes, the first and last of them a letter or a digit (KIP-511).
fn is_software_word(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    is_edge(bytes.first())
        && is_edge(bytes.last())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn software_words() {
        for (text, is_one) in [
            ("kafka-4.3.1", true),
            ("a", true),
            ("", false),
            ("1_2", false),
            ("a b", false),
            ("-a", false),
            ("a.", false),
        ] {
            assert_eq!(is_software_word(text), is_one, "{text:?}");
        }
    }
}
