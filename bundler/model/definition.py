"""The definition: what a vendor asks for, typed by a person in YAML."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Annotated, Any, Final, Literal

import msgspec

from bundle.base.documents import Document, Metadata, Text, each_once
from bundle.base.errors import DefinitionError
from bundle.base.paths import InnerPath
from bundle.base.platform import Platform
from bundle.base.problem import Problem
from bundle.base.reference import check_url, parse_reference
from bundle.base.yaml.problems import collect_problems
from bundle.kinds.chart_source import ChartSource, check_chart_source
from bundle.kinds.files import FileSource, check_file_source
from bundle.kinds.image_origin import ImageOrigin, check_image_origin
from bundle.kinds.kubespray import KubespraySource, check_kubespray
from bundle.kinds.os_packages import OsSource, check_os_source
from bundle.kinds.policy import SignatureRule, check_rule
from bundle.kinds.python_packages import PythonSource, check_python_sources
from bundle.kinds.rendering import HelmSource
from bundle.kinds.start import StartSource, check_start_source
from bundle.kinds.systems import SYSTEMS, makes_nodes


class ImageSource(Document, frozen=True, kw_only=True):
    """One image, by tag, digest or both."""

    reference: Text
    platforms: tuple[Platform, ...] = ()
    """Overrides the definition's platforms."""
    archive: InnerPath | None = None
    """An archive beside the definition that the image is in, instead of the registry."""
    name: Text = ""
    """Of the image in an archive of several."""
    daemon: Text | None = None
    """The image's name in this machine's container engine, instead of the registry."""

    @property
    def origin(self) -> ImageOrigin | None:
        """Where the image is, if not in the registry of its reference."""
        if self.archive is None and self.daemon is None and not self.name:
            return None
        return ImageOrigin(archive=self.archive, name=self.name, daemon=self.daemon)


class Definition(Document, frozen=True, kw_only=True):
    """A bundle definition.

    Source: docs/FORMAT.md, "Definition".
    """

    api_version: Literal["isoward/v1"]
    kind: Literal["BundleDefinition"]
    metadata: Metadata
    platforms: Annotated[tuple[Platform, ...], msgspec.Meta(min_length=1)]
    images: tuple[ImageSource, ...] = ()
    files: tuple[FileSource, ...] = ()
    charts: tuple[ChartSource, ...] = ()
    os_packages: tuple[OsSource, ...] = ()
    python_packages: tuple[PythonSource, ...] = ()
    kubespray: KubespraySource | None = None
    helm: HelmSource | None = None
    """Renders the charts, and is carried as a file; the vendor's machine's own when left out."""
    start: StartSource | None = None
    """What a machine without isoward begins with; the medium then has an install.sh."""
    signatures: tuple[SignatureRule, ...] = ()
    """By whom images must be signed; the first rule that matches counts, and one must."""


def check_definition(definition: Definition) -> None:
    """Check what the structure alone cannot say.

    Raises:
        DefinitionError: A reference is malformed, an entry stands twice, or there is no content.
    """
    for check in _checks(definition):
        check()


def definition_problems(definition: Definition) -> list[Problem]:
    """Return everything that `check_definition` would refuse, each check with its first problem."""
    return collect_problems(_checks(definition))


def entry_problems(tree: Mapping[str, Any]) -> list[Problem]:
    """Return what is refused of the entries that are well formed, where others are not.

    Args:
        tree: A definition as YAML gives it, of which `structural_problems` told the rest.
    """

    def checks() -> Iterator[Callable[[], object]]:
        for name, (type_, *several) in _ENTRIES.items():
            entries = tree.get(name)
            for i, entry in enumerate(entries if isinstance(entries, list) else ()):
                with suppress(msgspec.ValidationError):
                    made = msgspec.convert(entry, type_, strict=True)
                    yield from (partial(check, made, f"{name}[{i}]") for check in several)

    return collect_problems(checks())


