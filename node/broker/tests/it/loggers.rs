//! The levels of a broker's loggers (KIP-412), changed and described. The codes are Kafka's.

use ottla_wire::ErrorCode;
use ottla_wire::messages::alter_configs_request;
use ottla_wire::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use ottla_wire::messages::{
    AlterConfigsRequest, DescribeConfigsRequest, DescribeConfigsResource, IncrementalAlterConfigsRequest,
};

use crate::support::{Client, Machine, code};

const LOGGER: i8 = 8;
const OF_A_LOGGER: i8 = 6;
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

/// Names and levels of all loggers.
async fn described(client: &mut Client, broker: &str) -> (ErrorCode, Vec<(String, String)>) {
    let resource = DescribeConfigsResource {
        resource_type: LOGGER,
        resource_name: broker.into(),
        configuration_keys: None,
        ..Default::default()
    };
    let request = DescribeConfigsRequest { resources: vec![resource], ..Default::default() };
    let mut results = client.call(&request, 4).await.results;
    let result = results.pop().unwrap();
    assert!(result.configs.iter().all(|config| config.config_source == OF_A_LOGGER && !config.read_only));
    let levels =
        result.configs.iter().map(|config| (config.name.to_string(), config.value.clone().unwrap().to_string()));
    (code(result.error_code), levels.collect())
}

async fn level(client: &mut Client, logger: &str) -> String {
    let (error, levels) = described(client, "1").await;
    assert_eq!(error, ErrorCode::None);
    levels.into_iter().find(|(name, _)| name == logger).unwrap().1
}

fn resource(broker: &str, configs: &[(&str, i8, Option<&str>)]) -> AlterConfigsResource {
    let config = |&(name, config_operation, value): &(&str, i8, Option<&str>)| AlterableConfig {
        name: name.into(),
        config_operation,
        value: value.map(Into::into),
        ..Default::default()
    };
    AlterConfigsResource {
        resource_type: LOGGER,
        resource_name: broker.into(),
        configs: configs.iter().map(config).collect(),
        ..Default::default()
    }
}

async fn alter(client: &mut Client, resources: Vec<AlterConfigsResource>, validate_only: bool) -> Vec<ErrorCode> {
    let request = IncrementalAlterConfigsRequest { resources, validate_only, ..Default::default() };
    client.call(&request, 1).await.responses.iter().map(|response| code(response.error_code)).collect()
}

#[test]
fn a_level_is_set_and_deleted_and_not_kept() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start().await;
        let client = &mut broker.client;
        let (error, levels) = described(client, "+01").await;
        let info = |name: &str| (name.to_owned(), "INFO".to_owned());
        let all = ["root", "ottla", "ottla_broker", "ottla_http", "ottla_net", "ottla_rt"];
        assert_eq!((error, levels), (ErrorCode::None, all.map(info).to_vec()));
        let check = async |client: &mut Client, configs: &[(&str, i8, Option<&str>)], root: &str, net: &str| {
            assert_eq!(alter(client, vec![resource("1", configs)], false).await, [ErrorCode::None], "{configs:?}");
            assert_eq!((level(client, "root").await, level(client, "ottla_net").await), (root.into(), net.into()));
        };
        check(client, &[("ottla_net", SET, Some("DEBUG"))], "INFO", "DEBUG").await;
        check(client, &[("root", SET, Some("WARN"))], "WARN", "DEBUG").await;
        check(client, &[("ottla_net", DELETE, None)], "WARN", "WARN").await;
        check(client, &[("ottla_net", DELETE, Some("x")), ("ottla_rt", SET, Some("TRACE"))], "WARN", "WARN").await;
        check(client, &[("root", SET, Some("FATAL"))], "FATAL", "FATAL").await;
        check(client, &[], "FATAL", "FATAL").await;
        let seen = alter(client, vec![resource("1", &[("root", SET, Some("TRACE"))])], true).await;
        assert_eq!((seen, level(client, "root").await), (vec![ErrorCode::None], "FATAL".to_owned()), "it only looks");
        machine.stop(broker).await.unwrap();

        let mut broker = machine.start().await;
        assert_eq!(level(&mut broker.client, "ottla_rt").await, "INFO");
        machine.stop(broker).await.unwrap();
    });
}

#[test]
fn what_kafka_refuses_is_refused_and_changes_nothing() {
    let machine = Machine::new();
    machine.world.block_on(async {
        use ErrorCode::{InvalidConfig, InvalidRequest};
        let mut broker = machine.start().await;
        let client = &mut broker.client;
        let net = |operation, value| [("ottla_net", operation, value)];
        for (name, configs, error) in [
            ("1", &net(SET, Some("debug"))[..], InvalidConfig),
            ("1", &net(SET, Some("OFF")), InvalidConfig),
            ("1", &net(SET, Some("")), InvalidConfig),
            ("1", &net(SET, None), InvalidRequest),
            ("1", &net(APPEND, Some("DEBUG")), InvalidRequest),
            ("1", &net(SUBTRACT, Some("DEBUG")), InvalidRequest),
            ("1", &net(9, Some("DEBUG")), InvalidRequest),
            ("1", &[("nope", APPEND, Some("DEBUG"))], InvalidRequest),
            ("1", &[("nope", SET, Some("DEBUG"))], InvalidConfig),
            ("1", &[("nope", DELETE, None)], InvalidConfig),
            ("1", &[("root", DELETE, None)], InvalidRequest),
            ("1", &[("ottla_net", SET, Some("DEBUG")), ("nope", SET, Some("DEBUG"))], InvalidConfig),
            ("1", &[("ottla_net", SET, Some("DEBUG")), ("ottla_net", DELETE, None)], InvalidRequest),
            ("2", &net(SET, Some("DEBUG")), InvalidRequest),
            ("", &net(SET, Some("DEBUG")), InvalidRequest),
            ("x", &net(SET, Some("DEBUG")), InvalidRequest),
        ] {
            for validate_only in [true, false] {
                assert_eq!(alter(client, vec![resource(name, configs)], validate_only).await, [error], "{configs:?}");
            }
        }
        let twice = vec![resource("1", &net(SET, Some("DEBUG"))); 2];
        assert_eq!(alter(client, twice, false).await, [InvalidRequest; 2]);
        for broker in ["2", "", "x"] {
            assert_eq!(described(client, broker).await, (InvalidRequest, vec![]));
        }
        let old = alter_configs_request::AlterConfigsResource {
            resource_type: LOGGER,
            resource_name: "1".into(),
            ..Default::default()
        };
        let old = AlterConfigsRequest { resources: vec![old], ..Default::default() };
        assert_eq!(code(client.call(&old, 2).await.responses[0].error_code), InvalidRequest);
        let (_, levels) = described(client, "1").await;
        assert!(levels.iter().all(|(_, level)| level == "INFO"), "{levels:?}");
        machine.stop(broker).await.unwrap();
    });
}

#[test]
fn loggers_beside_other_resources_are_answered_too() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start().await;
        let client = &mut broker.client;
        let topic = AlterConfigsResource { resource_type: 2, ..resource("nope", &[("retention.ms", SET, Some("1"))]) };
        let both = vec![resource("1", &[("ottla_net", SET, Some("ERROR"))]), topic];
        let errors = alter(client, both, false).await;
        assert_eq!(errors, [ErrorCode::UnknownTopicOrPartition, ErrorCode::None]);
        assert_eq!(level(client, "ottla_net").await, "ERROR");
        machine.stop(broker).await.unwrap();
    });
}
