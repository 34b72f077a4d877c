"""Hauler manifests: Images, Charts and Files of `content.hauler.cattle.io/v1`.

Source: Hauler 2.0, pkg/apis/hauler.cattle.io/v1, and the annotations of its documentation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Literal
from urllib.parse import urlsplit

from bundle.base.errors import DefinitionError
from bundle.base.reference import parse_reference
from bundle.kinds.chart_source import ChartSource
from bundle.kinds.files import FileSource
from bundle.kinds.images import ImageSource
from bundle.kinds.policy import CosignRule, KeylessRule, SignatureRule
from bundler.formats.converted import Converted, UnpinnedFile, unique_images
from bundler.formats.yaml_lines import Located, read_documents

API_VERSIONS: Final = ("content.hauler.cattle.io/v1", "collection.hauler.cattle.io/v1")
TRUSTED_ROOT: Final = "trusted-root.json"
"""Where a definition with keyless rules looks for Sigstore's trusted root, next to itself."""

_TOP: Final = frozenset({"apiVersion", "kind", "metadata", "spec"})
_METADATA: Final = frozenset({"name", "namespace", "annotations", "labels"})
_PREFIX: Final = "hauler.dev/"
_COSIGN: Final = (
    "certificate-identity", "certificate-identity-regexp", "certificate-oidc-issuer",
    "certificate-oidc-issuer-regexp", "certificate-github-workflow-repository",
)  # fmt: skip
_IMAGE: Final = frozenset(
    {"name", "key", "use-tlog-verify", *_COSIGN, "platform", "rewrite", "exclude-extras", "local",
     "ca-file", "insecure-skip-tls-verify"}
)  # fmt: skip
_CHART: Final = frozenset(
    {"name", "repoURL", "version", "rewrite", "valuesFiles", "platform", "add-images",
     "add-dependencies", "exclude-extras", "verify", "keyring", "usernameEnv", "passwordEnv",
     "passCredentialsAll", "certFile", "keyFile", "caFile", "insecureSkipTLSVerify", "plainHTTP"}
)  # fmt: skip
_FILE: Final = frozenset({"path", "name", "ca-file", "insecure-skip-tls-verify"})
_ANNOTATIONS: Final = frozenset(
    {"key", "use-tlog-verify", *_COSIGN, "platform", "registry", "rewrite", "exclude-extras"}
)
_INSECURE: Final = ("insecure-skip-tls-verify", "insecureSkipTLSVerify", "plainHTTP")
_CONNECTION: Final = ("ca-file", "caFile", "certFile", "keyFile", "usernameEnv", "passwordEnv")


@dataclass(slots=True)
class _Found:
    images: list[ImageSource] = field(default_factory=list)
    charts: list[ChartSource] = field(default_factory=list)
    files: list[FileSource] = field(default_factory=list)
    unpinned: list[UnpinnedFile] = field(default_factory=list)
    rules: list[SignatureRule] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def is_hauler(document: Located) -> bool:
    """Return whether a YAML document calls itself a Hauler manifest."""
    return isinstance(document.value, dict) and document.value.get("apiVersion") in API_VERSIONS


def read_hauler(data: bytes, where: str) -> Converted:
    """Read a Hauler manifest.

    Args:
        data: Untrusted.
        where: The file's name, for messages.
    Raises:
        DefinitionError: Something in it is unknown, insecure, or cannot be said in a definition.
    """
    found = _Found()
    documents = read_documents(data, where)
    kinds: dict[str, Callable[[Located, dict[str, Located], _Found], None]] = {
        "Images": _images,
        "Charts": _charts,
        "Files": _files,
    }
    for document in documents:
        document.mapping(_TOP)
        if not is_hauler(document):
            raise document.at("apiVersion").place.refuse(
                f"expected {API_VERSIONS[0]}", "Is it a Hauler manifest?"
            )
        kind = document.at("kind")
        read = kinds.get(kind.text())
        if read is None:
            raise kind.place.refuse(
                f"expected Images, Charts or Files, found {kind.value!r}",
                "Write out collections of other kinds.",
            )
        read(document.at("spec"), _defaults(document.at("metadata")), found)
    return Converted(
        images=unique_images(found.images),
        charts=tuple(found.charts),
        files=tuple(found.files),
        unpinned=tuple(found.unpinned),
        rules=_merged(found.rules),
        notes=tuple(dict.fromkeys(found.notes)),
    )


