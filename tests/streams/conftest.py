from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from local.embedded import Addresses
from tests.services import environment_settings
from tests.streams.system import System, running


@pytest.fixture(scope="module")
async def system(services: Addresses, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """One engine in this process for the tests of a module.

    Not for the whole session: while a test elsewhere holds up the loop for more than 3 s, the engine has to believe
    that its process was suspended, and ends it.
    """
    folder: Path = tmp_path_factory.mktemp("system")
    settings = services.apply(environment_settings()).model_copy(
        update={
            "topic_prefix": f"s{uuid4().hex[:8]}.",
            "data_dir": folder,
            "partitions": 4,
            "request_bytes_max": 20_000,
        }
    )
    async with running(settings) as system:
        yield system
