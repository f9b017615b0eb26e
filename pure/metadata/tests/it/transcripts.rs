//! Runs `testdata/*.txt`: a command, a line of dashes, and what it writes and answers.
//!
//! To write the files anew after a change, and then to read what changed: `OTTLA_REWRITE=1 cargo test -p ottla-metadata`.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use ottla_base::Uuid;
use ottla_config::ServerConfig;
use ottla_metadata::{Bootstrap, Command, Reply};
use ottla_wire::ErrorCode;
use ottla_wire::messages::alter_configs_request::{
    AlterConfigsResource as ReplacedResource, AlterableConfig as ReplacedConfig,
};
use ottla_wire::messages::assign_replicas_to_dirs_request::{DirectoryData, PartitionData, TopicData};
use ottla_wire::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use ottla_wire::messages::{
    AllocateProducerIdsRequest, AlterConfigsRequest, AlterPartitionReassignmentsRequest, AssignReplicasToDirsRequest,
    ControllerRegistrationRequest, CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
    CreatableTopicResult, CreatePartitionsAssignment, CreatePartitionsRequest, CreatePartitionsTopic,
    CreateTopicsRequest, DeleteTopicState, DeleteTopicsRequest, IncrementalAlterConfigsRequest, ReassignablePartition,
    ReassignableTopic,
};

use crate::node::{DIRECTORY, Node, heartbeat, registration};
use crate::show::Names;

#[test]
fn create_topics() {
    check("create_topics.txt");
}

#[test]
fn internal_topics() {
    check("internal_topics.txt");
}

#[test]
fn alter_configs() {
    check("alter_configs.txt");
}

#[test]
fn topic_configs() {
    check("topic_configs.txt");
}

#[test]
fn broker_configs() {
    check("broker_configs.txt");
}

#[test]
fn listeners() {
    check("listeners.txt");
}

#[test]
fn client_metrics() {
    check("client_metrics.txt");
}

#[test]
fn create_partitions() {
    check("create_partitions.txt");
}

#[test]
fn reassignments() {
    check("reassignments.txt");
}

#[test]
fn delete_topics() {
    check("delete_topics.txt");
}

#[test]
fn lifecycle() {
    check("lifecycle.txt");
}

#[test]
fn producer_ids() {
    check("producer_ids.txt");
}

#[test]
fn several_directories() {
    check("several_directories.txt");
}

fn check(file: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(file);
    let expected = fs::read_to_string(&path).unwrap();
    let mut session = Session { node: Node::default(), names: Names::default() };
    let mut actual = String::new();
    for block in expected.trim_end().split("\n\n") {
        let (asked, _) = block.split_once("\n----").unwrap_or((block, ""));
        let lines: Vec<&str> = asked.lines().filter(|line| !line.starts_with('#')).collect();
        actual.push_str(asked);
        if let Some((command, details)) = lines.split_first() {
            actual.push_str("\n----\n");
            actual.push_str(&session.run(command, details));
        } else {
            actual.push('\n');
        }
        actual.push('\n');
    }
    let actual = format!("{}\n", actual.trim_end());
    if std::env::var_os("OTTLA_REWRITE").is_some() {
        fs::write(&path, &actual).unwrap();
    } else {
        assert!(
            actual == expected,
            "{file} should be, from the first difference on:\n{}",
            from_difference(&actual, &expected)
        );
    }
}

fn from_difference(actual: &str, expected: &str) -> String {
    let same = actual.lines().zip(expected.lines()).take_while(|(a, b)| a == b).count();
    actual.lines().skip(same.saturating_sub(3)).take(20).collect::<Vec<_>>().join("\n")
}

struct Session {
    node: Node,
    names: Names,
}

