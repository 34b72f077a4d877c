"""The redactor: no form of a secret passes, and innocent text does."""

from __future__ import annotations

import base64
import html
import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, quote_plus
from xml.sax import saxutils

import pytest
import yaml

from installer.base.redact import REDACTED, Redactor
from installer.base.spellings import readings

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


def _each(spelt: Callable[[str], str], text: str = SECRET) -> str:
    return "".join(spelt(char) for char in text)


def _wrapped(text: str, width: int, between: str = "\n") -> str:
    return between.join(text[i : i + width] for i in range(0, len(text), width))


def _units(char: str) -> list[int]:
    data = char.encode("utf-16-be")
    return [int.from_bytes(data[i : i + 2]) for i in range(0, len(data), 2)]


SPELLINGS: dict[str, Callable[[str], str]] = {
    "html": html.escape,
    "html, no quotes": lambda s: html.escape(s, quote=False),
    "html, decimal": lambda s: _each(lambda c: f"&#{ord(c)};", s),
    "html, decimal with zeros": lambda s: _each(lambda c: f"&#{ord(c):05};", s),
    "html, hex": lambda s: _each(lambda c: f"&#x{ord(c):x};", s),
    "html, HEX": lambda s: _each(lambda c: f"&#X{ord(c):04X};", s),
    "html, names": lambda s: (
        html.escape(s)
        .replace("&#x27;", "&apos;")
        .replace("+", "&plus;")
        .replace("\u00fc", "&uuml;")
    ),
    "xml": saxutils.quoteattr,
    "json": json.dumps,
    "json, each": lambda s: _each(lambda c: "".join(f"\\u{unit:04x}" for unit in _units(c)), s),
    "json, EACH": lambda s: _each(lambda c: "".join(f"\\u{unit:04X}" for unit in _units(c)), s),
    "json for html": lambda s: (
        json.dumps(s).replace("&", "\\u0026").replace("'", "\\u0027").replace("+", "\\u002b")
    ),
    "javascript": lambda s: _each(lambda c: f"\\u{{{ord(c):x}}}", s),
    "python": ascii,
    "python bytes": lambda s: repr(s.encode()),
    "c, hex": lambda s: "".join(f"\\x{b:02x}" for b in s.encode()),
    "c, octal": lambda s: "".join(f"\\{b:03o}" for b in s.encode()),
    "c, long": lambda s: _each(lambda c: f"\\U{ord(c):08X}", s),
    "url": lambda s: quote(s, safe=""),
    "url, lower": lambda s: re.sub("%..", lambda m: m[0].lower(), quote(s, safe="")),
    "url, each": lambda s: "".join(f"%{b:02x}" for b in s.encode()),
    "url, old": lambda s: _each(lambda c: f"%u{ord(c):04X}", s),
    "form": quote_plus,
    "shell": shlex.quote,
    "shell, other": lambda s: "'" + s.replace("'", "'\\''") + "'",
    "shell, printf %q": lambda s: _each(lambda c: c if c.isalnum() else f"\\{c}", s),
    "shell, double": lambda s: '"' + re.sub(r'([\\"$`])', r"\\\1", s) + '"',
    "yaml, single": lambda s: "'" + s.replace("'", "''") + "'",
    "yaml, double": lambda s: yaml.dump(s, default_style='"', allow_unicode=False),
    "yaml, narrow": lambda s: yaml.dump(s, default_style='"', allow_unicode=False, width=6),
    "csv": lambda s: '"' + s.replace('"', '""') + '"',
    "hex": lambda s: s.encode().hex(),
    "HEX": lambda s: s.encode().hex().upper(),
    "hex, colons": lambda s: s.encode().hex(":"),
    "base64": lambda s: base64.b64encode(s.encode()).decode(),
    "base64, url": lambda s: base64.urlsafe_b64encode(s.encode()).decode(),
    "base64, wrapped": lambda s: _wrapped(base64.b64encode(s.encode()).decode(), 8),
    "base64, folded": lambda s: _wrapped(base64.b64encode(s.encode()).decode(), 8, "\n    "),
    "wrapped": lambda s: _wrapped(s, 5),
    "wrapped, CRLF": lambda s: _wrapped(s, 5, "\r\n\t"),
    "continued": lambda s: _wrapped(s, 5, "\\\n"),
    "coloured": lambda s: _wrapped(s, 4, "\x1b[0;31m"),
    "with what nobody sees": lambda s: _wrapped(s, 3, "\u200b"),
    "with control characters": lambda s: _wrapped(s, 3, "\x08"),
    "within json": lambda s: json.dumps({"x": json.dumps({"y": s})}),
    "html of json": lambda s: html.escape(json.dumps(s)),
    "json of html": lambda s: json.dumps(html.escape(s)),
    "html of html": lambda s: html.escape(html.escape(s)),
    "url of json": lambda s: quote(json.dumps(s)),
    "json of shell": lambda s: json.dumps(shlex.quote(s)),
    "json of wrapped": lambda s: json.dumps(_wrapped(s, 5)),
    "json of wrapped base64": lambda s: json.dumps(
        _wrapped(base64.b64encode(s.encode()).decode(), 8)
    ),
}
SECRETS = [SECRET, 'corr&ct <h0rse> "battery"', "%41&amp;\\n'x'", "Gr\u00fc\u00dfe-\U0001f511-9"]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("spelt", SPELLINGS.values(), ids=SPELLINGS.keys())
def test_a_known_secret_is_found_however_it_is_spelt(
    secret: str, spelt: Callable[[str], str]
) -> None:
    form = spelt(secret)
    if spelt is SPELLINGS["url, old"] and max(secret) > "\uffff":
        return
    clean = Redactor([secret]).text(f"before: {form} :after")
    assert REDACTED in clean
    assert clean.startswith("before: ")
    assert clean.endswith(" :after")
    left = clean.removeprefix("before: ").removesuffix(" :after").replace(REDACTED, "")
    # What is around it, or padding, at most.
    assert len(left) <= 24, (left, form)
    assert not any(part in left for part in (secret[:5], secret[-5:], form[3:-3]))


@pytest.mark.parametrize("spelt", SPELLINGS.values(), ids=SPELLINGS.keys())
def test_and_in_an_event(spelt: Callable[[str], str]) -> None:
    form = spelt(SECRET)
    line, clean = Redactor([SECRET]).event({"event_data": {"res": {"stdout": f"a {form} b"}}})
    assert json.loads(line) == clean
    assert REDACTED in clean["event_data"]["res"]["stdout"]
    assert form not in clean["event_data"]["res"]["stdout"]


def test_a_named_value_is_found_in_html_and_in_a_url() -> None:
    for text in (
        html.escape('{"password": "hunter2hunter2"}'),
        html.escape(html.escape('{"password": "hunter2hunter2"}')),
        quote('{"password":"hunter2hunter2"}'),
        "{\\u0022password\\u0022: \\u0022hunter2hunter2\\u0022}",
    ):
        assert "hunter2" not in Redactor().text(text), text


def test_long_texts_with_many_escapes_do_not_take_long_to_read() -> None:
    """Bounded: a reading costs one pass, and there are few."""
    text = json.dumps(json.dumps("x\n\"%41&amp;''" * 200))
    assert sum(1 for _ in readings(text)) <= 30
    assert sum(1 for _ in readings(text * 100)) <= 12
    assert Redactor([SECRET]).text(text) == text


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
