//! The configuration of groups, from request to metadata log and back.

use ottla_wire::ErrorCode;
use ottla_wire::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use ottla_wire::messages::{
    ApiVersionsRequest, DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult,
    IncrementalAlterConfigsRequest,
};

use crate::support::{Client, Machine, code};

const GROUP: i8 = 32;
const OF_THE_GROUP: i8 = 8;
const DEFAULT: i8 = 5;
const SESSION: &str = "consumer.session.timeout.ms";

async fn set(client: &mut Client, group: &str, key: &str, value: &str) -> ErrorCode {
    let config = AlterableConfig { name: key.into(), value: Some(value.into()), ..Default::default() };
    let (resource_type, resource_name, configs) = (GROUP, group.into(), vec![config]);
    let resource = AlterConfigsResource { resource_type, resource_name, configs, ..Default::default() };
    let request = IncrementalAlterConfigsRequest { resources: vec![resource], ..Default::default() };
    code(client.call(&request, 1).await.responses[0].error_code)
}

async fn described(client: &mut Client, group: &str) -> (ErrorCode, Vec<DescribeConfigsResourceResult>) {
    let resource = DescribeConfigsResource {
        resource_type: GROUP,
        resource_name: group.into(),
        configuration_keys: None,
        ..Default::default()
    };
    let request = DescribeConfigsRequest { resources: vec![resource], ..Default::default() };
    let mut results = client.call(&request, 4).await.results;
    let result = results.pop().unwrap();
    (code(result.error_code), result.configs)
}

/// The value of the session timeout and its source.
async fn session(client: &mut Client, group: &str) -> (String, i8) {
    let (error, configs) = described(client, group).await;
    assert_eq!((error, configs.len()), (ErrorCode::None, 17));
    let config = configs.into_iter().find(|config| &*config.name == SESSION).unwrap();
    (config.value.unwrap().to_string(), config.config_source)
}

#[test]
fn a_change_is_seen_once_it_is_answered_and_outlives_a_crash() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start().await;
        let client = &mut broker.client;
        assert_eq!(session(client, "g").await, ("45000".to_owned(), DEFAULT));
        for value in ["50000", "51000"] {
            assert_eq!(set(client, "g", SESSION, value).await, ErrorCode::None);
            assert_eq!(session(client, "g").await, (value.to_owned(), OF_THE_GROUP));
        }
        assert_eq!(set(client, "g", SESSION, "1").await, ErrorCode::InvalidConfig);
        assert_eq!(described(client, "").await, (ErrorCode::InvalidRequest, vec![]));
        machine.crash(broker).await;

        let mut broker = machine.start().await;
        assert_eq!(session(&mut broker.client, "g").await, ("51000".to_owned(), OF_THE_GROUP));
        assert_eq!(session(&mut broker.client, "h").await, ("45000".to_owned(), DEFAULT));
        assert!(machine.stop(broker).await.is_ok());
    });
}

#[test]
fn the_version_of_groups_is_finalised() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start().await;
        let request = ApiVersionsRequest {
            client_software_name: "test".into(),
            client_software_version: "1".into(),
            ..Default::default()
        };
        let answer = broker.client.call(&request, 4).await;
        let supported = answer.supported_features.iter().find(|feature| &*feature.name == "group.version").unwrap();
        assert_eq!((supported.min_version, supported.max_version), (0, 1));
        let finalised = answer.finalized_features.iter().find(|feature| &*feature.name == "group.version").unwrap();
        assert_eq!(finalised.max_version_level, 1);
        assert!(machine.stop(broker).await.is_ok());
    });
}
