"""The OpenAPI document: every answer the server gives is in it, examples are real, a client can be made of it."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from gateway.examples import ANNOUNCE_EXAMPLES, EXECUTE_EXAMPLES, FILE, RESPONSE_EXAMPLES
from services.tokens import Role
from settings import load_settings
from tests.gateway.system import Gateway, new_id
from topics.errors import Code

pytestmark = pytest.mark.integration

TYPESCRIPT = {"openapi-typescript": "7.9.1", "typescript": "5.9.3"}
_EXAMPLES = 12


def document() -> dict[str, Any]:
    from gateway.app import create_app

    return create_app(load_settings(_env_file=None)).openapi()


def cases() -> Iterator[Any]:
    """Every operation with valid input; with invalid input those that take any."""
    for path, item in document()["paths"].items():
        for method, operation in item.items():
            yield pytest.param(path, method, GenerationMode.POSITIVE, id=f"{method} {path} valid")
            if operation.get("parameters") or "requestBody" in operation:
                yield pytest.param(path, method, GenerationMode.NEGATIVE, id=f"{method} {path} invalid")


def test_operation_ids_are_stable() -> None:
    """Clients are generated from these names: change one only with a new version of the API."""
    found = {operation["operationId"] for item in document()["paths"].values() for operation in item.values()}
    assert found == {
        *("execute", "listExecutions", "getExecution", "getExecutionResult", "getExecutionTrace", "watchExecution"),
        *("verifyExecution", "replayExecution", "diffExecutions"),
        *("cancelExecution", "listPatterns", "getPattern", "listCapabilities", "listPacks", "getPack", "announcePack"),
        *("listPortfolios", "getArtifact", "listDeadLetters", "getDeadLetter", "redriveDeadLetter"),
        *("listCircuits", "createWebsocketTicket", "createConsoleSession"),
        *("getHealth", "getReady", "getMetrics", "listErrors", "getError"),
    }


def test_every_code_has_one_meaning() -> None:
    from gateway.problems import MEANINGS

    assert set(MEANINGS) == set(Code)


@pytest.mark.parametrize(("path", "method", "mode"), list(cases()))
def test_no_answer_is_undocumented(gateway: Gateway, path: str, method: str, mode: GenerationMode) -> None:
    schema = schemathesis.openapi.from_url(f"{gateway.url}/openapi.json")
    operation = schema[path][method.upper()]
    headers = gateway.headers(role=Role.ADMIN)
    strategy = operation.as_strategy(generation_mode=mode)

    @settings(
        max_examples=_EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=strategy)
    def check(case: Any) -> None:
        response = case.call(headers={**headers, "Prefer": "wait=5"} if path == "/execute" else headers, timeout=30)
        # A cursor is any text to the schema; one that is not ours is refused, which is documented.
        case.validate_response(response, excluded_checks=[positive_data_acceptance])

    check()


def validator(whole: dict[str, Any], schema: dict[str, Any]) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator({**schema, "components": whole["components"]})


async def _answers(gateway: Gateway) -> dict[str, Any]:
    """What the server answers to the requests in the examples, by operation id."""
    headers = gateway.headers()
    run = await gateway.client.post("/execute", json=EXECUTE_EXAMPLES["overview"]["value"], headers=headers)
    assert run.status_code == 200, run.text
    execution = f"/executions/{run.json()['execution_id']}"
    other = await gateway.client.post(
        "/execute", json={**EXECUTE_EXAMPLES["overview"]["value"], "asof": "2005-06-30"}, headers=headers
    )
    for each in (run, other):
        await gateway.until(f"/executions/{each.json()['execution_id']}/result", lambda r: r.status_code == 200)

    async def got(path: str) -> Any:
        found = await gateway.get(path)
        assert found.status_code == 200, found.text
        return found.json()

    announced = await gateway.client.post(
        "/packs", json=ANNOUNCE_EXAMPLES["pack"]["value"], headers=gateway.headers(role=Role.OPERATOR)
    )
    assert announced.status_code == 200, announced.text
    capabilities = await got("/capabilities")
    agent = capabilities["agents"]["financial_analyst"]
    first = dict(sorted(agent["capabilities"].items())[:1])
    overview = await got("/patterns/portfolio_overview")
    listed = [each for each in (await got("/patterns"))["patterns"] if each["id"] == "portfolio_overview"]
    executions = await got(f"/executions?limit=1&q={run.json()['execution_id']}")
    answers = {
        "execute": run.json(),
        "listExecutions": executions,
        "getExecution": await got(execution),
        "getExecutionResult": run.json(),
        "getExecutionTrace": run.json()["trace"],
        "verifyExecution": await got(f"{execution}/verification"),
        "replayExecution": (await gateway.client.post(f"{execution}/replay", headers=headers, timeout=90)).json(),
        "diffExecutions": await got(f"{execution}/diff/{other.json()['execution_id']}"),
        "listPatterns": {"patterns": listed},
        "getPattern": overview,
        "listCapabilities": {"agents": {"financial_analyst": {**agent, "capabilities": first}}},
        "listPacks": await got("/packs?limit=1&status=fresh"),
        "announcePack": announced.json(),
        "listPortfolios": await got("/portfolios"),
        "getHealth": await got("/health"),
        "getReady": await got("/ready"),
        "getError": await got("/errors/PACK_WARMING"),
    }
    return {name: shortened(answer) for name, answer in answers.items()}


def shortened(value: Any) -> Any:
    """An answer with at most two items of each list: it is to be read."""
    if isinstance(value, dict):
        return {key: shortened(inner) for key, inner in value.items()}
    return [shortened(inner) for inner in value[:2]] if isinstance(value, list) else value


def shape(value: Any, depth: int) -> Any:
    """Keys of an answer down to a depth; figures and ids differ from run to run."""
    if isinstance(value, dict) and depth:
        return {key: shape(inner, depth - 1) for key, inner in sorted(value.items())}
    if isinstance(value, list) and depth:
        return [shape(inner, depth - 1) for inner in value[:1]]
    return None


async def test_examples_are_what_the_server_answers(gateway: Gateway) -> None:
    answers = await _answers(gateway)
    if os.environ.get("UPDATE_GOLDEN"):
        FILE.write_text(json.dumps(answers, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
        return
    assert RESPONSE_EXAMPLES.keys() == answers.keys()
    for name, answer in answers.items():
        assert shape(RESPONSE_EXAMPLES[name], 2) == shape(answer, 2), f"{name}: make golden"


def test_examples_fit_the_schemas() -> None:
    whole = document()
    for item in whole["paths"].values():
        for operation in item.values():
            for response in operation["responses"].values():
                for content in response.get("content", {}).values():
                    given = [content["example"]] if "example" in content else []
                    given += [example["value"] for example in content.get("examples", {}).values()]
                    for value in given:
                        validator(whole, content["schema"]).validate(value)
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            for example in body.get("examples", {}).values():
                validator(whole, body["schema"]).validate(example["value"])


@pytest.mark.parametrize("name", EXECUTE_EXAMPLES)
async def test_example_requests_succeed(gateway: Gateway, name: str) -> None:
    # Random requests of other tests may have taken the example's request id.
    body = {**EXECUTE_EXAMPLES[name]["value"]}
    if "request_id" in body:
        body["request_id"] += new_id()
    found = await gateway.client.post("/execute", json=body, headers=gateway.headers())
    assert found.status_code == 200, found.text


async def test_inputs_are_served_as_json_schema(gateway: Gateway) -> None:
    for pattern in (await gateway.get("/patterns")).json()["patterns"]:
        found = (await gateway.get(f"/patterns/{pattern['id']}")).json()
        assert found["inputs_schema"]["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        jsonschema.Draft202012Validator.check_schema(found["inputs_schema"])
        assert found["mermaid"].startswith("flowchart TD") and found["graph"]["nodes"]


_CLIENT = """
import type { components, operations, paths } from "./api";

