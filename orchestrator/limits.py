"""Bounds of the engine. Each is a setting with a default; each violation is a clear error, never a truncation."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What patterns and executions may use.

    Attributes:
        pattern_bytes_max: longest pattern file.
        steps_max: steps in a pattern.
        pattern_depth_max: sub-patterns in sub-patterns.
        items_max: items of a foreach step.
        concurrency_max: items of a foreach step under way at a time that a pattern may ask for;
        concurrency_default: that are when it does not say.
        attempts_max: attempts of a step a pattern may ask for.
        deadline_s_max: longest deadline of an execution, and longest timeout of a step.
        deadline_s_default: deadline when neither request nor pattern names one.
        template_depth_max: nesting of lists and objects in `args`.
        retention_s: how long finished executions are remembered; older requests are REQUEST_EXPIRED.
        clock_skew_s: how far in the future `submitted_at` may lie.
        compensation_s: what compensating may take after the deadline.
        resolve_rounds_max: how often pins are resolved again because the pack changed meanwhile.
        pack_retry_after_s: advice to callers that were rejected because the pack is warming.
        inline_bytes: answers up to this many bytes come inline.
        item_bytes_min: an item of a foreach step may answer this much inline, however many there are; all together
            about `output_bytes`.
        output_bytes: answers of output steps up to this many bytes come inline, in all.
        message_bytes_max: above this a result without references fails rather than reach the broker's limit.
        args_bytes_in_trace: arguments up to this many bytes stand in the trace,
        trace_args_bytes: as long as they take at most this much in all.
    """

    pattern_bytes_max: int = 1024 * 1024
    steps_max: int = 500
    pattern_depth_max: int = 8
    items_max: int = 10_000
    concurrency_max: int = 256
    concurrency_default: int = 16
    attempts_max: int = 10
    deadline_s_max: float = 86_400.0
    deadline_s_default: float = 300.0
    template_depth_max: int = 32
    retention_s: float = 900.0
    clock_skew_s: float = 300.0
    compensation_s: float = 60.0
    resolve_rounds_max: int = 5
    pack_retry_after_s: float = 30.0
    inline_bytes: int = 8 * 1024
    item_bytes_min: int = 128
    output_bytes: int = 768 * 1024
    message_bytes_max: int = 1536 * 1024
    args_bytes_in_trace: int = 8 * 1024
    trace_args_bytes: int = 256 * 1024


DEFAULT_LIMITS = Limits()
