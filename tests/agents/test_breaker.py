from typing import Any

from agents.breaker import MemoryBreaker
from agents.store_ports import Admission
from tests.agents.desk import request
from tests.agents.probe import Clock, ProbeAgent, runtime
from topics.errors import Code, RetryableError, TerminalError
from topics.messages import CapabilityResult

DOWN = RetryableError(Code.UPSTREAM_FAILED, "vendor: 502", service="vendor")


async def fetch(serve: Any, name: str = "probe.fetch", **fields: Any) -> CapabilityResult:
    return await serve.handle(request(name, **fields))


def code(answer: CapabilityResult) -> Code | None:
    return answer.error.code if answer.error else None


async def open_circuit(serve: Any, name: str = "probe.fetch") -> None:
    for _ in range(5):
        assert code(await fetch(serve, name)) is Code.UPSTREAM_FAILED


async def open_for_a_minute(serve: Any, clock: Clock) -> None:
    """The trials of a service that stays away fail after 1, 2, 4 … s; then the pause is a minute."""
    await open_circuit(serve)
    for pause_s in (1, 2, 4, 8, 16, 32):
        clock.now += pause_s * 1000
        assert code(await fetch(serve)) is Code.UPSTREAM_FAILED


async def test_five_failures_in_a_row_open_the_circuit_for_a_second() -> None:
    agent, clock = ProbeAgent(lambda context: DOWN), Clock()
    serve = runtime(agent, clock=clock)
    await open_circuit(serve)
    assert code(await fetch(serve)) is Code.AGENT_UNAVAILABLE and agent.calls == 5
    clock.now += 999
    assert code(await fetch(serve)) is Code.AGENT_UNAVAILABLE and agent.calls == 5
    clock.now += 1
    agent.act = lambda context: "back"
    assert (await fetch(serve)).value == "back"


async def test_a_service_that_stays_away_is_asked_once_a_minute() -> None:
    agent, clock = ProbeAgent(lambda context: DOWN), Clock()
    serve = runtime(agent, clock=clock)
    await open_for_a_minute(serve, clock)
    calls = agent.calls
    clock.now += 20_000
    answer = await fetch(serve)
    assert answer.error is not None and answer.error.code is Code.AGENT_UNAVAILABLE and answer.error.retryable
    assert answer.error.retry_after_s == 40 and "vendor" in answer.error.message
    assert agent.calls == calls
    clock.now += 39_999
    assert code(await fetch(serve)) is Code.AGENT_UNAVAILABLE and agent.calls == calls


async def test_after_the_pause_one_trial_decides() -> None:
    agent, clock = ProbeAgent(lambda context: DOWN), Clock()
    serve = runtime(agent, clock=clock)
    await open_for_a_minute(serve, clock)
    calls = agent.calls
    clock.now += 60_000
    assert code(await fetch(serve)) is Code.UPSTREAM_FAILED and agent.calls == calls + 1
    assert code(await fetch(serve)) is Code.AGENT_UNAVAILABLE and agent.calls == calls + 1
    clock.now += 60_000
    agent.act = lambda context: "up again"
    assert (await fetch(serve)).value == "up again"
    agent.act = lambda context: DOWN
    for _ in range(5):
        assert code(await fetch(serve)) is Code.UPSTREAM_FAILED


async def test_only_one_trial_at_a_time() -> None:
    breaker = MemoryBreaker()
    for _ in range(5):
        await breaker.failed("a/b", 0)
    admissions: list[Admission] = [await breaker.admit("a/b", 1_000) for _ in range(3)]
    assert [found.retry_after_s for found in admissions] == [None, 1.0, 1.0]
    # A trial whose worker died says nothing; after a while somebody else may try.
    assert (await breaker.admit("a/b", 2_000)).retry_after_s is None


async def test_a_success_starts_the_count_again() -> None:
    agent = ProbeAgent()
    serve = runtime(agent)
    for answer in [DOWN] * 4 + ["ok"] + [DOWN] * 4 + ["ok"]:
        agent.act = lambda context, answer=answer: answer
        assert code(await fetch(serve)) is not Code.AGENT_UNAVAILABLE
    assert agent.calls == 10


