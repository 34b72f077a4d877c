"""A chart archive as an OCI artefact: always the same bytes, whatever a stranger packs into it."""

from __future__ import annotations

import gzip
import io
import json
import random
import tarfile
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from bundle.base.digest import digest_of
from bundle.base.errors import FormatError
from bundle.base.limits import MAX_CHART_BYTES, MAX_CHART_MEMBERS, MIB
from bundle.base.oci import OCI_MANIFEST, OciManifest, parse_oci
from bundler.model.chart import CONFIG_TYPE, LAYER_TYPE, chart_artifact

CHART_YAML = b"apiVersion: v2\nname: web\nversion: 1.2.3\n"


def pack(*files: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, data in files:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def config_of(chart_yaml: bytes) -> dict[str, object]:
    found: dict[str, object] = json.loads(
        chart_artifact(pack(("web/Chart.yaml", chart_yaml)), "web").config
    )
    return found


def test_the_artefact_is_an_oci_manifest_over_the_untouched_archive() -> None:
    archive = pack(("web/values.yaml", b"a: 1\n"), ("web/Chart.yaml", CHART_YAML))
    found = chart_artifact(archive, "web")
    assert (found.name, found.version) == ("web", "1.2.3")
    manifest = parse_oci(found.manifest, OCI_MANIFEST, "web")
    assert isinstance(manifest, OciManifest)
    assert manifest.config is not None
    assert manifest.config.media_type == CONFIG_TYPE
    assert manifest.config.digest == digest_of(found.config)
    assert [layer.media_type for layer in manifest.layers] == [LAYER_TYPE]
    assert manifest.layers[0].digest == digest_of(archive)
    assert manifest.layers[0].size == len(archive)
    assert chart_artifact(archive, "web") == found


def test_scalars_are_text_but_for_the_two_booleans_of_helm() -> None:
    config = config_of(
        b"apiVersion: v1\nname: web\nversion: 1.10\nappVersion: 2024-01-01\ndeprecated: True\n"
        b"icon:\nkeywords: [1, yes]\ndependencies:\n- {name: db, version: 1.0, enabled: false}\n"
    )
    assert config == {
        "apiVersion": "v1",
        "name": "web",
        "version": "1.1",
        "appVersion": "2024-01-01",
        "deprecated": True,
        "keywords": ["1", "true"],
        "dependencies": [{"name": "db", "version": "1", "enabled": False}],
    }


def test_only_the_charts_own_chart_yaml_counts() -> None:
    archive = pack(
        ("web/charts/db/Chart.yaml", b"apiVersion: v2\nname: db\nversion: 9.9.9\n"),
        ("web/Chart.yaml", CHART_YAML),
    )
    assert chart_artifact(archive, "web").name == "web"


@pytest.mark.parametrize(
    ("archive", "why"),
    [
        (b"", "not a gzip"),
        (b"not gzip", "not a gzip"),
        (gzip.compress(b"not tar" * 200), "not a gzip"),
        (pack(("web/Chart.yaml", CHART_YAML))[:60], "not a gzip"),
        (pack(("Chart.yaml", CHART_YAML)), "not within the chart's folder"),
        (pack(("./web/Chart.yaml", CHART_YAML)), "no Chart.yaml"),
        (pack(("web/values.yaml", b"")), "no Chart.yaml"),
        (pack(("web/Chart.yaml", b"")), "not a mapping"),
        (pack(("web/Chart.yaml", b"- a")), "not a mapping"),
        (
            pack(("web/Chart.yaml", b"apiVersion: [v2]\nname: a\nversion: 1")),
            "no string in apiVersion",
        ),
        (
            pack(("web/Chart.yaml", CHART_YAML + b"a: !!python/name:os.system x")),
            "is not a valid python",
        ),
        (pack(("web/Chart.yaml", CHART_YAML + b"deprecated: maybe")), "expected true or false"),
        (pack(("web/Chart.yaml", b"apiVersion: v2\nname: [a]\nversion: 1")), "no string in name"),
        (pack(("web/Chart.yaml", b"\xff")), "not YAML"),
        (pack(("web/Chart.yaml", b" " * 2_000_000)), "too large"),
        (bytes(MAX_CHART_BYTES + 1), "expected at most"),
    ],
    # gzip holds the time, and names must be the same in every worker.
    ids=lambda value: value if isinstance(value, str) else "archive",
)
def test_what_is_no_chart(archive: bytes, why: str) -> None:
    with pytest.raises(FormatError, match=f"^web: .*{why}"):
        chart_artifact(archive, "web")


def test_a_link_in_place_of_chart_yaml_is_not_followed() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        link = tarfile.TarInfo("web/Chart.yaml")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    with pytest.raises(FormatError, match=r"Chart\.yaml is not a mapping"):
        chart_artifact(buffer.getvalue(), "web")


def test_too_many_files_are_refused() -> None:
    archive = pack(*((f"web/{n}", b"") for n in range(MAX_CHART_MEMBERS + 1)))
    with pytest.raises(FormatError, match="more than 10000 files"):
        chart_artifact(archive, "web")


def make_bomb(size: int) -> bytes:
    """Pack an extended header of `size` zeros, which tarfile would read into memory as a whole."""
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, size
    buffer = io.BytesIO()
    with gzip.open(buffer, "wb", compresslevel=1) as stream:
        stream.write(header.tobuf(tarfile.USTAR_FORMAT))
        for _ in range(size // MIB):
            stream.write(bytes(MIB))
        stream.write(gzip.decompress(pack(("web/Chart.yaml", CHART_YAML))))
    return buffer.getvalue()


@contextmanager
def memory_below(limit: int) -> Iterator[None]:
    """Fail if Python allocates more than `limit` bytes within."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < limit
    finally:
        tracemalloc.stop()


def test_a_header_that_unpacks_to_much_costs_no_memory() -> None:
    bomb = make_bomb(256 * MIB)
    with memory_below(8 * MIB), pytest.raises(FormatError, match="far too large"):
        chart_artifact(bomb, "web")


def test_a_member_that_unpacks_to_a_terabyte_is_not_read() -> None:
    header = tarfile.TarInfo("web/values.yaml")
    header.size = 1 << 40
    archive = gzip.compress(header.tobuf(tarfile.GNU_FORMAT) + bytes(MIB))
    with memory_below(8 * MIB), pytest.raises(FormatError, match="far more than its size"):
        chart_artifact(archive, "web")


def test_random_damage_gives_a_chart_or_our_error() -> None:
    plain = gzip.decompress(pack(("web/Chart.yaml", CHART_YAML)))
    rng = random.Random(20240607)
    for _ in range(1500):
        damaged = bytearray(plain[:1536])
        for _ in range(rng.randint(1, 4)):
            damaged[rng.randrange(600)] = rng.choice([0, 32, 47, 55, 120, 255, rng.randrange(256)])
        if rng.random() < 0.8:  # a right checksum lets the rest of the header be looked at
            damaged[148:156] = b" " * 8
            damaged[148:156] = b"%06o\0 " % sum(damaged[:512])
        with suppress(FormatError):
            chart_artifact(gzip.compress(bytes(damaged), 1), "web")
