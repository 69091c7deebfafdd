"""Run a pattern, watch it and read a table, as in a notebook: python notebook.py GATEWAY TOKEN_FILE"""

import sys
from pathlib import Path

from gateway.client import ApiProblem, Client

with Client(sys.argv[1], Path(sys.argv[2]).read_text()) as dawsos:
    growth = dawsos.portfolio("growth")
    result = dawsos.execute("tax_lots", portfolio_id=growth, asof="2012-12-31")
    lots = result.frame("lots.rows")
    print(lots.groupby("symbol")["unrealized_pl"].sum())

    execution_id = dawsos.submit("portfolio_overview", portfolio_id=growth)
    for event in dawsos.stream(execution_id):
        print(event.status, event.execution.get("waits_for"))
    print(dawsos.result(execution_id).data["perf_metrics"]["twr"])

    try:
        dawsos.execute("tax_lots", inputs={"portfolio_id": "none"})
    except ApiProblem as problem:
        print(problem.code, problem.errors)
