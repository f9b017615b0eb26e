//! Listeners that come and go while the broker runs, and what is set for one of them.

use std::net::SocketAddr;
use std::time::Duration;

use ottla_wire::messages::alter_configs_request::AlterConfigsResource as Replaced;
use ottla_wire::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use ottla_wire::messages::{
    AlterConfigsRequest, DescribeClusterRequest, DescribeConfigsRequest, DescribeConfigsResource,
    FindCoordinatorRequest, IncrementalAlterConfigsRequest, MetadataRequest,
};
use ottla_wire::{ApiKey, ErrorCode};

use crate::support::{Broker, Client, Machine, code};

const BROKER: i8 = 4;
/// Ten seconds of them: what could not be bound is tried again within that time.
const LOOKS: usize = 1_000;
const FIRST: &str = "PLAINTEXT://127.0.0.1:9092";
const FILE: [(&str, &str); 2] = [("listeners", FIRST), ("advertised.listeners", FIRST)];
/// For [`Machine::start_plain`], as for the others.
const NO_HTTP: (&str, &str) = ("ottla.http.listener", "");
const MAP: &str = "PLAINTEXT:PLAINTEXT,SECOND:PLAINTEXT,THIRD:PLAINTEXT";
const OF_SECOND: &str = "listener.name.second.max.connections";

async fn set(client: &mut Client, configs: &[(&str, &str)]) -> ErrorCode {
    set_times(client, configs, 1).await[0]
}

/// With so many resources that are the same.
async fn set_times(client: &mut Client, configs: &[(&str, &str)], times: usize) -> Vec<ErrorCode> {
    let config = |(key, value): &(&str, &str)| AlterableConfig {
        name: (*key).into(),
        value: Some((*value).into()),
        ..Default::default()
    };
    let resource = AlterConfigsResource {
        resource_type: BROKER,
        resource_name: "1".into(),
        configs: configs.iter().map(config).collect(),
        ..Default::default()
    };
    let request = IncrementalAlterConfigsRequest { resources: vec![resource; times], ..Default::default() };
    client.call(&request, 1).await.responses.iter().map(|response| code(response.error_code)).collect()
}

/// Value and source.
async fn described(client: &mut Client, key: &str) -> (Option<String>, i8, Vec<(String, i8)>) {
    let resource = DescribeConfigsResource {
        resource_type: BROKER,
        resource_name: "1".into(),
        configuration_keys: Some(vec![key.into()]),
        ..Default::default()
    };
    let request = DescribeConfigsRequest { resources: vec![resource], include_synonyms: true, ..Default::default() };
    let config = client.call(&request, 4).await.results.pop().unwrap().configs.pop().unwrap();
    let synonyms = config.synonyms.iter().map(|synonym| (synonym.name.to_string(), synonym.source)).collect();
    (config.value.map(|value| value.to_string()), config.config_source, synonyms)
}

/// Listeners open and close a moment after the answer.
async fn opens(machine: &Machine, port: u16) -> Client {
    let rt = machine.world.process("client").rt();
    for _ in 0..LOOKS {
        if let Some(client) = machine.try_connect_to(port).await {
            return client;
        }
        rt.sleep(Duration::from_millis(10)).await;
    }
    panic!("nobody listens on {port}")
}

async fn closes(machine: &Machine, port: u16) {
    let rt = machine.world.process("client").rt();
    for _ in 0..LOOKS {
        if machine.try_connect_to(port).await.is_none() {
            return;
        }
        rt.sleep(Duration::from_millis(10)).await;
    }
    panic!("somebody listens on {port}")
}

fn with_second(port: u16) -> String {
    format!("{FIRST},SECOND://127.0.0.1:{port}")
}

async fn start(machine: &Machine) -> Broker {
    machine.start_set_up(&FILE).await
}

