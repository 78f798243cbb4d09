"""A processor in Python, written to the description of the one that csv-to-kafka replaces
(docs/migrate.md): csv.DictReader, json.dumps, one producer, a checkpoint each 10,000 rows.

    processor.py row BOOTSTRAP TOPIC CSV            waits for the acknowledgement of each row
    processor.py generous BOOTSTRAP TOPIC CSV       the same library, waits at each checkpoint only
    processor.py librdkafka BOOTSTRAP TOPIC CSV     the same, on confluent-kafka

Generous to it: the checkpoint is a local file, and nothing is compressed where compression is in
Python.
"""

import csv
import json
import sys

from smart_open import open as smart_open

CHECKPOINT_INTERVAL = 10_000


class KafkaPython:
    def __init__(self, bootstrap, topic, waits_for_each):
        from kafka import KafkaProducer

        self.topic, self.waits_for_each = topic, waits_for_each
        self.producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", max_in_flight_requests_per_connection=1,
                                      **({} if waits_for_each else {"batch_size": 1_000_000, "linger_ms": 5}))

    def send(self, value):
        future = self.producer.send(self.topic, value, partition=0)
        if self.waits_for_each:
            future.get(timeout=30)

    def settle(self):
        self.producer.flush()


class Librdkafka:
    def __init__(self, bootstrap, topic):
        from confluent_kafka import Producer

        self.topic = topic
        self.producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "enable.idempotence": True,
                                  "compression.type": "lz4", "linger.ms": 5, "batch.size": 1_000_000,
                                  "queue.buffering.max.messages": 2 * CHECKPOINT_INTERVAL})

    def send(self, value):
        self.producer.produce(self.topic, value, partition=0)

    def settle(self):
        self.producer.flush()


def checkpoint(path, row):
    with open(path + ".checkpoint", "w") as file:
        json.dump({"last_line": row}, file)


def main(how, bootstrap, topic, path):
    sink = Librdkafka(bootstrap, topic) if how == "librdkafka" else KafkaPython(bootstrap, topic, how == "row")
    number = 0
    with smart_open(path, encoding="utf-8") as file:
        for number, row in enumerate(csv.DictReader(file), 1):
            row["_source_line"] = number
            row["_source_file"] = path
            sink.send(json.dumps(row).encode())
            if number % CHECKPOINT_INTERVAL == 0:
                sink.settle()
                checkpoint(path, number)
    sink.settle()
    checkpoint(path, number)


main(*sys.argv[1:])