impl Session {
    /// The records that the command writes, with their offsets, and the answer.
    fn run(&mut self, command: &str, details: &[&str]) -> String {
        let words = words(command);
        let has = |word: &str| words.iter().any(|w| w == word);
        let number = |key: &str, default: i64| {
            let found = words.iter().find_map(|w| w.strip_prefix(&format!("{key}=")));
            found.map_or(default, |n| n.parse().unwrap())
        };
        let epoch = number("epoch", self.node.broker_epoch());
        let command = match &*words[0] {
            // A restart with this file.
            "server" => {
                let (server, _) = ServerConfig::load(Some(&details.join("\n")), &[]).unwrap();
                self.node.server = Arc::new(server);
                return String::new();
            }
            "reload" => {
                self.node.reload();
                return String::new();
            }
            "bootstrap" => Command::Bootstrap(Bootstrap { server: self.node.server.clone(), records: Vec::new() }),
            "register-controller" => Command::RegisterController(ControllerRegistrationRequest {
                controller_id: 1,
                incarnation_id: Uuid([0x22; 16]),
                ..Default::default()
            }),
            "register-broker" => {
                let mut request = registration(number("id", 1) as i32, number("previous", -1));
                request.log_dirs = (1..=number("directories", 1)).map(directory).collect();
                request.log_dirs.retain(|id| *id != directory(number("without", 0)));
                Command::RegisterBroker(request)
            }
            "heartbeat" => {
                let mut request = heartbeat(&self.node);
                request.broker_id = number("id", 1) as i32;
                request.broker_epoch = epoch;
                request.current_metadata_offset = number("offset", request.current_metadata_offset);
                request.want_fence = has("fence");
                request.want_shut_down = has("shut-down");
                request.cordoned_log_dirs = has("none-cordoned").then(Vec::new);
                if let cordoned @ 1.. = number("cordoned", 0) {
                    request.cordoned_log_dirs = Some(vec![directory(cordoned)]);
                }
                if has("all-cordoned") {
                    request.cordoned_log_dirs = Some((1..=3).map(directory).collect());
                }
                if let offline @ 1.. = number("offline", 0) {
                    request.offline_log_dirs = vec![directory(offline)];
                }
                Command::BrokerHeartbeat(request)
            }
            "allocate-producer-ids" => Command::AllocateProducerIds(AllocateProducerIdsRequest {
                broker_id: number("id", 1) as i32,
                broker_epoch: epoch,
                ..Default::default()
            }),
            "create" => {
                self.node.seed = number("seed", self.node.seed as i64) as u128;
                self.node.create(CreateTopicsRequest {
                    topics: details.iter().map(|line| topic(line)).collect(),
                    validate_only: has("validate-only"),
                    ..Default::default()
                })
            }
            "create-internal" => self.node.create_internal(&words[1]),
            "alter" => self.node.alter(IncrementalAlterConfigsRequest {
                resources: details.iter().map(|line| altered(line)).collect(),
                validate_only: has("validate-only"),
                ..Default::default()
            }),
            "replace" => self.node.replace(AlterConfigsRequest {
                resources: details.iter().map(|line| replaced(line)).collect(),
                validate_only: has("validate-only"),
                ..Default::default()
            }),
            "grow" => Command::CreatePartitions(CreatePartitionsRequest {
                topics: details.iter().map(|line| grown(line)).collect(),
                validate_only: has("validate-only"),
                ..Default::default()
            }),
            "delete" => self.delete(&words[1..]),
            "reassign" => Command::AlterPartitionReassignments(AlterPartitionReassignmentsRequest {
                topics: details.iter().map(|line| reassigned(line)).collect(),
                ..Default::default()
            }),
            "assign" => self.assign(directory(number("directory", 0)), epoch, details),
            other => panic!("no such command: {other}"),
        };
        let base_offset = self.node.log.len();
        let (records, reply) = self.node.submit(command);
        let mut out = String::new();
        for (offset, record) in (base_offset..).zip(&records) {
            out.push_str(&format!("{offset} {}\n", self.names.record(record)));
        }
        self.answer(&mut out, reply);
        out
    }

    /// `name`, `#name` for its id, `name+#name` for both, `-` for neither, `name@v5` as before ids.
    fn delete(&self, words: &[String]) -> Command {
        let mut request = DeleteTopicsRequest::default();
        let id = |name: &str| self.names.id_of(&self.node.image, name);
        for word in words {
            if let Some(name) = word.strip_suffix("@v5") {
                request.topic_names.push(name.into());
                continue;
            }
            let (name, topic_id) = match word.split_once('#') {
                _ if word == "-" => (None, Uuid::ZERO),
                Some(("", of)) => (None, id(of)),
                Some((name, of)) => (Some(name.trim_end_matches('+').into()), id(of)),
                None => (Some(word.as_str().into()), Uuid::ZERO),
            };
            request.topics.push(DeleteTopicState { name, topic_id, ..Default::default() });
        }
        Command::DeleteTopics(request)
    }

    /// `name index` for each.
    fn assign(&self, id: Uuid, broker_epoch: i64, replicas: &[&str]) -> Command {
        let topics = replicas.iter().map(|replica| {
            let (topic, index) = replica.split_once(' ').unwrap();
            let partition = PartitionData { partition_index: index.parse().unwrap(), ..Default::default() };
            let topic_id = self.names.id_of(&self.node.image, topic);
            TopicData { topic_id, partitions: vec![partition], ..Default::default() }
        });
        let directories = vec![DirectoryData { id, topics: topics.collect(), ..Default::default() }];
        let request = AssignReplicasToDirsRequest { broker_id: 1, broker_epoch, directories, ..Default::default() };
        Command::AssignReplicasToDirs(request)
    }