type Result = components["schemas"]["ExecutionResult"];
type Problem = components["schemas"]["Problem"];
type Body = operations["execute"]["requestBody"]["content"]["application/json"];
type Query = NonNullable<paths["/executions"]["get"]["parameters"]["query"]>;

export async function execute(url: string, token: string, body: Body): Promise<Result> {
  const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
  const answer = await fetch(`${url}/execute`, { method: "POST", headers, body: JSON.stringify(body) });
  if (answer.status !== 200) {
    const problem = (await answer.json()) as Problem;
    throw new Error(`${problem.code}: ${problem.detail}`);
  }
  return (await answer.json()) as Result;
}

export const running: Query = { status: "running", limit: 10 };
// @ts-expect-error a pattern is needed
export const faulty: Body = { inputs: {} };
"""


def test_a_typescript_client_compiles(tmp_path: Path) -> None:
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("needs node and npm")
    (tmp_path / "openapi.json").write_text(json.dumps(document()))
    (tmp_path / "client.ts").write_text(_CLIENT)
    packages = {"name": "client", "private": True, "dependencies": TYPESCRIPT}
    (tmp_path / "package.json").write_text(json.dumps(packages))

    def run(*command: str) -> None:
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"

    try:
        run(npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error")
    except (AssertionError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"npm cannot install the compiler here: {str(error)[:200]}")
    binaries = tmp_path / "node_modules" / ".bin"
    run(str(binaries / "openapi-typescript"), "openapi.json", "-o", "api.d.ts")
    options = ("--noEmit", "--strict", "--skipLibCheck", "--target", "es2022", "--module", "es2022")
    run(str(binaries / "tsc"), *options, "--moduleResolution", "bundler", "--lib", "es2022,dom", "client.ts")
