"""Every text of every structure has a grammar; those without are listed with their reason."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from msgspec import inspect as spec

import bundle
import bundler
import installer
from bundle.base.documents import Text
from bundle.base.errors import DefinitionError
from bundle.base.yaml.strict import load_yaml
from installer.site.document import FirstImage

_SKIPPED = ("installer.preflight.on_node", "bundler.sources.os.rpm.solver", "__main__")
"""Programs of their own, which other Pythons run."""

# Documents of others: read for a few fields, each of which is looked at where it is used.
FOREIGN = {
    "bundle.base.oci": "OCI's own documents, as any registry has them",
    "bundle.model.attestation": "in-toto and DSSE, also upstream's; ours are read as a predicate",
    "bundler.registry.auth": "a token, which is sent back and never shown",
    "installer.push.login": "a token, which is sent back and never shown",
    "bundle.trust.keys.from_cosign": "cosign's file of a private key, in base64",
    "bundler.formats.zarf": "an OCI index within another tool's archive",
    "bundler.formats.zarf_archive": "another tool's archive",
    "bundler.sources.images.archived": "an OCI layout that somebody made",
    "bundler.sources.images.docker_archive": "what `docker save` writes",
    "bundler.sources.kubespray.wanted": "what Kubespray's variables come to",
    "bundler.sources.python.simple_index": "an index of Python packages",
    "bundler.sources.os.rpm.solve": "what dnf says",
    "installer.preflight.facts": "what a node says, which is judged and shown by `shown`",
    "installer.kube.kubeconfig_file": "kubectl's own file, of which each part is parsed",
}
FIELDS = {
    "bundle.trust.keys.hsm.TokenReference.key": "a key of TUF's, which is parsed as one",
    "bundle.trust.site.statement._Draft.payload": "base64, which is decoded strictly",
    "bundle.trust.site.statement._Draft.payload_type": "compared with the one that there is",
    "installer.records.journal.Record.result": "plain data, which `seen_in` has gone through",
    "installer.records.journal_head._Head.line": "a line of the journal, compared with it",
}


def _structures() -> list[type[msgspec.Struct]]:
    for package in (bundle, bundler, installer):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not any(part in found.name for part in _SKIPPED):
                importlib.import_module(found.name)

    def below(kind: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
        for inner in kind.__subclasses__():
            yield inner
            yield from below(inner)

    ours = {"bundle", "bundler", "installer"}
    return [s for s in below(msgspec.Struct) if s.__module__.split(".")[0] in ours]


def _bare(kind: Any) -> bool:
    """Say whether a type has a text, or anything, that no grammar bounds."""
    if isinstance(kind, spec.StrType):
        return kind.pattern is None
    if isinstance(kind, spec.AnyType):
        return True
    inner = [getattr(kind, name, None) for name in ("item_type", "key_type", "value_type", "type")]
    inner += [*getattr(kind, "types", ()), *getattr(kind, "item_types", ())]
    return any(_bare(part) for part in inner if part is not None)


def test_every_text_has_a_grammar_or_a_reason() -> None:
    bare = {
        f"{kind.__module__}.{kind.__qualname__}.{field.name}"
        for kind in _structures()
        for field in getattr(spec.type_info(kind), "fields")  # noqa: B009 - a structure has some
        if kind.__module__ not in FOREIGN and _bare(field.type)
    }
    assert bare == set(FIELDS)


def test_no_reason_is_left_over() -> None:
    assert {kind.__module__ for kind in _structures()} >= set(FOREIGN)


@pytest.mark.parametrize(
    "text", ["a\nb", "a\x1b[2J", "\u202ea", "a\u2028b", "a\u200bb", "\ufeffa", "\x7f", "\x9b", "\r"]
)
def test_a_free_text_is_one_line_that_is_seen(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(text, Text)


@pytest.mark.parametrize(
    "text", ["Zo\u00eb's reason, 100 %", "\u6f22\u5b57", "a\u3000b", "", "\U0001f600"]
)
def test_people_write_what_they_like(text: str) -> None:
    assert msgspec.convert(text, Text) == text


@pytest.mark.parametrize(
    ("text", "says"),
    [(r'"a\u202eb"', "U\\+202E"), ('"e\u0301"', "NFC"), (r'"\U000e0041"', "U\\+E0041")],
)
def test_a_document_in_yaml_is_looked_at_as_a_whole(text: str, says: str) -> None:
    data = f"reference: registry.example.org/a:1\ncommand: [{text}]\n".encode()
    with pytest.raises(DefinitionError, match=f"line 2: .*command.*({says}|invisible)"):
        load_yaml(data, FirstImage, where="x", limit=1000, error=DefinitionError)
