"""The published test vectors of the pack digest, in Python and in the database."""

import json
from datetime import date
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from db.pack_content import PackContent, PriceRow, RateRow
from db.pack_series import Security
from db.pack_writer import PackWriter
from db.postgres import Pool
from tests.db.market import FRIDAY, NOW, POLICY, open_market

FILE = Path(__file__).parents[2] / "docs" / "pack-hash-vectors.json"
VECTORS: list[dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))["vectors"]
each_vector = pytest.mark.parametrize("vector", VECTORS, ids=[vector["name"] for vector in VECTORS])


def content(vector: dict[str, Any]) -> PackContent:
    return PackContent(
        tuple(
            PriceRow(
                row["symbol"],
                Decimal(row["close"]),
                row["currency"],
                date.fromisoformat(row["observed_on"]),
                row["source"],
                row["basis"],
            )
            for row in vector["prices"]
        ),
        tuple(
            RateRow(
                row["base"], row["quote"], Decimal(row["rate"]), date.fromisoformat(row["observed_on"]), row["source"]
            )
            for row in vector["rates"]
        ),
    )


@each_vector
def test_the_digest_is_over_the_lines_as_published(vector: dict[str, Any]) -> None:
    # What an implementation in another language has to do, and nothing of ours.
    assert vector["lines"] == sorted(vector["lines"], key=lambda line: line.encode())
    assert sha256("".join(vector["lines"]).encode()).hexdigest() == vector["sha256"]


@each_vector
def test_ours_agrees(vector: dict[str, Any]) -> None:
    assert content(vector).sha256() == vector["sha256"]


@pytest.mark.integration
@each_vector
async def test_the_database_agrees(vector: dict[str, Any], owner: Pool) -> None:
    packs = PackWriter(owner)
    await open_market(packs)
    rows = content(vector)
    await packs.add_securities(
        [Security(row.symbol, "", row.currency, None, 100 if row.currency == "GBP" else 1) for row in rows.prices]
    )
    pack = await packs.create(POLICY, FRIDAY, NOW)
    await packs.load_rows(pack.pack_id, rows)
    assert (await packs.freeze(pack.pack_id, None, NOW)).content_sha256 == vector["sha256"]
