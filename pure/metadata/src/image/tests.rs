//! Records, and the image that they make.

use std::sync::Arc;

use ottla_base::{LeaderEpoch, NodeId, Uuid};
use ottla_machine::At;
use ottla_wire::records::{
    AbortTransactionRecord, BeginTransactionRecord, BrokerRegistrationChangeRecord, ClearElrRecord, ClientQuotaRecord,
    DelegationTokenRecord, EndTransactionRecord, EntityData, PartitionChangeRecord, PartitionRecord,
    RegisterBrokerRecord, RemoveDelegationTokenRecord, RemoveTopicRecord, RemoveUserScramCredentialRecord, TopicRecord,
    UserScramCredentialRecord,
};

use super::{ConfigResource, Contradiction, Image, KeptRecord, LeaderRecovery};
use crate::Record;

const A: Uuid = Uuid([0xa; 16]);
const B: Uuid = Uuid([0xb; 16]);

fn topic(name: &str, topic_id: Uuid) -> Record {
    Record::Topic(TopicRecord { name: name.into(), topic_id, ..Default::default() })
}

fn partition(topic_id: Uuid, partition_id: i32) -> Record {
    Record::Partition(PartitionRecord {
        topic_id,
        partition_id,
        replicas: vec![1, 2],
        isr: vec![1],
        leader: 1,
        leader_epoch: 4,
        partition_epoch: 7,
        leader_recovery_state: 1,
        eligible_leader_replicas: Some(vec![2]),
        last_known_elr: Some(vec![3]),
        adding_replicas: vec![2],
        removing_replicas: vec![4],
        ..Default::default()
    })
}

fn change(topic_id: Uuid, partition_id: i32) -> PartitionChangeRecord {
    PartitionChangeRecord { topic_id, partition_id, ..Default::default() }
}

fn config(resource: ConfigResource, key: &str, value: Option<&str>) -> Record {
    Record::Config { resource, key: key.into(), value: value.map(Arc::from) }
}

fn registration_change(broker_id: i32, broker_epoch: i64) -> BrokerRegistrationChangeRecord {
    BrokerRegistrationChangeRecord { broker_id, broker_epoch, ..Default::default() }
}

fn image(records: impl IntoIterator<Item = Record>) -> Image {
    let mut image = Image::default();
    for (offset, record) in records.into_iter().enumerate() {
        image.apply(At { offset: offset as i64 }, &record).unwrap();
    }
    image
}

fn two_topics() -> Image {
    let broker = RegisterBrokerRecord { broker_id: 1, broker_epoch: 5, ..Default::default() };
    image([
        topic("a", A),
        partition(A, 0),
        partition(A, 1),
        topic("b", B),
        partition(B, 0),
        Record::RegisterBroker(broker),
    ])
}

#[test]
fn a_log_that_contradicts_itself_is_refused_and_changes_nothing() {
    let before = two_topics();
    for (record, why) in [
        (topic("a", Uuid([9; 16])), "topic a is created, but its name or id is taken"),
        (topic("c", A), "topic c is created, but its name or id is taken"),
        (partition(Uuid::ZERO, 0), "there is no topic AAAAAAAAAAAAAAAAAAAAAA"),
        (Record::PartitionChange(change(Uuid::ZERO, 0)), "there is no topic AAAAAAAAAAAAAAAAAAAAAA"),
        (Record::PartitionChange(change(B, 1)), "there is no partition 1 of topic CwsLCwsLCwsLCwsLCwsLCw"),
        (Record::RemoveTopic(RemoveTopicRecord::default()), "there is no topic AAAAAAAAAAAAAAAAAAAAAA"),
        (Record::ClearElr(ClearElrRecord { topic_name: "c".into(), ..Default::default() }), "there is no topic c"),
        (Record::BrokerRegistrationChange(registration_change(1, 4)), "broker 1 is not registered with epoch 4"),
        (Record::BrokerRegistrationChange(registration_change(2, 5)), "broker 2 is not registered with epoch 5"),
    ] {
        let mut image = before.clone();
        let error = image.apply(At { offset: 99 }, &record).unwrap_err();
        assert_eq!(error.to_string(), format!("the metadata log contradicts itself at offset 99: {why}"));
        assert_eq!(image, before);
    }
}

