"""A vendor who publishes any TUF metadata, right or wrong, and a site that takes it or not.

What isoward itself would never write is wanted here: every part can be set, and is signed as asked.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from msgspec import to_builtins
from tuf.api.exceptions import DownloadError, DownloadHTTPError, RepositoryError
from tuf.api.metadata import (
    Metadata,
    MetaFile,
    Role,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.ngclient import Updater, UpdaterConfig
from tuf.ngclient.fetcher import FetcherInterface

from bundle.base.canonical import decode_canonical
from bundle.base.errors import IsowardError
from bundle.model.attestation import APPROVAL, make_statement
from bundle.model.manifest import Manifest
from bundle.model.predicates import Approval
from bundle.store.layout import BundleDirectory
from bundle.trust.attestations.checked import (
    Release,
    approval_name,
    check_builder,
    key_name,
    read_attestations,
    signature_name,
)
from bundle.trust.attestations.envelope import detached_signature, public_pem, sign_statement
from bundle.trust.keys.stored import SigningKey, generate_key, holder
from bundle.trust.site.state import TrustState, new_state
from bundle.trust.verify.verification import verify_trust
from bundler.release.build_record import write_build_record
from tests.support.trust.release_kit import TICKET, build_run_by, make_bundle, now

ROLES = (Root.type, Targets.type, Snapshot.type, Timestamp.type)
BELOW = {
    Targets.type: "targets.json",
    Snapshot.type: "snapshot.json",
    Timestamp.type: "timestamp.json",
}


def person(name: str, type_: Any = "ed25519") -> SigningKey:
    """Make a key for somebody."""
    return generate_key(name, type_)


class Vendor:
    """Everything that a vendor says: at version 1 and right, until a test changes it.

    Attributes:
        folder: Where bundles are written.
        root, targets, snapshot, timestamp: What is published next.
        signers: Who signs each role's next version.
        roots: The published roots by version.
        files: The other published files by name.
        hashes: Whether snapshot names targets by length and digest too.
        content: Of the bundle's one file.
    """

    def __init__(self, folder: Path) -> None:
        expires = now() + timedelta(days=30)
        self.folder = folder
        self.root = Root(expires=expires, consistent_snapshot=False)
        self.targets = Targets(expires=expires)
        self.snapshot = Snapshot(expires=expires)
        self.timestamp = Timestamp(expires=expires)
        builder = person("Build System")
        self.signers: dict[str, list[SigningKey]] = {
            Root.type: [person("Rhea Root")],
            Targets.type: [person("Ada Example"), person("Bob Example")],
            Snapshot.type: [builder],
            Timestamp.type: [builder],
        }
        for role in ROLES:
            self.set_keys(role, self.signers[role], len(self.signers[role]))
        self.roots: dict[int, bytes] = {}
        self.files: dict[str, bytes] = {}
        self.hashes = False
        self.content = b"content"
        self._written = 0
        self.name_target()
        for role in ROLES:
            self.put(role)

    def set_keys(self, role: str, keys: Sequence[SigningKey], threshold: int) -> None:
        """Give a role other keys, which sign it from now on."""
        for key_id in list(self.root.roles[role].keyids):
            self.root.revoke_key(key_id, role)
        self.root.roles[role] = Role([], threshold)
        for key in keys:
            self.root.add_key(key.public_key, role)
        self.signers[role] = list(keys)

    def rotate(self, *roles: str) -> None:
        """Give roles of the build system a new key, the same one for all."""
        fresh = person("New Build System")
        for role in roles:
            self.set_keys(role, [fresh], 1)

    def publish(self, *roles: str) -> None:
        """Publish the next version of some roles; what names another names what is there then."""
        for role in ROLES:
            if role in roles:
                signed: Any = getattr(self, role)
                signed.version += 1
                self.put(role)

    def put(self, role: str) -> None:
        """Publish a role under the version that it has."""
        self._refer(role)
        signed: Any = getattr(self, role)
        metadata: Metadata[Any] = Metadata(signed)
        for signer in self.signers[role]:
            metadata.sign(signer, append=True)
        if role == Root.type:
            self.roots[self.root.version] = metadata.to_bytes()
        else:
            self.files[BELOW[role]] = metadata.to_bytes()

    def _refer(self, role: str) -> None:
        if role == Snapshot.type:
            version, data = self.targets.version, self.files["targets.json"]
            named = MetaFile.from_data(version, data, ["sha256"]) if self.hashes else None
            self.snapshot.meta["targets.json"] = named or MetaFile(version)
        if role == Timestamp.type:
            self.timestamp.snapshot_meta = MetaFile.from_data(
                self.snapshot.version, self.files["snapshot.json"], ["sha256"]
            )

    def name_target(self, *algorithms: str) -> None:
        """Let targets name the bundle.json that the content gives."""
        data = (self._bare() / "bundle.json").read_bytes()
        made = TargetFile.from_data("bundle.json", data, list(algorithms) or ["sha256"])
        self.targets.targets["bundle.json"] = made

    def _bare(self) -> Path:
        self._written += 1
        return make_bundle(self.folder / f"bundle-{self._written}", self.content)

    def bundle(self) -> Path:
        """Write it all as a bundle, with its attestations as far as they can be made."""
        path = self._bare()
        (path / "trust").mkdir()
        roots = {f"{version}.root.json": data for version, data in self.roots.items()}
        for name, data in (roots | self.files).items():
            (path / "trust" / name).write_bytes(data)
        # Where the roots are no chain, what is attested will not be looked at.
        with contextlib.suppress(IsowardError):
            self._attest(path)
        return path

    def _attest(self, path: Path) -> None:
        """Write what a build and its approvers would, by whoever signs."""
        data = (path / "bundle.json").read_bytes()
        manifest = decode_canonical(data, Manifest, "bundle.json")
        release = Release(manifest, data, self.targets.version, self.root)
        signers = self.signers[Timestamp.type]
        builder = next((k for k in signers if k.public_key.keyid in release.builders), None)
        if builder is None:
            return
        run = build_run_by(builder.public_key.keyid, now())
        write_build_record(path, self.folder / "no-release-before", release.number, run, builder)
        seen = check_builder(read_attestations(BundleDirectory(path)), release).statements
        for signer in self.signers[Targets.type]:
            key = signer.public_key
            approval = Approval(
                approver=holder(key),
                ticket=TICKET,
                time=now(),
                release=release.number,
                reviewed=seen,
            )
            about = release.about
            statement = make_statement(about.name, about.digest, APPROVAL, to_builtins(approval))
            for name, content in (
                (key_name(key.keyid), public_pem(key)),
                (signature_name(key.keyid), detached_signature(data, signer)),
                (approval_name(key.keyid), sign_statement(statement, signer)),
            ):
                (path / name).write_bytes(content)


class Site:
    """A site that enrolled a vendor's root, and keeps what it has seen."""

    def __init__(self, vendor: Vendor, version: int = 1) -> None:
        self.vendor = vendor
        self.state: TrustState = new_state(vendor.roots[version], now())

    def take(self, at: datetime | None = None) -> None:
        """Verify what the vendor has published now, and remember it."""
        path = self.vendor.bundle()
        _, self.state = verify_trust(BundleDirectory(path), self.state, at)

    def refusal(self, at: datetime | None = None) -> IsowardError | None:
        """Return why what the vendor has published is refused, having remembered nothing."""
        before = self.state
        try:
            self.take(at)
        except IsowardError as error:
            assert self.state is before
            return error
        return None

    def version(self, role: str) -> int:
        """Return the version of a role that the site has seen."""
        text = self.state.roots[-1] if role == Root.type else str(getattr(self.state, role))
        metadata: Metadata[Any] = Metadata.from_bytes(text.encode())
        return int(metadata.signed.version)


def stock_client_accepts(vendor: Vendor, client: Path) -> bool:
    """Say whether python-tuf's own client accepts what is published, beginning with root 1."""
    client.mkdir()
    files = {f"{version}.root.json": data for version, data in vendor.roots.items()}
    files |= vendor.files

    class Files(FetcherInterface):
        def _fetch(self, url: str) -> Iterator[bytes]:
            name = url.rpartition("/")[2]
            if name not in files:
                raise DownloadHTTPError("not found", 404)
            return iter((files[name],))

    try:
        updater = Updater(
            str(client),
            "vendor:trust/",
            fetcher=Files(),
            config=UpdaterConfig(),
            bootstrap=vendor.roots[1],
        )
        updater.refresh()
        return updater.get_targetinfo("bundle.json") is not None
    except (RepositoryError, DownloadError):
        return False
