"""Convert: from what other tools use to a definition of ours."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from bundle.base.documents import API_VERSION, Metadata
from bundle.base.errors import DefinitionError, DigestMismatchError
from bundle.base.limits import CHUNK_BYTES, MAX_DEFINITION_BYTES, MAX_INDEX_YAML_BYTES
from bundle.base.reference import parse_reference
from bundle.base.yaml.strict import dump_yaml, load_yaml
from bundle.kinds.files import FileSource
from bundle.kinds.policy import SignatureRule, UnsignedRule
from bundle.store.reading import read_bounded
from bundler.formats.converted import Converted, UnpinnedFile
from bundler.formats.hauler import is_hauler, read_hauler
from bundler.formats.image_list import read_image_list
from bundler.formats.kubespray_lists import read_kubespray_lists
from bundler.formats.yaml_lines import read_documents
from bundler.formats.zarf import read_package
from bundler.formats.zarf_archive import unpack_package
from bundler.model.definition import Definition, check_definition
from bundler.registry.client import RegistryClient
from bundler.sources.common.context import Store
from bundler.sources.common.keep import keeping

Form = Literal["images", "hauler", "kubespray", "zarf"]
FORMS: Final[tuple[Form, ...]] = ("images", "hauler", "kubespray", "zarf")
FILES_LIST: Final = "files.list"
IMAGES_LIST: Final = "images.list"
_ZARF_ENDS: Final = (".tar.zst", ".tar", ".part000")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person wants of a conversion.

    Attributes:
        source: The document, the package, or the folder of Kubespray's lists.
        output: The definition that becomes of it.
        name: Of the bundle; what the source says when None.
        version: Of the bundle; what the source says when None.
        platforms: Of the bundle; what the source says, else linux/amd64, when empty.
        checksums: Kubespray's checksums.yml.
        key: A public key in PEM that must have signed a Zarf package.
        waiver: For the images that the source has no signature rule for; None leaves them without,
            and `isoward lock` will refuse them.
    """

    source: Path
    output: Path
    name: str | None = None
    version: str | None = None
    platforms: tuple[str, ...] = ()
    checksums: Path | None = None
    key: str | None = None
    waiver: UnsignedRule | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What a source holds, before files are pinned.

    Attributes:
        content: For a definition.
        name: That the source gives itself; empty when it has none.
        version: Likewise.
    """

    content: Converted
    name: str = ""
    version: str = ""


def content_folder(output: Path) -> Path:
    """Return where a package's content goes: a folder beside the definition."""
    return output.with_name(f"{output.stem}.content")


def form_of(source: Path) -> Form:
    """Tell the form of a source by what it is.

    Raises:
        DefinitionError: It is not there, or of no form that is known.
    """
    if source.is_dir() and (source / FILES_LIST).is_file():
        return "kubespray"
    if not source.is_file():
        raise DefinitionError(
            f"{source}: expected a file, or a folder with {FILES_LIST} and {IMAGES_LIST}",
            "Check the path.",
        )
    if source.name.endswith(_ZARF_ENDS):
        return "zarf"
    if source.suffix in (".yaml", ".yml"):
        documents = read_documents(_read(source), source.name)
        if any(is_hauler(document) for document in documents):
            return "hauler"
    elif source.suffix in (".txt", ".list"):
        return "images"
    raise DefinitionError(f"{source}: unknown format", f"Name it with --from {'|'.join(FORMS)}.")