#[test]
fn a_change_of_a_partition_says_what_changes() {
    let before = two_topics();
    let changed = |record: PartitionChangeRecord| {
        let mut image = before.clone();
        image.apply(At { offset: 9 }, &Record::PartitionChange(record)).unwrap();
        assert_eq!(image.offset(), 9);
        assert_eq!(image.topics().get("b"), before.topics().get("b"));
        image.topics().get("a").unwrap().partition(1).unwrap().clone()
    };
    let old = before.topics().get("a").unwrap().partition(1).unwrap();
    assert_eq!(old.leader_recovery, LeaderRecovery::Recovering);

    let mut expected = old.clone();
    expected.partition_epoch = 8;
    assert_eq!(changed(change(A, 1)), expected);

    // A leader that is named has a new epoch, even if it is the same.
    expected.leader_epoch = LeaderEpoch(5);
    assert_eq!(changed(PartitionChangeRecord { leader: 1, ..change(A, 1) }), expected);

    let all = PartitionChangeRecord {
        isr: Some(vec![5]),
        leader: 5,
        replicas: Some(vec![5, 6]),
        leader_recovery_state: 0,
        eligible_leader_replicas: Some(vec![6]),
        last_known_elr: Some(vec![]),
        adding_replicas: Some(vec![6]),
        removing_replicas: Some(vec![]),
        directories: Some(vec![A, B]),
        ..change(A, 1)
    };
    expected.isr = vec![NodeId(5)];
    expected.leader = NodeId(5);
    expected.replicas = vec![NodeId(5), NodeId(6)];
    expected.leader_recovery = LeaderRecovery::Recovered;
    expected.eligible_leader_replicas = vec![NodeId(6)];
    expected.last_known_elr = vec![];
    expected.adding_replicas = vec![NodeId(6)];
    expected.removing_replicas = vec![];
    expected.directories = vec![A, B];
    assert_eq!(changed(all), expected);
}

#[test]
fn eligible_leaders_are_cleared_for_one_topic_or_all() {
    let cleared = |name: &str| {
        let mut image = two_topics();
        let record = ClearElrRecord { topic_name: name.into(), ..Default::default() };
        image.apply(At { offset: 9 }, &Record::ClearElr(record.clone())).unwrap();
        // Twice is once: a partition that has none does not change.
        image.apply(At { offset: 10 }, &Record::ClearElr(record)).unwrap();
        let states = image.topics().iter().flat_map(|topic| topic.partitions()).map(|(_, partition)| {
            let rest = partition.eligible_leader_replicas.len() + partition.last_known_elr.len();
            (rest, partition.partition_epoch, partition.leader_epoch.0)
        });
        states.collect::<Vec<_>>()
    };
    assert_eq!(cleared("a"), [(0, 8, 4), (0, 8, 4), (2, 7, 4)]);
    assert_eq!(cleared(""), [(0, 8, 4), (0, 8, 4), (0, 8, 4)]);
}

#[test]
fn topics_are_found_by_name_and_by_id_and_listed_by_name() {
    let mut image = image([topic("c", A), topic("a", B), topic("b", Uuid([9; 16]))]);
    let names = |image: &Image| image.topics().iter().map(|topic| topic.name.to_string()).collect::<Vec<_>>();
    assert_eq!(names(&image), ["a", "b", "c"]);
    let from = |first| image.topics().iter_from(first).map(|topic| &*topic.name).collect::<Vec<_>>();
    assert_eq!(from("b"), ["b", "c"]);
    assert_eq!(from("aa"), ["b", "c"]);
    assert_eq!(from("d"), [""; 0]);
    assert_eq!(image.topics().get("a").map(|topic| topic.id), Some(B));
    assert_eq!(image.topics().get_by_id(&A).map(|topic| &*topic.name), Some("c"));

    image
        .apply(At { offset: 3 }, &Record::RemoveTopic(RemoveTopicRecord { topic_id: B, ..Default::default() }))
        .unwrap();
    assert_eq!(names(&image), ["b", "c"]);
    assert_eq!(image.topics().get("a"), None);
    assert_eq!(image.topics().get_by_id(&B), None);
}

fn show(image: &Image, resource: &ConfigResource) -> String {
    let all = image.configs().of(resource).iter();
    all.map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
}

