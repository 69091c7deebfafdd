"""Whose executions a command means: one user's or, for operators, everyone's.

Both kinds answer the same questions. An operator only finds executions and whose they are; whatever is done about one
is done on behalf of its own user, so that an operator's command can do nothing that this user could not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, TypeAlias
from uuid import UUID

import typer

from cli.options import CHOOSE_ANOTHER, DEMO_TENANT, DEMO_USER, Switch, whose

if TYPE_CHECKING:
    from db.executions import ExecutionFilter, ExecutionSummary, Owner
    from settings import Settings
    from streams.progress_feed import Progress, ProgressFeed

Tenant = Annotated[
    str | None,
    typer.Option(help=f"Tenant the data belongs to. Default: {DEMO_TENANT}.", rich_help_panel=Switch.WHO),
]
User = Annotated[
    str | None,
    typer.Option(
        metavar="UUID|NAME",
        help=f"User who asks; a demo user's name works. Default: {DEMO_USER}.",
        rich_help_panel=Switch.WHO,
    ),
]
Everyone = Annotated[
    bool,
    typer.Option(
        "--everyone",
        help="For operators: those of all users; --tenant and --user are filters then. Each is handled on behalf of "
        "its own user.",
        rich_help_panel=Switch.WHO,
    ),
]
_OR_ALL = ", --everyone means all"


@dataclass(frozen=True, slots=True)
class OneUser:
    """Executions of one user, seen as this user sees them.

    Attributes:
        name: of the user, as it was given.
    """

    tenant: str
    user_id: UUID
    name: str

    who = "this user"
    hint = f"; {CHOOSE_ANOTHER}{_OR_ALL}"

    @property
    def line(self) -> str:
        """The line that says whose executions a command is about, when it was not told which by id."""
        return f"{whose(self.tenant, self.name)}{_OR_ALL}"

    async def find(self, found: Settings, wanted: ExecutionFilter, limit: int) -> tuple[ExecutionSummary, ...]:
        """Return finished executions that fit a filter, the last started first."""
        from cli.instance import app_pool
        from db.executions import ExecutionRepository

        async with app_pool(found) as pool:
            return await ExecutionRepository(pool).find(self.tenant, self.user_id, wanted, limit=limit)

    async def owners_of(self, found: Settings, execution_ids: Sequence[UUID]) -> dict[UUID, Owner]:
        """Return on whose behalf to ask for each of these executions; those that cannot be meant are left out."""
        return dict.fromkeys(execution_ids, (self.tenant, self.user_id))

    def known(self, feed: ProgressFeed) -> Iterator[Progress]:
        """Yield executions under way, and those that ended a moment ago, the last started first."""
        return feed.of_user(self.tenant, self.user_id)

    def progress(self, feed: ProgressFeed, execution_id: UUID) -> Progress | None:
        """Return how one of them stands; None if it is not known (any more)."""
        return feed.get(self.tenant, self.user_id, execution_id)


@dataclass(frozen=True, slots=True)
class Everyones:
    """Executions of all users that fit; answers the questions `OneUser` does.

    Attributes:
        tenant, user_id: None for any.
    """

    tenant: str | None
    user_id: UUID | None

    hint = ""

    @property
    def who(self) -> str:
        """In words, after `of`."""
        user = "anybody" if self.user_id is None else f"user {self.user_id}"
        return user if self.tenant is None else f"{user}, tenant {self.tenant}"

    @property
    def line(self) -> str:
        """As `OneUser.line`."""
        return f"executions of {self.who.replace('anybody', 'everyone')}"

    async def find(self, found: Settings, wanted: ExecutionFilter, limit: int) -> tuple[ExecutionSummary, ...]:
        """As `OneUser.find`.

        Raises:
            OperatorRefused: the settings do not have the owner's role.
        """
        from cli.instance import owner_pool
        from db.executions import EveryonesExecutions

        async with owner_pool(found, allow_bypass=True) as pool:
            theirs = replace(wanted, tenant=self.tenant, user_id=self.user_id)
            return await EveryonesExecutions(pool).find(theirs, limit)

    async def owners_of(self, found: Settings, execution_ids: Sequence[UUID]) -> dict[UUID, Owner]:
        """As `OneUser.owners_of`.

        Raises:
            OperatorRefused: the settings do not have the owner's role.
        """
        from cli.instance import owner_pool
        from db.executions import EveryonesExecutions

        async with owner_pool(found, allow_bypass=True) as pool:
            owners = await EveryonesExecutions(pool).owners_of(execution_ids)
        return {name: owner for name, owner in owners.items() if self._fits(*owner)}

    def known(self, feed: ProgressFeed) -> Iterator[Progress]:
        """As `OneUser.known`."""
        return (each for each in feed.of_all() if self._fits(each.view.tenant, UUID(each.view.user_id)))

    def progress(self, feed: ProgressFeed, execution_id: UUID) -> Progress | None:
        """As `OneUser.progress`."""
        found = feed.find(execution_id)
        return found if found is not None and self._fits(found.view.tenant, UUID(found.view.user_id)) else None

    def _fits(self, tenant: str, user_id: UUID) -> bool:
        return self.tenant in (None, tenant) and self.user_id in (None, user_id)


Whose: TypeAlias = OneUser | Everyones


def parse_whose(everyone: bool, tenant: str | None, user: str | None) -> Whose:
    """Return whose executions are meant, from the options.

    Raises:
        CommandFailed: no such user.
    """
    from cli.instance import find_user

    if everyone:
        return Everyones(tenant, None if user is None else find_user(user))
    name = user or DEMO_USER
    return OneUser(tenant or DEMO_TENANT, find_user(name), name)
