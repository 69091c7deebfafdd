"""One chaos run from beginning to end: instance, submitter, faults, the wait until all has ended, the check."""

import asyncio
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import orjson

from chaos import record as records
from chaos.checker import Evidence, Findings, check
from chaos.faults import schedule
from chaos.havoc import Havoc
from chaos.instance import ARGV
from chaos.mix import DEADLINE_S, PATTERNS, POLICY, UNDO_S
from chaos.packs import WarmingPacks
from chaos.reading import Watch, read_topics
from chaos.refold import Refolded, refold
from local.data_dir import DataDir
from local.stack import Stack
from services.catalogue import load_catalogue
from services.patterns import load_patterns
from settings import Settings, load_settings
from streams.orchestrator import limits_of
from topics.table import (
    CAPABILITY_RESULTS,
    DEAD_LETTERS,
    EXECUTION_REQUESTS,
    EXECUTION_RESULTS,
    EXECUTION_SIGNALS,
    STATE_CHANGELOG,
)

Inject = Literal["loss", "conflict"]
Report = Callable[[str], None]

_PROGRESS_S = 5.0
# After the last deadline: for a failover and the results that follow it.
_SETTLE_MARGIN_S = 40.0
_SUBMITTER_PATIENCE_S = 180.0
_PACK_EVERY_S = 12.0
_DIFFERENCES_MAX = 10
_AGENT = "chaos.agent:ChaosAgent"


class RunFailed(Exception):
    """The run itself could not go on; the text says which part ended and what it last said."""


@dataclass(frozen=True, slots=True)
class Run:
    """What a run did and what the checker says.

    Attributes:
        faults: kind → how often it was done.
        submitted_s, settled_s: how long submitting took, and all of it until everything had ended.
        refolded: what folding the topics' events again gave.
        evidence: what the checker was given.
    """

    seed: int
    executions: int
    faults: dict[str, int]
    submitted_s: float
    settled_s: float
    findings: Findings
    refolded: Refolded
    evidence: Evidence = field(repr=False)

    @property
    def ok(self) -> bool:
        """Whether the checker found nothing and every row could be made again."""
        return self.findings.ok and not self.refolded.differences

    def as_json(self) -> dict[str, Any]:
        """Return all of it as JSON."""
        return {
            "seed": self.seed,
            "executions": self.executions,
            "submitted_s": round(self.submitted_s, 1),
            "settled_s": round(self.settled_s, 1),
            "done": dict(sorted(self.faults.items())),
            **self.findings.as_json(),
            "ok": self.ok,
            "rows_refolded": self.refolded.rows,
            "rows_repeated": self.refolded.repeated,
            "rows_different": len(self.refolded.differences),
            "differences": self.refolded.differences[:_DIFFERENCES_MAX],
        }


async def run_chaos(
    executions: int,
    seconds: float,
    seed: int,
    *,
    data_dir: Path | None = None,
    inject: Inject | None = None,
    report: Report = lambda line: None,
) -> Run:
    """Run chaos on a system of its own and check what it left.

    Args:
        executions: how many to ask for.
        seconds: over which they are submitted, and faults happen.
        seed: of mix and faults.
        data_dir: kept afterwards; None takes a temporary one.
        inject: damage what the checker reads, to see that it notices: drop one result, or add another one.
        report: takes lines of progress.

    Raises:
        RunFailed: the submitter ended without having confirmed everything.
        LocalError: the instance could not be started.
    """
    # It complains of every try to reach a broker that was killed on purpose.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    async with AsyncExitStack() as stack:
        if data_dir is None:
            folder = tempfile.TemporaryDirectory(prefix="dawsos-chaos-", ignore_cleanup_errors=True)
            data_dir = Path(stack.enter_context(folder))
        stack.enter_context(Environment(data_dir))
        report(f"seed {seed}: {executions} executions in {seconds:.0f} s; data in {data_dir}")
        settings = await stack.enter_async_context(Stack(load_settings(), argv=ARGV, report=report))
        return await _on(settings, executions, seconds, seed, inject, report)


async def _on(
    settings: Settings, executions: int, seconds: float, seed: int, inject: Inject | None, report: Report
) -> Run:
    days = max(2, round(seconds / _PACK_EVERY_S))
    packs = WarmingPacks(settings, days)
    await packs.make()
    havoc = Havoc(settings, lambda line: report(f"{time.monotonic() - begun:6.1f} s  {line}"))
    await havoc.prepare()
    record = DataDir(settings.data_dir).path / f"submitted-{seed}-{os.getpid()}.jsonl"
    record.touch()
    begun = time.monotonic()
    async with AsyncExitStack() as stack:
        stack.callback(havoc.wake_all)
        watch = await stack.enter_async_context(Watch(settings, EXECUTION_RESULTS))
        submitter = await _submitter(settings, record, seed, executions, seconds, days)
        stack.push_async_callback(_stop, submitter)
        jobs = [
            asyncio.create_task(_tell(watch, record, executions, report, begun)),
            asyncio.create_task(_freeze(packs, record, executions, days)),
        ]
        stack.push_async_callback(_cancel, jobs)
        faults = asyncio.create_task(havoc.run(schedule(seed, seconds)))
        stack.push_async_callback(_cancel, [faults])
        await _confirmed(submitter, record, seconds)
        submitted_s = time.monotonic() - begun
        await faults
        await _settled(watch, record, report)
        settled_s = time.monotonic() - begun
        # A second, equal result or a conflicting one may come a little later than the first.
        await asyncio.sleep(2.0)
    report("reading all topics from their beginning")
    evidence = await _evidence(settings, record)
    if inject is not None:
        evidence = damaged(evidence, inject)
    report("folding all events again")
    return Run(
        seed, executions, havoc.done, submitted_s, settled_s, check(evidence), refold_evidence(evidence), evidence
    )


