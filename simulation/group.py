"""A consumer group: members, generations, rebalances, and commits that only the present generation may make.

Eager, as Faust's and aiokafka's default: all members give up what they have, then the coordinator deals anew. A member
that is killed or stopped is thrown out after the session timeout; one that does not join in time, after the rebalance
timeout.
"""

import asyncio
from typing import TYPE_CHECKING, Protocol

from simulation.loop import Process

if TYPE_CHECKING:
    from simulation.world import World

SESSION_TIMEOUT_S = 6.0
REBALANCE_TIMEOUT_S = 30.0
_HEARTBEAT_S = 1.5
_TOLD_S = 0.012


class Member(Protocol):
    """A member's side."""

    process: Process

    async def revoke(self) -> None:
        """Give up the partitions of the generation before."""
        ...

    def assign(self, generation: int, partitions: frozenset[int]) -> None:
        """Take partitions."""
        ...


class Group:
    """The coordinator of one group.

    Args:
        world: its loop, dice and log.
        name: under which offsets are kept.
    """

    def __init__(self, world: "World", name: str) -> None:
        self._world = world
        self._loop = world.loop
        self.name = name
        self.generation = 0
        self.owners: dict[int, Member] = {}
        self.members: list[Member] = []
        self._busy = False
        self._again = False
        self._changed: asyncio.Future[None] | None = None

    def join(self, member: Member) -> None:
        """Take in a new member."""
        process = member.process
        self.members.append(member)
        process.on_death.append(
            lambda: self._loop.outside(self._loop.call_later, SESSION_TIMEOUT_S, self._expire, member)
        )
        process.on_pause.append(lambda seconds: self._paused(member, seconds))
        self.rebalance()

    def leave(self, member: Member) -> None:
        """Let a member go that says so."""
        if member in self.members:
            self.members.remove(member)
            self.rebalance()

    def rebalance(self) -> None:
        """Deal anew."""
        self._wake()
        if self._busy:
            self._again = True
            return
        self._busy = True
        self._loop.outside(self._loop.create_task, self._rebalance())

    def commit(self, member: Member, generation: int, offsets: dict[tuple[str, int], int]) -> bool:
        """Keep offsets; False if they come from a former generation or a stranger."""
        if member not in self.members or generation != self.generation:
            return False
        committed = self._world.log.committed[self.name]
        for place, offset in offsets.items():
            self._world.check.committed(self.name, place, committed.get(place, 0), offset)
            committed[place] = offset
        return True

    def committed(self, topic: str, partition: int) -> int:
        """Return the committed offset; 0 if there is none, where the log begins."""
        return self._world.log.committed[self.name].get((topic, partition), 0)

    def _paused(self, member: Member, seconds: float) -> None:
        if seconds > SESSION_TIMEOUT_S:
            self._loop.outside(self._loop.call_later, SESSION_TIMEOUT_S, self._expire, member)

    def _expire(self, member: Member) -> None:
        if member in self.members and (not member.process.alive or member.process.paused):
            self._world.note("expired", member.process.name, self.name)
            self.members.remove(member)
            self.rebalance()

    def _rejoin(self, member: Member) -> None:
        if member.process.alive and member not in self.members:
            self.members.append(member)
            self.rebalance()

    def _wake(self) -> None:
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)

    async def _rebalance(self) -> None:
        dice = self._world.dice.faults
        while True:
            self._again = False
            # The members learn of it with their next heartbeat.
            await asyncio.sleep(dice.random() * _HEARTBEAT_S)
            began_s = self._loop.now_s
            # One that was killed is waited for until its session expires.
            asked = list(self.members)
            revoking = {
                id(member): member.process.spawn(self._revoke(member)) for member in asked if member.process.alive
            }
            while waiting := [
                member
                for member in self.members
                if member in asked and not (id(member) in revoking and revoking[id(member)].done())
            ]:
                if self._loop.now_s >= began_s + REBALANCE_TIMEOUT_S:
                    for member in waiting:
                        self._world.note("too slow", member.process.name, self.name)
                        self.members.remove(member)
                        if id(member) in revoking:
                            revoking[id(member)].add_done_callback(lambda _, late=member: self._rejoin(late))
                    break
                self._changed = self._loop.create_future()
                timer = self._loop.call_at(began_s + REBALANCE_TIMEOUT_S, self._wake)
                await self._changed
                timer.cancel()
            self.generation += 1
            self._deal()
            # Nobody is asked to give up what it has not been told of yet.
            await asyncio.sleep(_TOLD_S)
            if not self._again:
                break
        self._busy = False

    async def _revoke(self, member: Member) -> None:
        await member.revoke()
        self._loop.outside(self._loop.call_soon, self._wake)

    def _deal(self) -> None:
        members, count = list(self.members), self._world.log.partitions
        self.owners = {}
        if not members:
            return
        self._world.dice.faults.shuffle(members)
        shares: dict[int, set[int]] = {id(member): set() for member in members}
        for partition in range(count):
            member = members[partition % len(members)]
            shares[id(member)].add(partition)
            self.owners[partition] = member
        self._world.note(
            "generation", self.name, self.generation, {m.process.name: sorted(shares[id(m)]) for m in members}
        )
        for member in members:
            member.process.call_later(
                0.001 + 0.01 * self._world.dice.faults.random(),
                member.assign,
                self.generation,
                frozenset(shares[id(member)]),
            )
