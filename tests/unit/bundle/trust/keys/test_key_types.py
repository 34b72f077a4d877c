"""Every type of key: made, kept, signing, verified; and in one spelling only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import Key, Signature, SSlibKey

from bundle.base.errors import KeyFileError, SignatureError
from bundle.trust.keys.schemes import (
    KEY_TYPES,
    KeyTypeName,
    is_canonical,
    public_value,
    type_name,
)
from bundle.trust.keys.stored import (
    generate_key,
    holder,
    is_encrypted,
    load_key,
    load_public_key,
    write_key,
)
from tests.support.trust.edit import verify
from tests.support.trust.release_kit import ReleaseKit, make_release, trusted_bundle

PASSPHRASE = b"correct horse battery"
ECDSA: tuple[KeyTypeName, ...] = ("ecdsa-p256", "ecdsa-p384")
ORDERS = {
    "ecdsa-p256": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    "ecdsa-p384": 2**384 - 0x389CB27E0BC8D220A7E5F24DB74F58851313E695333AD68D,
}
every_type = pytest.mark.parametrize("type_", KEY_TYPES)


@every_type
def test_a_key_is_written_and_read(tmp_path: Path, type_: KeyTypeName) -> None:
    key = generate_key("Ada Example", type_)
    public = load_public_key(write_key(key, tmp_path / "ada.pem", PASSPHRASE))
    assert (holder(public), type_name(public)) == ("Ada Example", type_)
    assert is_encrypted(tmp_path / "ada.pem")
    loaded = load_key(tmp_path / "ada.pem", PASSPHRASE)
    assert loaded.public_key.keyid == public.keyid == key.public_key.keyid


@every_type
def test_a_private_key_is_encrypted(tmp_path: Path, type_: KeyTypeName) -> None:
    key = generate_key("Ada", type_)
    write_key(key, tmp_path / "ada.pem", PASSPHRASE)
    for wrong, says in ((b"wrong wrong wrong", "wrong"), (None, "no passphrase")):
        with pytest.raises(KeyFileError, match=says):
            load_key(tmp_path / "ada.pem", wrong)
    write_key(key, tmp_path / "plain.pem", None)
    plain = (tmp_path / "plain.pem").read_bytes()
    assert plain != (tmp_path / "ada.pem").read_bytes()
    assert load_key(tmp_path / "plain.pem").private_bytes == plain


@every_type
def test_signatures_verify_and_only_for_what_was_signed(type_: KeyTypeName) -> None:
    key = generate_key("Ada", type_)
    other = generate_key("Bob", type_)
    signature = key.sign(b"statement")
    key.public_key.verify_signature(signature, b"statement")
    with pytest.raises(UnverifiedSignatureError):
        key.public_key.verify_signature(signature, b"statements")
    forged = Signature(other.public_key.keyid, signature.signature)
    with pytest.raises(UnverifiedSignatureError):
        other.public_key.verify_signature(forged, b"statement")


@every_type
def test_every_signature_is_in_the_one_spelling(type_: KeyTypeName) -> None:
    key = generate_key("Ada", type_)
    for number in range(20):
        signature = key.sign(b"%d" % number)
        assert is_canonical(key.public_key, signature)
        key.public_key.verify_signature(signature, b"%d" % number)


@every_type
def test_another_spelling_of_a_signature_does_not_count(type_: KeyTypeName) -> None:
    key = generate_key("Ada", type_)
    text = key.sign(b"x").signature
    for wrong in ("", text.upper(), text[:-2], text[:-1], text + "00", f" {text}", "zz" + text[2:]):
        assert not is_canonical(key.public_key, Signature(key.public_key.keyid, wrong))


@pytest.mark.parametrize("type_", ECDSA)
def test_the_second_ecdsa_signature_does_not_count(type_: KeyTypeName) -> None:
    """Anyone can make it of the first; the library accepts both."""
    key = generate_key("Ada", type_)
    signature = key.sign(b"x")
    twin = _twin(key.public_key, signature)
    key.public_key.verify_signature(twin, b"x")
    assert is_canonical(key.public_key, signature)
    assert not is_canonical(key.public_key, twin)


def _twin(key: Key, signature: Signature) -> Signature:
    r, s = decode_dss_signature(bytes.fromhex(signature.signature))
    order = ORDERS[type_name(key)]
    return Signature(signature.keyid, encode_dss_signature(r, order - s).hex())


@every_type
def test_a_whole_vendor_of_one_type(tmp_path: Path, type_: KeyTypeName) -> None:
    """Root, approvers and build system; python-tuf's client decides at the site."""
    from tests.support.trust.release_kit import enrolled

    kit = make_release(tmp_path / "vendor", type_=type_)
    bundle = trusted_bundle(tmp_path / "bundle", kit)
    state = verify(bundle, enrolled(tmp_path / "depot", kit))
    assert state.accepted[0].release == 1


