"""Images that stock cosign signed, in both of its forms, in a real registry; nothing else is asked.

cosign's own keys and its own pushes: what `isoward lock` accepts and refuses must be what cosign
itself accepts and refuses.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import urllib3

from bundle.base.errors import UnsignedError
from bundle.kinds.artifacts import LockedArtifact
from bundler.lock.documents import load_lock
from tests.support.programs.go_tools import BUILD_SECONDS, go_tool
from tests.support.programs.needs import requires_tool
from tests.support.registries.journey import Machine
from tests.support.registries.oci import (
    CONFIG,
    LAYER,
    Artifact,
    Blob,
    index,
    manifest,
    to_json,
)
from tests.support.registries.push import Pusher, pusher
from tests.support.registries.referrers import BUNDLE, SIMPLE_SIGNING, cosign_tag, referrer
from tests.support.registries.registry import Registry, distribution_registry
from tests.support.registries.signing import simple_payload, statement
from tests.support.trust.sigstore_world import IDENTITY, ISSUER, SigstoreWorld

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(BUILD_SECONDS + 600)]
FORMS = ("tag", "bundle")
SBOM = "https://cyclonedx.org/bom"
_NOWHERE = "http://127.0.0.1:9"


@dataclass(frozen=True)
class Publisher:
    """Somebody who signs images with cosign.

    Attributes:
        registry: Where the images are.
        push: Pushes what cosign would not.
        home: cosign's, with `cosign.key` and `cosign.pub` in folders of their own.
    """

    registry: Registry
    push: Pusher
    home: Path

    def cosign(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run cosign, with a way to this machine alone."""
        env = {
            "HOME": str(self.home),
            "PATH": os.environ["PATH"],
            "COSIGN_PASSWORD": "",
            "HTTPS_PROXY": _NOWHERE,
        }
        return subprocess.run(
            [go_tool("cosign"), *arguments],
            cwd=self.home,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def must(self, *arguments: str) -> str:
        """Run cosign, which must succeed."""
        done = self.cosign(*arguments)
        assert done.returncode == 0, f"cosign {' '.join(arguments)}:\n{done.stderr[-3000:]}"
        return done.stdout

    def key(self, name: str) -> Path:
        """Return a public key, made at first use; the private one lies beside it."""
        prefix = self.home / name
        if not prefix.with_suffix(".pub").exists():
            self.must("generate-key-pair", "--output-key-prefix", name)
        return prefix.with_suffix(".pub")

    def reference(self, repository: str, digest: str) -> str:
        return f"{self.registry.host}/{repository}@{digest}"

    def sign(self, repository: str, digest: str, form: str, key: str = "publisher") -> None:
        """Sign an image."""
        private = str(self.key(key).with_suffix(".key"))
        options = ["--key", private, "--tlog-upload=false", "--use-signing-config=false", "--yes"]
        if form == "tag":
            options.append("--new-bundle-format=false")
        self.must("sign", *options, self.reference(repository, digest))

    def accepts(self, repository: str, digest: str, form: str, key: str = "publisher") -> bool:
        """Say whether cosign itself accepts an image."""
        options = ["--key", str(self.key(key)), "--insecure-ignore-tlog"]
        if form == "tag":
            options.append("--new-bundle-format=false")
        done = self.cosign("verify", *options, self.reference(repository, digest))
        return done.returncode == 0

    def fetch(self, repository: str, path: str) -> bytes:
        """Fetch a blob or a manifest."""
        accept = (
            "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json"
        )
        url = f"{self.registry.url}/v2/{repository}/{path}"
        answer = urllib3.request("GET", url, headers={"Accept": accept})
        assert answer.status == 200, (path, answer.data)
        return answer.data

    def signature(self, repository: str, digest: str, form: str) -> Artifact:
        """Return the manifest that cosign pushed, with its layers."""
        if form == "tag":
            found = json.loads(self.fetch(repository, f"manifests/{cosign_tag(digest, 'sig')}"))
        else:
            tag = digest.replace(":", "-")
            (entry,) = json.loads(self.fetch(repository, f"manifests/{tag}"))["manifests"]
            found = json.loads(self.fetch(repository, f"manifests/{entry['digest']}"))
        config = self.fetch(repository, f"blobs/{found['config']['digest']}")
        layers = [
            Blob(
                layer["mediaType"],
                self.fetch(repository, f"blobs/{layer['digest']}"),
                layer.get("annotations", {}),
            )
            for layer in found["layers"]
        ]
        return manifest(Blob(found["config"]["mediaType"], config), layers)

    def attach(self, repository: str, subject: Artifact, form: str, layers: list[Blob]) -> None:
        """Attach layers to an image as cosign attaches its own."""
        if form == "tag":
            made = manifest(Blob(CONFIG, b"{}"), layers)
            self.push.put(repository, made, cosign_tag(subject.digest, "sig"))
            return
        (layer,) = layers
        made = referrer(layer.media_type, layer.data, subject)
        self.push.put(repository, made)
        listed = index([made], [{**made.descriptor, "artifactType": layer.media_type}])
        self.push.put(repository, listed, subject.digest.replace(":", "-"))


@pytest.fixture(scope="module")
def publisher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Publisher]:
    requires_tool("docker-registry")
    folder = tmp_path_factory.mktemp("publisher")
    with distribution_registry(folder / "registry") as registry, pusher(registry.url) as push:
        yield Publisher(registry, push, folder)


