from typing import Any
from uuid import UUID

import pytest

from provenance.diff import Difference, Evidence, diff
from services.evidence import booking_changes, pattern_changes
from tests.provenance.stage import EVERYTHING, PORTFOLIO, Stage, compiled, document, parsed, run, step

NEEDS = {"stage.convert": ("pack",), "stage.echo": (), "stage.noise": (), "stage.fail": ()}
SOURCE = document(
    step("echo", "rows", args={"value": [{"symbol": "AAPL", "qty": "{{inputs.qty}}"}, {"symbol": "IBM", "qty": "5"}]}),
    step("convert", "converted", args={"amount": "{{state.rows.0.qty}}"}),
    step("echo", "told", args={"value": "{{state.converted}}"}),
    step("echo", "beside", args={"value": "1.5"}),
    inputs={"qty": {"type": "string", "default": "10"}},
)


def evidence(a: dict[str, Any] = SOURCE, b: dict[str, Any] | None = None, **details: Any) -> Evidence:
    return Evidence(dict(compiled(a).document), dict(compiled(b or a).document), NEEDS, details)


def figures(found: Difference) -> dict[str, tuple[str, ...]]:
    return {each.pointer: each.causes for each in found.figures}


async def test_the_same_answer_has_no_difference_whenever_it_was_made() -> None:
    one, two = parsed(await run(SOURCE)), parsed(await run(SOURCE, request_id="other"))
    found = diff(one, two, evidence())
    assert found.same and found.a != found.b
    assert (found.pins, found.inputs, found.steps, found.figures, found.causes) == ((), (), (), (), ())


async def test_another_pack_explains_what_reads_it_and_nothing_else() -> None:
    one = parsed(await run(SOURCE, Stage()))
    two = parsed(await run(SOURCE, Stage(pack=UUID(int=2), rate="1.26")))
    found = diff(one, two, evidence(**{"pin:pack": ["restated AAPL of 2024-05-17: 1 → 2"]}))
    assert not found.same
    assert {change.name for change in found.pins} == {"pricing_pack_id", "pack_sha256"}
    assert [(each.step_id, each.what, each.causes) for each in found.steps] == [
        ("converted", ("output",), ("pin:pack",)),
        ("told", ("arguments", "output"), ("pin:pack",)),
    ]
    assert figures(found) == {"/data/converted/rate": ("pin:pack",), "/data/told/rate": ("pin:pack",)}
    assert found.figures[0].delta == "0.01"
    (cause,) = found.causes
    assert cause.details == ("restated AAPL of 2024-05-17: 1 → 2",) and str(UUID(int=2)) in cause.text


async def test_another_input_is_followed_through_the_steps() -> None:
    one, two = parsed(await run(SOURCE)), parsed(await run(SOURCE, inputs={"qty": "12"}))
    found = diff(one, two, evidence())
    assert [change.name for change in found.inputs] == ["qty"]
    assert figures(found) == {
        "/data/rows/0/qty": ("input:qty",),
        "/data/converted/amount": ("input:qty",),
        "/data/told/amount": ("input:qty",),
    }
    assert found.figures[0].label == "symbol=AAPL" and found.figures[0].delta == "2"


async def test_rows_are_compared_by_their_name() -> None:
    one, two = parsed(await run(SOURCE)), parsed(await run(SOURCE))
    two["data"]["rows"].insert(0, {"symbol": "MSFT", "qty": "1"})
    found = diff(one, two)
    assert [(each.pointer, each.label, each.a) for each in found.figures] == [("/data/rows/0", "symbol=MSFT", None)]


