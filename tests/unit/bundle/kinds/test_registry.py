"""The tables of kinds agree with each other and with the fields of the documents."""

from __future__ import annotations

from typing import Any, get_args, get_origin, get_type_hints

import pytest

from bundle.kinds.protocol import BundleHead, DefinitionHead, Kind, LockHead
from bundle.kinds.registry import (
    KINDS,
    BundleContent,
    ContentChanges,
    DefinitionContent,
    LockContent,
)
from bundler.sources.known import SOURCES


def _thing(document: type, kind: Kind[Any, Any, Any]) -> object:
    """Return the type of one thing of a kind, as the field of a document has it."""
    hint = get_type_hints(document)[kind.field]
    if kind.single:
        one, none = get_args(hint)
        assert none is type(None)
        return one
    assert get_origin(hint) is tuple
    one, rest = get_args(hint)
    assert rest is Ellipsis
    return one


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.field)
def test_a_kind_stands_in_every_document_with_its_own_types(kind: Kind[Any, Any, Any]) -> None:
    assert _thing(DefinitionContent, kind) is kind.source
    locked, entry = _thing(LockContent, kind), _thing(BundleContent, kind)
    if locked is not entry:
        assert list(get_type_hints(kind.entry).values()) == [locked, entry]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.field)
def test_its_key_is_what_msgspec_makes_of_its_field(kind: Kind[Any, Any, Any]) -> None:
    for document in (DefinitionContent, LockContent, BundleContent):
        names = dict(
            zip(document.__struct_fields__, document.__struct_encode_fields__, strict=True)
        )
        assert names[kind.field] == kind.key


def test_no_field_of_content_is_without_a_kind() -> None:
    fields = {kind.field for kind in KINDS}
    heads = {DefinitionContent: DefinitionHead, LockContent: LockHead, BundleContent: BundleHead}
    for document, head in heads.items():
        assert set(document.__struct_fields__) - set(head.__struct_fields__) == fields
    assert set(ContentChanges.__struct_fields__) <= fields


def test_changes_of_a_kind_have_a_field() -> None:
    for kind in KINDS:
        if kind.compared_in:
            assert kind.compared_in in ContentChanges.__struct_fields__
        assert not (kind.compared_in and kind.field in ContentChanges.__struct_fields__)


def test_the_vendors_side_knows_every_kind_in_the_same_order() -> None:
    assert [source.kind for source in SOURCES] == list(KINDS)