def image(text: str) -> Artifact:
    """Make an image of two platforms."""
    platforms = [
        manifest(
            Blob(CONFIG, to_json({"os": "linux", "architecture": name})),
            [Blob(LAYER, f"{text} for {name}".encode())],
            platform=f"linux/{name}",
        )
        for name in ("amd64", "arm64")
    ]
    return index(platforms)


@dataclass(frozen=True)
class Vendor:
    """Who locks these images."""

    publisher: Publisher
    machine: Machine

    def rule(self, key: str) -> str:
        return f"cosign: {{key: {self.publisher.key(key)}}}"

    def attempt(self, name: str, rule: str) -> subprocess.CompletedProcess[str]:
        """Lock one image by a rule."""
        home = self.machine.home
        home.mkdir(exist_ok=True)
        host = self.publisher.registry.host
        (home / "d.yaml").write_text(
            "apiVersion: isoward/v1\nkind: BundleDefinition\n"
            "metadata: {name: platform, version: 1.0.0}\nplatforms: [linux/amd64]\n"
            f"images:\n  - reference: {host}/{name}:1\n"
            f"signatures:\n  - images: ['{host}/**']\n    {rule}\n"
        )
        return self.machine.attempt("lock", "d.yaml", "-o", "d.lock.yaml")

    def locked(self, name: str, rule: str) -> LockedArtifact:
        """Lock one image, which must be signed."""
        done = self.attempt(name, rule)
        assert done.returncode == 0, done.stderr
        (found,) = load_lock(self.machine.home / "d.lock.yaml").images
        return found

    def refused(self, name: str, rule: str) -> str:
        """Try to lock one image, which must be refused as unsigned; return what is said."""
        done = self.attempt(name, rule)
        assert done.returncode == UnsignedError.exit_code, done.stderr
        assert "Traceback" not in done.stderr
        return done.stderr


@pytest.fixture
def vendor(publisher: Publisher, tmp_path: Path) -> Vendor:
    return Vendor(publisher, Machine(tmp_path / "vendor"))


def _pushed(publisher: Publisher, name: str) -> Artifact:
    made = image(name)
    publisher.push.put(name, made, "1")
    return made


@pytest.mark.parametrize("form", FORMS)
def test_good(publisher: Publisher, vendor: Vendor, form: str) -> None:
    made = _pushed(publisher, f"good/{form}")
    publisher.sign(f"good/{form}", made.digest, form)
    assert publisher.accepts(f"good/{form}", made.digest, form)
    (found,) = vendor.locked(f"good/{form}", vendor.rule("publisher")).verified
    assert (found.method, found.subject) == ("cosign", made.digest)


@pytest.mark.parametrize("form", FORMS)
def test_wrong_key(publisher: Publisher, vendor: Vendor, form: str) -> None:
    made = _pushed(publisher, f"wrong/{form}")
    publisher.sign(f"wrong/{form}", made.digest, form, key="stranger")
    assert not publisher.accepts(f"wrong/{form}", made.digest, form)
    said = vendor.refused(f"wrong/{form}", vendor.rule("publisher"))
    assert "1 signature, none valid: it was not made by this key" in said


@pytest.mark.parametrize("form", FORMS)
def test_swapped_image(publisher: Publisher, vendor: Vendor, form: str) -> None:
    signed = _pushed(publisher, f"signed/{form}")
    publisher.sign(f"signed/{form}", signed.digest, form)
    layers = list(publisher.signature(f"signed/{form}", signed.digest, form).blobs[1:])
    evil = _pushed(publisher, f"evil/{form}")
    publisher.attach(f"evil/{form}", evil, form, layers)
    assert not publisher.accepts(f"evil/{form}", evil.digest, form)
    said = vendor.refused(f"evil/{form}", vendor.rule("publisher"))
    assert signed.digest in said


