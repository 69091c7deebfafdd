"""Draws the diagrams in ARCHITECTURE.md from the code: the topic table and the transition table.

`python -m docs.diagrams` rewrites the parts between `<!-- generated: NAME -->` and `<!-- /generated -->`.
"""

import re
from pathlib import Path

from orchestrator.execution import TERMINAL, Status
from orchestrator.transitions import TABLE
from topics.table import (
    CAPABILITY_RESULTS,
    DEAD_LETTERS,
    EXECUTION_REQUESTS,
    EXECUTION_RESULTS,
    EXECUTION_SIGNALS,
    PACK_ANNOUNCEMENTS,
    PACK_EVENTS,
    PATTERN_VERSIONS,
    STATE_CHANGELOG,
    capability_requests,
    topic_table,
)

PAGE = Path(__file__).parent.parent / "ARCHITECTURE.md"
_AGENT = "AGENT"

# Who writes a topic and who reads it; that every topic stands here is checked.
FLOWS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    EXECUTION_REQUESTS: (("clients",), ("orchestrator",)),
    capability_requests(_AGENT): (("orchestrator",), ("agents",)),
    CAPABILITY_RESULTS: (("agents",), ("orchestrator",)),
    EXECUTION_SIGNALS: (("orchestrator", "clients"), ("orchestrator",)),
    EXECUTION_RESULTS: (("orchestrator",), ("clients", "projector")),
    STATE_CHANGELOG: (("orchestrator",), ("orchestrator",)),
    PACK_ANNOUNCEMENTS: (("pipeline",), ("projector",)),
    PACK_EVENTS: (("projector",), ("orchestrator",)),
    PATTERN_VERSIONS: (("orchestrator",), ("orchestrator",)),
    DEAD_LETTERS: (("orchestrator", "agents"), ("projector",)),
}
_PARTIES = {
    "clients": "clients: CLI, upstream systems",
    "orchestrator": "orchestrator (streams/ around orchestrator/)",
    "agents": "agent workers (agents/)",
    "projector": "projector",
    "pipeline": "pricing pipeline",
}


def system() -> str:
    """Return the parties and topics as a Mermaid flowchart."""
    lines = ["```mermaid", "flowchart LR"]
    lines += [f'  {name}["{title}"]' for name, title in _PARTIES.items()]
    lines += ['  postgres[("Postgres")]', '  redis[("Redis")]']
    for number, spec in enumerate(topic_table([_AGENT])):
        writers, readers = FLOWS[spec.name]
        title = spec.name.replace(_AGENT, "‹agent›") + (" (compacted)" if spec.compacted else "")
        lines.append(f'  t{number}(["{title}"])')
        lines += [f"  {writer} --> t{number}" for writer in writers]
        lines += [f"  t{number} --> {reader}" for reader in readers]
    lines += ["  agents --- postgres", "  agents --- redis", "  projector --- postgres", "```"]
    return "\n".join(lines)


def states() -> str:
    """Return the transition table as a Mermaid state diagram, without the rows that change nothing.

    Of one cancelled early only what differs from an unknown execution is drawn.
    """
    edges: dict[tuple[str, str], list[str]] = {}
    for (status, event), row in TABLE.items():
        for target in sorted(row.to):
            known = status is Status.CANCELLED_EARLY and target in TABLE[None, event].to
            if target is not status and not known:
                start = "[*]" if status is None else status.value
                edges.setdefault((start, target.value), []).append(event.__name__)
    lines = ["```mermaid", "stateDiagram-v2"]
    running = [status for status in Status if status not in TERMINAL]
    order = {"[*]": -1} | {status.value: number for number, status in enumerate([*running, *sorted(TERMINAL)])}
    for (start, target), events in sorted(edges.items(), key=lambda edge: (order[edge[0][0]], order[edge[0][1]])):
        lines.append(f"  {start} --> {target}: {', '.join(sorted(set(events)))}")
    return "\n".join([*lines, "```"])


def render(page: str) -> str:
    """Return the page with its generated parts made anew."""
    for name, text in (("system", system()), ("states", states())):
        part = re.compile(rf"(<!-- generated: {name} -->\n).*?(<!-- /generated -->)", re.DOTALL)
        if not part.search(page):
            raise ValueError(f"the page has no part named {name!r}")
        page = part.sub(lambda found, text=text: f"{found[1]}{text}\n{found[2]}", page)
    return page


if __name__ == "__main__":
    PAGE.write_text(render(PAGE.read_text()))
