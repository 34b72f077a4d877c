"""Real keys, a real release folder and real signatures, for tests that need a trusted bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import cycle
from pathlib import Path

from bundle.base.canonical import canonical_json
from bundle.base.content import Content
from bundle.base.digest import digest_of, hex_of
from bundle.base.documents import API_VERSION, Metadata
from bundle.kinds.files import FileEntry
from bundle.model.manifest import Manifest
from bundle.model.provenance import BuildRun, Source
from bundle.store.layout import BundleDirectory
from bundle.store.sums import write_sums
from bundle.trust.keys.schemes import DEFAULT_KEY_TYPE, KeyTypeName
from bundle.trust.keys.stored import SigningKey, generate_key, public_path, write_key
from bundle.trust.site.state import TrustState
from bundler.release.approval import approve
from bundler.release.build_record import write_build_record
from bundler.release.publish import Unreleased, write_trust
from bundler.release.review import review
from bundler.root.ceremony import RootPlan, create_root
from installer.enrollment.first_trust import enroll, read_candidate

APPROVERS = ("Ada Example", "Bob Example", "Cyd Example")
ROOT_HOLDERS = ("Rhea Root", "Rolf Root")
BUILDER = "Build System"
TICKET = "CHG-1234"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass(frozen=True)
class KeyFile:
    """A key and where it lies; the private one is not encrypted."""

    name: str
    path: Path
    signer: SigningKey

    @property
    def public(self) -> Path:
        return public_path(self.path)


@dataclass(frozen=True)
class ReleaseKit:
    """A vendor: a release folder, and everybody's keys.

    Attributes:
        release: The release folder, with a complete root.
        fingerprint: Digest of 1.root.json.
        roots: Two root keys; both must sign.
        approvers: Three approvers, of whom two must approve.
        builder: The build system's key.
        stranger: A key that the root does not name.
    """

    release: Path
    fingerprint: str
    roots: tuple[KeyFile, ...]
    approvers: tuple[KeyFile, ...]
    builder: KeyFile
    stranger: KeyFile


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def make_key(directory: Path, name: str, type_: KeyTypeName = DEFAULT_KEY_TYPE) -> KeyFile:
    """Make a key, unencrypted, in `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{name.split(maxsplit=1)[0].lower()}.pem"
    signer = generate_key(name, type_)
    write_key(signer, path, None)
    return KeyFile(name, path, signer)


def make_release(
    directory: Path,
    at: datetime | None = None,
    *,
    type_: KeyTypeName = DEFAULT_KEY_TYPE,
    approver_types: Sequence[KeyTypeName] = (),
) -> ReleaseKit:
    """Hold a key ceremony below `directory`, which may exist: keys/ and release/ are made in it.

    Args:
        directory: The vendor's.
        at: The clock.
        type_: Of every key.
        approver_types: Of the approvers' keys, in turn, where they are others.
    """
    types = cycle(approver_types or (type_,))
    keys, release = directory / "keys", directory / "release"
    roots = tuple(make_key(keys, name, type_) for name in ROOT_HOLDERS)
    approvers = tuple(make_key(keys, name, next(types)) for name in APPROVERS)
    builder, stranger = (make_key(keys, name, type_) for name in (BUILDER, "Mallory Stranger"))
    moment = at or now()
    plan = RootPlan(
        root_keys=tuple(key.signer.public_key for key in roots),
        root_threshold=2,
        approvers=tuple(key.signer.public_key for key in approvers),
        approvals=2,
        builder=builder.signer.public_key,
        expires=moment + timedelta(days=730),
    )
    described = create_root(release, plan, [key.signer for key in roots], moment)
    return ReleaseKit(release, described.fingerprint, roots, approvers, builder, stranger)


def make_bundle(path: Path, content: bytes = b"content of a file", version: str = "1.0.0") -> Path:
    """Write a small bundle of one file, without trust metadata."""
    digest = digest_of(content)
    manifest = Manifest(
        api_version=API_VERSION,
        kind="Bundle",
        metadata=Metadata(name="tiny", version=version),
        lock=digest_of(b"lock"),
        platforms=("linux/amd64",),
        blobs=(Content(digest=digest, size=len(content)),),
        layout=(),
        files=(FileEntry(url="https://files.example.org/file", digest=digest),),
    )
    blob = path / "blobs" / "sha256" / hex_of(digest)
    blob.parent.mkdir(parents=True)
    blob.write_bytes(content)
    (path / "bundle.json").write_bytes(canonical_json(manifest))
    return path


def release_bundle(bundle: Path, kit: ReleaseKit, at: datetime | None = None) -> int:
    """Give a bundle its trust metadata, as a build does; return the release number."""
    data = (bundle / "bundle.json").read_bytes()
    number = write_trust(Unreleased(bundle, data), kit.release, kit.builder.signer, at or now())
    moment = at or now()
    write_build_record(bundle, kit.release, number, build_run(kit, moment), kit.builder.signer)
    write_sums(bundle, review(BundleDirectory(bundle), moment).manifest)
    return number


def build_run(kit: ReleaseKit, at: datetime) -> BuildRun:
    """Return what a build from a clean and signed commit knows of itself."""
    return build_run_by(kit.builder.signer.public_key.keyid, at)


def build_run_by(key_id: str, at: datetime) -> BuildRun:
    """Return it for a build system's key."""
    source = Source(
        kind="git", commit=COMMIT, clean=True, lock_committed=True, signature="good", signer=BUILDER
    )
    return BuildRun(
        definition=digest_of(b"definition"),
        builder=f"urn:isoward:builder:{key_id}",
        version="0.1.0",
        invocation="00112233445566778899aabbccddeeff",
        source=source,
        started=at - timedelta(minutes=5),
        finished=at,
    )


def approve_by(bundle: Path, keys: Sequence[KeyFile], at: datetime | None = None) -> None:
    """Approve a released bundle by each of `keys`."""
    directory, moment = BundleDirectory(bundle), at or now()
    for key in keys:
        approve(directory, review(directory, moment), key.signer, TICKET, moment)


def approve_all(bundle: Path, kit: ReleaseKit, at: datetime | None = None) -> None:
    """Approve a released bundle by as many approvers as are needed: the first two."""
    approve_by(bundle, kit.approvers[:2], at)


def trusted_bundle(path: Path, kit: ReleaseKit, version: str = "1.0.0") -> Path:
    """Make, release and approve a small bundle; each version is another release."""
    make_bundle(path, f"content of {version}".encode(), version)
    release_bundle(path, kit)
    approve_all(path, kit)
    return path


def enrolled(depot: Path, kit: ReleaseKit) -> TrustState:
    """Enrol the kit's root at a depot, as `isoward enroll` does."""
    candidate = read_candidate(kit.release, kit.fingerprint, now())
    return enroll(depot, candidate, now())[0]
