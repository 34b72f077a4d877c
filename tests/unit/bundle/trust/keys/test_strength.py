"""Keys under which anybody can sign are refused wherever a key is taken."""

from __future__ import annotations

import base64
import json
import os
import shutil
from itertools import count
from math import gcd, prod
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey, MLDSA65PublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key
from nacl.bindings import crypto_core_ed25519_is_valid_point
from securesystemslib.signer import SSlibKey
from tuf.api.metadata import Metadata, Root

from bundle.base.errors import IsowardError, KeyFileError, PolicyError
from bundle.kinds.policy import CosignRule, SignatureRule
from bundle.trust.keys.stored import load_public_key, name_key, public_bytes
from bundle.trust.keys.strength import is_sound_ed25519, weakness
from bundle.trust.upstream.public_keys import load_upstream_key
from bundle.trust.upstream.verdict import NotGoodError
from installer.enrollment.first_trust import read_candidate
from tests.support.registries.signing import SignedImage
from tests.support.trust.commands import Isoward
from tests.support.trust.edit import edit
from tests.support.trust.release_kit import ReleaseKit, make_key, now
from tests.support.trust.weak_keys import der_of_rsa, pem_of_ed25519, small_order_points

POINTS = small_order_points()
every_point = pytest.mark.parametrize("point", POINTS.values(), ids=POINTS.keys())


def _public_file(path: Path, point: bytes, name: str = "Eve Example") -> Path:
    key = SSlibKey.from_crypto(Ed25519PublicKey.from_public_bytes(point))
    name_key(key, name)
    path.write_bytes(public_bytes(key))
    return path


@every_point
def test_a_point_of_small_order_is_no_key(tmp_path: Path, point: bytes) -> None:
    assert not is_sound_ed25519(point)
    with pytest.raises(KeyFileError, match="is weak"):
        load_public_key(_public_file(tmp_path / "eve.pub", point))
    with pytest.raises(NotGoodError, match="is weak"):
        load_upstream_key(pem_of_ed25519(point))


def test_libsodium_says_the_same_of_any_bytes() -> None:
    """It looks at form, order and group; of random bytes one in sixteen is a key."""
    given = [*POINTS.values(), *(os.urandom(32) for _ in range(150))]
    given += [Ed25519PrivateKey.generate().public_key().public_bytes_raw() for _ in range(10)]
    # Good ones that are spelt or placed wrongly: beyond p, and moved by a point of order 2.
    given += [bytes([byte]) + b"\xff" * 30 + bytes([0x7F]) for byte in range(0xED, 0x100)]
    found = [is_sound_ed25519(point) for point in given]
    assert found == [crypto_core_ed25519_is_valid_point(point) for point in given]
    assert sum(found) >= 10


@pytest.mark.parametrize("size", [0, 31, 33])
def test_another_length_is_no_point(size: int) -> None:
    assert not is_sound_ed25519(b"\x58" + bytes(size)[1:])


def test_a_signature_that_fits_every_message_counts_for_nothing() -> None:
    """What the attack is: OpenSSL verifies it, and so the key must not be let in."""
    point = POINTS["zero-even"]
    forged = point + bytes(32)
    Ed25519PublicKey.from_public_bytes(point).verify(forged, b"any message")
    image = SignedImage()
    image.sign(lambda _: forged)
    rule = SignatureRule(images=("**",), cosign=CosignRule(key=pem_of_ed25519(point)))
    with pytest.raises(PolicyError, match="is weak"):
        image.verify(rule)


@pytest.mark.parametrize("role", ["root", "targets", "snapshot"])
def test_a_root_that_names_one_is_not_enrolled(tmp_path: Path, kit: ReleaseKit, role: str) -> None:
    weak = SSlibKey.from_crypto(Ed25519PublicKey.from_public_bytes(POINTS["order-8-even"]))
    name_key(weak, "Eve Example")
    release = tmp_path / "release"
    shutil.copytree(kit.release, release)

    def add(root: Metadata[Root]) -> None:
        root.signed.add_key(weak, role)

    path = release / "1.root.json"
    (tmp_path / "trust").mkdir()
    shutil.copy(path, tmp_path / "trust")
    edit(tmp_path, "1.root.json", add, *(key.signer for key in kit.roots))
    with pytest.raises(IsowardError, match="is weak"):
        read_candidate(tmp_path / "trust" / "1.root.json", None, now())


