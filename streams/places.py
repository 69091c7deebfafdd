"""How far an aiokafka consumer is from the ends of its partitions."""

from collections.abc import Collection
from typing import Any


async def ends_of(consumer: Any, partitions: Collection[Any]) -> dict[Any, tuple[int, int]]:
    """Return, by partition, its end and the consumer's position in it (-1 while that is not known).

    One request to each broker. The position passes markers of transactions, which no commit does.

    Raises:
        KafkaError: the broker does not answer.
    """
    if not partitions:
        return {}
    ends = await consumer.end_offsets(list(partitions))
    subscription = consumer._subscription.subscription
    assignment = None if subscription is None else subscription.assignment
    found = {}
    for partition, end in ends.items():
        state = None
        if assignment is not None and partition in assignment.tps:
            state = assignment.state_value(partition)
        # Asking the consumer itself would wait until there is one.
        found[partition] = end, state.position if state is not None and state.has_valid_position else -1
    return found


def behind(position: int, committed: int, end: int) -> bool:
    """Tell whether records are left to be read, given what `ends_of` says and the next offset to be committed."""
    return (position if position >= 0 else max(committed, 0)) < end
