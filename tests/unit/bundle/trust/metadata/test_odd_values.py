"""Values of the wrong kind, unsigned and signed: our errors come out, never a traceback."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.formats import encode_canonical
from tuf.api.metadata import Metadata, Targets

from bundle.base.errors import IsowardError, SignatureError, TrustError
from bundle.trust.metadata.parse import parse_metadata
from bundle.trust.site.state import TrustState
from tests.support.trust.edit import FILES, verify
from tests.support.trust.release_kit import ReleaseKit, now


def _places(node: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """List the place of every value in a JSON document."""
    found: list[tuple[Any, ...]] = []
    items: Any = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in items:
        found.append((*at, key))
        if isinstance(value, dict | list):
            found += _places(value, (*at, key))
    return found


def _some(odd: tuple[Any, ...], number: int, whole: bool) -> tuple[Any, ...]:
    """Return what to try at a place: for `make test` a third, another one at the next place."""
    return odd if whole else odd[number % 3 :: 3]


def test_odd_values_are_refused_and_named(bundle: Path, state: TrustState, whole: bool) -> None:
    """Every value of every file is replaced by every kind of another."""
    odd: tuple[Any, ...] = (None, True, -1, 1.5, "", "x" * 10, [], {}, [[]], {"a": {}}, 10**30)
    for name in FILES:
        path = bundle / "trust" / name
        data = path.read_bytes()
        for number, place in enumerate(_places(json.loads(data))):
            for value in _some(odd, number, whole):
                fields = _with(json.loads(data), place, value)
                path.write_text(json.dumps(fields, separators=(",", ":"), sort_keys=True))
                if path.read_bytes() != data:
                    with pytest.raises(TrustError, match=name):
                        verify(bundle, state)
        path.write_bytes(data)


def _with(document: Any, place: tuple[Any, ...], value: Any) -> Any:
    node = document
    for key in place[:-1]:
        node = node[key]
    node[place[-1]] = value
    return document


@pytest.mark.parametrize("name", FILES)
def test_odd_values_that_are_signed_give_no_traceback(
    bundle: Path, kit: ReleaseKit, state: TrustState, name: str, whole: bool
) -> None:
    """The holders of the keys themselves are hostile: their signatures are right.

    What is still sound, such as another expiry far ahead, may pass; nothing else than our own
    errors may come out.
    """
    signers = {
        "1.root.json": [key.signer for key in kit.roots],
        "targets.json": [key.signer for key in kit.approvers[:2]],
    }.get(name, [kit.builder.signer])
    path = bundle / "trust" / ("2.root.json" if name == "1.root.json" else name)
    template = json.loads((bundle / "trust" / name).read_bytes())
    if name == "1.root.json":
        template["signed"]["version"] = 2
    refused = 0
    for number, place in enumerate(_places(template["signed"])):
        odd: tuple[Any, ...] = (None, True, 0, -1, "", "2.0.0", [], {}, [[]], {"a": {}}, 10**30)
        for value in _some(odd, number, whole):
            fields = json.loads(json.dumps(template))
            _with(fields["signed"], place, value)
            payload = str(encode_canonical(fields["signed"])).encode()
            fields["signatures"] = [signer.sign(payload).to_dict() for signer in signers]
            path.write_text(json.dumps(fields, separators=(",", ":"), sort_keys=True))
            try:
                verify(bundle, state)
            except IsowardError:
                refused += 1
    assert refused > (50 if whole else 15)


@pytest.mark.parametrize("version", [True, 2**53])
def test_a_version_is_a_whole_number_that_everybody_can_read(version: int) -> None:
    metadata = Metadata(Targets(version=version, expires=now()))
    with pytest.raises(SignatureError, match="not an integer"):
        parse_metadata(metadata.to_bytes(), Targets, "targets.json")
