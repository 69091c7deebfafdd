"""Recovery that reads the changelog itself, seeks before it resumes, and takes over with a new epoch.

After recovery and each rebalance stock Faust resumes the stream partitions, then seeks, then clears the queues, with
fetches in flight all the while: records drained in between are dropped and counted as acknowledged. Here the seek
happens while the partitions are still paused, and between clearing the queues and resuming there is no `await`. How
the changelog is read instead of by Faust: `changelog.py`.
"""

# ruff: noqa: D102 - what overrides is documented upstream

import asyncio
import logging
import time
from asyncio import Event
from typing import Any

from aiokafka.errors import IllegalStateError, KafkaError
from faust.tables.manager import TableManager
from faust.types import TP
from mode import Service

from streams.durable.changelog import read_to_end
from streams.durable.owned import NotOwner, OwnedRows
from streams.lease import GroupLease

log = logging.getLogger(__name__)

_AGAIN_S = 0.5


class ChangelogRecovery(Service):
    """Brings the tables up to the end of their changelogs after each rebalance, then lets the streams go on.

    Args:
        app: a `DurableApp`.
        tables: its table manager.
        kwargs: of the service.

    Attributes:
        completed: set by the first recovery.
    """

    def __init__(self, app: Any, tables: TableManager, **kwargs: Any) -> None:
        self.completed = Event()
        self._app = app
        self._tables = tables
        self._recovering: asyncio.Task[None] | None = None
        self._generation = 0
        self._rebalances = 0
        self._partitions: frozenset[int] = frozenset()
        super().__init__(**kwargs)

    def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Cut off the recovery that is under way: it would read, write and wait for a place that may be lost."""
        if self._recovering is not None:
            self._recovering.cancel()

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        rebalances = self._app.rebalancing_count
        # Its next step must not fold what is dropped below.
        await self._cut_off()
        tables = self._owned_tables()
        for table in tables:
            # What this worker still has under way must be in the log before its end is looked up.
            await table.close()
        self._generation, self._rebalances = generation_id, rebalances
        self._partitions = frozenset(tp.partition for tp in assigned)
        for table in tables:
            # At once: a tombstone may pass while somebody else owns the partition.
            table.forget_all_but(self._partitions)
        self._recovering = asyncio.create_task(self._recover_or_crash(), name="recovery")

    async def on_stop(self) -> None:
        await self._cut_off()

    async def _cut_off(self) -> None:
        if self._recovering is not None:
            self._recovering.cancel()
            await asyncio.wait([self._recovering])

    async def _recover_or_crash(self) -> None:
        try:
            await self._recover_until_done()
        except Exception as error:
            await self.crash(error)

    async def _recover_until_done(self) -> None:
        while True:
            try:
                await self._recover()
                return
            except (NotOwner, IllegalStateError) as error:
                if not self._overtaken():
                    raise
                log.info("cut off by another rebalance: %s", error)
                return
            except KafkaError as error:
                log.warning("recovery failed, starting it over: %r", error)
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                # aiokafka's fetcher, when it is closed while it waits to try again.
                log.warning("recovery was cut off by a consumer that was being closed, starting it over")
            await asyncio.sleep(_AGAIN_S)
            for table in self._owned_tables():
                await table.close()

    async def _recover(self) -> None:
        app = self._app
        consumer = app.consumer
        await app.on_rebalance_complete.send()
        for table in self._owned_tables():
            if not await self._take_over(table):
                return
        assignment = consumer.assignment()
        if assignment:
            await asyncio.wait_for(consumer.perform_seek(), app.conf.broker_request_timeout)
        if self._overtaken():
            return
        self.completed.set()
        # No await from here: flow_control.resume() clears the queues.
        app.flow_control.resume()
        consumer.resume_partitions(assignment)
        consumer.resume_flow()
        await app._fetcher.maybe_start()
        self._tables.on_actives_ready()
        self._tables.on_standbys_ready()
        app.on_rebalance_end()
        log.info("recovered; owning partitions %s", sorted(self._partitions))

    async def _take_over(self, table: Any) -> bool:
        """Read to the end and open the partitions for writes; False if another rebalance has begun."""
        lease: GroupLease | None = self._app.lease
        table.on_stray = self._read_again
        begun_s, count = time.monotonic(), 0
        async with self._app.consumer.log_reader("none") as reader:
            undisturbed = False
            while not undisturbed:
                count += await read_to_end(reader, table.changelog_topic_name, self._partitions, table.store)
                if self._overtaken():
                    return False
                if lease is not None:
                    # A worker that is out without knowing must not outrank the one that came after it.
                    await lease.held()
                if self._overtaken():
                    return False
                undisturbed = await table.take_over(self._partitions)
        log.info("read %s records of %s in %.2f s", count, table.changelog_topic_name, time.monotonic() - begun_s)
        return True

    def _read_again(self, partition: int) -> None:
        """Join the group again, to read the partition anew and write its winners before compaction keeps losers."""
        log.warning("a former owner wrote to changelog partition %s: reading it again", partition)
        self._app.consumer.rejoin()

    def _overtaken(self) -> bool:
        app = self._app
        if app.consumer_generation_id != self._generation or app.rebalancing_count != self._rebalances:
            log.info("another rebalance began during recovery")
            return True
        return False

    def _owned_tables(self) -> list[Any]:
        return [table for table in self._tables.values() if isinstance(table, OwnedRows)]


class DurableTableManager(TableManager):
    """Makes the recovery above, and leaves the changelogs out of what the streams' consumer subscribes to."""

    @property
    def recovery(self) -> Any:
        if self._recovery is None:
            recovery: Any = ChangelogRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
            self._recovery = recovery
        return self._recovery

    async def on_start(self) -> None:
        """Stock sleeps one second first, for agents that register tables late; ours are registered by then."""
        if not self.should_stop:
            await self._update_channels()
            await self.recovery.start()

    async def _update_channels(self) -> None:
        self._tables_finalized.set()
        for table in self.values():
            await table.maybe_start()
        self._tables_registered.set()
