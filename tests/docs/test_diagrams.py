"""The diagrams in ARCHITECTURE.md are what the code says."""

import re

from docs.diagrams import FLOWS, PAGE, render
from topics.table import topic_table


def test_diagrams_are_up_to_date() -> None:
    page = PAGE.read_text()
    assert render(page) == page, "run python -m docs.diagrams (or make golden) and read the diff"


def test_every_topic_is_drawn() -> None:
    assert set(FLOWS) == {spec.name for spec in topic_table(["AGENT"])}


def test_architecture_stays_short() -> None:
    text = re.sub(r"<!-- generated.*?/generated -->", "", PAGE.read_text(), flags=re.DOTALL)
    assert len(text.split()) < 1500