    fn answer(&self, out: &mut String, reply: Reply) {
        let mut line = |text: String| {
            out.push_str("-> ");
            out.push_str(text.trim_end());
            out.push('\n');
        };
        match reply {
            Reply::Bootstrap => line("done".into()),
            Reply::RegisterController(r) => line(outcome(r.error_code, &r.error_message)),
            Reply::RegisterBroker(r) => line(format!("{} epoch {}", outcome(r.error_code, &None), r.broker_epoch)),
            Reply::BrokerHeartbeat(r) => line(format!(
                "{} caught up {} fenced {} should shut down {}",
                outcome(r.error_code, &None),
                r.is_caught_up,
                r.is_fenced,
                r.should_shut_down
            )),
            Reply::AllocateProducerIds(r) => line(format!(
                "{} start {} len {}",
                outcome(r.error_code, &None),
                r.producer_id_start,
                r.producer_id_len
            )),
            Reply::CreateTopics(r) => r.topics.iter().for_each(|topic| line(self.created(topic))),
            Reply::CreateInternalTopic(r) => {
                line(format!("{:?} {}", r.name, outcome(r.error_code, &r.error_message)));
            }
            Reply::AlterConfigs(r) => r.responses.iter().for_each(|r| {
                let (of, name) = (r.resource_type, &r.resource_name);
                line(format!("{of} {name:?} {}", outcome(r.error_code, &r.error_message)));
            }),
            Reply::IncrementalAlterConfigs(r) => r.responses.iter().for_each(|r| {
                let (of, name) = (r.resource_type, &r.resource_name);
                line(format!("{of} {name:?} {}", outcome(r.error_code, &r.error_message)));
            }),
            Reply::CreatePartitions(r) => r.results.iter().for_each(|topic| {
                line(format!("{:?} {}", topic.name, outcome(topic.error_code, &topic.error_message)));
            }),
            Reply::AlterPartitionReassignments(r) => r.responses.iter().for_each(|topic| {
                topic.partitions.iter().for_each(|partition| {
                    let told = outcome(partition.error_code, &partition.error_message);
                    line(format!("{}-{} {told}", topic.name, partition.partition_index));
                });
            }),
            Reply::AssignReplicasToDirs(r) => {
                line(outcome(r.error_code, &None));
                r.directories.iter().flat_map(|directory| &directory.topics).for_each(|topic| {
                    let name = self.names.topic(&topic.topic_id);
                    topic.partitions.iter().for_each(|partition| {
                        line(format!("{name}-{} {}", partition.partition_index, outcome(partition.error_code, &None)));
                    });
                });
            }
            Reply::DeleteTopics(r) => r.responses.iter().for_each(|topic| {
                let name = topic.name.as_deref().unwrap_or("(null)");
                let id = self.names.topic(&topic.topic_id);
                line(format!("{name:?} {id} {}", outcome(topic.error_code, &topic.error_message)));
            }),
        }
    }

    fn created(&self, topic: &CreatableTopicResult) -> String {
        let configs = topic.configs.as_deref().unwrap();
        assert!(configs.is_sorted_by_key(|config| &*config.name));
        let set = configs.iter().filter(|config| config.config_source != 5);
        let set: Vec<_> = set
            .map(|config| {
                format!("{}={} ({})", config.name, config.value.as_deref().unwrap_or("null"), config.config_source)
            })
            .collect();
        format!(
            "{:?} {} {} partitions {} rf {} configs {} {}",
            topic.name,
            self.names.topic(&topic.topic_id),
            outcome(topic.error_code, &topic.error_message),
            topic.num_partitions,
            topic.replication_factor,
            configs.len(),
            set.join(", ")
        )
    }
}

/// `name index [<broker>+<broker>]`; without brokers it is called off.
fn reassigned(line: &str) -> ReassignableTopic {
    let words = words(line);
    let replicas = words.get(2).map(|ids| ids.split('+').map(|id| id.parse().unwrap()).collect());
    let partition =
        ReassignablePartition { partition_index: words[1].parse().unwrap(), replicas, ..Default::default() };
    ReassignableTopic { name: words[0].as_str().into(), partitions: vec![partition], ..Default::default() }
}

