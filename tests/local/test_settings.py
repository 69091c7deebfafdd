from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from settings import KafkaAddress, Settings, SettingsError, load_settings


@pytest.fixture(autouse=True)
def _clean(no_external: None) -> None:
    """No DAWSOS_ variable from outside."""


def _load() -> Settings:
    return load_settings(_env_file=None)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("kafka://a:9092", KafkaAddress(("a:9092",))),
        ("a:9092,b:9093", KafkaAddress(("a:9092", "b:9093"))),
        ("kafka+ssl://a:1", KafkaAddress(("a:1",), tls=True)),
        (
            "kafka://u:p%40ss:w@a:1?mechanism=PLAIN",
            KafkaAddress(("a:1",), mechanism="PLAIN", user="u", password="p@ss:w"),
        ),
    ],
)
def test_kafka_urls(url: str, expected: KafkaAddress) -> None:
    assert KafkaAddress.parse(url) == expected


def test_client_arguments_of_every_kind_of_address() -> None:
    plain = KafkaAddress.parse("a:1,b:2").client_kwargs()
    assert plain == {"bootstrap_servers": ["a:1", "b:2"], "security_protocol": "PLAINTEXT"}
    full = KafkaAddress.parse("kafka+ssl://u:p@a:1").client_kwargs()
    assert full.pop("ssl_context").check_hostname is True
    assert full == {
        "bootstrap_servers": ["a:1"],
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "u",
        "sasl_plain_password": "p",
    }


@pytest.mark.parametrize(
    ("variable", "value", "reason", "form"),
    [
        ("DAWSOS_KAFKA", "kafka://host", "expected host:port, got 'host'", "kafka://host:port"),
        ("DAWSOS_KAFKA", "http://a:1", "unknown scheme 'http'", "kafka://host:port"),
        ("DAWSOS_KAFKA", "kafka://a:1?x=1", "unknown option 'x'", "kafka://host:port"),
        ("DAWSOS_KAFKA", "kafka://u:secret@a:0", "expected host:port, got 'a:0'", "mechanism="),
        ("DAWSOS_POSTGRES", "mysql://u:secret@h/d", "unknown scheme 'mysql'", "postgresql://"),
        ("DAWSOS_POSTGRES", "postgresql://h", "the database name is missing", "postgresql://"),
        ("DAWSOS_REDIS", "redis://h:port", "the port is not a number", "rediss://"),
        ("DAWSOS_AGENTS", "a.b", "expected module:Class, got 'a.b'", "module:Class"),
        ("DAWSOS_STEPS_MAX", "0", "greater than or equal to 1", "got '0'"),
    ],
)
def test_a_fault_names_the_variable_and_the_form(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, reason: str, form: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as caught:
        _load()
    text = str(caught.value)
    assert text.startswith(f"{variable}: ")
    assert reason in text and form in text
    assert "secret" not in text


def test_all_faults_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAWSOS_KAFKA", "x")
    monkeypatch.setenv("DAWSOS_REDIS", "x")
    monkeypatch.setenv("DAWSOS_LOG_LEVEL", "loud")
    with pytest.raises(SettingsError) as caught:
        _load()
    lines = str(caught.value).splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "DAWSOS_KAFKA",
        "DAWSOS_REDIS",
        "DAWSOS_LOG_LEVEL",
    ]


def test_defaults_mean_embedded_and_accessors_say_so() -> None:
    settings = _load()
    assert (settings.kafka, settings.postgres, settings.redis) == (None, None, None)
    for accessor, variable in (
        (settings.kafka_address, "DAWSOS_KAFKA"),
        (settings.postgres_url, "DAWSOS_POSTGRES"),
        (settings.redis_url, "DAWSOS_REDIS"),
    ):
        with pytest.raises(SettingsError, match=f"{variable} is not set .* `dawsos up`"):
            accessor()


def test_passwords_stay_out_of_the_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAWSOS_KAFKA", "kafka://u:opensesame@a:1")
    monkeypatch.setenv("DAWSOS_POSTGRES", "postgresql://u:opensesame@h/d")
    monkeypatch.setenv("DAWSOS_REDIS", "redis://:opensesame@h")
    settings = _load()
    assert "opensesame" not in repr(settings) and "opensesame" not in repr(settings.kafka_address())
    assert settings.postgres_admin_url() == "postgresql://u:opensesame@h/d"
    with pytest.raises(ValidationError, match="frozen"):
        settings.partitions = 3


def test_lists_and_env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / ".env"
    file.write_text("DAWSOS_AGENTS=a.b:C, d:E\nDAWSOS_PARTITIONS=3\nOTHER=1\n")
    monkeypatch.setenv("DAWSOS_PATTERNS", "/one:/two")
    monkeypatch.setenv("DAWSOS_PARTITIONS", "4")
    settings = load_settings(_env_file=file)
    assert settings.agents == ("a.b:C", "d:E")
    assert settings.patterns == (Path("/one"), Path("/two"))
    assert settings.partitions == 4


def test_another_process_gets_the_same_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings(
        _env_file=None,
        kafka="kafka://u:p@a:1",
        patterns="/one:/two",
        agents="a:B,c:D",
        kafka_flush_every_message=True,
        retention_s=1.5,
        kafka_port=1234,
    )
    environment = settings.environment()
    assert environment["DAWSOS_PATTERNS"] == "/one:/two" and len(environment) == 6
    for variable, text in environment.items():
        monkeypatch.setenv(variable, text)
    assert _load() == settings