#[test]
fn configs_belong_to_their_resource_and_go_with_the_topic() {
    let of_a = ConfigResource::Topic("a".into());
    let of_one = ConfigResource::Broker(NodeId(1));
    let records = [
        topic("a", A),
        config(of_a.clone(), "k", Some("1")),
        config(of_a.clone(), "k", Some("2")),
        config(of_a.clone(), "l", Some("3")),
        config(of_one.clone(), "k", Some("4")),
        config(ConfigResource::BrokerDefault, "k", Some("5")),
        config(of_a.clone(), "l", None),
        config(of_one.clone(), "other", None),
    ];
    let mut image = image(records);
    assert_eq!(show(&image, &of_a), "k=2");
    assert_eq!(show(&image, &of_one), "k=4");
    assert_eq!(show(&image, &ConfigResource::BrokerDefault), "k=5");
    assert_eq!(show(&image, &ConfigResource::Topic("k".into())), "");

    image
        .apply(At { offset: 9 }, &Record::RemoveTopic(RemoveTopicRecord { topic_id: A, ..Default::default() }))
        .unwrap();
    assert_eq!(show(&image, &of_a), "");
    image.apply(At { offset: 10 }, &config(of_one.clone(), "k", None)).unwrap();
    let mut without = Image::default();
    without.apply(At { offset: 0 }, &config(ConfigResource::BrokerDefault, "k", Some("5"))).unwrap();
    assert_eq!(image.configs(), without.configs(), "nothing is left of a resource without configs");
}

#[test]
fn the_configs_of_groups_stand_by_themselves() {
    let group = |name: &str| ConfigResource::Group(name.into());
    let metrics = ConfigResource::ClientMetrics("c".into());
    let image = image([
        config(ConfigResource::Topic("a".into()), "k", Some("1")),
        config(group("b"), "k", Some("2")),
        config(group("a"), "k", Some("3")),
        config(group("c"), "k", Some("4")),
        config(group("c"), "k", None),
        config(metrics.clone(), "k", Some("5")),
        config(ConfigResource::BrokerDefault, "k", Some("6")),
    ]);
    let groups: Vec<_> = image.configs().groups().map(|(name, configs)| format!("{name} {}", configs["k"])).collect();
    assert_eq!(groups, ["a 3", "b 2"]);
    assert_eq!(show(&image, &group("a")), "k=3");
    assert_eq!(show(&image, &metrics), "k=5");
}

#[test]
fn a_registration_changes_in_what_the_record_says() {
    let record =
        RegisterBrokerRecord { broker_id: 1, broker_epoch: 5, fenced: true, log_dirs: vec![A], ..Default::default() };
    let mut image = image([Record::RegisterBroker(record)]);
    let mut changed = |record: BrokerRegistrationChangeRecord| {
        image.apply(At { offset: 9 }, &Record::BrokerRegistrationChange(record)).unwrap();
        (**image.brokers().get(NodeId(1)).unwrap()).clone()
    };
    let mut expected = changed(registration_change(1, 5));
    assert!(expected.fenced && !expected.is_usable());

    expected.fenced = false;
    assert_eq!(changed(BrokerRegistrationChangeRecord { fenced: -1, ..registration_change(1, 5) }), expected);
    assert!(expected.is_usable());

    expected.log_dirs = vec![B];
    assert_eq!(changed(BrokerRegistrationChangeRecord { log_dirs: vec![B], ..registration_change(1, 5) }), expected);
    expected.cordoned_log_dirs = Some(vec![]);
    let none_cordoned = BrokerRegistrationChangeRecord { cordoned_log_dirs: Some(vec![]), ..registration_change(1, 5) };
    assert_eq!(changed(none_cordoned), expected);
    expected.in_controlled_shutdown = true;
    let stopping = BrokerRegistrationChangeRecord { in_controlled_shutdown: 1, ..registration_change(1, 5) };
    assert_eq!(changed(stopping), expected);
    assert!(!expected.is_usable());
    expected.fenced = true;
    assert_eq!(changed(BrokerRegistrationChangeRecord { fenced: 1, ..registration_change(1, 5) }), expected);
}

