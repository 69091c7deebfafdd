"""The metrics of each kind of worker, read from what it counts anyway. No tenant and no execution among the labels.

Asked for in the thread of the health endpoint: what is read here is copied in one step, or a plain number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

if TYPE_CHECKING:
    from streams.agent_worker import AgentWorker
    from streams.app import OrchestratorWorker
    from streams.projector import Projector


def orchestrator_families(worker: OrchestratorWorker) -> Iterable[Metric]:
    """Yield what an orchestrator counts."""
    census, flow = worker.processor.census, worker.processor.flow
    yield CounterMetricFamily("dawsos_events", "Events processed and acknowledged.", value=worker.acknowledged)
    yield _counts("dawsos_events_ignored", "Events that changed nothing.", "note", census.ignored)
    yield CounterMetricFamily("dawsos_cancels_early", "Cancels before their request.", value=census.early_cancels)
    yield _counts("dawsos_results", "Results published.", "status", census.results)
    yield _counts("dawsos_dead_letters", "Records nobody could process.", "stage", census.dead_letters)
    live = GaugeMetricFamily("dawsos_executions", "Executions that are not finished.", labels=["status"])
    for status, count in dict(census.live).items():
        live.add_metric([status.value], count)
    yield live
    flows = flow.items()
    working = sum(each.in_flight for _, each in flows)
    queued = sum(each.queued for _, each in flows)
    yield GaugeMetricFamily("dawsos_executions_in_flight", "Executions that take room.", value=working)
    yield GaugeMetricFamily("dawsos_executions_queued", "Executions that wait for room.", value=queued)
    yield GaugeMetricFamily("dawsos_partitions_owned", "Partitions this worker owns.", value=len(worker.owned))
    yield GaugeMetricFamily("dawsos_requests_held", "Partitions whose requests wait.", value=len(flow.held()))
    yield GaugeMetricFamily("dawsos_state_rows", "Rows of state in memory.", value=worker.rows)
    yield CounterMetricFamily("dawsos_timers_fired", "Timers fired.", value=census.timers_fired)
    late = Metric("dawsos_timers_late_seconds", "How late the last thousand timers fired.", "summary")
    for quantile, seconds in census.late_s((0.5, 0.99)).items():
        late.add_sample(late.name, {"quantile": str(quantile)}, seconds)
    yield late


def agents_families(workers: Iterable[AgentWorker], circuits: Mapping[str, bool]) -> Iterable[Metric]:
    """Yield what the agents of one process count."""
    answers = CounterMetricFamily("dawsos_agent_answers", "Answers given.", labels=["agent", "outcome"])
    running = GaugeMetricFamily("dawsos_agent_calls", "Calls under way.", labels=["agent"])
    buried = CounterMetricFamily("dawsos_dead_letters", "Records nobody could process.", labels=["stage"])
    stages: dict[str, int] = {}
    for worker in workers:
        for outcome, count in dict(worker.answers).items():
            answers.add_metric([worker.agent, outcome], count)
        running.add_metric([worker.agent], worker.calls)
        for stage, count in dict(worker.dead_letters).items():
            stages[stage] = stages.get(stage, 0) + count
    for stage, count in stages.items():
        buried.add_metric([stage], count)
    yield answers
    yield running
    yield buried
    refusing = GaugeMetricFamily("dawsos_circuit_open", "1 while calls are refused.", labels=["circuit"])
    for circuit, is_open in circuits.items():
        refusing.add_metric([circuit], is_open)
    yield refusing


def projector_families(projector: Projector) -> Iterable[Metric]:
    """Yield what a leading projector counts."""
    yield _counts("dawsos_records_projected", "Records written to Postgres.", "topic", projector.projected)
    yield CounterMetricFamily("dawsos_records_refused", "Records Postgres cannot hold.", value=projector.refused)


def _counts(name: str, text: str, label: str, counts: Mapping[str, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=[label])
    for value, count in dict(counts).items():
        family.add_metric([str(value)], count)
    return family
