"""What a restatement changed, as people read it."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

from db.pack_content import PackContent, PriceRow
from db.pack_difference import difference

DAY = date(2024, 1, 5)
OLD = PriceRow("SYN-A", Decimal("10.50"), "USD", DAY, "old")


def said(before: PriceRow | None, after: PriceRow | None) -> list[str]:
    packs = [PackContent(() if row is None else (row,), ()) for row in (before, after)]
    return [str(change) for change in difference(*packs)]


def test_the_number_comes_first_and_every_other_column_says_from_what_to_what() -> None:
    assert said(OLD, replace(OLD, close=Decimal(11))) == ["price of SYN-A: 10.5 → 11"]
    both = replace(OLD, close=Decimal(11), source="new")
    assert said(OLD, both) == ["price of SYN-A: 10.5 → 11, source old → new"]
    # A close that is the same is no change.
    assert said(OLD, replace(OLD, source="new")) == ["price of SYN-A: 10.5, source old → new"]
    assert said(None, OLD) == ["price of SYN-A: none → 10.5"]
    assert said(OLD, None) == ["price of SYN-A: 10.5 → none"]
    assert said(OLD, OLD) == []


def test_a_change_is_json_with_both_sides_of_every_column() -> None:
    [change] = difference(PackContent((OLD,), ()), PackContent((replace(OLD, source="new"),), ()))
    assert change.as_json() == {
        "kind": "price",
        "name": "SYN-A",
        "before": "10.5",
        "after": "10.5",
        "what": ["source"],
        "others": [{"column": "source", "before": "old", "after": "new"}],
    }
    assert not change.restated