#[test]
fn a_transaction_is_true_as_a_whole_or_not_at_all() {
    let begin = Record::BeginTransaction(BeginTransactionRecord::default());
    let end = Record::EndTransaction(EndTransactionRecord::default());
    let abort = Record::AbortTransaction(AbortTransactionRecord::default());
    let before = two_topics();
    let apply = |image: &mut Image, records: &[&Record]| {
        records.iter().try_for_each(|record| image.apply(At { offset: 9 }, record)).map_err(|error| error.why)
    };
    let removal = Record::RemoveTopic(RemoveTopicRecord { topic_id: A, ..Default::default() });

    let mut image = before.clone();
    apply(&mut image, &[&begin, &removal]).unwrap();
    assert!(image.is_in_transaction() && *image.settled() == before);
    let mut aborted = image.clone();
    apply(&mut aborted, &[&abort]).unwrap();
    assert_eq!((aborted.topics(), aborted.offset(), aborted.is_in_transaction()), (before.topics(), 9, false));
    apply(&mut image, &[&end]).unwrap();
    assert!(image.topics().get("a").is_none() && !image.is_in_transaction() && *image.settled() == image);

    assert_eq!(apply(&mut image, &[&end]), Err(Contradiction::NoTransaction));
    assert_eq!(apply(&mut image, &[&abort]), Err(Contradiction::NoTransaction));
    assert_eq!(apply(&mut image, &[&begin, &begin]), Err(Contradiction::TransactionOpen));
}

#[test]
fn what_is_kept_goes_when_it_is_removed() {
    let apply = |image: &mut Image, record: KeptRecord| image.apply(At { offset: 9 }, &Record::Kept(record)).unwrap();
    let credential = |name: &str, mechanism, iterations| {
        let name = name.into();
        KeptRecord::ScramCredential(UserScramCredentialRecord { name, mechanism, iterations, ..Default::default() })
    };
    let part = |entity_type: &str, entity_name: Option<&str>| EntityData {
        entity_type: entity_type.into(),
        entity_name: entity_name.map(Arc::from),
        ..Default::default()
    };
    let quota = |entity: [EntityData; 2], value: f64, remove| {
        let (entity, key) = (entity.into(), "producer_byte_rate".into());
        KeptRecord::ClientQuota(ClientQuotaRecord { entity, key, value, remove, ..Default::default() })
    };
    let token = |token_id: &str| {
        KeptRecord::DelegationToken(DelegationTokenRecord { token_id: token_id.into(), ..Default::default() })
    };
    let (user, client) = (part("user", Some("u")), part("client-id", None));
    let mut image = Image::default();
    for record in [
        credential("a", 1, 1),
        credential("a", 2, 1),
        credential("a", 1, 4096),
        quota([user.clone(), client.clone()], 1.0, false),
        quota([client.clone(), user.clone()], 2.0, false),
        quota([client.clone(), part("user", None)], 3.0, false),
        token("t"),
        token("s"),
    ] {
        apply(&mut image, record);
    }
    let kept = image.kept();
    let iterations: Vec<_> = kept.scram_credentials().map(|one| (one.mechanism, one.iterations)).collect();
    assert_eq!(iterations, [(1, 4096), (2, 1)]);
    assert_eq!(kept.client_quotas().map(|quota| quota.value).collect::<Vec<_>>(), [3.0, 2.0]);
    assert_eq!(kept.delegation_tokens().len(), 2);

    let removal = RemoveUserScramCredentialRecord { name: "a".into(), mechanism: 2, ..Default::default() };
    apply(&mut image, KeptRecord::RemoveScramCredential(removal));
    apply(&mut image, quota([user, client], 0.0, true));
    let removal = RemoveDelegationTokenRecord { token_id: "s".into(), ..Default::default() };
    apply(&mut image, KeptRecord::RemoveDelegationToken(removal));
    let kept = image.kept();
    assert_eq!((kept.scram_credentials().len(), kept.client_quotas().len(), kept.delegation_tokens().len()), (1, 1, 1));
    let mut restored = Image::default();
    image.records().for_each(|record| restored.apply(At { offset: 9 }, &record).unwrap());
    assert_eq!(restored, image);
}

#[test]
fn all_of_a_partition_is_in_its_records() {
    let image = two_topics();
    let mut restored = Image::default();
    image.records().for_each(|record| restored.apply(At { offset: 9 }, &record).unwrap());
    assert_eq!(restored.topics(), image.topics());
}
