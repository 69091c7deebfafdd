"""What the progress feed keeps of the changelog's records, without a broker."""

from collections.abc import Iterable
from types import SimpleNamespace
from uuid import UUID

from orchestrator.execution import Execution, Status
from orchestrator.rows import encode_rows
from settings import load_settings
from streams.durable.fence import Fence
from streams.progress_feed import Progress, ProgressFeed
from tests.orchestrator.player import OTHER_USER, USER
from tests.orchestrator.test_machine import player, running
from topics.codec import key_of


async def fold(feed: ProgressFeed, fence: Fence, state: Execution) -> None:
    for suffix, payload in encode_rows(None, state):
        assert payload is not None
        key = key_of(state.execution_id) + suffix
        await feed.on_record(SimpleNamespace(key=key, value=fence.next_prefix() + payload, partition=0, headers=()))


def new_feed() -> ProgressFeed:
    return ProgressFeed(load_settings(_env_file=None, kafka="kafka://nowhere:9092"), lambda digest: None)


def ids(found: Iterable[Progress]) -> list[str]:
    return [each.view.execution_id for each in found]


async def test_one_feed_for_a_user_and_for_operators() -> None:
    feed, one = new_feed(), running()
    await fold(feed, Fence(1), one.state)
    name, tenant = one.state.execution_id, one.state.tenant
    assert ids(feed.of_user(tenant, USER)) == ids(feed.of_all()) == [name]
    assert ids(feed.of_user(tenant, OTHER_USER)) == ids(feed.of_user("other", USER)) == []
    assert feed.get(tenant, USER, name) == feed.find(name) is not None
    assert feed.get(tenant, OTHER_USER, name) is None and feed.find(UUID(int=9)) is None


async def test_an_early_cancel_is_not_under_way() -> None:
    feed, one = new_feed(), player()
    one.cancel()
    await fold(feed, Fence(1), one.state)
    [seen] = feed.of_user(one.state.tenant, USER)
    assert seen.ended and seen.view.status is Status.CANCELLED and feed.counts() == {}


async def test_a_strangers_early_cancel_does_not_show_what_begins_later() -> None:
    feed, fence, one = new_feed(), Fence(1), player()
    one.cancel(user=OTHER_USER)
    await fold(feed, fence, one.state)
    one.request()
    await fold(feed, fence, one.state)
    assert ids(feed.of_user(one.state.tenant, OTHER_USER)) == []
    [seen] = feed.of_user(one.state.tenant, USER)
    assert not seen.ended and feed.counts() == {seen.view.status: 1}
