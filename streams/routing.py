"""Which partition owns an execution: murmur2 of its key, as every Kafka client computes it."""

from aiokafka.partitioner import murmur2


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition number of a key among `partitions`."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions
