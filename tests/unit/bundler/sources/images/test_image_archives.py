"""Images from archives that real tools made: what is carried is byte for byte what is in them."""

from __future__ import annotations

import gzip
import json
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bundle.base.digest import digest_of
from bundle.base.documents import Metadata
from bundle.base.errors import (
    DefinitionError,
    DigestMismatchError,
    MissingBlobError,
    UnsignedError,
)
from bundle.base.oci import DOCKER_MANIFEST, OCI_MANIFEST
from bundle.kinds.artifacts import LockedArtifact, artifact_contents
from bundle.kinds.images import ImageSource
from bundler.build.cache import BlobCache
from bundler.lock.resolve import resolve as resolve_all
from bundler.model.definition import Definition
from bundler.sources.common.context import SourceContext
from bundler.sources.images.on_disk import fill_local_image, resolve_local_image
from tests.support.documents.sources import context
from tests.support.registries.connecting import client
from tests.support.registries.image_archives import (
    AMD64,
    ARM64,
    both_platforms,
    docker_archive,
    oci_archive,
    podman,
    skopeo_copy,
    small_image,
)
from tests.support.registries.oci import (
    CONFIG,
    LAYER,
    MANIFEST,
    Artifact,
    Blob,
    layer_of,
    manifest,
    sha256,
    to_json,
    write_layout,
)
from tests.support.registries.referrers import ImageSigner, cosign_signature, cosign_tag
from tests.support.registries.signing import by_key

REFERENCE = "registry.example.org/app/own:1.0"
TAR = "application/vnd.oci.image.layer.v1.tar"


@pytest.fixture
def at(tmp_path: Path) -> SourceContext:
    folder = tmp_path / "definitions"
    folder.mkdir()
    return context(client(), BlobCache(tmp_path / "cache"), folder)


def resolve(at: SourceContext, archive: Path, *platforms: str, **more: Any) -> LockedArtifact:
    """Resolve an image of an archive, of which everything must be kept then."""
    path = archive.relative_to(at.folder).as_posix()
    source = ImageSource(reference=more.pop("reference", REFERENCE), archive=path, **more)
    found = resolve_local_image(source, platforms or (AMD64,), at)
    for content in artifact_contents(found):
        assert at.store.read_bytes(content.digest, content.size) is not None
    assert found.origin == source.origin
    assert not list(at.store.workspace("incoming").iterdir())
    return found


def _manifest(at: SourceContext, image: LockedArtifact) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(at.store.blob_path(image.digest).read_bytes())
    return made


def test_a_docker_archive_gets_a_manifest_over_its_very_bytes(at: SourceContext) -> None:
    archive = docker_archive(at.folder, small_image(at.folder / "x", "a"))
    image = resolve(at, archive)
    said = _manifest(at, image)
    assert said["mediaType"] == OCI_MANIFEST
    assert [layer["mediaType"] for layer in said["layers"]] == [TAR, TAR]
    with tarfile.open(archive) as tar:
        listed = json.loads(_member(tar, "manifest.json"))[0]
        assert said["config"]["digest"] == digest_of(_member(tar, listed["Config"]))
        layers = [digest_of(_member(tar, name)) for name in listed["Layers"]]
    assert [layer["digest"] for layer in said["layers"]] == layers
    assert image.manifests[0].platform == AMD64


