"""What a capability knows of the execution it works for, and what it may say about its answer."""

from dataclasses import dataclass, field
from datetime import date
from uuid import UUID

from topics.messages import Pins


@dataclass(slots=True)
class Notes:
    """What a capability reports about its answer; the runtime turns it into `ResultMetadata`."""

    sources: set[str] = field(default_factory=set)
    asof: date | None = None
    ttl_s: int | None = None
    confidence: float | None = None
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class CapabilityContext:
    """One call's surroundings. Declared arguments come as parameters; nothing else of the execution is visible.

    Attributes:
        pins: data versions; None for capabilities that need none and for `context.resolve`.
        deadline_at_ms: moment after which nobody waits for the answer.
        idempotency_key: equal for all attempts of this step.
        now_ms: the runtime's clock at the start; None for pure capabilities, which must not know the time.
    """

    execution_id: str
    tenant: str
    user_id: UUID
    pins: Pins | None
    deadline_at_ms: int
    idempotency_key: str
    now_ms: int | None = None
    notes: Notes = field(default_factory=Notes)

    def report(
        self,
        *,
        source: str | None = None,
        asof: date | None = None,
        ttl_s: int | None = None,
        confidence: float | None = None,
        warning: str | None = None,
    ) -> None:
        """Attach metadata to the answer. Sources and warnings add up; of the others the last one counts.

        What stands in an answer's own field `warnings` need not be reported: the runtime takes it from there.
        """
        if source is not None:
            self.notes.sources.add(source)
        if asof is not None:
            self.notes.asof = asof
        if ttl_s is not None:
            self.notes.ttl_s = ttl_s
        if confidence is not None:
            self.notes.confidence = confidence
        if warning is not None and warning not in self.notes.warnings:
            self.notes.warnings.append(warning)