@pytest.mark.parametrize("type_", ECDSA)
@pytest.mark.parametrize("name", ["targets.json", "timestamp.json"])
def test_a_medium_with_the_second_ecdsa_signature_is_refused(
    tmp_path: Path, type_: KeyTypeName, name: str
) -> None:
    from tests.support.trust.release_kit import enrolled

    kit = make_release(tmp_path / "vendor", type_=type_)
    bundle = trusted_bundle(tmp_path / "bundle", kit)
    state = enrolled(tmp_path / "depot", kit)
    path = bundle / "trust" / name
    fields = json.loads(path.read_bytes())
    first = fields["signatures"][0]
    key = _key_of(kit, first["keyid"])
    first["sig"] = _twin(key, Signature(first["keyid"], first["sig"])).signature
    path.write_bytes(json.dumps(fields, separators=(",", ":"), sort_keys=True).encode())
    with pytest.raises(SignatureError, match=r"is not valid"):
        verify(bundle, state)


def _key_of(kit: ReleaseKit, key_id: str) -> Key:
    keys = [key.signer.public_key for key in (*kit.approvers, kit.builder)]
    return next(key for key in keys if key.keyid == key_id)


def _edited(key: Key, **fields: Any) -> Key:
    return SSlibKey(
        key.keyid,
        fields.get("keytype", key.keytype),
        fields.get("scheme", key.scheme),
        fields.get("keyval", key.keyval),
    )


@every_type
def test_another_spelling_of_a_public_key_is_refused(type_: KeyTypeName) -> None:
    key = generate_key("Ada", type_).public_key
    value = key.keyval["public"]
    assert public_value(key, "key")
    wrong: list[Key] = [
        _edited(key, keyval={"public": value + "\n"}),
        _edited(key, keyval={"public": value.upper() if "-" not in value else " " + value}),
        _edited(key, keyval={"public": value, "private": ""}),
        _edited(key, keyval={"public": value[:-40]}),
        _edited(key, keyval={"public": "00" * 5000}),
        _edited(key, keytype="rsa"),
        _edited(key, scheme="ecdsa-sha2-nistp521"),
    ]
    for edited in wrong:
        with pytest.raises(KeyFileError, match="not a public key of a supported type"):
            public_value(edited, "key")


def test_a_key_under_another_type_s_name_is_refused() -> None:
    small = generate_key("Ada", "ecdsa-p256").public_key
    for scheme in ("ecdsa-sha2-nistp384", "ed25519", "ml-dsa-65/1"):
        with pytest.raises(KeyFileError):
            public_value(_edited(small, scheme=scheme), "key")


@pytest.mark.parametrize(
    "private",
    [ec.generate_private_key(ec.SECP521R1()), ec.generate_private_key(ec.SECP256K1())],
    ids=["p521", "k256"],
)
def test_other_curves_do_not_count(tmp_path: Path, private: Any) -> None:
    _refused(tmp_path, private)


def test_other_sizes_of_ml_dsa_do_not_count(tmp_path: Path) -> None:
    _refused(tmp_path, MLDSA44PrivateKey.generate())


def _refused(tmp_path: Path, private: Any) -> None:
    data = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "x.pem").write_bytes(data)
    with pytest.raises(KeyFileError, match=r"expected a private key .* ml-dsa-65"):
        load_key(tmp_path / "x.pem")
