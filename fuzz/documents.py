"""Parsers of documents: bundle.json, YAML, OCI manifests, charts, references."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import msgspec

from bundle.base.canonical import canonical_json, decode_canonical
from bundle.base.digest import is_digest, parse_digest
from bundle.base.documents import Url
from bundle.base.errors import DefinitionError, FormatError
from bundle.base.limits import MAX_DEFINITION_BYTES
from bundle.base.names import chart_folder, file_path
from bundle.base.oci import ARTIFACT_TYPES, INDEX_TYPES, MANIFEST_TYPES, parse_oci
from bundle.base.platform import matches
from bundle.base.reference import check_url, parse_reference
from bundle.base.yaml.strict import load_yaml
from bundle.kinds.chart_source import ChartRepository
from bundle.kinds.policy import SitePolicy, check_rules, rule_for
from bundle.model.lock import Lock, check_lock
from bundle.model.manifest import Manifest, check_manifest
from bundle.model.plan import plan_bundle
from bundler.formats.hauler import read_hauler
from bundler.formats.image_list import read_image_list
from bundler.model.chart import chart_artifact
from bundler.model.definition import Definition, check_definition
from bundler.registry.config import SourceConfig, check_source_config
from bundler.sources.charts.index import read_index
from bundler.sources.common.promised import LENGTHS
from bundler.sources.os.apt.release_file import read_in_release, read_release
from bundler.sources.os.rpm.repodata import is_carried, read_repomd
from fuzz.target import Target
from installer.depot.catalogue import Catalogue

# In this order, for the first byte of what was found before says which one it is.
_TYPES = [*sorted((INDEX_TYPES | MANIFEST_TYPES) - {*ARTIFACT_TYPES}), *ARTIFACT_TYPES]


def manifest(data: bytes) -> None:
    """Decode bundle.json, and let a depot serve what it says."""
    found = decode_canonical(data, Manifest, "bundle.json")
    sizes = check_manifest(found)
    assert canonical_json(found) == data
    catalogue = Catalogue.build([(found, sizes)])
    for path in (*catalogue.files, *catalogue.charts, *catalogue.os_files):
        assert ".." not in path.split("/"), path
    for file in found.layout:
        assert "/" not in file.path
        assert not file.path.startswith(".")


def _yaml(data: bytes, type_: type[Any], check: Callable[[Any], Any]) -> None:
    check(load_yaml(data, type_, where="x.yaml", limit=MAX_DEFINITION_BYTES, error=DefinitionError))


def lock(data: bytes) -> None:
    """Read a lock, and plan what it leads to."""
    found = load_yaml(data, Lock, where="x.yaml", limit=MAX_DEFINITION_BYTES, error=FormatError)
    check_lock(found)
    plan = plan_bundle(found)
    assert decode_canonical(plan.manifest_bytes, Manifest, "bundle.json") == plan.manifest


def policy(data: bytes) -> None:
    """Read a site's policy, and look for the rule of an image."""

    def check(found: SitePolicy) -> None:
        check_rules(found.signatures)
        rule_for(found.signatures, "registry.example.org/app/web")

    _yaml(data, SitePolicy, check)


def oci(data: bytes) -> None:
    """Parse an OCI document; its first byte says as what."""
    if data:
        parse_oci(data[1:], _TYPES[data[0] % len(_TYPES)], "x")


def chart(data: bytes) -> None:
    """Parse an archive."""
    chart_artifact(data, "x")


def chart_yaml(data: bytes) -> None:
    """Parse Chart.yaml, in an archive that is right."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        member = tarfile.TarInfo("x/Chart.yaml")
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))
    made = chart_artifact(gzip.compress(buffer.getvalue(), 1, mtime=0), "x")
    assert msgspec.json.decode(made.config)["name"] == made.name


def names(data: bytes) -> None:
    """Parse references, digests and addresses."""
    text = data.decode("utf-8", "replace")
    for parse in (_reference, _address, partial(parse_digest, where="x")):
        try:
            parse(text)
        except (DefinitionError, FormatError):
            continue
    matches(text, "linux/arm64")


def _reference(text: str) -> None:
    found = parse_reference(text)
    assert parse_reference(str(found)) == found
    assert ".." not in found.repository.split("/")
    assert not found.digest or is_digest(found.digest)


def _address(text: str) -> None:
    for form in (Url, ChartRepository):
        try:
            msgspec.convert(text, form)
        except msgspec.ValidationError:
            continue
        _checked_address(text)


def _checked_address(text: str) -> None:
    check_url(text, "x")
    assert ".." not in file_path(text).split("/")
    assert ".." not in chart_folder(text).split("/")


def chart_index(data: bytes) -> None:
    """Read a Helm repository's index."""
    read_index(data, ["web", "db"], "https://charts.example.org")


def release(data: bytes) -> None:
    """Read the signed list of an apt repository, alone and beside its signature."""
    try:
        found = read_in_release(data, "https://mirror.example.org/dists/stable/InRelease")
    except FormatError:
        found = read_release(data, "https://mirror.example.org/Release")
    for listed in found.contents.values():
        assert listed.promises
        assert all(len(one.value) == LENGTHS[one.algorithm] for one in listed.promises)
    for component in ("main", ""):
        with suppress(DefinitionError):
            for forms in found.indexes(component, "amd64"):
                assert all("Packages" in one.path for one in forms)


def repomd(data: bytes) -> None:
    """Read the index of an rpm repository."""
    found = read_repomd(data, "https://mirror.example.org/repodata/repomd.xml")
    assert "primary" in {file.kind for file in found}
    assert all(is_carried(file.kind) for file in found)
    assert all(len(file.promise.value) == LENGTHS[file.promise.algorithm] for file in found)


def converted(data: bytes) -> None:
    """Read a list of images and a Hauler manifest; each says the same of its bytes alone."""
    for read in (read_image_list, read_hauler):
        try:
            found = read(data, "given")
        except DefinitionError:
            continue
        for image in found.images:
            assert str(parse_reference(image.reference)) == image.reference


TARGETS = (
    Target("converted", converted),
    Target("manifest", manifest, "json", 16_384),
    Target("definition", partial(_yaml, type_=Definition, check=check_definition)),
    Target("lock", lock, max_length=16_384),
    Target("sources", partial(_yaml, type_=SourceConfig, check=check_source_config)),
    Target("policy", policy),
    Target("oci", oci, "json"),
    Target("chart", chart),
    Target("chart-yaml", chart_yaml),
    Target("chart-index", chart_index),
    Target("names", names, max_length=256),
    Target("release", release),
    Target("repomd", repomd),
)
