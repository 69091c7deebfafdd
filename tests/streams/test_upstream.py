from importlib.metadata import version

from streams.durable import upstream


def test_faust_and_aiokafka_are_the_versions_this_package_was_written_against() -> None:
    assert version("faust-streaming") == upstream.VERSIONS["faust-streaming"]
    assert version("aiokafka").startswith(upstream.VERSIONS["aiokafka"] + ".")


def test_no_part_we_replace_or_rely_on_has_changed() -> None:
    assert upstream.changed() == []


def test_a_changed_part_is_named(monkeypatch) -> None:
    def flush(self) -> None:
        """Something else than upstream's."""

    flush.__module__, flush.__qualname__ = "faust.transport.drivers.aiokafka", "Producer.flush"
    monkeypatch.setattr(upstream, "PARTS", (flush,))
    assert upstream.changed() == ["faust.transport.drivers.aiokafka.Producer.flush"]