def _member(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    assert file is not None
    return file.read()


def test_the_digest_follows_from_the_image_alone(at: SourceContext) -> None:
    made = small_image(at.folder / "x", "a")
    by_skopeo = resolve(at, docker_archive(at.folder, made))
    store = podman(at.folder / "podman")
    store.load(at.folder / "docker-archive.tar", "own:1.0")
    saved = at.folder / "podman.tar"
    store.run("save", "--quiet", "--format", "docker-archive", "-o", saved, "own:1.0")
    assert resolve(at, saved).digest == by_skopeo.digest
    compressed = saved.with_suffix(".tar.gz")
    compressed.write_bytes(gzip.compress(saved.read_bytes(), 1))
    assert resolve(at, compressed).digest == by_skopeo.digest
    layout = at.folder / "podman-oci.tar"
    store.run("save", "--quiet", "--format", "oci-archive", "-o", layout, "own:1.0")
    names = json.loads(subprocess.check_output(["tar", "xOf", layout, "index.json"]))
    assert resolve(at, layout).digest == names["manifests"][0]["digest"]


def test_an_oci_archive_keeps_its_digests(at: SourceContext) -> None:
    made = both_platforms(at.folder / "x", "a")
    archive = oci_archive(at.folder, made)
    image = resolve(at, archive, AMD64, ARM64)
    assert image.digest == made.digest
    assert {m.platform for m in image.manifests} == {AMD64, ARM64}
    assert {c.digest for c in artifact_contents(image)} == {
        digest for part in made.walk() for digest, _ in part.pieces()
    }
    only = resolve(at, archive, ARM64)
    assert (only.digest, [m.platform for m in only.manifests]) == (made.digest, [ARM64])
    with pytest.raises(DefinitionError, match="linux/s390x"):
        resolve(at, archive, "linux/s390x")


def test_a_compressed_archive_and_a_folder_are_the_same(at: SourceContext) -> None:
    made = both_platforms(at.folder / "x", "a")
    archive = oci_archive(at.folder, made)
    compressed = at.folder / "small.tgz"
    compressed.write_bytes(gzip.compress(archive.read_bytes(), 1))
    folder = at.folder / "unpacked"
    folder.mkdir()
    subprocess.run(["tar", "xf", archive, "-C", folder], check=True)
    found = [resolve(at, path, AMD64, ARM64) for path in (archive, compressed, folder)]
    assert len({(f.digest, f.manifests) for f in found}) == 1


def _docker_form(made: Artifact) -> Artifact:
    """Return an image in Docker's schema 2."""
    docker = "application/vnd.docker"
    types = {
        CONFIG: f"{docker}.container.image.v1+json",
        LAYER: f"{docker}.image.rootfs.diff.tar.gzip",
        MANIFEST: DOCKER_MANIFEST,
    }
    text = made.data.decode()
    for ours, theirs in types.items():
        text = text.replace(ours, theirs)
    return Artifact(DOCKER_MANIFEST, text.encode(), made.blobs, platform=made.platform)


def test_docker_schema_2_in_a_layout_stays_what_it_is(at: SourceContext) -> None:
    made = _docker_form(small_image(at.folder / "x", "a"))
    write_layout(at.folder / "layout", {"own:1.0": made})
    image = resolve(at, at.folder / "layout")
    assert (image.digest, image.manifests[0].media_type) == (made.digest, DOCKER_MANIFEST)


def test_one_of_several_is_chosen_by_name(at: SourceContext) -> None:
    images = {name: small_image(at.folder / name, name) for name in ("one", "two")}
    named = {"own:1.0": images["one"], REFERENCE: images["two"], "alias:1": images["one"]}
    write_layout(at.folder / "layout", named)
    layout = at.folder / "layout"
    assert resolve(at, layout, name="own:1.0").digest == images["one"].digest
    assert resolve(at, layout, name="docker.io/library/own:1.0").digest == images["one"].digest
    assert resolve(at, layout).digest == images["two"].digest
    with pytest.raises(DefinitionError, match=r"found 0; its images are: alias:1, own:1\.0"):
        resolve(at, layout, name="absent:1")
    with pytest.raises(DefinitionError, match="expected one image"):
        resolve(at, layout, reference="registry.example.org/app/other:1")


def test_one_of_several_in_a_docker_archive(at: SourceContext) -> None:
    store = podman(at.folder / "podman")
    for seed in ("one", "two"):
        made = small_image(at.folder / seed, seed)
        store.load(docker_archive(at.folder / seed, made, f"{seed}:1"), f"{seed}:1")
    several = at.folder / "several.tar"
    store.run("save", "--quiet", "--multi-image-archive", "-o", several, "one:1", "two:1")
    one = resolve(at, several, name="localhost/one:1")
    two = resolve(at, several, name="localhost/two:1")
    assert one.digest == resolve(at, at.folder / "one" / "docker-archive.tar").digest
    assert two.digest != one.digest
    with pytest.raises(DefinitionError, match="localhost/two:1"):
        resolve(at, several)


def test_a_digest_in_the_reference_must_be_the_archives(at: SourceContext) -> None:
    made = small_image(at.folder / "x", "a")
    archive = oci_archive(at.folder, made)
    right = f"registry.example.org/app/own:1.0@{made.digest}"
    assert resolve(at, archive, reference=right).digest == made.digest
    with pytest.raises(DigestMismatchError, match=r"oci-archive\.tar: expected"):
        resolve(at, archive, reference=f"registry.example.org/app/own@{digest_of(b'x')}")


def _signature(image: Artifact, *, subject: bool) -> Artifact:
    layer = Blob("application/vnd.dev.cosign.simplesigning.v1+json", b"{}")
    config = Blob("application/vnd.oci.image.config.v1+json", b"{}")
    return manifest(config, [layer], subject=image if subject else None)


@pytest.mark.parametrize("way", ["subject", "tag", "cosign save"])
def test_signatures_in_a_layout_are_carried(at: SourceContext, way: str) -> None:
    made = small_image(at.folder / "x", "a")
    signature = _signature(made, subject=way == "subject")
    tag = f"sha256-{made.digest[7:]}.sig"
    layout = at.folder / "layout"
    name = f"registry.example.org/app/own:{tag}" if way == "tag" else "signature"
    write_layout(layout, {"own:1.0": made, name: signature})
    if way == "cosign save":
        index = json.loads((layout / "index.json").read_bytes())
        for entry, kind in zip(index["manifests"], ("image", "sigs"), strict=True):
            entry["annotations"] = {"kind": f"dev.cosignproject.cosign/{kind}"}
        (layout / "index.json").write_bytes(to_json(index))
    (found,) = resolve(at, layout).referrers
    assert (found.digest, found.subject) == (signature.digest, made.digest)
    assert (found.via, found.tag) == (("api", "") if way == "subject" else ("cosign-tag", tag))


def test_a_signature_in_an_archive_is_verified_by_the_rules(at: SourceContext) -> None:
    made = small_image(at.folder / "x", "a")
    signer, stranger = ImageSigner(), ImageSigner()
    signature = cosign_signature(signer, REFERENCE, made)
    tag = cosign_tag(made.digest, "sig")
    write_layout(at.folder / "signed", {"own:1.0": made, f"own:{tag}": signature})
    lock = resolve_all(_asks("signed", signer), at)
    (verified,) = lock.images[0].verified
    assert (verified.method, verified.digest) == ("cosign", signature.digest)
    with pytest.raises(UnsignedError):
        resolve_all(_asks("signed", stranger), at)
    docker_archive(at.folder, made)
    with pytest.raises(UnsignedError):
        resolve_all(_asks("docker-archive.tar", signer), at)


def _asks(archive: str, signer: ImageSigner) -> Definition:
    return Definition(
        api_version="isoward/v1",
        kind="BundleDefinition",
        metadata=Metadata(name="x", version="1"),
        platforms=(AMD64,),
        images=(ImageSource(reference=REFERENCE, archive=archive),),
        signatures=(by_key(signer),),
    )


def test_a_build_fills_the_cache_again(at: SourceContext, tmp_path: Path) -> None:
    made = small_image(at.folder / "x", "a")
    for archive in (docker_archive(at.folder, made), oci_archive(at.folder, made)):
        image = resolve(at, archive)
        other = context(client(), BlobCache(tmp_path / f"other-{archive.stem}"), at.folder)
        fill_local_image(image, other)
        for content in artifact_contents(image):
            assert other.store.read_bytes(content.digest, content.size) is not None


def test_another_image_in_the_archives_place_is_refused(at: SourceContext) -> None:
    archive = docker_archive(at.folder, small_image(at.folder / "x", "a"))
    image = resolve(at, archive)
    later = docker_archive(at.folder / "later", small_image(at.folder / "y", "b"))
    archive.write_bytes(later.read_bytes())
    with pytest.raises(DigestMismatchError, match=r"from archive docker-archive\.tar, found"):
        fill_local_image(image, at)


def test_a_layout_without_a_wanted_platform_says_so(at: SourceContext) -> None:
    made = both_platforms(at.folder / "x", "a")
    write_layout(at.folder / "layout", {"own:1.0": made})
    arm = next(child for child in made.children if child.platform == ARM64)
    (at.folder / "layout" / "blobs" / "sha256" / arm.digest[7:]).unlink()
    assert resolve(at, at.folder / "layout", AMD64).digest == made.digest
    with pytest.raises(MissingBlobError, match=arm.digest):
        resolve(at, at.folder / "layout", ARM64)


def _save_as_docker_does(folder: Path, made: Artifact, compress: Callable[[bytes], bytes]) -> Path:
    """Write what `docker save` of version 25 and later writes: both layouts in one archive."""
    config_blob, *packed = made.blobs
    layers = [Blob(blob.media_type, compress(gzip.decompress(blob.data))) for blob in packed]
    image = manifest(config_blob, layers, platform=made.platform)
    write_layout(folder, {"1.0": image})
    names = [f"blobs/sha256/{sha256(layer.data)[7:]}" for layer in layers]
    config = f"blobs/sha256/{sha256(config_blob.data)[7:]}"
    listing = [{"Config": config, "RepoTags": ["own:1.0"], "Layers": names, "LayerSources": {}}]
    (folder / "manifest.json").write_bytes(to_json(listing))
    target = folder.with_suffix(".tar")
    subprocess.run(["tar", "cf", target, "-C", folder, "."], check=True)
    return target


def test_newer_docker_archives_are_read_as_the_layout_that_they_are(at: SourceContext) -> None:
    made = small_image(at.folder / "x", "a")
    saved = _save_as_docker_does(at.folder / "saved", made, lambda data: data)
    index = json.loads((at.folder / "saved" / "index.json").read_bytes())
    assert resolve(at, saved).digest == index["manifests"][0]["digest"]


def test_layers_that_are_compressed_stay_compressed(at: SourceContext) -> None:
    made = small_image(at.folder / "x", "a")
    folder = at.folder / "saved"
    _save_as_docker_does(
        folder, made, lambda data: gzip.compress(data[:1000]) + gzip.compress(data[1000:])
    )
    (folder / "oci-layout").unlink()
    image = resolve(at, folder)
    layers = _manifest(at, image)["layers"]
    assert {layer["mediaType"] for layer in layers} == {f"{TAR}+gzip"}
    listed = json.loads((folder / "manifest.json").read_bytes())[0]["Layers"]
    assert [f"blobs/sha256/{layer['digest'][7:]}" for layer in layers] == listed


def test_skopeo_takes_what_was_made_of_a_docker_archive(at: SourceContext, tmp_path: Path) -> None:
    made = small_image(at.folder / "x", "a")
    image = resolve(at, docker_archive(at.folder, made))
    out = tmp_path / "out"
    pieces = tuple(
        Blob("x", at.store.blob_path(c.digest).read_bytes())
        for c in artifact_contents(image)
        if c.digest != image.digest
    )
    data = at.store.blob_path(image.digest).read_bytes()
    write_layout(out, {"x": Artifact(MANIFEST, data, pieces)})
    skopeo_copy(f"oci:{out}:x", f"dir:{tmp_path / 'dir'}")
    assert layer_of(at.folder / "x" / f"a-{AMD64.replace('/', '-')}-0").diff_id in {
        content.digest for content in artifact_contents(image)
    }
