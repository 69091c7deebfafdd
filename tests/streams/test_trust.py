"""Signed requests: what an orchestrator believes, and what it does with the rest."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr

from local.embedded import Addresses
from settings import Settings, SettingsError, load_settings
from streams.publisher import ExecutionClient
from streams.trust import SIGNATURE, Signer, signer_of, trust_of
from tests.services import environment_settings
from tests.streams.system import USER, System, request, running
from topics.codec import encode, execution_id_of, key_of
from topics.messages import CancelExecution, ExecutionStatus
from topics.table import DEAD_LETTERS, EXECUTION_REQUESTS, EXECUTION_SIGNALS

ALL, ACME, GLOBEX = ("a" * 32, "b" * 32, "c" * 32)
KEYS = f"gateway:*:{ALL},acme-desk:acme|other:{ACME},globex-desk:globex:{GLOBEX}"


def settings(**fields: Any) -> Settings:
    return load_settings(_env_file=None, **{"request_keys": KEYS, **fields})


@pytest.mark.parametrize(
    ("signer", "tenant", "fits"),
    [
        (Signer("gateway", ALL.encode()), "acme", True),
        (Signer("acme-desk", ACME.encode()), "acme", True),
        (Signer("acme-desk", ACME.encode()), "globex", False),
        (Signer("acme-desk", GLOBEX.encode()), "acme", False),
        (Signer("unknown", ALL.encode()), "acme", False),
        (Signer(), "acme", False),
    ],
)
def test_a_key_stands_for_its_tenants(signer: Signer, tenant: str, fits: bool) -> None:
    trust = trust_of(settings())
    assert (trust.refusal(signer.headers(b"value"), b"value", tenant) is None) == fits
    assert trust.refusal(signer.headers(b"value"), b"other", tenant) is not None
    assert trust_of(settings(request_keys=None)).refusal((), b"value", tenant) is None


@pytest.mark.parametrize(
    "header", [b"", b"v1", b"v1 gateway", b"v2 gateway abc", b"\xff\xfe", b"v1 gateway " + b"0" * 64]
)
def test_headers_that_are_no_signature(header: bytes) -> None:
    assert trust_of(settings()).refusal([(SIGNATURE, header)], b"value", "acme")


@pytest.mark.parametrize("keys", ["x", "x:y", "x:y:short", f"x::{ALL}", f":y:{ALL}", f"x:y:{ALL},x:z:{ALL}"])
def test_faulty_keys_are_named_without_their_secrets(keys: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings(request_keys=keys)
    assert ALL not in str(caught.value) and "DAWSOS_REQUEST_KEYS" in str(caught.value)


def test_the_key_to_sign_with_is_chosen() -> None:
    assert signer_of(settings()).name == "gateway"
    assert signer_of(settings(request_key="acme-desk")).name == "acme-desk"
    with pytest.raises(SettingsError, match="DAWSOS_REQUEST_KEY"):
        signer_of(settings(request_key="nobody"))
    assert ALL not in repr(signer_of(settings())) and ALL not in repr(trust_of(settings()))


@pytest.fixture(scope="module")
async def guarded(services: Addresses, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    found = services.apply(environment_settings()).model_copy(
        update={
            "topic_prefix": f"g{uuid4().hex[:8]}.",
            "data_dir": Path(tmp_path_factory.mktemp("guarded")),
            "partitions": 2,
            "request_keys": SecretStr(KEYS),
        }
    )
    async with running(found) as system:
        yield system


@pytest.mark.integration
async def test_a_forged_tenant_over_kafka_is_never_begun(guarded: System) -> None:
    """Globex' producer, whom Kafka lets in, asks in acme's name, and tries to end acme's execution."""
    signed = await guarded.client.execute(request(), 30)
    assert signed.status is ExecutionStatus.SUCCEEDED
    forged = request()
    key = key_of(execution_id_of(forged.tenant, forged.request_id))
    globex = Signer("globex-desk", GLOBEX.encode())
    requests, signals = guarded.topic(EXECUTION_REQUESTS), guarded.topic(EXECUTION_SIGNALS)
    value = encode(forged)
    waiting = guarded.client.results.expect(key)
    await guarded.producer.send_and_wait(requests, value, key)
    await guarded.producer.send_and_wait(requests, value, key, headers=globex.headers(value))
    await guarded.producer.send_and_wait(requests, value, key, headers=Signer("gateway", b"x" * 32).headers(value))
    cancel = encode(CancelExecution(execution_id=key.decode(), tenant=forged.tenant, user_id=USER))
    await guarded.producer.send_and_wait(signals, cancel, key, headers=globex.headers(cancel))
    letters = await guarded.read_until(DEAD_LETTERS, lambda records: len([r for r in records if r.key == key]) >= 4)
    reasons = [dict(each.headers)["dlq-reason"].decode() for each in letters if each.key == key]
    assert {dict(each.headers)["dlq-stage"] for each in letters if each.key == key} == {b"trust"}
    assert sum("found none" in reason for reason in reasons) == 1
    assert sum("does not stand for tenant acme" in reason for reason in reasons) == 2
    assert sum("does not fit" in reason for reason in reasons) == 1
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(waiting), 1)
    # The true one is begun: nothing stands in its way.
    async with ExecutionClient(guarded.settings.model_copy(update={"request_key": "acme-desk"}), "desk") as client:
        done = await client.execute(forged, 30)
    assert done.status is ExecutionStatus.SUCCEEDED
