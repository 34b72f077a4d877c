"""Keys on a PKCS#11 token, by SoftHSM."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from bundle.base.errors import KeyFileError, UsageError
from bundle.cli.main import run
from bundle.trust.keys.hsm import (
    TokenSigner,
    import_token_key,
    is_reference,
    load_token_key,
    write_reference,
)
from bundle.trust.keys.schemes import is_canonical, type_name
from bundle.trust.keys.stored import holder, load_public_key
from bundler.root.ceremony import RootPlan, create_root
from tests.support.trust.commands import descriptor_with
from tests.support.trust.edit import verify
from tests.support.trust.release_kit import (
    KeyFile,
    ReleaseKit,
    enrolled,
    make_release,
    now,
    trusted_bundle,
)
from tests.support.trust.tokens import P256, P384, P521, PIN, Token, soft_tokens


@pytest.fixture(scope="module")
def tokens() -> Iterator[tuple[Token, ...]]:
    with soft_tokens("first token", "second") as made:
        yield made


@pytest.fixture
def token(tokens: tuple[Token, ...]) -> Token:
    return tokens[0]


def no_pin() -> str:
    raise AssertionError("the PIN was asked for a public key that anyone may read")


def reference(token: Token, path: Path, key_id: int = P256, name: str = "Hedy Example") -> Path:
    write_reference(import_token_key(name, token.module, token.label, key_id, no_pin), path)
    return path


@pytest.mark.parametrize(("key_id", "type_"), [(P256, "ecdsa-p256"), (P384, "ecdsa-p384")])
def test_a_token_signs(tmp_path: Path, token: Token, key_id: int, type_: str) -> None:
    path = reference(token, tmp_path / "hedy.hsm", key_id)
    public = load_public_key(tmp_path / "hedy.pub")
    assert (holder(public), type_name(public)) == ("Hedy Example", type_)
    signer = load_token_key(path, PIN.encode())
    for number in range(8):
        signature = signer.sign(b"%d" % number)
        public.verify_signature(signature, b"%d" % number)
        assert is_canonical(public, signature)


def test_a_reference_holds_no_secret(tmp_path: Path, token: Token) -> None:
    path = reference(token, tmp_path / "hedy.hsm")
    assert is_reference(path)
    assert path.stat().st_mode & 0o777 == 0o600
    text = path.read_text()
    assert PIN not in text
    assert set(json.loads(text)) == {"apiVersion", "kind", "module", "uri", "key"}


@pytest.mark.parametrize("pin", ["654321", "", "1"])
def test_a_wrong_pin_is_said_before_the_work(tmp_path: Path, token: Token, pin: str) -> None:
    path = reference(token, tmp_path / "hedy.hsm")
    with pytest.raises(KeyFileError, match="PIN"):
        load_token_key(path, pin.encode())
    load_token_key(path, PIN.encode())


@pytest.mark.parametrize(
    ("label", "key_id", "says"),
    [
        ("first token", 9, "could not find|No keys"),
        ("none", P256, "No PKCS#11 token"),
        ("first token", P521, "not a supported|secp521r1|unsupported"),
    ],
)
def test_what_is_not_on_a_token_cannot_be_imported(
    token: Token, label: str, key_id: int, says: str
) -> None:
    with pytest.raises(KeyFileError, match=says):
        import_token_key("Hedy", token.module, label, key_id, lambda: PIN)


def test_a_module_is_named_by_its_whole_path_and_must_be_one(tmp_path: Path, token: Token) -> None:
    with pytest.raises(UsageError, match="absolute"):
        import_token_key("Hedy", "libsofthsm2.so", token.label, P256, no_pin)
    (tmp_path / "module.so").write_bytes(b"no library")
    with pytest.raises(KeyFileError, match=r"module\.so"):
        import_token_key("Hedy", str(tmp_path / "module.so"), token.label, P256, no_pin)


def test_another_key_in_the_token_s_place_does_not_sign(
    tmp_path: Path, tokens: tuple[Token, ...]
) -> None:
    path = reference(tokens[0], tmp_path / "hedy.hsm")
    fields = json.loads(path.read_text())
    fields["uri"] = "hsm:1?label=second"
    path.write_text(json.dumps(fields))
    signer = load_token_key(path, PIN.encode())
    with pytest.raises(KeyFileError, match="a different key"):
        signer.sign(b"x")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("apiVersion", "isoward/v2"),
        ("kind", "Token"),
        ("module", "libsofthsm2.so"),
        ("uri", "file:/etc/passwd"),
        ("uri", "hsm:x"),
        ("key", {}),
        ("key", {"keyid": "00" * 32}),
        ("pin", "1234"),
    ],
)
def test_an_edited_reference_is_refused(
    tmp_path: Path, token: Token, field: str, value: object
) -> None:
    path = reference(token, tmp_path / "hedy.hsm")
    fields = json.loads(path.read_text())
    fields[field] = value
    path.write_text(json.dumps(fields))
    with pytest.raises(KeyFileError):
        load_token_key(path, PIN.encode())


def on_token(token: Token, directory: Path, name: str, key_id: int) -> KeyFile:
    stem = name.split(maxsplit=1)[0].lower()
    path = reference(token, directory / f"{stem}.hsm", key_id, name)
    signer = load_token_key(path, PIN.encode())
    assert isinstance(signer, TokenSigner)
    return KeyFile(name, path, signer)


def test_a_release_signed_by_tokens_alone(tmp_path: Path, tokens: tuple[Token, ...]) -> None:
    """Root, approvers and build system are on tokens; python-tuf's client decides at the site."""
    first, second = tokens
    rhea = on_token(first, tmp_path, "Rhea Root", P256)
    ada = on_token(first, tmp_path, "Ada Example", P384)
    bob = on_token(second, tmp_path, "Bob Example", P384)
    builder = on_token(second, tmp_path, "Build System", P256)
    plan = RootPlan(
        root_keys=(rhea.signer.public_key,),
        root_threshold=1,
        approvers=(ada.signer.public_key, bob.signer.public_key),
        approvals=2,
        builder=builder.signer.public_key,
        expires=now() + timedelta(days=30),
    )
    root = create_root(tmp_path / "release", plan, [rhea.signer], now())
    stranger = make_release(tmp_path / "other").stranger
    kit = ReleaseKit(tmp_path / "release", root.fingerprint, (rhea,), (ada, bob), builder, stranger)
    bundle = trusted_bundle(tmp_path / "bundle", kit)
    state = verify(bundle, enrolled(tmp_path / "depot", kit))
    assert state.accepted[0].release == 1


