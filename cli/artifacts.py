"""Large values behind references, read before a result is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from cli.holdings import ReadArtifact, artifact_refs

if TYPE_CHECKING:
    from agents.store_ports import ArtifactStore
    from topics.messages import ExecutionResult


async def read_all(store: ArtifactStore, result: ExecutionResult) -> ReadArtifact:
    """Return a lookup over the artifacts that the result's steps took as arguments.

    What is gone (its lease is over) is None.
    """
    values: dict[str, Any] = {}
    for sha256 in artifact_refs(result):
        data = await store.get(result.tenant, result.user_id, sha256)
        if data is not None:
            values[sha256] = orjson.loads(data)
    return values.get


async def with_outputs(store: ArtifactStore, result: ExecutionResult) -> ExecutionResult:
    """Return the result with outputs that travelled as references put back in their places.

    References of values that are gone stay.
    """
    if not result.refs:
        return result
    document = {"data": dict(result.data), "charts": list(result.charts)}
    left = dict(result.refs)
    for pointer, sha256 in result.refs.items():
        data = await store.get(result.tenant, result.user_id, sha256)
        if data is not None and _put(document, pointer, orjson.loads(data)):
            del left[pointer]
    return result.model_copy(update={**document, "refs": left})


def _put(document: dict[str, Any], pointer: str, value: Any) -> bool:
    keys = [key.replace("~1", "/").replace("~0", "~") for key in pointer.split("/")[1:]]
    if keys == ["charts"]:
        document["charts"] = value
        return True
    if len(keys) == 2 and keys[0] == "data":
        document["data"][keys[1]] = value
        return True
    return False
