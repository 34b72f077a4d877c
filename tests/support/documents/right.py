"""Small, right documents of every kind, for tests that then make them wrong."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from bundle.base.content import Content
from bundle.base.digest import digest_of
from bundle.base.documents import Metadata
from bundle.base.errors import DefinitionError
from bundle.base.limits import MAX_DEFINITION_BYTES
from bundle.base.oci import OCI_INDEX, OCI_MANIFEST
from bundle.base.yaml.strict import load_yaml
from bundle.kinds.artifacts import LockedArtifact, LockedIndex, LockedManifest, LockedReferrer
from bundle.kinds.charts import LockedChart
from bundle.kinds.files import LockedFile
from bundle.model.lock import Lock
from bundler.model.definition import Definition, check_definition
from installer.site.checks import site_problems
from installer.site.document import Site

T = TypeVar("T", bound=msgspec.Struct)

DEFINITION = """\
apiVersion: isoward/v1
kind: BundleDefinition
metadata: {name: hospital-platform, version: 1.0.0}
platforms: [linux/amd64]
images:
  - reference: registry.example.org/app/web:2.1
"""

HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + "A" * 43

SITE = f"""\
apiVersion: isoward/v1
kind: Site
metadata: {{name: north}}
depot: {{address: 10.0.0.2}}
ssh: {{key: id_ed25519}}
zones: [clinical]
nodes:
  - {{name: node1, address: 10.0.0.11, zone: clinical, hostKey: {HOST_KEY}}}
firstImage:
  reference: registry.example.org/app/web:2.1
  command: [/bin/true]
"""


def read_definition(text: str) -> Definition:
    """Load and check a definition as `isoward lock` does."""
    definition = _load(text, Definition)
    check_definition(definition)
    return definition


def read_site(text: str) -> Site:
    """Load and check a site as `isoward install` does."""
    site = _load(text, Site)
    for problem in site_problems(site):
        raise DefinitionError(problem.text, problem.hint)
    return site


def _load(text: str, type_: type[T]) -> T:
    return load_yaml(
        text.encode(), type_, where="file", limit=MAX_DEFINITION_BYTES, error=DefinitionError
    )


def digest(seed: object) -> str:
    """Return the digest of anything, for documents that name content which does not exist."""
    return digest_of(repr(seed).encode())


def content(seed: object, size: int = 100) -> Content:
    """Return a piece of content that does not exist."""
    return Content(digest=digest(seed), size=size)


def locked_image(name: str = "registry.example.org/app/web:2.1") -> LockedArtifact:
    """Return an image with an index, a manifest, a signature by tag and an SBOM by the API."""
    manifest = LockedManifest(
        digest=digest((name, "manifest")),
        size=500,
        media_type=OCI_MANIFEST,
        platform="linux/amd64",
        config=content((name, "config")),
        layers=(content((name, "layer")), content("shared layer")),
    )
    signature = LockedReferrer(
        digest=digest((name, "signature")),
        size=300,
        media_type=OCI_MANIFEST,
        config=content((name, "signature config")),
        layers=(content((name, "payload")),),
        subject=digest((name, "index")),
        via="cosign-tag",
        tag=f"sha256-{digest((name, 'index'))[7:]}.sig",
    )
    sbom = LockedReferrer(
        digest=digest((name, "sbom")),
        size=301,
        media_type=OCI_MANIFEST,
        artifact_type="application/spdx+json",
        config=content("empty", 2),
        subject=manifest.digest,
        via="api",
    )
    return LockedArtifact(
        reference=name,
        digest=digest((name, "index")),
        indexes=(LockedIndex(digest=digest((name, "index")), size=400, media_type=OCI_INDEX),),
        manifests=(manifest,),
        referrers=(signature, sbom),
    )


def locked_chart(name: str = "web") -> LockedChart:
    """Return a chart from an HTTP repository."""
    archive = content((name, "archive"))
    manifest = LockedManifest(
        digest=digest((name, "chart manifest")),
        size=600,
        media_type=OCI_MANIFEST,
        config=content((name, "chart config")),
        layers=(archive,),
    )
    return LockedChart(
        name=name,
        version="1.2.3",
        repository="https://charts.example.org",
        archive=archive,
        url=f"https://charts.example.org/{name}-1.2.3.tgz",
        artifact=LockedArtifact(
            reference=f"charts.example.org/{name}:1.2.3",
            digest=manifest.digest,
            manifests=(manifest,),
        ),
    )


def lock() -> Lock:
    """Return a lock with an image, a chart and a file."""
    return Lock(
        api_version="isoward/v1",
        kind="BundleLock",
        metadata=Metadata(name="hospital-platform", version="1.0.0"),
        definition=digest("definition"),
        platforms=("linux/amd64",),
        images=(locked_image(),),
        charts=(locked_chart(),),
        files=(
            LockedFile(
                digest=digest("tool"), size=7, url="https://files.example.org/tool-1.4.tar.gz"
            ),
        ),
    )