/// The ids of the broker's log directories, from 1 on.
fn directory(number: i64) -> Uuid {
    Uuid([DIRECTORY.0[0] + number as u8 - 1; 16])
}

fn outcome(code: i16, message: &Option<Arc<str>>) -> String {
    let error = ErrorCode::from_code(code).unwrap();
    match message {
        Some(message) => format!("{error} ({message})"),
        None => error.to_string(),
    }
}

/// `name [<partitions>x<replication factor>] [assign=<partition>:<broker>+<broker>,...] [<key>=<value>|<key>~]`
fn topic(line: &str) -> CreatableTopic {
    let words = words(line);
    let mut topic = CreatableTopic {
        name: words[0].as_str().into(),
        num_partitions: -1,
        replication_factor: -1,
        ..Default::default()
    };
    for word in &words[1..] {
        if let Some(assignments) = word.strip_prefix("assign=") {
            topic.assignments = assignments.split(',').map(assignment).collect();
        } else if let Some((name, value)) = word.split_once('=') {
            let value = Some(value.into());
            topic.configs.push(CreatableTopicConfig { name: name.into(), value, ..Default::default() });
        } else if let Some(name) = word.strip_suffix('~') {
            topic.configs.push(CreatableTopicConfig { name: name.into(), value: None, ..Default::default() });
        } else {
            let (partitions, replicas) = word.split_once('x').unwrap();
            topic.num_partitions = partitions.parse().unwrap();
            topic.replication_factor = replicas.parse().unwrap();
        }
    }
    topic
}

/// `name <partitions> [assign=[<broker>+<broker>,...]]`; a comma at the end counts for nothing.
fn grown(line: &str) -> CreatePartitionsTopic {
    let words = words(line);
    let assignments = words.get(2).map(|word| word.strip_prefix("assign=").unwrap());
    let replicas = |word: &str| word.split('+').filter(|id| !id.is_empty()).map(|id| id.parse().unwrap()).collect();
    let assignment = |word: &str| CreatePartitionsAssignment { broker_ids: replicas(word), ..Default::default() };
    CreatePartitionsTopic {
        name: words[0].as_str().into(),
        count: words[1].parse().unwrap(),
        assignments: assignments.map(|text| text.split_terminator(',').map(assignment).collect()),
        ..Default::default()
    }
}

/// `<type> <name> [<key>=<value>|<key>~|-<key>|<key>+<value>|<key>-<value>|<key>?<value>]`: to set, to set to null, to delete,
/// to append, to subtract, to do the ninth operation.
/// As for `alter`, and all configs are set.
fn replaced(line: &str) -> ReplacedResource {
    let AlterConfigsResource { resource_type, resource_name, configs, .. } = altered(line);
    let configs = configs.into_iter().map(|config| ReplacedConfig {
        name: config.name,
        value: config.value,
        ..Default::default()
    });
    ReplacedResource { resource_type, resource_name, configs: configs.collect(), ..Default::default() }
}

fn altered(line: &str) -> AlterConfigsResource {
    let words = words(line);
    let config = |word: &String| {
        let (name, config_operation, value) = if let Some(name) = word.strip_prefix('-') {
            (name, 1, None)
        } else if let Some(name) = word.strip_suffix('~') {
            (name, 0, None)
        } else {
            let at = word.find(['=', '+', '-', '?']).unwrap();
            let operation = match &word[at..=at] {
                "=" => 0,
                "+" => 2,
                "-" => 3,
                _ => 9,
            };
            (&word[..at], operation, Some(Arc::from(&word[at + 1..])))
        };
        AlterableConfig { name: name.into(), config_operation, value, ..Default::default() }
    };
    let resource_type = match &*words[0] {
        "group" => 32,
        "topic" => 2,
        "broker" => 4,
        other => other.parse().unwrap(),
    };
    AlterConfigsResource {
        resource_type,
        resource_name: words[1].as_str().into(),
        configs: words[2..].iter().map(config).collect(),
        ..Default::default()
    }
}

fn assignment(text: &str) -> CreatableReplicaAssignment {
    let (partition, brokers) = text.split_once(':').unwrap();
    CreatableReplicaAssignment {
        partition_index: partition.parse().unwrap(),
        broker_ids: brokers.split('+').filter(|id| !id.is_empty()).map(|id| id.parse().unwrap()).collect(),
        ..Default::default()
    }
}

/// Words between spaces; quotes keep a space in a word, or an empty word.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() {
        let (word, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap(),
            None => rest.split_once(' ').unwrap_or((rest, "")),
        };
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    words
}
