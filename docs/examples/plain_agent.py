"""An agent in a process of its own, in plain Kafka and JSON: python plain_agent.py BOOTSTRAP [TOPIC_PREFIX]

Nothing of dawsos is imported. plain_agent.json tells the engine what is offered here (DAWSOS_CATALOGUES); any language
with a Kafka client can do the same.
"""

import asyncio
import json
import sys
import time

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

AGENT, VERSION = "compliance", "1.0.0"
RESTRICTED = {"IBM": "we advise the company"}


def check(symbols):
    """Capability compliance.check, version 1: which of these may not be traded, and why."""
    return {symbol: RESTRICTED[symbol] for symbol in symbols if symbol in RESTRICTED}


def outcome(request):
    """Return (None, value), or (error code, message)."""
    if (request["capability"], request["version"]) != ("compliance.check", 1):
        return "CODE_VERSION_UNAVAILABLE", "compliance.check is here, in version 1"
    if request.get("refs"):
        # Values above 8 KiB come as SHA-256; GET /artifacts/{sha256} of the gateway would return them.
        return "INVALID_ARGS", "expected symbols inline, they are too many"
    try:
        value = check(**request["args"])
    except TypeError as error:
        return "INVALID_ARGS", str(error)
    if len(json.dumps(value)) > request["inline_bytes_max"]:
        return "OUTPUT_TOO_LARGE", f"expected an answer of at most {request['inline_bytes_max']} bytes"
    return None, value


def answer(request):
    """Return the CapabilityResult to a CapabilityRequest; a failure is an answer, too."""
    started_at_ms = time.time_ns() // 1_000_000
    code, found = outcome(request)
    times = {"started_at_ms": started_at_ms, "finished_at_ms": time.time_ns() // 1_000_000}
    return {
        **{name: request[name] for name in ("v", "execution_id", "tenant", "step_id", "attempt")},
        "type": "CapabilityResult",
        "metadata": {"agent": AGENT, "agent_version": VERSION, "version": 1, **times},
        **({"value": found} if code is None else {"error": {"code": code, "message": found}}),
    }


async def serve(bootstrap, prefix=""):
    """Answer requests for ever; a request whose answer was not confirmed is answered again after a restart."""
    bootstrap = bootstrap.removeprefix("kafka://")
    consumer = AIOKafkaConsumer(
        f"{prefix}capability-requests.{AGENT}",
        bootstrap_servers=bootstrap,
        group_id=f"{prefix}agent.{AGENT}",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True)
    async with consumer, producer:
        print("serving", flush=True)
        async for record in consumer:
            try:
                request = json.loads(record.value)
                data, partition = json.dumps(answer(request)).encode(), request["reply_partition"]
            except (ValueError, KeyError, TypeError) as error:
                print("skipped", record.topic, record.partition, record.offset, repr(error), file=sys.stderr)
            else:
                # To the partition where the execution lives, with the headers that carry its trace.
                await producer.send_and_wait(
                    f"{prefix}capability-results", data, record.key, partition, headers=list(record.headers)
                )
            await consumer.commit()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