#[test]
fn a_listener_comes_moves_and_goes() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = start(&machine).await;
        let client = &mut broker.client;
        assert_eq!(set(client, &[("listeners", &with_second(9093))]).await, ErrorCode::InvalidRequest);
        assert!(machine.try_connect_to(9093).await.is_none());
        let both = [("listeners", &*with_second(9093)), ("listener.security.protocol.map", MAP)];
        assert_eq!(set(client, &both).await, ErrorCode::None);
        let mut second = opens(&machine, 9093).await;
        assert_eq!(second.create("t", &[]).await, ErrorCode::None);

        assert_eq!(set(&mut second, &[("listeners", &with_second(9094))]).await, ErrorCode::None, "it has its answer");
        let mut moved = opens(&machine, 9094).await;
        closes(&machine, 9093).await;
        assert!(second.is_refused(ApiKey::ApiVersions, 0, |_| {}).await, "connections go with the listener");
        assert_eq!(moved.topics().await, ["t"]);
        machine.crash(broker).await;

        let mut broker = start(&machine).await;
        assert_eq!(opens(&machine, 9094).await.topics().await, ["t"]);
        let (value, source, _) = described(&mut broker.client, "listeners").await;
        assert_eq!((value, source), (Some(with_second(9094)), 2));
        let nothing = Replaced { resource_type: BROKER, resource_name: "1".into(), ..Default::default() };
        let request = AlterConfigsRequest { resources: vec![nothing], ..Default::default() };
        assert_eq!(code(broker.client.call(&request, 2).await.responses[0].error_code), ErrorCode::None);
        closes(&machine, 9094).await;
        assert_eq!(broker.client.topics().await, ["t"]);
        assert!(machine.stop(broker).await.is_ok());
    });
}

#[test]
fn whoever_comes_by_a_listener_that_is_not_advertised_is_told_of_no_broker() {
    let machine = Machine::new();
    machine.world.block_on(async {
        // Nor is one that was added where nobody says what is advertised, whether it was before this start or is now.
        let mut broker = machine.start_set_up(&FILE[..1]).await;
        let both = [("listeners", &*with_second(9093)), ("listener.security.protocol.map", MAP)];
        assert_eq!(set(&mut broker.client, &both).await, ErrorCode::None);
        opens(&machine, 9093).await;
        machine.crash(broker).await;
        let broker = machine.start_set_up(&FILE[..1]).await;
        let mut second = opens(&machine, 9093).await;
        let metadata = second.call(&MetadataRequest { topics: Some(vec![]), ..Default::default() }, 12).await;
        assert_eq!((metadata.brokers.len(), metadata.controller_id), (0, 1));
        let cluster = second.call(&DescribeClusterRequest { endpoint_type: 1, ..Default::default() }, 1).await;
        assert_eq!((cluster.brokers.len(), cluster.controller_id), (0, -1));
        let request = FindCoordinatorRequest { coordinator_keys: vec!["g".into()], ..Default::default() };
        let coordinator = &second.call(&request, 4).await.coordinators[0];
        assert_eq!(code(coordinator.error_code), ErrorCode::CoordinatorNotAvailable);
        assert!(machine.stop(broker).await.is_ok());
    });
}

#[test]
fn an_address_that_is_taken_is_refused() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = start(&machine).await;
        let taken: SocketAddr = "127.0.0.1:9093".parse().unwrap();
        let other = machine.occupy(taken);
        let both = [("listeners", &*with_second(9093)), ("listener.security.protocol.map", MAP)];
        assert_eq!(set(&mut broker.client, &both).await, ErrorCode::InvalidRequest);
        assert_eq!(set_times(&mut broker.client, &both, 2).await, [ErrorCode::InvalidRequest; 2]);
        assert_eq!(described(&mut broker.client, "listeners").await.1, 4, "nothing of it is kept");
        drop(other);
        assert_eq!(set(&mut broker.client, &both).await, ErrorCode::None);
        opens(&machine, 9093).await;

        // Taken between the stop and the next start: the others are served, and this one as soon as it can be.
        assert!(machine.stop(broker).await.is_ok());
        let other = machine.occupy(taken);
        let mut broker = start(&machine).await;
        assert_eq!(broker.client.topics().await, [""; 0]);
        drop(other);
        opens(&machine, 9093).await;
        // One that waits for its port when the broker stops.
        assert_eq!(set(&mut broker.client, &[("listeners", FIRST)]).await, ErrorCode::None);
        closes(&machine, 9093).await;
        assert_eq!(set(&mut broker.client, &[("listeners", &with_second(9093))]).await, ErrorCode::None);
        assert!(machine.stop(broker).await.is_ok());
        assert!(machine.try_connect_to(9093).await.is_none());
    });
}