def _defaults(metadata: Located) -> dict[str, Located]:
    """Return the document's defaults by the name of the field that they are for."""
    if metadata.value is None:
        return {}
    annotations = metadata.mapping(_METADATA).at("annotations")
    if annotations.value is None:
        return {}
    if not isinstance(annotations.value, dict):
        raise annotations.place.refuse("expected a mapping", "Write it as key: value.")
    found = {}
    for key in annotations.value:
        name = str(key).removeprefix(_PREFIX)
        if not str(key).startswith(_PREFIX):
            continue
        if name not in _ANNOTATIONS:
            raise annotations.at(key).place.refuse(
                f"unknown annotation {str(key)[:100]!r}", "Correct its name."
            )
        found[name] = annotations.at(key)
    return found


def _images(spec: Located, defaults: dict[str, Located], found: _Found) -> None:
    for item in spec.mapping(frozenset({"images"})).at("images").items():
        item.mapping(_IMAGE)
        _refuse_insecure(item)

        def get(name: str, item: Located = item) -> Located | None:
            own = item.at(name)
            return own if own.value is not None else defaults.get(name)

        name = _with_registry(item.at("name").text(), defaults)
        reference = parse_reference(name, f"{item.place.where}: line {item.place.line}")
        if item.at("local").flag():
            raise item.at("local").place.refuse(
                "an image of the local daemon is not in a registry",
                f"Write it by hand: {{reference: {reference}, daemon: {reference}}}.",
            )
        platform = get("platform")
        platforms = (platform.text(),) if platform is not None else ()
        found.images.append(ImageSource(reference=str(reference), platforms=platforms))
        rule = _rule(reference.name, get)
        if rule is not None:
            found.rules.append(rule)
        _note_left_out(item, get, found, str(reference))


def _with_registry(name: str, defaults: dict[str, Located]) -> str:
    registry = defaults.get("registry")
    first = name.partition("/")[0]
    has_registry = "/" in name and ("." in first or ":" in first or first == "localhost")
    return name if registry is None or has_registry else f"{registry.text()}/{name}"


def _rule(name: str, get: Callable[[str], Located | None]) -> SignatureRule | None:
    """Return how an image must be signed; None where the manifest does not say."""
    key = get("key")
    identity, regexp = get("certificate-identity"), get("certificate-identity-regexp")
    issuer = get("certificate-oidc-issuer")
    for other in ("certificate-oidc-issuer-regexp", "certificate-github-workflow-repository"):
        found = get(other)
        if found is not None:
            raise found.place.refuse(
                "our signature rules cannot express that",
                "Give certificate-oidc-issuer and certificate-identity instead.",
            )
    named = [field for field in (identity, regexp, issuer) if field is not None]
    if key is not None:
        if named:
            raise key.place.refuse(
                "it is combined with a certificate's fields", "Give only one of the two."
            )
        return SignatureRule(images=(name,), cosign=CosignRule(key=key.text()))
    if not named:
        return None
    if issuer is None or (identity is None) == (regexp is None):
        raise named[0].place.refuse(
            "expected one identity and certificate-oidc-issuer", "Give both, each once."
        )
    keyless = KeylessRule(
        identity=identity.text() if identity is not None else None,
        identity_regexp=regexp.text() if regexp is not None else None,
        issuer=issuer.text(),
        trusted_root=TRUSTED_ROOT,
    )
    return SignatureRule(images=(name,), keyless=keyless)


