"""The redactor: no form of a secret passes, and innocent text does."""

from __future__ import annotations

import base64
import json
import shlex
from pathlib import Path
from urllib.parse import quote

import pytest

from installer.steps.redact import REDACTED, Redactor

SECRET = "p'ss w\"rd/+%&ü"
KEY = (
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEAxyz0123456789\n-----END RSA PRIVATE KEY-----"
)
TOKEN = "abcdef.0123456789abcdef"
CERTIFICATE_KEY = "f8902e114ef118304e561c3ecd4d0b543adc226b7a07f675f56564185ffe0c07"


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        json.dumps(SECRET),
        json.dumps({"inner": json.dumps({"x": SECRET})}),
        json.dumps(SECRET, ensure_ascii=False),
        shlex.quote(SECRET),
        quote(SECRET, safe=""),
        base64.b64encode(SECRET.encode()).decode(),
        base64.b64encode(f"user:{SECRET}".encode()).decode(),
        base64.b64encode(f"a{SECRET}\n".encode()).decode(),
        base64.b64encode(f"xy{SECRET}z".encode()).decode(),
        base64.b64encode(b"secret: " + base64.b64encode(SECRET.encode())).decode(),
        SECRET.encode().hex(),
        repr(SECRET),
    ],
)
def test_a_known_secret_is_found_in_every_form(form: str) -> None:
    clean = Redactor([SECRET]).text(f"before {form} after")
    assert REDACTED in clean
    assert clean.startswith("before ")
    for part in (SECRET, SECRET[2:], base64.b64encode(SECRET.encode()).decode()[:-6]):
        assert part not in clean


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"x {KEY} y", "MIIEowIBAAKCAQEAxyz"),
        (base64.b64encode(KEY.encode()).decode(), base64.b64encode(KEY.encode()).decode()[20:]),
        ("-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg", "MIIEvQ"),
        ("curl -H 'Authorization: Bearer abcdefghijklmnop'", "abcdefghijklmnop"),
        ("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl", "c2lnbmF0dXJl"),
        (f"kubeadm join 10.0.0.1:6443 --token {TOKEN}", TOKEN),
        (f"--certificate-key {CERTIFICATE_KEY}", CERTIFICATE_KEY),
        (f"Using certificate key:\n{CERTIFICATE_KEY}", CERTIFICATE_KEY),
        ("password=hunter2hunter2", "hunter2"),
        ('{"ansible_become_password": "hunter2"}', "hunter2"),
        ("client-key-data: LS0tLS1xyz", "LS0tLS1xyz"),
        ("https://user:hunter2@depot/v2/", "hunter2"),
        ("AGE-SECRET-KEY-1QQPQZRFR7ZZ2WCV", "QQPQZRFR7ZZ2WCV"),
    ],
)
def test_what_looks_like_a_secret_is_taken_out(text: str, secret: str) -> None:
    clean = Redactor().text(text)
    assert REDACTED in clean
    assert secret not in clean


@pytest.mark.parametrize(
    "text",
    [
        "TASK [etcd : Gen_certs | run cert generation script]",
        "sha256:f8902e114ef118304e561c3ecd4d0b543adc226b7a07f675f56564185ffe0c07",
        "kube_token_auth: false",
        "no_log: true was specified; password: null",
        "https://10.20.0.5:5443/files/dl.k8s.io/v1.35.4/kubelet",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "PasswordAuthentication no",
        "calico.0123456789abcdef.conf",
    ],
)
def test_innocent_text_stays(text: str) -> None:
    assert Redactor([SECRET]).text(text) == text


def test_an_event_stays_what_it_is_but_for_its_secrets() -> None:
    event = {
        "event": "runner_on_ok",
        "counter": 7,
        "event_data": {
            "res": {
                "stdout": f"[upload-certs] Using certificate key:\n{CERTIFICATE_KEY}",
                "stdout_lines": ["[upload-certs] Using certificate key:", CERTIFICATE_KEY],
                "ansible_facts": {"kubeadm_token": "short", "other": True},
                SECRET: [1, None, {"deep": f"n{SECRET}"}],
            }
        },
    }
    line, clean = Redactor([SECRET]).event(event)
    assert json.loads(line) == clean
    assert clean["counter"] == 7
    result = clean["event_data"]["res"]
    assert result["stdout_lines"] == ["[upload-certs] Using certificate key:", REDACTED]
    assert result["ansible_facts"] == {"kubeadm_token": REDACTED, "other": True}
    for secret in (SECRET, CERTIFICATE_KEY, "short"):
        assert secret not in line
        assert json.dumps(secret)[1:-1] not in line


def test_an_event_without_secrets_is_not_touched() -> None:
    event = {"event": "runner_on_ok", "event_data": {"host": "node1", "res": {"changed": True}}}
    _, clean = Redactor([SECRET]).event(event)
    assert clean is event


def test_what_is_written_into_a_folder_during_the_run_is_known_at_once(tmp_path: Path) -> None:
    redactor = Redactor(folder=tmp_path / "credentials")
    assert redactor.text("made4hKDdk2mtoday") == "made4hKDdk2mtoday"
    (tmp_path / "credentials").mkdir()
    file = tmp_path / "credentials" / "kube_encrypt_token.creds"
    file.touch()
    assert redactor.text("made4hKDdk2mtoday") == "made4hKDdk2mtoday"
    file.write_text("4hKDdk2m salt=abc\n")
    assert redactor.text("made4hKDdk2mtoday") == f"made{REDACTED}today"
    (tmp_path / "credentials" / "kubeadm_certificate_key.creds").write_text(CERTIFICATE_KEY)
    assert CERTIFICATE_KEY not in redactor.text(f"x{CERTIFICATE_KEY}")


def test_a_secret_of_several_lines_is_known_by_each_of_them() -> None:
    redactor = Redactor([KEY])
    assert "MIIEowIBAAKCAQEAxyz" not in redactor.text("MIIEowIBAAKCAQEAxyz0123456789")


def test_a_value_too_short_to_look_for_is_not_looked_for() -> None:
    assert Redactor(["a"]).text("banana") == "banana"
