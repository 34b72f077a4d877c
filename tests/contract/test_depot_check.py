"""A depot whose disk changed a byte, served by the real server: it finds that out by itself."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from tests.support.depot.imported import RunningDepot, serving

FILE = "/files/example.org/large.bin"


def _health_when_checked(served: RunningDepot) -> dict[str, object]:
    for _ in range(600):
        health: dict[str, object] = served.json("/healthz")
        check = health["check"]
        assert isinstance(check, dict)
        if check["finished"]:
            return health
        time.sleep(0.05)
    raise AssertionError(served.child.log.read_text())


def test_a_flipped_byte_is_found_while_serving(depot_path: Path, tmp_path: Path) -> None:
    depot = tmp_path / "depot"
    shutil.copytree(depot_path, depot)
    with serving(depot, tmp_path) as served:
        assert _health_when_checked(served)["status"] == "ok"
        digest = served.request(FILE, "HEAD").headers["docker-content-digest"]
    path = depot / "blobs" / "sha256" / digest.removeprefix("sha256:")
    data = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    # As a day later.
    shutil.rmtree(depot / "check")
    with serving(depot, tmp_path) as served:
        health = _health_when_checked(served)
        assert (health["status"], health["damaged"]) == ("degraded", 1)
        assert "example.org/large.bin" in str(health["damagedBlobs"])
        refused = served.request(FILE)
        assert (refused.status, b"damaged" in refused.data) == (500, True)
        assert digest.removeprefix("sha256:") in served.child.log.read_text()
