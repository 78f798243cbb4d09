"""The independent reader: librdkafka, every record of a partition from offset 0 to its end."""

from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaError, TopicPartition


@dataclass(slots=True)
class Record:
    offset: int
    key: bytes | None
    value: bytes
    timestamp_ms: int


def _consumer(bootstrap: str) -> Consumer:
    return Consumer({
        "bootstrap.servers": bootstrap, "group.id": "lab-reader", "enable.auto.commit": False,
        # The promise is for every consumer, so read as the least careful one does.
        "isolation.level": "read_uncommitted", "check.crcs": True, "enable.partition.eof": True,
        "auto.offset.reset": "error", "log_level": 0, "fetch.max.bytes": 64 << 20, "fetch.wait.max.ms": 100,
    })


_askers: dict[str, Consumer] = {}


def log_range(bootstrap: str, topic: str, partition: int = 0) -> tuple[int, int]:
    """Log start and log end. Tests ask this many times a second, so the connection is kept."""
    if bootstrap not in _askers:
        _askers[bootstrap] = _consumer(bootstrap)
    return _askers[bootstrap].get_watermark_offsets(TopicPartition(topic, partition), timeout=30)


def forget(bootstrap: str):
    """These brokers are about to go."""
    if asker := _askers.pop(bootstrap, None):
        asker.close()


def read_all(bootstrap: str, topic: str, partition: int = 0, offset: int = 0):
    """Yields every record, until the end that the partition had when asked."""
    consumer = _consumer(bootstrap)
    try:
        where = TopicPartition(topic, partition, offset)
        _, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=30)
        consumer.assign([where])
        at = offset
        silent = 0
        while at < end:
            messages = consumer.consume(10000, timeout=2.0)
            silent = 0 if messages else silent + 1
            if silent > 15:
                raise TimeoutError(f"{topic}-{partition}: nothing after offset {at}, the end is {end}")
            for message in messages:
                error = message.error()
                if error is not None:
                    if error.code() == KafkaError._PARTITION_EOF:
                        at = max(at, message.offset())
                        continue
                    raise RuntimeError(str(error))
                at = message.offset() + 1
                yield Record(message.offset(), message.key(), message.value(), message.timestamp()[1])
    finally:
        consumer.close()