async def test_another_pattern_is_named_with_its_step() -> None:
    changed = {**SOURCE, "steps": [*SOURCE["steps"][:3], step("echo", "beside", args={"value": "2.5"})]}
    one, two = parsed(await run(SOURCE)), parsed(await run(changed))
    found = diff(one, two, evidence(SOURCE, changed))
    assert {change.name for change in found.pattern} == {"pattern_digest"}
    assert figures(found) == {"/data/beside": ("pattern",)} and "step beside" in found.causes[0].text
    lines = list(pattern_changes(SOURCE, changed))
    assert lines == ['/steps/3/args/value: "1.5" → "2.5"']
    more = {**SOURCE, "steps": [*SOURCE["steps"], step("echo", "new")], "outputs": [*SOURCE["outputs"], "new"]}
    added = diff(one, parsed(await run(more)), evidence(SOURCE, more))
    assert [(each.step_id, each.what) for each in added.steps] == [("new", ("only in B",))]


async def test_an_answer_that_changes_by_itself_is_said_to_be_unpinned() -> None:
    source = document(step("noise", "heard"), step("echo", "told", args={"value": "{{state.heard}}"}))
    one, two = parsed(await run(source, Stage(noise="a"))), parsed(await run(source, Stage(noise="b")))
    found = diff(one, two, evidence(source))
    assert {cause for each in found.figures for cause in each.causes} == {"unpinned:heard"}


async def test_without_any_evidence_causes_reach_all_they_may_reach() -> None:
    one = parsed(await run(SOURCE, Stage()))
    two = parsed(await run(SOURCE, Stage(pack=UUID(int=2), rate="1.26"), inputs={"qty": "11"}))
    found = diff(one, two)
    assert all(each.causes for each in found.figures)
    assert {each.id for each in found.causes} == {"pin:pack", "input:qty"}


async def test_failures_and_sub_patterns_are_compared() -> None:
    one = parsed(await run(EVERYTHING, portfolio_id=PORTFOLIO))
    two = parsed(await run(EVERYTHING, portfolio_id=PORTFOLIO, inputs={"n": 500}))
    found = diff(one, two, evidence(EVERYTHING))
    by_pointer = figures(found)
    assert by_pointer["/data/nested/doubled/0"] == ("input:n",)
    assert "/data/each/0" not in by_pointer
    assert next(each for each in found.steps if each.step_id == "skipped").b == "succeeded"


def test_bookings_are_compared_by_what_they_say() -> None:
    row = {"on": "2024-01-02", "kind": "buy", "account": "Assets:A", "symbol": "AAPL", "currency": "USD", "qty": "10",
           "amount": "-1000", "price": "100", "text": "Buy", "source": "a:1"}  # fmt: skip
    moved, more = {**row, "source": "a:9"}, {**row, "on": "2024-01-03", "qty": "5", "amount": "-510"}
    assert list(booking_changes([row], [moved])) == []
    assert list(booking_changes([row], [moved, more])) == ["only in B: 2024-01-03 buy 5 AAPL -510 USD Buy"]
    assert list(booking_changes([row, row], [row])) == ["only in A: 2024-01-02 buy 10 AAPL -1000 USD Buy"]


@pytest.mark.parametrize("value", [{}, {"trace": 3}, {"trace": {"steps": [3]}, "data": []}])
def test_nonsense_has_no_figures(value: dict[str, Any]) -> None:
    assert diff(value, value).figures == ()


@pytest.mark.parametrize(
    ("before", "after", "delta"),
    [
        # By hand, digit by digit; in binary: 0.19999999999999998, 0.0014496837580000033, -4.5468061000009e-05 …
        (0.1, 0.3, "0.2"),
        (0.120697432146, 0.122147115904, "0.001449683758"),
        (1.000045468061, 1.0, "-4.5468061e-05"),
        (1, 1.1, "0.1"),
        (7, 5, "-2"),
    ],
)
def test_figures_differ_by_what_their_digits_say(before: float, after: float, delta: str) -> None:
    digests = ({"digest": "a"}, {"digest": "b"})
    one, two = ({**each, "data": {"x": value}} for each, value in zip(digests, (before, after), strict=True))
    [figure] = diff(one, two).figures
    assert repr(figure.delta) == delta