def _checks(definition: Definition) -> Iterator[Callable[[], object]]:
    """Yield the checks of a definition, each of one entry or of one list."""
    for i, image in enumerate(definition.images):
        yield partial(_check_reference, image, f"images[{i}]")
        yield partial(_check_origin, image, f"images[{i}]")
    for i, file in enumerate(definition.files):
        yield partial(check_file_source, file, f"files[{i}]")
    for i, chart in enumerate(definition.charts):
        yield partial(check_chart_source, chart, f"charts[{i}]")
    for i, source in enumerate(definition.os_packages):
        yield partial(check_os_source, source, f"osPackages[{i}]")
        yield partial(_check_kubespray_is_there, source, definition, f"osPackages[{i}]")
    for i, rule in enumerate(definition.signatures):
        yield partial(check_rule, rule, f"signatures[{i}]")
    yield partial(check_python_sources, definition.python_packages, definition.platforms)
    if definition.helm is not None:
        yield partial(check_url, definition.helm.url, "helm.url")
    if definition.kubespray is not None:
        yield partial(check_kubespray, definition.kubespray)
    yield partial(
        check_start_source,
        definition.start,
        [source.name for source in definition.python_packages],
        [source.name for source in definition.os_packages],
    )
    yield partial(_check_start_glibc, definition)
    yield partial(_check_lists, definition)


def _check_reference(image: ImageSource, where: str) -> None:
    parse_reference(image.reference, f"{where}.reference")


def _check_origin(image: ImageSource, where: str) -> None:
    if image.origin is not None:
        check_image_origin(image.origin, where)


_ENTRIES: Final[Mapping[str, tuple[Any, *tuple[Callable[[Any, str], object], ...]]]] = {
    "images": (ImageSource, _check_reference, _check_origin),
    "files": (FileSource, check_file_source),
    "charts": (ChartSource, check_chart_source),
    "osPackages": (OsSource, check_os_source),
    "signatures": (SignatureRule, check_rule),
}
"""Of a definition's lists: what an entry is, and what checks each on its own."""


def _check_lists(definition: Definition) -> None:
    """Check that nothing stands twice, and that there is something.

    Raises:
        DefinitionError: Something does, or there is nothing.
    """
    each_once(_image_names(definition), "images")
    each_once([file.url or f"local/{file.served_name}" for file in definition.files], "files")
    each_once([f"{c.home} {c.name} {c.version}" for c in definition.charts], "charts")
    each_once(list(definition.platforms), "platforms")
    each_once([source.name for source in definition.os_packages], "osPackages")
    kinds = (
        definition.images,
        definition.files,
        definition.charts,
        definition.os_packages,
        definition.python_packages,
        definition.kubespray,
    )
    if not any(kinds):
        raise DefinitionError(
            "the definition has no content: expected at least one image, file, chart or package",
            "Add an entry under images:, files:, charts:, osPackages:, pythonPackages: or "
            "kubespray:.",
        )


def _check_start_glibc(definition: Definition) -> None:
    """Check that the wheels of the start work with the C library of each of its systems.

    Raises:
        DefinitionError: They would not.
    """
    start = definition.start
    if start is None:
        return
    wanted = [one.glibc for one in definition.python_packages if one.name == start.python_packages]
    for system in definition.os_packages:
        has = SYSTEMS[system.release].glibc
        if system.name in start.os_packages and any(_minor(has) < _minor(one) for one in wanted):
            raise DefinitionError(
                f"start: {system.release} has glibc {has}, and the wheels of "
                f"{start.python_packages} are for glibc {', '.join(wanted)}",
                f"Write glibc: '{has}' or an older one for {start.python_packages}.",
            )


def _minor(glibc: str) -> int:
    return int(glibc.partition(".")[2])


def _image_names(definition: Definition) -> Iterator[str]:
    for image in definition.images:
        # One that is malformed is a problem of its own.
        with suppress(DefinitionError):
            yield str(parse_reference(image.reference))


def _check_kubespray_is_there(source: OsSource, definition: Definition, where: str) -> None:
    if source.kubespray and definition.kubespray is not None:
        version = definition.kubespray.version
        if not makes_nodes(version, source.release):
            first = ".".join(map(str, SYSTEMS[source.release].kubespray))
            raise DefinitionError(
                f"{where}.release: expected one that Kubespray {version} makes nodes of, found "
                f"{source.release}, which Kubespray does from {first}",
                "Take a newer Kubespray or another release.",
            )
    if source.kubespray and definition.kubespray is None:
        raise DefinitionError(
            f"{where}.kubespray: the definition has no Kubespray to ask",
            "Add kubespray:, or name the packages.",
        )