async def test_what_users_do_wrong_never_counts() -> None:
    agent = ProbeAgent(lambda context: TerminalError(Code.INVALID_ARGS, "no such symbol"))
    serve = runtime(agent)
    for _ in range(20):
        assert code(await fetch(serve, args={"key": 5})) is Code.INVALID_ARGS
        assert code(await fetch(serve)) is Code.INVALID_ARGS
    agent.act = lambda context: "fine"
    assert (await fetch(serve)).value == "fine"


async def test_bugs_of_ours_do_not_count_either() -> None:
    agent = ProbeAgent(lambda context: KeyError("oops"))
    serve = runtime(agent)
    assert [code(await fetch(serve)) for _ in range(6)] == [Code.INTERNAL] * 6


async def test_circuits_are_per_upstream_service() -> None:
    agent = ProbeAgent(lambda context: DOWN)
    serve = runtime(agent)
    await open_circuit(serve)
    agent.act = lambda context: "independent"
    assert (await fetch(serve, "probe.private")).value == "independent"
    assert (await fetch(serve, "probe.guess")).value == "independent"


async def test_an_undeclared_service_is_learned_from_its_failures() -> None:
    agent = ProbeAgent(lambda context: RetryableError(Code.UPSTREAM_FAILED, "other: 500", service="other"))
    serve = runtime(agent)
    await open_circuit(serve, "probe.guess")
    assert code(await fetch(serve, "probe.guess")) is Code.AGENT_UNAVAILABLE


async def test_plain_connection_errors_count_for_the_only_declared_service() -> None:
    agent = ProbeAgent(lambda context: ConnectionRefusedError(111, "refused"))
    serve = runtime(agent)
    await open_circuit(serve)
    answer = await fetch(serve)
    assert answer.error is not None and "vendor" in answer.error.message


async def test_state_is_shared_between_runtimes_through_the_store() -> None:
    store, clock = MemoryBreaker(), Clock()
    agent = ProbeAgent(lambda context: DOWN)
    await open_circuit(runtime(agent, breaker=store, clock=clock))
    assert code(await fetch(runtime(agent, breaker=store, clock=clock))) is Code.AGENT_UNAVAILABLE


async def test_a_circuit_without_failures_is_asked_about_four_times_a_second_at_most() -> None:
    store, clock = MemoryBreaker(), Clock()
    agent = ProbeAgent(lambda context: "fine")
    serve = runtime(agent, breaker=store, clock=clock)
    assert (await fetch(serve)).value == "fine"
    for _ in range(5):
        await store.failed("probe/vendor", clock.now)
    clock.now += 249
    assert (await fetch(serve)).value == "fine"
    clock.now += 1
    assert code(await fetch(serve)) is Code.AGENT_UNAVAILABLE


async def test_a_clock_set_back_does_not_keep_a_circuit_closed() -> None:
    store, clock = MemoryBreaker(), Clock()
    serve = runtime(ProbeAgent(lambda context: "fine"), breaker=store, clock=clock)
    await fetch(serve)
    clock.now -= 5_000
    for _ in range(5):
        await store.failed("probe/vendor", clock.now)
    assert code(await fetch(serve)) is Code.AGENT_UNAVAILABLE


class LostStore:
    async def admit(self, circuit: str, now_ms: int) -> Admission:
        raise ConnectionError("no redis")

    async def succeeded(self, circuit: str, now_ms: int) -> None:
        raise ConnectionError("no redis")

    async def failed(self, circuit: str, now_ms: int) -> None:
        raise ConnectionError("no redis")


async def test_without_the_store_a_process_keeps_its_own_count() -> None:
    agent, clock = ProbeAgent(lambda context: DOWN), Clock()
    serve = runtime(agent, breaker=LostStore(), clock=clock)
    await open_circuit(serve)
    assert code(await fetch(serve)) is Code.AGENT_UNAVAILABLE
    clock.now += 60_000
    agent.act = lambda context: "back"
    assert (await fetch(serve)).value == "back"
