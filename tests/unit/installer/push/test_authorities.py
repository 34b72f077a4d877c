from __future__ import annotations

import shutil
import ssl
from pathlib import Path

import pytest

from bundle.base.errors import DefinitionError
from installer.push.authorities import tls_context
from tests.support.registries.tls import make_server_tls

HOST = "harbor.example.org:8443"


def _subjects(context: ssl.SSLContext) -> set[str]:
    return {str(ca["subject"]) for ca in context.get_ca_certs()}


def test_the_authorities_are_the_systems_dockers_and_those_given(tmp_path: Path) -> None:
    tls = make_server_tls(tmp_path / "tls")
    plain = _subjects(tls_context(HOST, folders=()))
    (ours,) = _subjects(tls_context(HOST, tls.ca, ())) - plain
    assert "Isoward test authority" in ours
    folder = tmp_path / "certs.d" / HOST
    folder.mkdir(parents=True)
    shutil.copy(tls.ca, folder / "any-name.crt")
    assert ours in _subjects(tls_context(HOST, folders=(tmp_path / "certs.d",)))
    assert ours not in _subjects(tls_context("harbor.example.org", folders=(tmp_path / "certs.d",)))


def test_what_is_no_certificate_is_named(tmp_path: Path) -> None:
    tls = make_server_tls(tmp_path / "tls")
    with pytest.raises(DefinitionError, match=r"none\.pem"):
        tls_context(HOST, tmp_path / "none.pem", ())
    folder = tmp_path / "certs.d" / HOST
    folder.mkdir(parents=True)
    shutil.copy(tls.certificate, folder / "client.cert")
    with pytest.raises(DefinitionError, match=r"client\.cert.*with its key"):
        tls_context(HOST, folders=(tmp_path / "certs.d",))
    shutil.copy(tls.key, folder / "client.key")
    tls_context(HOST, folders=(tmp_path / "certs.d",))
    (folder / "ca.crt").write_text("no certificate", encoding="utf-8")
    with pytest.raises(DefinitionError, match=r"ca\.crt"):
        tls_context(HOST, folders=(tmp_path / "certs.d",))
