"""A client of librdkafka, as confluent-kafka has it: produces at a fixed rate and tells the latencies, or consumes.

    rdkafka.py produce BOOTSTRAP TOPIC RECORDS PER_SECOND WARM_UP_RECORDS
    rdkafka.py consume BOOTSTRAP TOPIC RECORDS
"""

import json
import sys
import time

import confluent_kafka

VALUE = b"v" * 1024
# Records of a tick, which is as long as they take at the rate.
TICK_RECORDS = 50
PATIENCE_S = 30


def produce(bootstrap, topic, records, per_second, warm_up_records):
    latencies = []
    producer = confluent_kafka.Producer({"bootstrap.servers": bootstrap})

    def delivered(error, message):
        if error:
            raise confluent_kafka.KafkaException(error)
        latencies.append(message.latency())

    began = time.monotonic()
    for sent in range(0, records, TICK_RECORDS):
        due = began + sent / per_second
        while (wait := due - time.monotonic()) > 0:
            producer.poll(wait)
        for _ in range(TICK_RECORDS):
            producer.produce(topic, VALUE, on_delivery=delivered)
        producer.poll(0)
    if producer.flush(PATIENCE_S) or len(latencies) != records:
        sys.exit(f"{len(latencies)} of {records} records were delivered")
    counted = sorted(latencies[warm_up_records:])
    print(json.dumps({name: 1e3 * counted[int(share * (len(counted) - 1))] for name, share in QUANTILES.items()}))


QUANTILES = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}


def consume(bootstrap, topic, records):
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": bootstrap, "group.id": f"perf-{time.time_ns()}", "auto.offset.reset": "earliest"}
    )
    consumer.subscribe([topic])
    got, last = 0, time.monotonic()
    while got < records:
        messages = consumer.consume(1000, 1.0)
        for message in messages:
            if message.error():
                raise confluent_kafka.KafkaException(message.error())
        got += len(messages)
        last = time.monotonic() if messages else last
        if time.monotonic() - last > PATIENCE_S:
            sys.exit(f"{got} of {records} records came")
    consumer.close()


verb, bootstrap, topic, *numbers = sys.argv[1:]
{"produce": produce, "consume": consume}[verb](bootstrap, topic, *map(int, numbers))
