"""Keys, certificates and trusted roots that a definition names as files."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bundle.base.errors import DefinitionError
from bundle.base.yaml.strict import dump_yaml
from bundler.lock.documents import load_definition
from tests.support.registries.referrers import ImageSigner
from tests.support.trust.notation_world import authority
from tests.support.trust.sigstore_world import SigstoreWorld

HEAD = """\
apiVersion: isoward/v1
kind: BundleDefinition
metadata: {name: platform, version: 1.0.0}
platforms: [linux/amd64]
images:
  - reference: registry.example.org/app/web:2.1
signatures:
  - images: ["**"]
"""


def _define(folder: Path, rule: str) -> Path:
    path = folder / "platform.yaml"
    path.write_text(f"{HEAD}    {rule}\n")
    return path


def test_files_are_inlined_from_the_definitions_folder(
    tmp_path: Path, signer: ImageSigner, world: SigstoreWorld
) -> None:
    keys = tmp_path / "keys"
    keys.mkdir()
    (keys / "a.pub").write_bytes(signer.public_pem)
    (keys / "ca.pem").write_text(authority().pem)
    (keys / "root.json").write_text(world.trusted_root())
    (rule,) = load_definition(_define(tmp_path, "cosign: {key: keys/a.pub}")).signatures
    assert rule.cosign is not None
    assert rule.cosign.key == signer.public_pem.decode()
    (rule,) = load_definition(_define(tmp_path, "notation: {certificate: keys/ca.pem}")).signatures
    assert rule.notation is not None
    assert rule.notation.certificate.startswith("-----BEGIN CERTIFICATE")
    text = "keyless: {identity: a, issuer: b, trustedRoot: keys/root.json}"
    (rule,) = load_definition(_define(tmp_path, text)).signatures
    assert rule.keyless is not None
    assert rule.keyless.trusted_root == world.trusted_root()


def test_what_is_inlined_stays(tmp_path: Path, signer: ImageSigner) -> None:
    (tmp_path / "a.pub").write_bytes(signer.public_pem)
    definition = load_definition(_define(tmp_path, "cosign: {key: a.pub}"))
    again = tmp_path / "again" / "platform.yaml"
    again.parent.mkdir()
    again.write_text(dump_yaml(definition))
    assert load_definition(again) == definition


def _private(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "f").write_bytes(key)


@pytest.mark.parametrize("method", ["cosign: {key: f}", "notation: {certificate: f}"])
def test_a_private_key_never_gets_into_a_lock(tmp_path: Path, method: str) -> None:
    _private(tmp_path)
    with pytest.raises(DefinitionError, match="expected one") as refused:
        load_definition(_define(tmp_path, method))
    assert "never a private key" in refused.value.hint


@pytest.mark.parametrize(
    "method",
    [
        "cosign: {key: f}",
        "notation: {certificate: f}",
        "keyless: {identity: a, issuer: b, trustedRoot: f}",
    ],
)
@pytest.mark.parametrize("data", [None, b"", b"\xff\xfe", b"text", b"x" * 300_000])
def test_a_file_that_is_not_what_it_must_be(
    tmp_path: Path, method: str, data: bytes | None
) -> None:
    if data is not None:
        (tmp_path / "f").write_bytes(data)
    with pytest.raises(DefinitionError, match=r"signatures\[0\]\."):
        load_definition(_define(tmp_path, method))


def test_a_folder_is_no_key(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="no such file"):
        load_definition(_define(tmp_path, "cosign: {key: .}"))