def test_the_commands_that_take_a_key_say_so(
    tmp_path: Path, kit: ReleaseKit, capsys: pytest.CaptureFixture[str]
) -> None:
    isoward = Isoward(capsys)
    weak = _public_file(tmp_path / "eve.pub", POINTS["order-4-odd"])
    good = make_key(tmp_path / "keys", "Grace Example").public
    new: list[str | Path] = ["root", "new", tmp_path / "made", "--builder", kit.builder.public]
    new += ["--root-threshold", "2", "--root-key", kit.roots[0].public, "--root-key", weak]
    new += ["--approver", kit.approvers[0].public, "--approver", kit.approvers[1].public]
    enroll = ["enroll", kit.release, "--depot", tmp_path / "depot"]
    enroll += ["--fingerprint", kit.fingerprint.removeprefix("sha256:"), "--site", "north"]
    enroll += ["--site-key", good, "--site-key", weak]
    for command in (new, enroll):
        refused = isoward(*command)
        assert (refused.code, "is weak" in refused.err) == (38, True), refused
    assert not (tmp_path / "made").exists()
    assert not (tmp_path / "depot").exists()


def test_other_keys_that_prove_nothing() -> None:
    good = rsa.generate_private_key(65537, 2048).public_key()
    modulus = good.public_numbers().n
    assert weakness(good) == ""
    assert "even" in weakness(load_der_public_key(der_of_rsa(modulus - 1, 65537)))
    assert "1024" in weakness(rsa.generate_private_key(65537, 1024).public_key())
    for exponent in (1, 2, 65536):
        body = base64.b64encode(der_of_rsa(modulus, exponent)).decode()
        pem = f"-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n"
        with pytest.raises(NotGoodError):
            load_upstream_key(pem)
    raw = MLDSA65PrivateKey.generate().public_key().public_bytes_raw()
    assert weakness(MLDSA65PublicKey.from_public_bytes(raw)) == ""
    zeros = raw[:32] + bytes(len(raw) - 32)
    assert "anyone" in weakness(MLDSA65PublicKey.from_public_bytes(zeros))
    assert weakness(ec.generate_private_key(ec.SECP256R1()).public_key()) == ""
    assert weakness(object()) != ""


_PRIME = 2**1279 - 1
_LARGE_PRIME = 2**2203 - 1
_WITHOUT_SMALL_FACTORS = next(
    n for n in count(_PRIME + 2, 2) if gcd(n, prod(range(3, 2000, 2))) < 2
)


@pytest.mark.parametrize(
    ("modulus", "words"),
    [
        (_LARGE_PRIME, "a prime"),
        (_LARGE_PRIME * 1999, "a small factor"),
        (_PRIME * _PRIME, "a square"),
        (_PRIME * _WITHOUT_SMALL_FACTORS, "adjacent primes"),
    ],
    ids=["prime", "small factor", "square", "neighbours"],
)
def test_a_modulus_that_anybody_factors_is_no_key(modulus: int, words: str) -> None:
    wrong = weakness(load_der_public_key(der_of_rsa(modulus, 65537)))
    assert (words in wrong, "anyone can sign under it" in wrong) == (True, True), wrong


def test_a_point_beside_its_curve_is_no_key(tmp_path: Path) -> None:
    key = SSlibKey.from_crypto(ec.generate_private_key(ec.SECP256R1()).public_key())
    name_key(key, "Eve Example")
    fields = json.loads(public_bytes(key))
    lines = fields["keyval"]["public"].splitlines()
    der = bytearray(base64.b64decode("".join(lines[1:-1])))
    der[-1] ^= 1
    body = base64.encodebytes(bytes(der)).decode().replace("\n", "")
    wrapped = "\n".join(body[i : i + 64] for i in range(0, len(body), 64))
    fields["keyval"]["public"] = f"{lines[0]}\n{wrapped}\n{lines[-1]}\n"
    (tmp_path / "eve.pub").write_text(json.dumps(fields))
    with pytest.raises(KeyFileError):
        load_public_key(tmp_path / "eve.pub")
