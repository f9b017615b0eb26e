//! Subscriptions to client metrics (KIP-714), of which no client hears.

use ottla_wire::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use ottla_wire::messages::{
    ApiVersionsRequest, DescribeConfigsRequest, DescribeConfigsResource, IncrementalAlterConfigsRequest,
    ListConfigResourcesRequest,
};
use ottla_wire::{ApiKey, ErrorCode};

use crate::support::{Client, Machine, code};

const CLIENT_METRICS: i8 = 16;
const OF_THE_SUBSCRIPTION: i8 = 7;
const DEFAULT: i8 = 5;

/// Value and source of each key, or the error.
async fn described(client: &mut Client, name: &str) -> Result<Vec<(String, i8)>, ErrorCode> {
    let resource = DescribeConfigsResource {
        resource_type: CLIENT_METRICS,
        resource_name: name.into(),
        configuration_keys: None,
        ..Default::default()
    };
    let request =
        DescribeConfigsRequest { resources: vec![resource], include_documentation: true, ..Default::default() };
    let result = client.call(&request, 4).await.results.pop().unwrap();
    let says =
        |doc: &Option<_>| doc.as_ref().is_some_and(|doc: &std::sync::Arc<str>| doc.contains("no effect in Ottla"));
    assert!(result.configs.iter().all(|config| says(&config.documentation)));
    match code(result.error_code) {
        ErrorCode::None => {
            let shown = |value: Option<std::sync::Arc<str>>| value.unwrap_or_default().to_string();
            Ok(result.configs.into_iter().map(|config| (shown(config.value), config.config_source)).collect())
        }
        error => Err(error),
    }
}

async fn listed(client: &mut Client) -> Vec<String> {
    let request = ListConfigResourcesRequest { resource_types: vec![CLIENT_METRICS], ..Default::default() };
    let answer = client.call(&request, 1).await;
    answer.config_resources.iter().map(|resource| resource.resource_name.to_string()).collect()
}

async fn delete(client: &mut Client, name: &str, keys: &[&str]) -> ErrorCode {
    let config = |key: &&str| AlterableConfig { name: (*key).into(), config_operation: 1, ..Default::default() };
    let resource = AlterConfigsResource {
        resource_type: CLIENT_METRICS,
        resource_name: name.into(),
        configs: keys.iter().map(config).collect(),
        ..Default::default()
    };
    let request = IncrementalAlterConfigsRequest { resources: vec![resource], ..Default::default() };
    code(client.call(&request, 1).await.responses[0].error_code)
}

#[test]
fn a_subscription_is_kept_until_its_keys_are_deleted() {
    let machine = Machine::new();
    let row = |value: &str, source: i8| (value.to_owned(), source);
    let defaults = [row("300000", DEFAULT), row("", DEFAULT), row("", DEFAULT)];
    machine.world.block_on(async {
        let mut broker = machine.start().await;
        let client = &mut broker.client;
        assert_eq!(described(client, "s").await.unwrap(), defaults);
        assert_eq!(described(client, "").await, Err(ErrorCode::InvalidRequest));
        let subscription = (CLIENT_METRICS, "s");
        assert_eq!(client.configure(subscription, ("interval.ms", "5000")).await, ErrorCode::None);
        assert_eq!(client.configure(subscription, ("match", "client_id = a.*")).await, ErrorCode::None);
        assert_eq!(client.configure(subscription, ("interval.ms", "1")).await, ErrorCode::InvalidRequest);
        assert_eq!(client.configure(subscription, ("match", "a.*")).await, ErrorCode::InvalidConfig);
        machine.crash(broker).await;

        let mut broker = machine.start().await;
        let client = &mut broker.client;
        let own = OF_THE_SUBSCRIPTION;
        let expected = [row("5000", own), row("client_id = a.*", own), row("", DEFAULT)];
        assert_eq!(described(client, "s").await.unwrap(), expected);
        assert_eq!(listed(client).await, ["s"]);
        assert_eq!(delete(client, "s", &["interval.ms"]).await, ErrorCode::None);
        assert_eq!(listed(client).await, ["s"]);
        assert_eq!(delete(client, "s", &["match", "metrics"]).await, ErrorCode::None);
        assert_eq!((listed(client).await, described(client, "s").await.unwrap()), (vec![], defaults.to_vec()));
        assert!(machine.stop(broker).await.is_ok());
    });
}

#[test]
fn clients_are_not_told_of_it() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start().await;
        let request = ApiVersionsRequest {
            client_software_name: "test".into(),
            client_software_version: "1".into(),
            ..Default::default()
        };
        let answer = broker.client.call(&request, 4).await;
        let is_told = |key: ApiKey| answer.api_keys.iter().any(|api| api.api_key == key.code());
        assert!(is_told(ApiKey::ListConfigResources));
        assert!(!is_told(ApiKey::GetTelemetrySubscriptions) && !is_told(ApiKey::PushTelemetry));
        assert!(machine.stop(broker).await.is_ok());
    });
}
