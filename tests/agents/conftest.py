"""The portfolio that is small enough to be computed by hand, ready to be asked."""

import pytest

from tests.agents.desk import Desk, local_data
from tests.agents.test_financial_analyst import LEDGER, PRICES, RATES


@pytest.fixture
def desk() -> Desk:
    return Desk(local_data(LEDGER, PRICES, RATES))