def _note_left_out(
    item: Located, get: Callable[[str], Located | None], found: _Found, thing: str
) -> None:
    """Say what has no place in a definition, or is always done."""
    rewrite = get("rewrite")
    if rewrite is not None and rewrite.value:
        found.notes.append(f"{thing}: rewrite is left out; content keeps its own name in a depot")
    extras = get("exclude-extras")
    if extras is not None and extras.value:
        found.notes.append(f"{thing}: exclude-extras is left out; signatures and SBOMs are carried")
    for name in _CONNECTION:
        if item.at(name).value is not None:
            found.notes.append(
                f"{thing}: {name} is left out; host settings belong in sources.yaml, "
                "and logins in docker's config.json"
            )


def _charts(spec: Located, defaults: dict[str, Located], found: _Found) -> None:
    platform = defaults.get("platform")
    if platform is not None:
        found.notes.append("charts: the platform is left out; a chart has none")
    for item in spec.mapping(frozenset({"charts"})).at("charts").items():
        item.mapping(_CHART)
        _refuse_insecure(item)
        name, place = item.at("name").text(), item.at("version").place
        repository = item.at("repoURL").text("")
        if item.at("verify").flag():
            raise item.at("verify").place.refuse(
                "a keyring in Helm's form is not converted",
                "Remove it, and write `provenance: {keyring: FILE}` into the definition.",
            )
        if not urlsplit(repository).scheme:
            path = "/".join(part for part in (repository.rstrip("/"), name) if part)
            raise item.at("name").place.refuse(
                f"{path!r} is a chart on this machine, whose version is not named",
                "Write it by hand: {name: ..., version: ..., path: FOLDER}.",
            )
        if item.at("version").value is None:
            raise place.refuse(
                f"the chart {name} has no version", "Versions are never guessed; name one."
            )
        found.charts.append(
            ChartSource(name=name, version=item.at("version").text(), repository=repository)
        )
        _note_left_out(item, partial(_own, item), found, f"chart {name}")
        if item.at("valuesFiles").value:
            found.notes.append(f"chart {name}: valuesFiles are left out; name them by hand")


def _own(item: Located, name: str) -> Located | None:
    value = item.at(name)
    return value if value.value is not None else None


def _files(spec: Located, _: dict[str, Located], found: _Found) -> None:
    for item in spec.mapping(frozenset({"files"})).at("files").items():
        item.mapping(_FILE)
        _refuse_insecure(item)
        path = item.at("path").text()
        name = item.at("name").text("") or None
        if urlsplit(path).scheme in ("http", "https"):
            where = f"{item.place.where}: line {item.place.line}"
            found.unpinned.append(UnpinnedFile(path, where))
            if name is not None and name != path.rpartition("/")[2]:
                found.notes.append(f"{path}: it is served by its own path, not as {name}")
        elif urlsplit(path).scheme:
            raise item.at("path").place.refuse(
                f"{path!r} is not an http(s) address", "Fetch it yourself, and name its path."
            )
        else:
            found.files.append(FileSource(path=path, name=name))
        _note_left_out(item, partial(_own, item), found, path)


def _refuse_insecure(item: Located) -> None:
    for name in _INSECURE:
        if item.at(name).flag():
            raise item.at(name).place.refuse(
                "it disables a check", "Remove it; name an authority in sources.yaml instead."
            )


def _merged(rules: list[SignatureRule]) -> tuple[SignatureRule, ...]:
    """Put images with one way of being signed into one rule.

    Raises:
        DefinitionError: An image is to be signed in two ways.
    """
    by_image: dict[str, SignatureRule] = {}
    for rule in rules:
        (name,) = rule.images
        if by_image.setdefault(name, rule) != rule:
            raise DefinitionError(
                f"{name}: it has two signature methods", "Give exactly one of them."
            )
    groups: dict[tuple[Literal["cosign", "keyless"], object], list[str]] = {}
    for name in sorted(by_image):
        rule = by_image[name]
        way: tuple[Literal["cosign", "keyless"], object] = (
            ("cosign", rule.cosign) if rule.cosign is not None else ("keyless", rule.keyless)
        )
        groups.setdefault(way, []).append(name)
    return tuple(
        SignatureRule(
            images=tuple(names),
            cosign=by_image[names[0]].cosign,
            keyless=by_image[names[0]].keyless,
        )
        for names in groups.values()
    )
