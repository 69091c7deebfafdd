"""From options to an `ExecuteRequest`."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from cli.exits import Exit
from cli.failures import CommandFailed

if TYPE_CHECKING:
    from topics.messages import ExecuteRequest, Gate


def parse_inputs(given: Sequence[str]) -> dict[str, Any]:
    """Return inputs from `name=value` texts; a value that is JSON counts as JSON, else as text.

    Raises:
        CommandFailed: no `=`, or a name that stands twice.
    """
    values: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise CommandFailed(f"--input: expected NAME=VALUE, got {text!r}", Exit.USAGE)
        if name in values:
            raise CommandFailed(f"--input: {name!r} stands twice", Exit.USAGE)
        try:
            values[name] = json.loads(value, parse_constant=_refuse)
        except ValueError:
            values[name] = value
    return values


def parse_gate(text: str | None) -> Gate | None:
    """Return the freshness policy: `reject`, `wait`, `wait:SECONDS` or `serve_stale`; None for the pattern's own.

    Raises:
        CommandFailed: anything else.
    """
    from topics.messages import Gate, GatePolicy

    if text is None:
        return None
    policy, colon, seconds = text.partition(":")
    expected = "--gate: expected reject, serve_stale, wait or wait:SECONDS (0 to 86400)"
    if policy not in set(GatePolicy) or (colon and policy != GatePolicy.WAIT):
        raise CommandFailed(f"{expected}, got {text!r}", Exit.USAGE)
    if not colon:
        return Gate(policy=GatePolicy(policy))
    try:
        return Gate(policy=GatePolicy.WAIT, wait_s=float(seconds))
    except ValueError:
        raise CommandFailed(f"{expected}, got {text!r}", Exit.USAGE) from None


def make_request(
    pattern_id: str,
    *,
    tenant: str,
    user_id: UUID,
    portfolio_id: UUID | None,
    inputs: dict[str, Any],
    asof: date | None = None,
    gate: Gate | None = None,
    deadline_s: float | None = None,
    pack_id: UUID | None = None,
    ledger_commit: str | None = None,
    request_id: str | None = None,
) -> ExecuteRequest:
    """Return the request; a new request id unless one is given.

    Raises:
        CommandFailed: a value that does not fit the contract, with its field.
    """
    from pydantic import ValidationError

    from orchestrator.result import REPRESENTABLE, representable
    from topics.messages import ExecuteRequest

    if not representable(inputs):
        raise CommandFailed(f"inputs: expected {REPRESENTABLE}", Exit.USAGE)
    try:
        return ExecuteRequest(
            tenant=tenant,
            request_id=request_id or f"cli-{uuid4()}",
            user_id=user_id,
            pattern_id=pattern_id,
            portfolio_id=portfolio_id,
            inputs=inputs,
            asof=asof,
            pack_id=pack_id,
            ledger_commit=ledger_commit,
            gate=gate,
            deadline_s=deadline_s,
            submitted_at=datetime.now(UTC),
        )
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, f['loc']))}: {f['msg']}" for f in error.errors(include_url=False))
        raise CommandFailed(faults, Exit.USAGE) from None


def parse_commit(text: str | None) -> str | None:
    """Return a ledger commit; None for none.

    Raises:
        CommandFailed: not 40 hex digits.
    """
    if text is None or re.fullmatch("[0-9a-f]{40}", text):
        return text
    raise CommandFailed(f"--commit: expected the 40 hex digits of a commit, got {text!r}", Exit.USAGE)


def parse_uuid(text: str, option: str) -> UUID:
    """Return a UUID.

    Raises:
        CommandFailed: naming the option.
    """
    try:
        return UUID(text)
    except ValueError:
        raise CommandFailed(f"{option}: expected a UUID, got {text!r}", Exit.USAGE) from None


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON")