@pytest.mark.parametrize("form", FORMS)
def test_altered_payload(publisher: Publisher, vendor: Vendor, form: str) -> None:
    signed = _pushed(publisher, f"first/{form}")
    publisher.sign(f"first/{form}", signed.digest, form)
    (layer,) = publisher.signature(f"first/{form}", signed.digest, form).blobs[1:]
    evil = _pushed(publisher, f"altered/{form}")
    alter: Callable[[bytes, str, str], bytes] = _alter_payload if form == "tag" else _alter_bundle
    data = alter(layer.data, signed.digest, evil.digest)
    assert data != layer.data
    altered = Blob(layer.media_type, data, layer.annotations)
    publisher.attach(f"altered/{form}", evil, form, [altered])
    assert not publisher.accepts(f"altered/{form}", evil.digest, form)
    assert "not made by this key" in vendor.refused(f"altered/{form}", vendor.rule("publisher"))


def _alter_payload(data: bytes, old: str, new: str) -> bytes:
    return data.replace(old.encode(), new.encode())


def _alter_bundle(data: bytes, old: str, new: str) -> bytes:
    bundle: dict[str, Any] = json.loads(data)
    payload = base64.b64decode(bundle["dsseEnvelope"]["payload"])
    changed = payload.replace(old[7:].encode(), new[7:].encode())
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(changed).decode()
    return json.dumps(bundle).encode()


@pytest.mark.parametrize("form", FORMS)
def test_each_platform_signed_and_not_the_index(
    publisher: Publisher, vendor: Vendor, form: str
) -> None:
    made = _pushed(publisher, f"platform/{form}")
    chosen, other = made.children
    publisher.sign(f"platform/{form}", other.digest, form)
    assert "found none" in vendor.refused(f"platform/{form}", vendor.rule("publisher"))
    publisher.sign(f"platform/{form}", chosen.digest, form)
    (found,) = vendor.locked(f"platform/{form}", vendor.rule("publisher")).verified
    assert found.subject == chosen.digest


def test_an_attested_sbom(publisher: Publisher, vendor: Vendor) -> None:
    made = _pushed(publisher, "attested")
    (publisher.home / "sbom.json").write_text('{"bomFormat": "CycloneDX"}')
    key = str(publisher.key("publisher").with_suffix(".key"))
    options = ["--key", key, "--tlog-upload=false", "--use-signing-config=false", "--yes"]
    options += ["--predicate", "sbom.json", "--type", "cyclonedx"]
    publisher.must("attest", *options, publisher.reference("attested", made.digest))
    assert f"attestation of type {SBOM} is no" in vendor.refused(
        "attested", vendor.rule("publisher")
    )
    publisher.sign("attested", made.digest, "tag")
    found = vendor.locked("attested", vendor.rule("publisher")).verified
    assert {entry.predicate for entry in found} == {"", SBOM}


@pytest.mark.parametrize("form", FORMS)
def test_cosign_too_accepts_the_keyless_signatures_that_our_tests_make(
    publisher: Publisher, vendor: Vendor, form: str
) -> None:
    name, world = f"keyless/{form}", SigstoreWorld()
    root = publisher.home / f"{form}-root.json"
    root.write_text(world.trusted_root())
    made, who = _pushed(publisher, name), world.identity()
    payload = simple_payload(made.digest)
    layer = Blob(SIMPLE_SIGNING, payload, world.annotations(who, payload))
    if form == "bundle":
        bundle = world.statement_bundle(who, statement(made.digest))
        layer = Blob(BUNDLE, json.dumps(bundle).encode())
    publisher.attach(name, made, form, [layer])
    options = ["--trusted-root", str(root), "--certificate-oidc-issuer", ISSUER]
    options += ["--new-bundle-format=false"] * (form == "tag")
    reference = publisher.reference(name, made.digest)
    publisher.must("verify", *options, "--certificate-identity", IDENTITY, reference)
    refused = publisher.cosign("verify", *options, "--certificate-identity", "x@y.org", reference)
    assert refused.returncode != 0
    rule = f"keyless: {{identity: {IDENTITY}, issuer: '{ISSUER}', trustedRoot: {root}}}"
    (found,) = vendor.locked(name, rule).verified
    assert found.signer == f"{IDENTITY} ({ISSUER})"
    assert "it was made by" in vendor.refused(name, rule.replace(IDENTITY, "x@y.org"))
