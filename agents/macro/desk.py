"""What MacroHound's groups share."""

from agents.context import CapabilityContext
from agents.ports import MacroPort
from topics.messages import Pins


class MacroDesk:
    """The services of the agent.

    Args:
        macro: series as known on a day, and scenarios.
    """

    def __init__(self, macro: MacroPort) -> None:
        self._macro = macro


def pinned(context: CapabilityContext) -> Pins:
    """Return the pins of a capability that declared to need them."""
    assert context.pins is not None, "the runtime refuses requests without the pins a capability needs"
    return context.pins
