"""Provenance: how a bundle was built, from what, and by whom.

Source: SLSA v1.0, "Provenance"; in-toto Attestation Framework v1, "ResourceDescriptor".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Annotated, Final, Literal

from bundle.base.digest import Digest, hex_of
from bundle.base.documents import Document, Metadata, Text, line
from bundle.base.patterns import formed
from bundle.kinds.registry import KINDS
from bundle.model.manifest import Manifest
from bundle.model.predicates import Moment

MAX_DEPENDENCIES: Final = 4000
"""Named in one provenance, about 1 MiB; bundle.json, its subject, names every one in any case."""

SignatureStatus = Literal["good", "bad", "untrusted", "expired", "revoked", "unchecked", "none"]
"""Of a commit: `untrusted` is valid by a key that Git does not trust, `unchecked` could not be
verified, `none` is not signed."""
_Hex = Annotated[
    str,
    formed(
        r"^([0-9a-f]{40}|[0-9a-f]{64})?$(?!\n)",
        "empty, or a full Git object id of 40 or 64 lowercase hexadecimal characters",
        "0123456789abcdef0123456789abcdef01234567",
    ),
]
_LIMITED = Annotated[str, line(256)]


class Source(Document, frozen=True, kw_only=True):
    """The Git work tree that the lock lies in, at the time of the build."""

    kind: Literal["git", "none"]
    reason: _LIMITED = ""
    """Why there is none."""
    commit: _Hex = ""
    clean: bool = False
    """No file tracked by Git was modified."""
    lock_committed: bool = False
    """The lock equals the committed one, byte for byte."""
    signature: SignatureStatus = "none"
    signer: _LIMITED = ""
    """Of the commit, as Git says."""


class Hashes(Document, frozen=True, kw_only=True):
    """A digest set, in hexadecimal."""

    sha256: _Hex = ""
    git_commit: _Hex = ""


class Resource(Document, frozen=True, kw_only=True):
    """A ResourceDescriptor."""

    digest: Hashes
    name: Text = ""
    uri: Text = ""


class ExternalParameters(Document, frozen=True, kw_only=True):
    """What the vendor asked for."""

    bundle: Metadata
    definition: Resource
    lock: Resource


class InternalParameters(Document, frozen=True, kw_only=True):
    """What the build system adds."""

    hosts: tuple[Text, ...]
    """Every host that content came from."""
    source: Source
    dependencies_left_out: int = 0
    """Beyond `MAX_DEPENDENCIES`."""


class BuildDefinition(Document, frozen=True, kw_only=True):
    """What was built from what."""

    build_type: Literal["urn:isoward:build:v1"]
    external_parameters: ExternalParameters
    internal_parameters: InternalParameters
    resolved_dependencies: tuple[Resource, ...]


class BuilderVersion(Document, frozen=True, kw_only=True):
    """The versions of what built."""

    isoward: _LIMITED


class Builder(Document, frozen=True, kw_only=True):
    """Who built."""

    id: _LIMITED
    version: BuilderVersion


class RunMetadata(Document, frozen=True, kw_only=True):
    """When it was built."""

    invocation_id: _LIMITED
    started_on: Moment
    finished_on: Moment


class RunDetails(Document, frozen=True, kw_only=True):
    """Who built, and when."""

    builder: Builder
    metadata: RunMetadata


class Provenance(Document, frozen=True, kw_only=True):
    """The predicate https://slsa.dev/provenance/v1, as our builds make it."""

    build_definition: BuildDefinition
    run_details: RunDetails

    @property
    def source(self) -> Source:
        """The work tree of the lock."""
        return self.build_definition.internal_parameters.source

    @property
    def hosts(self) -> tuple[str, ...]:
        """Every host that content came from."""
        return self.build_definition.internal_parameters.hosts


@dataclass(frozen=True, slots=True)
class BuildRun:
    """What a build knows about itself.

    Attributes:
        definition: Digest of the definition.
        builder: A URI.
        version: Of isoward.
        invocation: A random name.
        source: The work tree of the lock.
        started: In UTC.
        finished: In UTC.
    """

    definition: Digest
    builder: str
    version: str
    invocation: str
    source: Source
    started: datetime
    finished: datetime


def make_provenance(manifest: Manifest, run: BuildRun) -> Provenance:
    """Describe how a bundle was built.

    Args:
        manifest: Of the bundle.
        run: The build.
    """
    total = sum(1 for _ in _dependencies(manifest))
    return Provenance(
        build_definition=BuildDefinition(
            build_type="urn:isoward:build:v1",
            external_parameters=ExternalParameters(
                bundle=manifest.metadata,
                definition=_resource(run.definition),
                lock=_resource(manifest.lock),
            ),
            internal_parameters=InternalParameters(
                hosts=manifest.sources,
                source=run.source,
                dependencies_left_out=max(0, total - MAX_DEPENDENCIES),
            ),
            resolved_dependencies=(
                *_commit(run.source),
                *islice(_dependencies(manifest), MAX_DEPENDENCIES),
            ),
        ),
        run_details=RunDetails(
            builder=Builder(id=run.builder, version=BuilderVersion(isoward=run.version)),
            metadata=RunMetadata(
                invocation_id=run.invocation,
                started_on=run.started,
                finished_on=run.finished,
            ),
        ),
    )


def _commit(source: Source) -> Iterator[Resource]:
    if source.commit:
        yield Resource(name="source", digest=Hashes(git_commit=source.commit))


def _dependencies(manifest: Manifest) -> Iterator[Resource]:
    for kind in KINDS:
        for digest, name, uri in kind.resources(manifest):
            yield _resource(digest, name=name, uri=uri)


def _resource(digest: str, name: str = "", uri: str = "") -> Resource:
    return Resource(digest=Hashes(sha256=hex_of(digest)), name=name, uri=uri)
