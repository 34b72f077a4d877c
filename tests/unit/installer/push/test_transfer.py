"""What is sent, in which order, and what of an index that is not whole."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bundle.base.digest import hex_of
from bundle.base.errors import FormatError, TransportRefusedError, UsageError
from bundle.base.progress import NO_PROGRESS
from bundle.kinds.artifacts import ReferrerEntry
from bundle.registry.credentials import NoCredentials
from bundle.store.layout import BundleDirectory
from installer.depot.catalogue import Catalogue, Repository
from installer.push.authorities import tls_context
from installer.push.comparison import Compared, compare, refuse_conflicts
from installer.push.oras_client import SiteRegistry
from installer.push.source import PushSource
from installer.push.target import Target
from installer.push.transfer import Pushed, Transfer
from installer.push.wanted import Wanted, wanted_of
from tests.support.registries.oci import sha256
from tests.support.registries.odd_registry import Odd, odd_registry

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
ARTIFACT = "application/vnd.oci.artifact.manifest.v1+json"
NAME = "p/r.example/app"


@dataclass
class World:
    """A repository of a depot that is made up as a test wants it."""

    folder: Path
    blobs: dict[str, bytes] = field(default_factory=dict)
    repository: Repository = field(default_factory=lambda: Repository("r.example", "app"))

    def blob(self, data: bytes) -> dict[str, Any]:
        self.blobs[sha256(data)] = data
        return {"mediaType": "application/x", "digest": sha256(data), "size": len(data)}

    def put(self, body: dict[str, Any], media_type: str) -> str:
        data = json.dumps({"schemaVersion": 2, "mediaType": media_type, **body}).encode()
        self.blob(data)
        self.repository.manifests[sha256(data)] = media_type
        return sha256(data)

    def image(self, name: str, **more: Any) -> str:
        layers = [self.blob(b"base"), self.blob(name.encode())]
        return self.put({"config": self.blob(b"{}"), "layers": layers, **more}, MANIFEST)

    def index(self, entries: Sequence[tuple[str, str]], **more: Any) -> str:
        """List (digest, architecture) pairs; `unknown` is an attestation of the first."""
        listed = []
        for digest, architecture in entries:
            entry: dict[str, Any] = {
                "mediaType": MANIFEST,
                "digest": digest,
                "size": len(self.blobs.get(digest, b"12")),
                "platform": {"architecture": architecture, "os": "linux"},
            }
            if architecture == "unknown":
                entry["platform"]["os"] = "unknown"
                entry["annotations"] = {
                    "vnd.docker.reference.digest": entries[0][0],
                    "vnd.docker.reference.type": "attestation-manifest",
                }
            listed.append(entry)
        return self.put({"manifests": listed, **more}, INDEX)

    def refer(self, digest: str, subject: str, tag: str = "", media_type: str = MANIFEST) -> None:
        entry = ReferrerEntry(
            digest=digest, media_type=media_type, subject=subject, artifact_type="a/b", tag=tag
        )
        self.repository.referrers.setdefault(subject, {})[digest] = entry
        if tag:
            self.repository.tags[tag] = digest

    def signature(self, subject: str, tag: str = "", **more: Any) -> str:
        if not tag:
            size = len(self.blobs[subject])
            more["subject"] = {"mediaType": MANIFEST, "digest": subject, "size": size}
        made = self.image(f"signature of {subject} {sorted(more)}", **more)
        self.refer(made, subject, tag)
        return made

    @property
    def source(self) -> PushSource:
        place = self.folder / "blobs" / "sha256"
        place.mkdir(parents=True, exist_ok=True)
        for digest, data in self.blobs.items():
            (place / hex_of(digest)).write_bytes(data)
        sizes = {digest: len(data) for digest, data in self.blobs.items()}
        key = (self.repository.host, self.repository.name)
        return PushSource(BundleDirectory(self.folder), Catalogue(sizes, {key: self.repository}))

    def wanted(self) -> Wanted:
        return wanted_of(self.repository, self.source.sizes, self.source.read)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def odd() -> Iterator[Odd]:
    with odd_registry() as running:
        yield running


def _connect(odd: Odd) -> tuple[SiteRegistry, Target]:
    target = Target(odd.host, "p", plain=True)
    context = tls_context(odd.host, folders=())
    return SiteRegistry(target, context, NoCredentials(), sleep=lambda _: None), target


def _compared(odd: Odd, world: World) -> list[Compared]:
    registry, target = _connect(odd)
    return compare(registry, target, [world.wanted()], NO_PROGRESS)


def _push(odd: Odd, world: World) -> Pushed:
    registry, _ = _connect(odd)
    return Transfer(registry, world.source, NO_PROGRESS).run(_compared(odd, world))


def test_each_thing_comes_after_all_that_it_names(odd: Odd, world: World) -> None:
    amd, arm = world.image("amd64"), world.image("arm64")
    index = world.index([(amd, "amd64"), (arm, "arm64")])
    signature = world.signature(index)
    report = world.signature(signature)
    cosign = world.signature(index, f"sha256-{hex_of(index)}.sig")
    world.repository.tags["1.0"] = index
    _push(odd, world)
    put = [path.rpartition("/")[2] for method, path in odd.seen
           if method == "PUT" and "/manifests/" in path]  # fmt: skip
    place = {name: i for i, name in enumerate(put)}
    assert place[amd] < place[index] > place[arm]
    assert place[index] < place[signature] < place[report]
    assert place[index] < place[cosign]
    tags = {"1.0", f"sha256-{hex_of(index)}.sig"}
    lists = {f"sha256-{hex_of(index)}", f"sha256-{hex_of(signature)}"}
    assert put[-2:] == sorted(tags)
    assert odd.tags(NAME) == tags | lists
    uploads = [i for i, (method, path) in enumerate(odd.seen)
               if method == "PUT" and "/blobs/" in path]  # fmt: skip
    assert max(uploads) < odd.seen.index(("PUT", f"/v2/{NAME}/manifests/{put[0]}"))
    assert _push(odd, world) == Pushed()


def test_a_registry_with_the_referrers_api_gets_no_lists(odd: Odd, world: World) -> None:
    odd.referrers = True
    image = world.image("amd64")
    world.signature(image)
    world.repository.tags["1.0"] = image
    _push(odd, world)
    assert odd.tags(NAME) == {"1.0"}


def test_a_list_keeps_what_others_put_there(odd: Odd, world: World) -> None:
    image = world.image("amd64")
    signature = world.signature(image, annotations={"who": "publisher"})
    tag = f"sha256-{hex_of(image)}"
    other = {"mediaType": MANIFEST, "digest": sha256(b"other"), "size": 5}
    theirs = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [other]}).encode()
    odd.manifests[NAME, tag] = theirs
    _push(odd, world)
    listed = json.loads(odd.manifests[NAME, tag])["manifests"]
    assert [entry["digest"] for entry in listed] == [other["digest"], signature]
    assert listed[1]["annotations"] == {"who": "publisher"}
    odd.manifests[NAME, tag] = b'{"layers": []}'
    with pytest.raises(TransportRefusedError, match="expected a list"):
        _push(odd, world)


def test_of_one_platform_the_tag_names_what_was_approved(world: World) -> None:
    amd = world.image("amd64")
    attestation = world.image("attestation")
    world.refer(attestation, amd)
    index = world.index([(amd, "amd64"), (sha256(b"no"), "arm64"), (attestation, "unknown")])
    world.signature(index, f"sha256-{hex_of(index)}.sig")
    own = world.signature(amd, f"sha256-{hex_of(amd)}.sig")
    world.repository.tags["1.0"] = index
    wanted = world.wanted()
    assert wanted.tags == {"1.0": amd, f"sha256-{hex_of(amd)}.sig": own}
    assert index not in {document.digest for document in wanted.documents}
    (lost,) = wanted.lost
    assert (lost.digest, lost.tags, lost.instead) == (index, ("1.0",), amd)
    assert lost.missing == ("linux/arm64",)
    assert lost.signatures == ("attestation-manifest", f"sha256-{hex_of(index)}.sig")


def test_of_several_platforms_an_index_is_made(odd: Odd, world: World) -> None:
    amd, arm = world.image("amd64"), world.image("arm64")
    index = world.index(
        [(amd, "amd64"), (arm, "arm64"), (sha256(b"no"), "s390x")], annotations={"a": "b"}
    )
    on_signature = world.signature(world.signature(index))
    world.repository.tags |= {"1.0": index, "latest": index}
    (lost,) = world.wanted().lost
    assert (lost.tags, lost.missing) == (("1.0", "latest"), ("linux/s390x",))
    _push(odd, world)
    made = odd.manifests[NAME, "1.0"]
    assert sha256(made) == lost.instead
    body = json.loads(made)
    assert [entry["digest"] for entry in body["manifests"]] == [amd, arm]
    assert body["annotations"] == {"a": "b"}
    assert odd.tags(NAME) == {"1.0", "latest"}
    # What is about what is not there is not there either, however far off.
    assert (NAME, on_signature) not in odd.manifests
    assert _push(odd, world) == Pushed()


def test_an_index_of_which_nothing_travelled_has_no_tag(world: World) -> None:
    index = world.index([(sha256(b"no"), "amd64")])
    world.repository.tags["1.0"] = index
    wanted = world.wanted()
    assert (wanted.tags, wanted.documents, wanted.blobs) == ({}, (), ())
    assert wanted.lost[0].instead == ""


def test_referrers_in_a_circle_are_refused(world: World) -> None:
    first, second = world.image("a"), world.image("b")
    world.refer(first, second)
    world.refer(second, first)
    with pytest.raises(FormatError, match="circle"):
        world.wanted()


def test_an_old_form_that_is_refused_holds_nothing_up(odd: Odd, world: World) -> None:
    image = world.image("amd64")
    subject = {"mediaType": MANIFEST, "digest": image, "size": len(world.blobs[image])}
    blobs = [world.blob(b"sbom")]
    old = world.put({"artifactType": "a/b", "blobs": blobs, "subject": subject}, ARTIFACT)
    world.refer(old, image, media_type=ARTIFACT)
    world.repository.tags["1.0"] = image
    said = '{"errors":[{"code":"MANIFEST_INVALID","message":"manifest invalid"}]}'
    odd.refuse[f"PUT /v2/{NAME}/manifests/{old}"] = (400, said)
    with pytest.raises(TransportRefusedError, match="1 manifest; all else was pushed") as caught:
        _push(odd, world)
    assert caught.value.details == (f"{NAME}@{old}",)
    assert odd.tags(NAME) == {"1.0"}
    # An image of a kind that is refused ends it.
    odd.manifests.clear()
    odd.refuse[f"PUT /v2/{NAME}/manifests/"] = (400, said)
    with pytest.raises(TransportRefusedError, match="answered 400"):
        _push(odd, world)


def test_blobs_of_other_repositories_are_mounted(odd: Odd, world: World) -> None:
    image = world.image("amd64")
    world.repository.tags["1.0"] = image
    registry, target = _connect(odd)
    wanted = [world.wanted()]
    other = Repository("r.example", "other", {"2.0": image}, world.repository.manifests)
    wanted.append(wanted_of(other, world.source.sizes, world.source.read))
    compared = compare(registry, target, wanted, NO_PROGRESS)
    done = Transfer(registry, world.source, NO_PROGRESS).run(compared)
    assert (done.blobs, done.mounted) == (3, 3)
    assert odd.tags("p/r.example/other") == {"2.0"}


def test_a_tag_of_other_content_is_a_conflict(odd: Odd, world: World) -> None:
    image = world.image("amd64")
    world.repository.tags |= {"1.0": image, "2.0": image}
    odd.manifests[NAME, "1.0"] = b"{}"
    compared = _compared(odd, world)
    with pytest.raises(UsageError, match="1") as caught:
        refuse_conflicts(Target(odd.host, "p", plain=True), compared)
    (line,) = caught.value.details
    assert line == f"{odd.host}/{NAME}:1.0 is {sha256(b'{}')}, to be {image}"
    assert {method for method, _ in odd.seen} == {"HEAD"}
    assert compared[0].missing_tags == ("1.0", "2.0")
    assert compared[0].present_tags == ()
