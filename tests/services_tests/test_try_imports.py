"""`dawsos try` must start fast and without any server: what it imports is checked in a fresh interpreter."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE = """
import asyncio, sys
from tests.services_tests.test_golden_overview import overview
result = asyncio.run(overview())
assert result.status == "succeeded", result.error
unwanted = "faust mode aiokafka asyncpg redis exchange_calendars pandas streams gateway local".split()
print(",".join(name for name in unwanted if name in sys.modules))
"""


def test_nothing_of_kafka_postgres_or_redis_is_imported() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == ""
