"""Keys, certificates and trusted roots that rules name: from files into the rules themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from bundle.base.errors import DefinitionError
from bundle.base.limits import KIB
from bundle.kinds.policy import SignatureRule
from bundle.store.reading import read_bounded
from bundle.trust.upstream.chain import load_certificate
from bundle.trust.upstream.public_keys import load_upstream_key
from bundle.trust.upstream.strict_json import strict_object
from bundle.trust.upstream.verdict import NotGoodError

MAX_BYTES: Final = 256 * KIB
"""Of one file; Sigstore's own trusted root has less than 16 KiB."""

_INLINE: Final = ("-----BEGIN", "{")


def inline_material(
    rules: tuple[SignatureRule, ...], folder: Path, where: str
) -> tuple[SignatureRule, ...]:
    """Return rules with the text of the files that they name.

    Args:
        rules: As a person wrote them; text that is already inlined stays.
        folder: That relative paths are from.
        where: The document, for messages.
    Raises:
        DefinitionError: There is no such file, or it is not what the rule needs.
        StorageError: A blob cannot be read.
    """
    return tuple(_inline(r, folder, f"{where}: signatures[{i}]") for i, r in enumerate(rules))


def _inline(rule: SignatureRule, folder: Path, where: str) -> SignatureRule:
    if rule.cosign is not None:
        name = f"{where}.cosign.key"
        key = _text(rule.cosign.key, folder, name)
        _check(lambda: load_upstream_key(key), name, rule.cosign.key)
        return replace(rule, cosign=replace(rule.cosign, key=key))
    if rule.notation is not None:
        name = f"{where}.notation.certificate"
        certificate = _text(rule.notation.certificate, folder, name)
        _check(lambda: load_certificate(certificate), name, rule.notation.certificate)
        return replace(rule, notation=replace(rule.notation, certificate=certificate))
    if rule.keyless is not None:
        name = f"{where}.keyless.trustedRoot"
        root = _text(rule.keyless.trusted_root, folder, name)
        given = rule.keyless.trusted_root
        _check(lambda: strict_object(root.encode(), "trusted root"), name, given)
        return replace(rule, keyless=replace(rule.keyless, trusted_root=root))
    return rule


def _text(given: str, folder: Path, where: str) -> str:
    if given.lstrip().startswith(_INLINE):
        return given
    path = folder / given
    if "\0" in given or "\n" in given or not path.is_file():
        raise DefinitionError(f"{where}: {given[:300]!r}: no such file", "Check the path.")
    data = read_bounded(path, MAX_BYTES)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = ""
    if not text or len(data) > MAX_BYTES:
        raise DefinitionError(
            f"{where}: {given[:300]!r}: expected a text of at most {MAX_BYTES} bytes",
            "Is it the right file?",
        )
    return text


def _check(load: Callable[[], object], where: str, given: str) -> None:
    try:
        load()
    except NotGoodError as error:
        named = "" if given.lstrip().startswith(_INLINE) else f"{given[:300]!r}: "
        raise DefinitionError(
            f"{where}: {named}{error}", "Name the publisher's public file, never a private key."
        ) from error