def read_source(asked: Asked, form: Form) -> Found:
    """Read what another tool made; a Zarf package is unpacked beside the definition.

    Raises:
        DefinitionError: It is malformed, or wants what a definition cannot say.
        IntegrityError, FormatError, SignatureError: A package is not what it must be.
        StorageError: It cannot be read, or not be unpacked.
    """
    where = asked.source.name
    if form == "images":
        return Found(read_image_list(_read(asked.source), where))
    if form == "hauler":
        return Found(read_hauler(_read(asked.source), where))
    if form == "kubespray":
        if asked.checksums is None:
            raise DefinitionError(
                f"{asked.source}: the lists have no digests",
                "Give Kubespray's own checksums.yml with --checksums.",
            )
        files, images = asked.source / FILES_LIST, asked.source / IMAGES_LIST
        names = (FILES_LIST, IMAGES_LIST, asked.checksums.name)
        lists = (_read(files), _read(images), _read(asked.checksums))
        return Found(read_kubespray_lists(*lists, names))
    folder = content_folder(asked.output)
    package = read_package(unpack_package(asked.source, folder), folder, asked.key)
    return Found(package.content, package.name, package.version)


def make_definition(
    asked: Asked, found: Found, pin: Callable[[UnpinnedFile], FileSource]
) -> Definition:
    """Put a definition together.

    Args:
        asked: What the person wants.
        found: From `read_source`.
        pin: Learns a file's digest; see `pin_file`.
    Raises:
        DefinitionError: It would not be a valid one.
        TransportError: And its subclasses, when a file cannot be had.
    """
    content = found.content
    files = (*content.files, *(pin(file) for file in content.unpinned))
    definition = Definition(
        api_version=API_VERSION,
        kind="BundleDefinition",
        metadata=Metadata(
            name=asked.name or found.name or asked.output.stem.removesuffix(".lock").lower(),
            version=asked.version or found.version or "0.1.0",
        ),
        platforms=asked.platforms or content.platforms or ("linux/amd64",),
        images=content.images,
        charts=content.charts,
        files=files,
        signatures=(*content.rules, *_waiver(content, asked.waiver)),
    )
    # As it will be read: what other tools take for a name is not always one of ours.
    data = dump_yaml(definition).encode()
    read = load_yaml(
        data, Definition, where=asked.output.name, limit=MAX_DEFINITION_BYTES, error=DefinitionError
    )
    check_definition(read)
    return read


def unsigned_images(definition: Definition) -> int:
    """Return how many images no rule of the definition covers."""
    covered = {name for rule in definition.signatures for name in rule.images}
    return sum(parse_reference(i.reference).name not in covered for i in definition.images)


def pin_file(file: UnpinnedFile, client: RegistryClient, store: Store) -> FileSource:
    """Fetch a file once, into the cache, to learn its digest.

    Raises:
        DigestMismatchError: It is not of the SHA-512 that the source has.
        TransportError: And its subclasses, when it cannot be had.
        StorageError: The disk refused.
    """
    state = hashlib.sha512()
    buffer = memoryview(bytearray(CHUNK_BYTES))
    with keeping(store) as keeper, client.open_url(file.url) as stream:
        while count := stream.readinto(buffer):
            state.update(buffer[:count])
            keeper.write(buffer[:count])
        if file.sha512 and state.hexdigest() != file.sha512:
            raise DigestMismatchError(
                f"{file.where}: {file.url}: expected sha512:{file.sha512[:16]}..., found "
                f"sha512:{state.hexdigest()[:16]}...",
                "Ask the file's publisher.",
            )
        return FileSource(url=file.url, digest=keeper.content.digest)


def _waiver(content: Converted, waiver: UnsignedRule | None) -> tuple[SignatureRule, ...]:
    """Return the waiver for what no rule of the source covers."""
    covered = {name for rule in content.rules for name in rule.images}
    names = {parse_reference(image.reference).name for image in content.images} - covered
    if waiver is None or not names:
        return ()
    return (SignatureRule(images=tuple(sorted(names)), unsigned=waiver),)


def _read(path: Path) -> bytes:
    """Read a document that another tool made, at most as large as those of ours."""
    if not path.is_file():
        raise DefinitionError(f"{path}: no such file", "Check the path.")
    limit = max(MAX_DEFINITION_BYTES, MAX_INDEX_YAML_BYTES)
    larger = DefinitionError(f"{path}: expected at most {limit} bytes", "Is it the right file?")
    return read_bounded(path, limit, larger)