async def _submitter(
    settings: Settings, record: Path, seed: int, executions: int, seconds: float, days: int
) -> asyncio.subprocess.Process:
    log = DataDir(settings.data_dir).log_file("submitter")
    with log.open("ab") as output:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "chaos.submitter",
            *(str(record), str(seed), str(executions), str(seconds), str(days)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env={**os.environ, **settings.environment()},
        )


async def _confirmed(submitter: asyncio.subprocess.Process, record: Path, seconds: float) -> None:
    try:
        code = await asyncio.wait_for(submitter.wait(), seconds + _SUBMITTER_PATIENCE_S)
    except TimeoutError:
        raise RunFailed(f"the submitter had {_count(record)} requests confirmed and did not end") from None
    if code != 0:
        raise RunFailed(f"the submitter ended with code {code} after {_count(record)} confirmed requests; see its log")


async def _settled(watch: Watch, record: Path, report: Report) -> None:
    """Wait until every confirmed request has a result, or until it can get none any more."""
    wanted = {each.execution_id.encode(): each for each in records.read(record)}
    report(f"all {len(wanted)} submitted; waiting for {len(wanted.keys() - watch.ended)} results")
    with suppress(TimeoutError):
        async with asyncio.timeout(DEADLINE_S + UNDO_S + _SETTLE_MARGIN_S):
            while wanted.keys() - watch.ended:
                watch.moved.clear()
                await watch.moved.wait()


async def _freeze(packs: WarmingPacks, record: Path, executions: int, days: int) -> None:
    """Make each day's pack fresh when most of its requests are in: some wait for it, some come after it."""
    while packs.fresh < days:
        if _count(record) >= min(executions, (packs.fresh + 0.7) * executions / days):
            await packs.freeze_next()
        await asyncio.sleep(0.2)


async def _tell(watch: Watch, record: Path, executions: int, report: Report, begun: float) -> None:
    while True:
        await asyncio.sleep(_PROGRESS_S)
        asked = _count(record)
        report(f"{time.monotonic() - begun:6.1f} s  submitted {asked} of {executions}, ended {len(watch.ended)}")


async def _evidence(settings: Settings, record: Path) -> Evidence:
    names = (
        EXECUTION_RESULTS,
        DEAD_LETTERS,
        EXECUTION_SIGNALS,
        CAPABILITY_RESULTS,
        STATE_CHANGELOG,
        EXECUTION_REQUESTS,
    )
    read = await read_topics(settings, *names)
    return Evidence(
        submissions=sorted(records.read(record), key=lambda each: each.number),
        results=read[EXECUTION_RESULTS],
        dead_letters=read[DEAD_LETTERS],
        signals=read[EXECUTION_SIGNALS],
        answers=read[CAPABILITY_RESULTS],
        changelog=read[STATE_CHANGELOG],
        requests=read[EXECUTION_REQUESTS],
        read_at_ms=round(time.time() * 1000),
    )


def refold_evidence(evidence: Evidence) -> Refolded:
    """Fold all events again with the patterns and limits of these settings."""
    settings = load_settings()
    patterns = load_patterns(settings, load_catalogue(settings))
    events = [*evidence.requests, *evidence.answers, *evidence.signals]
    return refold(events, evidence.changelog, patterns, limits_of(settings))


def damaged(evidence: Evidence, inject: Inject) -> Evidence:
    """Damage what was read from Kafka as a loss or a conflict would have: one execution's result goes or differs."""
    results = list(evidence.results)
    victim = results[len(results) // 2]
    if inject == "loss":
        return replace(evidence, results=[each for each in results if each.key != victim.key])
    body = orjson.loads(victim.value or b"{}")
    other = orjson.dumps({**body, "status": "failed" if body.get("status") == "succeeded" else "succeeded"})
    return replace(evidence, results=[*results, replace(victim, value=other)])


def _count(record: Path) -> int:
    return record.read_bytes().count(b"\n")


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        await process.wait()


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome


class Environment:
    """The variables the supervisor and its workers take from us, for a while."""

    def __init__(self, data_dir: Path) -> None:
        self._chosen = {
            "DAWSOS_DATA_DIR": str(data_dir),
            "DAWSOS_PATTERNS": str(PATTERNS),
            "DAWSOS_AGENTS": _AGENT,
            "DAWSOS_POLICY": POLICY,
        }
        self._before: dict[str, str | None] = {}

    def __enter__(self) -> None:
        self._before = {name: os.environ.get(name) for name in self._chosen}
        os.environ.update(self._chosen)

    def __exit__(self, *exc: object) -> None:
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
