"""Recovery that seeks before it resumes, and takes over with a new epoch.

After recovery and each rebalance stock Faust resumes the stream partitions, then seeks, then clears the queues, with
fetches in flight all the while: records drained in between are dropped and counted as acknowledged. Here the seek
happens while the partitions are still paused, and between clearing the queues and resuming there is no `await`.
"""

# ruff: noqa: D102 - what overrides is documented upstream

import logging
from typing import Any

from faust.tables.manager import TableManager
from faust.tables.recovery import RebalanceAgain, Recovery
from faust.types import TP

from streams.durable.owned import NotOwner
from streams.durable.table import FencedTable
from streams.lease import GroupLease

log = logging.getLogger(__name__)


class DurableRecovery(Recovery):
    """Faust's recovery service with its last part replaced."""

    _rebalances_at_assignment = 0

    def revoke(self, tp: TP) -> None:
        """Forget a lost partition's rows at once: a tombstone may pass while somebody else owns it."""
        super().revoke(tp)
        table = self.tables._changelogs.get(tp.topic)
        if isinstance(table, FencedTable):
            kept = {own.partition for own in self.app.assignor.assigned_actives() if own.topic == tp.topic}
            table.store.drop_partitions(kept)

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        self._rebalances_at_assignment = self.app.rebalancing_count
        for table in self._fenced_tables():
            table.close_partitions()
            # What this worker still has under way must be in the log before its end is looked up.
            await table.drain()
        await super().on_rebalance(assigned, revoked, newly_assigned, generation_id)

    async def on_recovery_completed(self, generation_id: int = 0) -> None:
        app: Any = self.app
        consumer = app.consumer
        await app.on_rebalance_complete.send()
        self._set_recovery_ended()
        for table in self._fenced_tables():
            actives = self.actives_for_table[table]
            await table.on_recovery_completed(actives, self.standbys_for_table[table])
            if self._overtaken(generation_id):
                return
            # The changelog queue may have been read further than the buffers were applied.
            self.flush_buffers()
            recovered = {tp.partition: self.active_offsets[tp] for tp in actives}
            lease: GroupLease | None = app.lease
            if lease is not None:
                # A worker that is out without knowing must not outrank the one that came after it.
                await lease.held()
                if self._overtaken(generation_id):
                    return
            try:
                undisturbed = await table.take_over(recovered)
            except NotOwner:
                log.info("another rebalance began during take-over")
                return
            if not undisturbed:
                self.signal_recovery_start.set()
                raise RebalanceAgain
        assignment = consumer.assignment()
        if assignment:
            await self._wait(consumer.perform_seek(), timeout=app.conf.broker_request_timeout)
        if self._overtaken(generation_id):
            return
        self.completed.set()
        # No await from here: flow_control.resume() clears the queues.
        app.flow_control.resume()
        consumer.resume_partitions({tp for tp in assignment if not self._is_changelog_tp(tp)})
        consumer.resume_flow()
        await app._fetcher.maybe_start()
        self.tables.on_actives_ready()
        self.tables.on_standbys_ready()
        app.on_rebalance_end()
        log.info("recovered; owning %s partitions", len(assignment))

    def _overtaken(self, generation_id: int) -> bool:
        app: Any = self.app
        newer = app.consumer_generation_id != generation_id
        if newer or app.rebalancing_count != self._rebalances_at_assignment:
            log.info("another rebalance began during recovery")
            return True
        return False

    def _fenced_tables(self) -> list[FencedTable]:
        return [table for table in self.tables.values() if isinstance(table, FencedTable)]


class DurableTableManager(TableManager):
    """Makes the recovery above, and closes partitions for writes when a rebalance begins."""

    @property
    def recovery(self) -> Recovery:
        if self._recovery is None:
            self._recovery = DurableRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery

    async def on_start(self) -> None:
        """Stock sleeps one second first, for agents that register tables late; ours are registered by then."""
        if not self.should_stop:
            await self._update_channels()
            await self.recovery.start()
