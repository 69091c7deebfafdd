import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from settings import Settings
from streams.clients import KafkaUnavailable, topic_name, wait_for_kafka
from streams.topics_admin import TopicsWrong, check_topics, create_topics, describe_topics
from topics.table import CAPABILITY_RESULTS, EXECUTION_SIGNALS, STATE_CHANGELOG, topic_table

pytestmark = pytest.mark.integration


async def make(settings: Settings, *topics: NewTopic) -> None:
    admin = AIOKafkaAdminClient(**settings.kafka_address().client_kwargs())
    await admin.start()
    try:
        await admin.create_topics(list(topics))
    finally:
        await admin.close()


async def test_creating_twice_changes_nothing(service_settings: Settings) -> None:
    created = await create_topics(service_settings, ["probe"])
    assert len(created) == len(topic_table(["probe"]))
    assert await create_topics(service_settings, ["probe"]) == ()
    states = await describe_topics(service_settings, ["probe"])
    assert [(state.faults, state.notes) for state in states] == [((), ())] * len(states)
    changelog = next(state for state in states if state.spec.name == STATE_CHANGELOG)
    assert changelog.spec.compacted
    assert changelog.partitions == service_settings.partitions


async def test_an_agent_that_joins_later_gets_its_topic(service_settings: Settings) -> None:
    await create_topics(service_settings, ["probe"])
    created = await create_topics(service_settings, ["probe", "other"])
    assert created == (topic_name(service_settings, "capability-requests.other"),)


async def test_unequal_partition_counts_and_other_faults_are_refused_all_at_once(service_settings: Settings) -> None:
    append = {"message.timestamp.type": "LogAppendTime"}
    create = {"message.timestamp.type": "CreateTime"}
    await make(
        service_settings,
        NewTopic(topic_name(service_settings, CAPABILITY_RESULTS), 3, 1, topic_configs=append),
        NewTopic(topic_name(service_settings, EXECUTION_SIGNALS), service_settings.partitions, 1, topic_configs=create),
        NewTopic(topic_name(service_settings, STATE_CHANGELOG), service_settings.partitions, 1, topic_configs=append),
    )
    with pytest.raises(TopicsWrong) as caught:
        await create_topics(service_settings, ["probe"])
    text = str(caught.value)
    assert "capability-results: expected 8 partitions (DAWSOS_PARTITIONS) as every engine topic, found 3" in text
    assert "execution-signals: expected message.timestamp.type=LogAppendTime, found CreateTime" in text
    assert "orchestrator-executions-changelog: expected cleanup.policy=compact, found delete" in text
    assert len(caught.value.faults) == 3


async def test_missing_topics_are_named(service_settings: Settings) -> None:
    with pytest.raises(TopicsWrong, match="execution-requests: expected a topic with 8 partitions, it does not exist"):
        await check_topics(service_settings, ["probe"])


async def test_a_broker_that_does_not_answer_is_named(service_settings: Settings) -> None:
    nowhere = service_settings.with_addresses(
        kafka="kafka://127.0.0.1:1",
        postgres=service_settings.postgres_url(),
        postgres_admin=None,
        redis=service_settings.redis_url(),
    )
    with pytest.raises(KafkaUnavailable, match=r"expected a Kafka broker at 127\.0\.0\.1:1 within 0 s"):
        await wait_for_kafka(nowhere, timeout_s=0)
