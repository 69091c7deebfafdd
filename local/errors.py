"""What can go wrong with local services; every text says what was expected and what to do."""

from __future__ import annotations


class LocalError(RuntimeError):
    """A local service or the supervisor cannot do what was asked."""


class DataDirInUse(LocalError):
    """Another live process holds the data directory."""


class EmbeddedMissing(LocalError):
    """The optional packages with Kafka, Postgres or Valkey are not installed."""


class ServiceFailed(LocalError):
    """A server or worker did not become ready; the text ends with the tail of its log."""


class PortTaken(LocalError):
    """A port the user fixed is in use by another program."""
