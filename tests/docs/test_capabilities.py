"""docs/capabilities.md is what `dawsos capabilities --markdown` prints."""

from pathlib import Path

from cli.capability_commands import as_markdown
from services.catalogue import catalogue_json
from settings import load_settings

PAGE = Path(__file__).parents[2] / "docs" / "capabilities.md"


def test_the_page_is_up_to_date() -> None:
    catalogue = catalogue_json(load_settings(_env_file=None, agents="", catalogues=""))
    assert PAGE.read_text(encoding="utf-8") == as_markdown(catalogue) + "\n", "run make golden and read the diff"
    for agent in catalogue["agents"].values():
        assert all(f"### `{name}` v" in PAGE.read_text(encoding="utf-8") for name in agent["capabilities"])


def test_a_catalogue_that_says_little_can_be_printed() -> None:
    offered = {"other.<do>": {"input_schema": {"properties": {"x": True}}}}
    page = as_markdown({"agents": {"other": {"capabilities": offered}}})
    assert "## other\n" in page and "| `x` | any | – |" in page
