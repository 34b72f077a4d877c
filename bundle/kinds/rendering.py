"""How a chart is rendered, and which images it needs as a result."""

from __future__ import annotations

from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from bundle.base.digest import Digest, Size
from bundle.base.documents import Document, Text, Url, line
from bundle.base.errors import DefinitionError
from bundle.base.paths import InnerPath, check_inner_path
from bundle.base.patterns import formed
from bundle.base.reference import check_url, parse_reference
from bundle.kinds.files import FILES
from bundle.kinds.protocol import BundleHead, DefinitionHead, Kind, LockHead, nothing

ReleaseName = Annotated[
    str,
    formed(
        r"^[a-z0-9]([a-z0-9.-]{0,51}[a-z0-9])?$(?!\n)",
        "a Helm release: lowercase letters and digits, with '-' and '.' in between, at most 53",
        "web",
        max_length=53,
    ),
]
"""Helm's own limit, which leaves room for the suffixes that charts append."""

Namespace = Annotated[
    str,
    formed(
        r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$(?!\n)",
        "a namespace: lowercase letters and digits, with '-' allowed in between, at most 63",
        "default",
        max_length=63,
    ),
]
KubeVersion = Annotated[
    str,
    formed(
        r"^v?[0-9]{1,3}\.[0-9]{1,3}(\.[0-9]{1,3})?$(?!\n)",
        "a version of Kubernetes",
        "1.35.4",
        max_length=16,
    ),
]
ApiVersion = Annotated[
    str,
    formed(
        r"^([a-z0-9.-]{1,253}/)?v[0-9][a-z0-9]{0,15}(/[A-Za-z0-9]{1,63})?$(?!\n)",
        "an API version of Kubernetes, with or without a kind after it",
        "monitoring.coreos.com/v1",
        max_length=340,
    ),
]
"""As Helm takes it: `monitoring.coreos.com/v1`, or with a kind behind it."""

ImageText = Annotated[
    str,
    formed(
        r"^\S+$(?!\n)",
        "the name of an image, without spaces",
        "registry.example.org/app/web:2.1",
        min_length=1,
        max_length=512,
    ),
]
Reason = Annotated[str, line(1000, 1)]
HelmVersion = Annotated[
    str, formed(r"^v[0-9][0-9A-Za-z.+-]*$(?!\n)", "a version of Helm", "v3.19.0", max_length=64)
]

How = Literal["rendered", "annotation", "declared", "found"]
"""`rendered`: in a pod's specification. `annotation`: in Chart.yaml. `declared`: by a person.
`found`: in some other place, which the definition's images answer for already."""

DEFAULT_NAMESPACE: Final = "default"


class Release(Document, frozen=True, kw_only=True):
    """Under which name and where a chart is installed; templates may look at both."""

    name: ReleaseName
    namespace: Namespace = DEFAULT_NAMESPACE


class LeftOut(Document, frozen=True, kw_only=True):
    """An image that a chart names and the bundle leaves out, and why."""

    image: ImageText
    """As the chart writes it, or as a full reference."""
    reason: Reason


class ValuesFile(Document, frozen=True, kw_only=True):
    """A values file, carried so that the chart is installed with what it was rendered with."""

    path: InnerPath
    digest: Digest
    size: Size


class ChartImage(Document, frozen=True, kw_only=True):
    """An image that a chart needs."""

    image: Text
    """The full reference, which the bundle has."""
    how: tuple[How, ...]
    """How it was found out, sorted."""


class Rendering(Document, frozen=True, kw_only=True):
    """How a chart was rendered, and what that showed."""

    release: Release
    kube_version: KubeVersion | None = None
    """None: the one that Helm itself takes for granted."""
    api_versions: tuple[ApiVersion, ...] = ()
    values: tuple[ValuesFile, ...] = ()
    """In order: later ones take precedence."""
    images: tuple[ChartImage, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    not_rendered: Reason | None = None
    """Why the chart was not rendered; then only the declared images are known."""


class HelmSource(Document, frozen=True, kw_only=True):
    """The Helm of the platform: the archive that its project releases."""

    url: Url
    digest: Digest


class RenderedWith(Document, frozen=True, kw_only=True):
    """Which Helm rendered the charts."""

    version: HelmVersion
    archive: Digest | None = None
    """Of the file of the bundle that it came from; None when it was the vendor's machine's own."""


class RenderOptions(Document, frozen=True, kw_only=True):
    """What a definition says of a chart for Helm to render it, and about its images."""

    values: tuple[InnerPath, ...] = ()
    """Values files, relative to the definition; later ones take precedence."""
    release: Release | None = None
    """The chart's name in the namespace `default`, when left out."""
    kube_version: KubeVersion | None = None
    api_versions: tuple[ApiVersion, ...] = ()
    images: tuple[ImageText, ...] = ()
    """What its operator starts, which rendering does not show."""
    leave_out: tuple[LeftOut, ...] = ()
    not_rendered: Reason | None = None
    """Why it is not rendered; then its images are those under `images` alone."""


def check_render_options(options: RenderOptions, where: str) -> None:
    """Check what the type alone cannot express.

    Raises:
        DefinitionError: A path leaves the folder, an image is no reference or is a duplicate, or
            something is left out that is declared, or of a chart that is not rendered.
    """
    for i, path in enumerate(options.values):
        check_inner_path(path, f"{where}.values[{i}]")
    declared = [
        str(parse_reference(image, f"{where}.images[{i}]"))
        for i, image in enumerate(options.images)
    ]
    out = [plain_image(entry.image) for entry in options.leave_out]
    lists = (("values", list(options.values)), ("images", declared), ("leaveOut", out))
    for name, entries in lists:
        twice = sorted({entry for entry in entries if entries.count(entry) > 1})
        if twice:
            raise DefinitionError(
                f"{where}.{name}: duplicate {twice[0]!r}", "Remove one of the two entries."
            )
    both = sorted(set(declared) & set(out))
    if both:
        raise DefinitionError(
            f"{where}: {both[0]!r} is both declared and left out", "Remove one of the two entries."
        )
    if options.not_rendered is not None and out:
        raise DefinitionError(
            f"{where}: a chart that is not rendered has nothing to leave out",
            "Remove leaveOut, or notRendered.",
        )


def plain_image(text: str) -> str:
    """Return the full form of a reference, or the text itself where it is none."""
    try:
        return str(parse_reference(text))
    except DefinitionError:
        return text


def _check_definition(definition: DefinitionHead) -> None:
    for helm in HELM.asked(definition):
        check_url(helm.url, "helm.url")


def _check_carried(content: LockHead | BundleHead) -> None:
    carried = {file.digest for file in FILES.carried(content)}
    for helm in HELM.carried(content):
        if helm.archive is not None and helm.archive not in carried:
            raise DefinitionError(
                f"helm names {helm.archive}, which is not among the files",
                "Run `isoward lock` again.",
            )


HELM: Final = Kind[HelmSource, RenderedWith, RenderedWith](
    field="helm",
    title="helm",
    source=HelmSource,
    entry=lambda helm: helm,
    single=True,
    is_content=False,
    checks_together=(_check_definition,),
    asked_hosts=lambda helm: (urlsplit(helm.url).netloc,),
    check_lock=_check_carried,
    check_bundle=_check_carried,
    told=lambda _: "",
    page=nothing,
)
"""The Helm that rendered the charts; its archive, if it is carried, is one of the files."""
