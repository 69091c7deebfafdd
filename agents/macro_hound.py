"""The agent that knows the economy: indicators as they were known, regimes by rules, the cycle, scenarios.

Figures count from the day they were released; every answer names its vintage. Nothing here forecasts. Its capabilities
stand in `agents.macro`.
"""

from agents.base import BaseAgent
from agents.macro.economy import EconomyGroup
from agents.macro.stress import StressGroup


class MacroHound(EconomyGroup, StressGroup, BaseAgent):
    """Macroeconomics and stress; for the services see `agents.macro.desk.MacroDesk`."""

    name = "macro_hound"
    version = "1.2.0"
