"""Charts of every shape, from their repository into a depot: what they want is what is carried."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from bundle.base.digest import digest_of, hex_of
from bundle.base.reference import parse_reference
from tests.support.charts.shapes import ChartUpstream, all_images, chart_upstream
from tests.support.programs.helm import helm_archive
from tests.support.registries.journey import APPROVERS, Journey, Machine, approve, build
from tests.vectors.chart_shapes import OPERATOR, SHAPES, SHORT_NAMES, VALUES


@dataclass(frozen=True)
class Vendor:
    upstream: ChartUpstream
    machine: Machine

    @property
    def definition(self) -> Path:
        return self.machine.home / "charts.yaml"

    @property
    def lock(self) -> Path:
        return self.machine.home / "charts.lock.yaml"

    @property
    def missing(self) -> Path:
        return self.machine.home / "charts.lock.missing-images.yaml"

    def write(self, changes: dict[str, Any] | None = None) -> None:
        self.upstream.write(self.machine.home, changes)

    def arguments(self) -> list[str | Path]:
        return ["lock", self.definition]

    @property
    def host(self) -> str:
        return self.upstream.registry.host

    @property
    def values(self) -> str:
        """The content of the values file of the chart that has a changing one."""
        return VALUES.at(self.host).values


@pytest.fixture(scope="module")
def charts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChartUpstream]:
    # Short names mean a registry that is not here.
    chosen = [shape for shape in SHAPES if shape is not SHORT_NAMES]
    with chart_upstream(tmp_path_factory.mktemp("charts"), chosen) as running:
        yield running


@pytest.fixture
def vendor(charts: ChartUpstream, journey: Journey, tmp_path: Path) -> Vendor:
    # The journey is asked for its keys, and because it puts helm on the PATH.
    del journey
    made = Vendor(charts, Machine(tmp_path))
    made.write()
    return made


@dataclass(frozen=True)
class Locked:
    """A home in which the charts were locked, and what the command said."""

    home: Path
    said: dict[str, Any]


@pytest.fixture(scope="module")
def locked(
    charts: ChartUpstream, journey: Journey, tmp_path_factory: pytest.TempPathFactory
) -> Locked:
    del journey
    made = Vendor(charts, Machine(tmp_path_factory.mktemp("locked")))
    made.write()
    return Locked(made.machine.home, made.machine.result(*made.arguments()))


@pytest.fixture
def with_lock(vendor: Vendor, locked: Locked) -> Vendor:
    """The vendor after that command, in a copy of that home."""
    shutil.copytree(locked.home, vendor.machine.home, dirs_exist_ok=True)
    return vendor


def started(vendor: Vendor) -> tuple[str, ...]:
    return OPERATOR.at(vendor.host).started


def references(document: dict[str, Any]) -> set[str]:
    return {image["reference"] for image in document["images"]}


def test_the_lock_has_exactly_what_the_charts_want(with_lock: Vendor, locked: Locked) -> None:
    vendor, said = with_lock, locked.said
    lock = yaml.safe_load(vendor.lock.read_text())
    assert references(lock) == all_images(vendor.upstream.shapes)
    assert lock["helm"]["version"].startswith("v4.")
    for shape in vendor.upstream.shapes:
        (chart,) = (c for c in lock["charts"] if c["name"] == shape.name)
        wanted = {entry["image"] for entry in chart["rendering"]["images"]}
        assert wanted == all_images([shape])
        for name in wanted:
            assert f"chart {shape.name} 1.0.0" in said["wantedBy"][name]
    assert "@" not in "".join(name for name in references(lock) if "digests" not in name
                              and "globals/store" not in name)  # fmt: skip
    assert all(image["digest"] for image in lock["images"])
    again = vendor.machine.result(*vendor.arguments())
    assert again["changes"] == []
    vendor.machine.run(*vendor.arguments(), "--check")


def test_what_an_operator_starts_must_be_declared(vendor: Vendor) -> None:
    vendor.write({"operator": {"images": []}})
    done = vendor.machine.attempt(*vendor.arguments(), "--json")
    said = json.loads(done.stdout)
    assert (done.returncode, said["error"]) == (17, "closure")
    assert str(vendor.missing) in said["hint"]
    assert not vendor.lock.exists()
    document = yaml.safe_load(vendor.missing.read_text())
    assert {entry["image"] for entry in document["missing"]} == set(started(vendor))
    for entry in document["missing"]:
        assert entry["wantedBy"] == ["chart operator 1.0.0"]
        assert "leaveOut" in entry["add"]
    where = {entry["image"]: entry["where"] for entry in document["missing"]}
    assert where[f"{vendor.host}/operator/worker:0.8.0"] == [
        "Deployment operator, container manager, env RELATED_IMAGE_WORKER"
    ]

    left = [{"image": name, "reason": "nobody uses it here"} for name in started(vendor)]
    vendor.write({"operator": {"images": [], "leaveOut": left}})
    vendor.machine.run(*vendor.arguments())
    assert not vendor.missing.exists(), "it is all decided"
    lock = yaml.safe_load(vendor.lock.read_text())
    assert references(lock) == all_images(vendor.upstream.shapes) - set(started(vendor))
    (chart,) = (c for c in lock["charts"] if c["name"] == "operator")
    assert chart["rendering"]["leftOut"] == left


def test_nothing_is_written_when_a_lock_is_only_checked(with_lock: Vendor) -> None:
    vendor = with_lock
    vendor.write({"operator": {"images": []}})
    before = vendor.lock.read_bytes()
    assert vendor.machine.attempt(*vendor.arguments(), "--check").returncode == 17
    assert vendor.lock.read_bytes() == before
    assert not vendor.missing.exists()


def test_an_image_that_upstream_does_not_have(vendor: Vendor) -> None:
    values = vendor.machine.home / "values" / "values.yaml"
    text = vendor.values.replace("values/app:2", "values/gone:7")
    values.write_text(text)
    assert vendor.machine.attempt(*vendor.arguments()).returncode == 17
    (entry,) = yaml.safe_load(vendor.missing.read_text())["missing"]
    assert entry["image"] == f"{vendor.host}/values/gone:7"
    assert entry["wantedBy"] == ["chart values 1.0.0"]


def test_a_host_that_the_definition_does_not_name(vendor: Vendor) -> None:
    values = vendor.machine.home / "values" / "values.yaml"
    values.write_text(values.read_text().replace(vendor.host, "registry.invalid"))
    text = vendor.definition.read_text().replace(f"{vendor.host}/**", "'**'")
    # Only the operator's images name the registry now, and that is enough for it.
    vendor.definition.write_text(text)
    assert vendor.machine.attempt(*vendor.arguments()).returncode == 17
    missing = yaml.safe_load(vendor.missing.read_text())["missing"]
    assert {entry["image"] for entry in missing} == {
        f"registry.invalid/values/{name}:2" for name in ("app", "extra")
    }
    assert "registry.invalid" in missing[0]["why"]


def test_the_values_travel_with_the_charts(
    with_lock: Vendor, journey: Journey, tmp_path: Path
) -> None:
    vendor = with_lock
    machine, bundle, depot = vendor.machine, tmp_path / "bundle", tmp_path / "depot"
    release = tmp_path / "release"
    shutil.copytree(journey.release, release)
    key: list[str | Path] = ["--release", release, "--key", journey.keys / "build.pem"]
    machine.run("build", vendor.lock, "-o", bundle, *key)
    for name in APPROVERS[:2]:
        approve(machine, bundle, journey.keys, name)
    machine.run("verify", bundle, "--fingerprint", journey.fingerprint)
    machine.run("enroll", bundle, "--depot", depot, "--fingerprint", journey.fingerprint)
    machine.run("import", bundle, "--depot", depot)

    data = vendor.values.encode()
    manifest = json.loads((bundle / "bundle.json").read_bytes())
    (chart,) = (c for c in manifest["charts"] if c["name"] == "values")
    assert chart["rendering"]["values"] == [
        {"path": "values/values.yaml", "digest": digest_of(data), "size": len(data)}
    ]
    assert chart["rendering"]["release"] == {"name": "values"}
    assert references(manifest) == all_images(vendor.upstream.shapes)
    kept = [path for path in depot.rglob(hex_of(digest_of(data))) if path.is_file()]
    assert [path.read_bytes() for path in kept] == [data]
    assert f"needs {vendor.host}/values/app:2" in machine.run("inspect", bundle)

    asked = len(vendor.upstream.registry.log.entries)
    again = build(machine, vendor.lock, tmp_path / "again", release, journey.keys)
    assert again["fetched"] == 0
    assert len(vendor.upstream.registry.log.entries) == asked
    first, second = (bundle / "bundle.json").read_bytes(), tmp_path / "again" / "bundle.json"
    assert second.read_bytes() == first

    shutil.rmtree(machine.home / ".cache")
    (machine.home / "values" / "values.yaml").write_text("other: true\n")
    done = machine.attempt("build", vendor.lock, "-o", tmp_path / "third", *key)
    assert done.returncode == 22, "the values are not what was locked"
    shutil.rmtree(machine.home / "values")
    done = machine.attempt("build", vendor.lock, "-o", tmp_path / "third", *key)
    assert done.returncode == 10
    assert "no such file" in done.stderr


def test_the_helm_that_rendered_is_carried(vendor: Vendor) -> None:
    archive = helm_archive()
    url = vendor.upstream.site.put("helm-v4-linux-amd64.tar.gz", archive)
    digest = digest_of(archive)
    with vendor.definition.open("a") as file:
        file.write(f"helm: {{url: '{url}', digest: '{digest}'}}\n")
    vendor.machine.run(*vendor.arguments())
    lock = yaml.safe_load(vendor.lock.read_text())
    assert lock["files"] == [{"digest": digest, "size": len(archive), "url": url}]
    assert lock["helm"]["archive"] == digest
    assert references(lock) == all_images(vendor.upstream.shapes)


def test_every_reference_of_a_lock_is_a_full_one(with_lock: Vendor) -> None:
    for name in references(yaml.safe_load(with_lock.lock.read_text())):
        assert str(parse_reference(name)) == name
