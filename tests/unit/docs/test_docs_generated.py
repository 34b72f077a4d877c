"""What is generated from the model is current, and the samples that ship are right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from bundle.base.errors import DefinitionError, IsowardError, all_errors
from bundle.base.limits import MAX_DEFINITION_BYTES
from bundle.base.yaml.strict import load_yaml
from bundler.model.definition import Definition, check_definition
from bundler.registry.config import SourceConfig, check_source_config
from installer.site.checks import site_problems
from installer.site.document import Site
from tools.generate import DOCUMENTS, ROOT, exit_codes, stale_files

SAMPLES = sorted((ROOT / "manifests" / "samples").glob("*.yaml")) + sorted(
    path for path in (ROOT / "inventory").rglob("*.yaml") if "kind: Site" in path.read_text()
)


def _schema(name: str) -> dict[str, Any]:
    path = ROOT / "manifests" / "schema" / f"{name}.json"
    schema: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return schema


def test_generated_files_are_current() -> None:
    assert [str(path.relative_to(ROOT)) for path in stale_files()] == []


def test_every_error_has_an_exit_code_and_an_id_of_its_own() -> None:
    """A special case may share the code of the error that it is a case of, or of its siblings."""
    ids = [error.id for error in all_errors()]
    assert len(set(ids)) == len(ids)
    direct = [error for error in all_errors() if IsowardError in error.__bases__]
    assert len({error.exit_code for error in direct}) == len(direct)
    for error in all_errors():
        assert f"| {error.exit_code} | `{error.id}` |" in exit_codes()
        assert error.__doc__


def test_an_error_of_a_kind_has_a_code_of_that_kind() -> None:
    """Scripts may look at the tens of an exit code."""
    for error in all_errors():
        parent = error.__mro__[1]
        if issubclass(parent, IsowardError) and parent is not IsowardError:
            assert error.exit_code // 10 == parent.exit_code // 10


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_schema_is_itself_valid(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(_schema(name))


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_sample_loads_and_fits_its_schema(path: Path) -> None:
    data = path.read_bytes()
    document = yaml.safe_load(data)
    first = data.decode().splitlines()[0]
    assert first.startswith("# yaml-language-server: $schema=")
    schema = (path.parent / first.partition("=")[2]).resolve()
    assert schema.parent == ROOT / "manifests" / "schema"
    jsonschema.validate(document, json.loads(schema.read_text(encoding="utf-8")))
    _load(document["kind"], data)


def test_the_schema_refuses_what_the_program_refuses() -> None:
    document = yaml.safe_load((ROOT / "manifests" / "samples" / "hospital.yaml").read_bytes())
    document["immages"] = []
    with pytest.raises(jsonschema.ValidationError, match="immages"):
        jsonschema.validate(document, _schema("definition"))
    with pytest.raises(DefinitionError, match="immages"):
        _load("BundleDefinition", yaml.safe_dump(document).encode())


def _load(kind: str, data: bytes) -> None:
    def load(type_: Any) -> Any:
        return load_yaml(
            data, type_, where="sample", limit=MAX_DEFINITION_BYTES, error=DefinitionError
        )

    if kind == "BundleDefinition":
        check_definition(load(Definition))
    elif kind == "Site":
        assert not list(site_problems(load(Site)))
    else:
        assert kind == "SourceConfig"
        check_source_config(load(SourceConfig))