#[test]
fn nobody_can_lock_the_clients_out() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = start(&machine).await;
        for elsewhere in ["PLAINTEXT://127.0.0.1:9099", "PLAINTEXT://192.0.2.7:9092"] {
            assert_eq!(set(&mut broker.client, &[("listeners", elsewhere)]).await, ErrorCode::InvalidRequest);
        }
        let none_there: Vec<_> = (0..64).map(|n| format!("N{n}://127.0.0.1:{}", 10_000 + n)).collect();
        let many = format!("{FIRST},{}", none_there.join(","));
        let protocols: Vec<_> = (0..64).map(|n| format!("N{n}:PLAINTEXT")).collect();
        let map = format!("PLAINTEXT:PLAINTEXT,{}", protocols.join(","));
        let too_many = [("listeners", &*many), ("listener.security.protocol.map", &*map)];
        assert_eq!(set(&mut broker.client, &too_many).await, ErrorCode::InvalidRequest);
        assert_eq!(described(&mut broker.client, "listeners").await.1, 4, "nothing of it is kept");
        assert!(machine.stop(broker).await.is_ok());
    });
}

#[test]
fn what_does_not_go_with_the_file_any_more_is_not_used() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = start(&machine).await;
        let both = [("listeners", &*with_second(9093)), ("listener.security.protocol.map", MAP)];
        assert_eq!(set(&mut broker.client, &both).await, ErrorCode::None);
        assert!(machine.stop(broker).await.is_ok());

        let (_, running) = machine
            .start_plain(&[
                NO_HTTP,
                ("listeners", "OTHER://127.0.0.1:9095"),
                ("listener.security.protocol.map", "OTHER:PLAINTEXT"),
                ("advertised.listeners", "OTHER://127.0.0.1:9095"),
            ])
            .await;
        let mut client = machine.connect_to(9095).await;
        assert_eq!(described(&mut client, "listeners").await.1, 2, "it is still there to be deleted");
        assert!(machine.try_connect_to(9093).await.is_none());
        assert!(running.stop().await.is_ok());
    });
}

#[test]
fn a_listener_has_so_many_connections() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let settings = [FILE[0], FILE[1], (OF_SECOND, "1")];
        let mut broker = machine.start_set_up(&settings).await;
        let both = [("listeners", &*with_second(9093)), ("listener.security.protocol.map", MAP)];
        assert_eq!(set(&mut broker.client, &both).await, ErrorCode::None);
        let mut first = opens(&machine, 9093).await;
        assert_eq!(first.topics().await, [""; 0]);
        let mut waits = machine.connect_to(9093).await;
        let rt = machine.world.process("client").rt();
        assert!(rt.timeout(Duration::from_secs(1), waits.topics()).await.is_none(), "the only place is taken");
        assert_eq!(set(&mut broker.client, &[(OF_SECOND, "0")]).await, ErrorCode::InvalidRequest);
        assert_eq!(set(&mut broker.client, &[(OF_SECOND, "3")]).await, ErrorCode::None);
        assert_eq!(machine.connect_to(9093).await.topics().await, [""; 0]);

        let (value, source, synonyms) = described(&mut broker.client, OF_SECOND).await;
        assert_eq!((value.as_deref(), source), (Some("3"), 2));
        let expected = [(OF_SECOND, 2), (OF_SECOND, 4), ("max.connections", 5)];
        assert_eq!(synonyms, expected.map(|(name, source)| (name.to_owned(), source)));
        assert!(machine.stop(broker).await.is_ok());
    });
}
