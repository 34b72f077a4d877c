"""What every family of hostile bundles is made of: a stage to act on, and cases that act."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tuf.api.metadata import TargetFile

from bundle.base.canonical import canonical_json
from bundle.base.digest import digest_of, hex_of
from bundle.base.errors import IsowardError
from installer.depot.directory import create_depot
from tests.support.depot.imported import import_now, signed_bundle
from tests.support.documents.content import sample
from tests.support.sites.people import SiteKit, expired_bundle, make_site, old_release
from tests.support.trust.edit import edit
from tests.support.trust.release_kit import ReleaseKit, approve_all, release_bundle

BOTH = ("verify", "import")
"""The commands that read a bundle at a site."""


@dataclass(frozen=True)
class Stage:
    """Copies of good things, with which a case may do what it likes.

    Attributes:
        folder: Of the case alone.
        kit: The vendor, with a release folder of the case's own.
        site: Whose depot has enrolled the root and seen nothing yet.
        seed: Where the good things lie, which must stay as they are.
    """

    folder: Path
    kit: ReleaseKit
    site: SiteKit
    seed: Path

    @property
    def bundle(self) -> Path:
        """Release 3, approved."""
        return self.folder / "bundle"

    @property
    def vendor(self) -> ReleaseKit:
        """The kit, with its release folder in place."""
        self._copied("release")
        return self.kit

    @property
    def older(self) -> Path:
        """Release 2, approved."""
        return self._copied("older")

    @property
    def expired(self) -> Path:
        """Release 1, approved long ago."""
        return self._copied("expired")

    def _copied(self, name: str) -> Path:
        """Copy from the seed when it is asked for first, which most cases never do."""
        path = self.folder / name
        if not path.exists():
            shutil.copytree(self.seed / name, path)
        return path

    @property
    def depot(self) -> Path:
        return self.site.depot

    @property
    def trust(self) -> Path:
        return self.bundle / "trust"

    def seen(self) -> None:
        """Let the site import the good bundle first."""
        import_now(self.bundle, self.depot)

    def blob(self, digest: str) -> Path:
        return self.bundle / "blobs" / "sha256" / hex_of(digest)

    def first_blob(self) -> Path:
        """A blob that is no OCI manifest, the first by name."""
        found = sorted((self.bundle / "blobs" / "sha256").iterdir())
        path = next(path for path in found if not path.read_bytes().startswith(b"{"))
        path.chmod(0o644)
        return path

    def oci_manifest(self) -> Path:
        """A blob that is one, the first by name."""
        found = sorted((self.bundle / "blobs" / "sha256").iterdir())
        path = next(path for path in found if b'"layers"' in path.read_bytes())
        path.chmod(0o644)
        return path

    def edit(self, name: str, change: Callable[[Any], None], *keys: Any) -> None:
        """Change a metadata file and, with keys, sign it anew."""
        edit(self.bundle, name, change, *(key.signer for key in keys))

    def raw(self, name: str, change: Callable[[bytes], bytes]) -> None:
        """Change the bytes of a file of the bundle."""
        path = self.bundle / name
        path.write_bytes(change(path.read_bytes()))

    def manifest(self, change: Callable[[dict[str, Any]], Any]) -> None:
        """Change bundle.json, and release and approve it as if it were right."""
        body = json.loads((self.bundle / "bundle.json").read_bytes())
        change(body)
        self.release(canonical_json(body))

    def release(self, data: bytes) -> None:
        """Make these bytes bundle.json, and get them signed by enough approvers."""
        (self.bundle / "bundle.json").write_bytes(data)
        shutil.copytree(self.trust, self.folder / "trust-before")
        shutil.rmtree(self.bundle / "attestations", ignore_errors=True)
        try:
            release_bundle(self.bundle, self.vendor)
            approve_all(self.bundle, self.kit)
        except IsowardError:
            # No tool of ours approves this; approvers with tools of their own can.
            shutil.rmtree(self.trust)
            (self.folder / "trust-before").rename(self.trust)
            self.name("bundle.json", data, *self.kit.approvers[:2])

    def name(self, name: str, data: bytes, *keys: Any) -> None:
        """Let targets.json name a target, signed by `keys`."""

        def change(metadata: Any) -> None:
            metadata.signed.targets[name] = TargetFile.from_data(name, data, ["sha256"])

        self.edit("targets.json", change, *keys)

    def put(self, data: bytes) -> dict[str, Any]:
        """Write a blob and return its entry for bundle.json."""
        digest = digest_of(data)
        path = self.blob(digest)
        path.unlink(missing_ok=True)
        path.write_bytes(data)
        return {"digest": digest, "size": len(data)}

    def swap(self, body: dict[str, Any], old: str, data: bytes) -> str:
        """Put other bytes in the place of a blob, in `body` too, and return their digest."""
        self.blob(old).unlink()
        made = self.put(data)
        text = json.dumps(body).replace(old, made["digest"])
        body.clear()
        body.update(json.loads(text))
        blobs = {b["digest"]: b for b in body["blobs"]} | {made["digest"]: made}
        body["blobs"] = [blobs[digest] for digest in sorted(blobs)]
        return str(made["digest"])


@dataclass(frozen=True)
class Hostile:
    """A hostile bundle or state.

    Attributes:
        name: What is wrong with it.
        family: What kind of wrong that is.
        make: Does it to a stage on which all is well.
        error: The id of the error that docs/EXIT_CODES.md lists.
        says: A part of the message, which names the thing.
        commands: Which must refuse it.
    """

    name: str
    family: str
    make: Callable[[Stage], Any]
    error: str
    says: str
    commands: tuple[str, ...] = BOTH
    options: tuple[str, ...] = ()
    """More of the command line; paths are relative to the stage's folder."""

    def __str__(self) -> str:
        return f"{self.family}-{self.name}"


class Family:
    """Collects the cases of one family."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.cases: list[Hostile] = []

    def __call__(
        self, error: str, says: str, **more: Any
    ) -> Callable[[Callable[[Stage], Any]], Callable[[Stage], Any]]:
        """Add the function below as a case of its name."""

        def keep(make: Callable[[Stage], Any]) -> Callable[[Stage], Any]:
            self.add(make.__name__, make, error, says, **more)
            return make

        return keep

    def add(
        self, name: str, make: Callable[[Stage], Any], error: str, says: str, **more: Any
    ) -> None:
        """Add a case by name, for a table."""
        plain = name.replace("_", "-")
        self.cases.append(Hostile(plain, self.name, make, error, says, **more))


@dataclass(frozen=True)
class Seed:
    """The good things, made once: each case gets copies."""

    folder: Path
    kit: ReleaseKit
    site: SiteKit

    def stage(self, folder: Path) -> Stage:
        """Copy everything into `folder`."""
        for name in ("bundle", "depot"):
            shutil.copytree(self.folder / name, folder / name)
        kit = replace(self.kit, release=folder / "release")
        return Stage(folder, kit, replace(self.site, depot=folder / "depot"), self.folder)


def make_seed(folder: Path) -> Seed:
    """Make three releases, the first long ago, and a site that has enrolled their root."""
    kit = old_release(folder)
    expired_bundle(folder / "expired", kit, "0.1.0")
    for name, version in (("older", "0.9.0"), ("bundle", "1.0.0")):
        signed_bundle(folder / name, kit, *sample(version=version))
        for path in (folder / name / "blobs" / "sha256").iterdir():
            path.chmod(0o444)  # as a build leaves them
    site = make_site(folder, kit)
    create_depot(folder / "depot")
    return Seed(folder, kit, site)