def test_the_commands_take_a_reference_for_a_private_key(tmp_path: Path, token: Token) -> None:
    path = tmp_path / "rhea.hsm"
    arguments = ["keys", "import-hsm", "Rhea Root", "--module", token.module]
    arguments += ["--token", token.label, "-o", str(path)]
    assert run([*arguments, "--key", "zz"]) == 2
    assert run([*arguments, "--key", "01"]) == 0
    kit = make_release(tmp_path / "vendor")
    asked = ["root", "new", str(tmp_path / "release"), "--root-key", str(tmp_path / "rhea.pub")]
    asked += ["--root-threshold", "1", "--builder", str(kit.builder.public)]
    for key in kit.approvers:
        asked += ["--approver", str(key.public)]
    assert run(asked) == 0
    sign = ["root", "sign", str(tmp_path / "release"), "--key", str(path)]
    for pin, code in (("654321", 38), (PIN, 0)):
        with descriptor_with(f"{pin}\n") as fd:
            assert run([*sign, "--passphrase-fd", fd]) == code


def test_without_python_pkcs11_the_extra_is_named(
    tmp_path: Path, token: Token, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = reference(token, tmp_path / "hedy.hsm")
    monkeypatch.setattr("securesystemslib.signer._hsm_signer.PKCS11_IMPORT_ERROR", "missing")
    with pytest.raises(UsageError, match="python-pkcs11") as caught:
        load_token_key(path, PIN.encode())
    assert "[hsm]" in caught.value.hint
    with pytest.raises(UsageError, match="python-pkcs11"):
        import_token_key("Hedy", token.module, token.label, P256, no_pin)
