"""Every form that a text of a document must have is said in words, with an example."""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Iterator
from typing import Annotated, Any, get_args, get_type_hints

import msgspec
import pytest

import bundle
import bundler
import installer
from bundle.base.errors import DefinitionError
from bundle.base.patterns import formed, in_words, words_of
from bundle.base.yaml.strict import load_yaml
from installer.site.load import examine_site
from tests.support.documents.right import SITE


def _structures() -> list[type[msgspec.Struct]]:
    """Return every structure of all packages: whatever is read from a file is one."""
    for package in (bundle, bundler, installer):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    found: list[type[msgspec.Struct]] = []
    pending = [msgspec.Struct]
    while pending:
        for type_ in pending.pop().__subclasses__():
            if type_.__module__.partition(".")[0] in {"bundle", "bundler", "installer"}:
                found.append(type_)
            pending.append(type_)
    return found


def _constraints(type_: Any) -> Iterator[msgspec.Meta]:
    yield from (one for one in getattr(type_, "__metadata__", ()) if isinstance(one, msgspec.Meta))
    for inner in get_args(type_):
        yield from _constraints(inner)


PATTERNS = {
    (type_.__name__, name, constraint.pattern): constraint
    for type_ in _structures()
    for name, hint in get_type_hints(type_, include_extras=True).items()
    for constraint in _constraints(hint)
    if constraint.pattern is not None
}


def test_no_pattern_of_a_document_is_without_words() -> None:
    assert len(PATTERNS) > 50
    silent = [place[:2] for place in PATTERNS if not words_of(place[2])]
    assert not silent
    for (*_, pattern), constraint in PATTERNS.items():
        assert pattern.endswith((r"$(?!\n)", "{64}$")), pattern
        for example in constraint.examples or []:
            assert msgspec.convert(example, Annotated[str, constraint]) == example


def test_an_error_says_the_words_and_the_example_and_never_the_pattern() -> None:
    for *_, pattern in PATTERNS:
        type_ = msgspec.defstruct("Probe", [("field", Annotated[str, formed_again(pattern)])])
        with pytest.raises(DefinitionError) as caught:
            load_yaml(
                json.dumps({"field": "\x01 no"}).encode(), type_, where="x.yaml", limit=1000,
                error=DefinitionError,
            )  # fmt: skip
        assert f"field: expected {words_of(pattern)}, found '\\x01 no'" in caught.value.message


def formed_again(pattern: str) -> msgspec.Meta:
    return msgspec.Meta(pattern=pattern)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "name: north",
            "name: North",
            "and '.' allowed in between, at most 63 characters, such as st-example, found",
        ),
        ("name: north", f"name: {'a' * 64}", "expected at most 63 characters, found 'aaa"),
        (
            "{key: id_ed25519}",
            "{key: id, user: 'a b'}",
            "a user: letters, digits, '.', '_' and '-'",
        ),
        ("[/bin/true]", "['']", "firstImage.command[0]: expected at least 1 character, found ''"),
        ("[/bin/true]", "[]", "firstImage.command: expected at least 1 entry"),
        ("10.0.0.2", "Depot", "depot.address: expected an IP address or a host name in small"),
    ],
)
def test_site_check_says_what_is_wanted(old: str, new: str, says: str) -> None:
    assert old in SITE
    (found,) = examine_site(SITE.replace(old, new, 1).encode(), "site.yaml")[1]
    assert says in found.text


def test_a_key_that_is_wrong_is_named_with_its_rule() -> None:
    (found,) = examine_site((SITE + "names: {Api: 10.0.0.9}\n").encode(), "site.yaml")[1]
    assert found.path == "names"
    assert "the name of an entry: expected a host name in small letters" in found.message
    assert "such as node1.hospital.example, found 'Api'" in found.message


def test_words_belong_to_one_pattern_and_examples_are_examples() -> None:
    with pytest.raises(ValueError, match="not examples"):
        formed(r"^[0-9]{7}$(?!\n)", "seven digits", "seven")
    with pytest.raises(ValueError, match="not examples"):
        formed(r"^[0-9]{7}$(?!\n)", "seven digits")
    formed(r"^[0-9]{7}$(?!\n)", "seven digits", "1234567")
    with pytest.raises(ValueError, match="another description"):
        formed(r"^[0-9]{7}$(?!\n)", "7 digits", "1234567")
    assert in_words("Expected `int` >= 1") == "Expected `int` >= 1"
