"""Kafka's jars: resolved and downloaded by jgo once, kept in a shared cache, checked at every start.

`kafka-jars.sha256` pins every file. The check costs about 0.05 s for 45 MB and means that a start runs exactly the
bytes this version was tested with, whatever a mirror or another program did to the cache.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from pathlib import Path

from local.errors import ServiceFailed
from local.packages import package_folder

KAFKA_VERSION = "4.4.0"
KAFKA = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}"
# Without this Kafka logs nothing, not even why it does not start.
LOGGING = "org.apache.logging.log4j:log4j-slf4j-impl:2.25.5"
DOWNLOAD_ATTEMPTS = 3
PINS = Path(__file__).with_name("kafka-jars.sha256")


def pinned() -> dict[str, str]:
    """File name → SHA-256 in hex."""
    lines = (line.split() for line in PINS.read_text(encoding="ascii").splitlines() if line)
    return {name: digest for digest, name in lines}


def kafka_jars(cache: Path) -> list[Path]:
    """The checked jars, in file name order; downloads them when they are not in the cache.

    Raises:
        EmbeddedMissing: jgo is not installed.
        ServiceFailed: no download possible, or a file is not the pinned one.
    """
    folder = _folder(cache)
    pins = pinned()
    if not _complete(folder, pins):
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Two first starts at once: jgo calls an environment complete while another jgo is still filling it.
        with (folder.parent / "download.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not _complete(folder, pins):
                _download(folder, pins)
    jars = [folder / name for name in sorted(pins)]
    for jar in jars:
        _check(jar, pins)
    return jars


def has_jars(cache: Path) -> bool:
    """Whether nothing has to be downloaded."""
    return _complete(_folder(cache), pinned())


def _folder(cache: Path) -> Path:
    return cache / f"kafka-{KAFKA_VERSION}"


def _complete(folder: Path, pins: dict[str, str]) -> bool:
    return folder.is_dir() and {path.name for path in folder.iterdir()} == set(pins)


def resolve() -> list[Path]:
    """Let jgo download (into its own cache) and find the jars; unchecked.

    Raises:
        EmbeddedMissing: jgo is not installed.
        ServiceFailed: no download possible, after `DOWNLOAD_ATTEMPTS`.
    """
    package_folder("jgo", "Kafka", "DAWSOS_KAFKA")
    import jgo  # optional, and slow to import: only when something has to be downloaded

    # Where a company's certificate authority is set for pip or OpenSSL, downloads need it too.
    for variable in ("SSL_CERT_FILE", "PIP_CERT"):
        if variable in os.environ:
            os.environ.setdefault("REQUESTS_CA_BUNDLE", os.environ[variable])
    binding = LOGGING.split(":")[1]
    for attempt in range(1, DOWNLOAD_ATTEMPTS + 1):
        try:
            # One by one: together, the logging jar's bill of materials would swap kafka-clients for an older one.
            jars = list(jgo.build(KAFKA).all_jars)
            return jars + [j for j in jgo.build(LOGGING).all_jars if j.name.startswith(binding)]
        except Exception as error:
            if attempt == DOWNLOAD_ATTEMPTS:
                raise ServiceFailed(
                    f"cannot download Kafka {KAFKA_VERSION} ({type(error).__name__}: {error}): "
                    "the first start needs the network; or set DAWSOS_KAFKA to the address of your own"
                ) from error
            time.sleep(attempt)
    raise AssertionError("unreachable: the last attempt returns or raises")


def _check(jar: Path, pins: dict[str, str]) -> None:
    with jar.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != pins.get(jar.name):
        raise ServiceFailed(
            f"{jar} is not the file this version was tested with: expected SHA-256 "
            f"{pins.get(jar.name, '(no such file)')}, got {digest}; remove {jar.parent} to download again"
        )


def _download(folder: Path, pins: dict[str, str]) -> None:
    found = resolve()
    names = {jar.name for jar in found}
    if names != set(pins):
        raise ServiceFailed(
            f"Kafka {KAFKA_VERSION} resolved to other files than pinned in {PINS.name}: "
            f"missing {sorted(set(pins) - names)}, unknown {sorted(names - set(pins))}"
        )
    draft = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    try:
        for jar in found:
            _check(jar, pins)
            shutil.copyfile(jar, draft / jar.name)
        if folder.exists():
            shutil.rmtree(folder)
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
