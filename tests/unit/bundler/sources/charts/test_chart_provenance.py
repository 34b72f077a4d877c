"""Provenance files: what the real gpg signed is believed, and nothing else."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundle.base.digest import digest_of, hex_of
from bundle.base.errors import DefinitionError, FormatError, MissingProgramError, UnsignedError
from bundle.base.limits import MAX_PROVENANCE_BYTES
from bundle.kinds.chart_source import ChartSource, ProvenanceRule
from bundle.kinds.openpgp import armoured_keyring, keyring_packets
from bundle.store.programs import Finished, run_program
from bundler.build.cache import BlobCache
from bundler.sources.charts.keyring import MAX_KEYRING_BYTES, inline_keyrings
from bundler.sources.charts.provenance import verify_provenance
from bundler.sources.charts.published import ChartResolver
from bundler.sources.common.manifests import ManifestSource
from tests.support.registries.connecting import client
from tests.support.registries.content import RegistryContent
from tests.support.registries.faulty_registry import faulty_registry
from tests.support.registries.oci import Blob, manifest, to_json
from tests.support.registries.static_site import StaticSite, static_site
from tests.support.trust.gpg import Gpg, gpg_home
from tests.vectors.charts import Chart, repository_index

WEB = Chart("web", "1.2.3", "registry.example.org/web")
DIGEST = digest_of(WEB.archive())
CONFIG = "application/vnd.cncf.helm.config.v1+json"
LAYER = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
PROVENANCE = "application/vnd.cncf.helm.chart.provenance.v1.prov"


@pytest.fixture(scope="module")
def people() -> Iterator[Gpg]:
    with gpg_home() as gpg:
        gpg.new_key("ada")
        gpg.new_key("eve")
        gpg.new_key("old", ends="1d", made="20200101T000000")
        yield gpg


def keyring(people: Gpg, who: str = "ada") -> str:
    return armoured_keyring(people.export(who), "test")


def verify(document: bytes | None, ring: str, digest: str = DIGEST) -> str:
    return verify_provenance(document, ring, (WEB.filename, digest), run_program, "chart web")


def fingerprint(people: Gpg, who: str = "ada") -> str:
    listed = people.run("--with-colons", "--list-keys", f"{who}@example.org").decode()
    return next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr:"))


def test_a_good_provenance_file_names_its_signer(people: Gpg) -> None:
    document = people.provenance("ada", WEB.filename, DIGEST)
    assert verify(document, keyring(people)) == fingerprint(people)
    two = armoured_keyring(people.export("eve") + people.export("ada"), "test")
    assert verify(document, two) == fingerprint(people)
    assert verify(document.replace(b"\n", b"\r\n"), keyring(people)) == fingerprint(people)
    # Helm 4 writes no checksum, without which GnuPG 2.2 by itself finds no signature.
    lines = [line for line in document.splitlines() if not line.startswith(b"=")]
    assert len(lines) == len(document.splitlines()) - 1
    assert verify(b"\n".join(lines), keyring(people)) == fingerprint(people)


def _changed(text: bytes, old: bytes, new: bytes) -> bytes:
    assert old in text
    return text.replace(old, new)


def test_a_bad_provenance_file_is_refused(people: Gpg) -> None:
    ring = keyring(people)
    good = people.provenance("ada", WEB.filename, DIGEST)
    other = digest_of(b"other")
    old = ("--faked-system-time", "20200101T120000")
    cases = {
        "no provenance file": None,
        "not a single signed text": b"",
        "not in the keyring": people.provenance("eve", WEB.filename, DIGEST),
        "does not match this text": _changed(good, hex_of(DIGEST).encode(), hex_of(other).encode()),
        f"says that {WEB.filename} is {other}": people.provenance("ada", WEB.filename, other),
        f"says that {WEB.filename} is nothing": people.provenance("ada", "x-1.tgz", DIGEST),
        "is nothing, found": people.clearsign("ada", b"only one part\n"),
        "is not YAML": people.clearsign("ada", b"a: 1\n...\nfiles: [\n"),
        "cannot be checked": people.provenance(
            "ada", WEB.filename, DIGEST, "--digest-algo", "SHA1", "--allow-weak-digest-algos"
        ),
    }
    for why, document in cases.items():
        with pytest.raises(UnsignedError, match=why):
            verify(document, ring)
    for document in (b"x\n" + good, good + b"x", good + good, good.replace(b"BEGIN", b"begin")):
        with pytest.raises(UnsignedError, match="not a single signed text"):
            verify(document, ring)
    with pytest.raises(UnsignedError, match="its signature is damaged"):
        verify(_changed(good, b"\n\ni", b"\n\n!"), ring)
    with pytest.raises(UnsignedError, match="the key has expired"):
        verify(people.provenance("old", WEB.filename, DIGEST, *old), keyring(people, "old"))
    with pytest.raises(UnsignedError, match="found sha256:"):
        verify(good, ring, other)


def test_a_detached_or_inline_signature_is_no_clear_text(people: Gpg) -> None:
    options = ("--local-user", "ada@example.org", "--passphrase", "", "--armor")
    for form in ("--sign", "--detach-sign"):
        signed = people.run(*options, form, given=b"...")
        with pytest.raises(UnsignedError, match="not a single signed text"):
            verify(signed, keyring(people))


def test_a_machine_without_gpgv_says_so(people: Gpg) -> None:
    def none(*_: object, **__: object) -> Finished:
        raise MissingProgramError("this machine has no 'gpgv'", "")

    document = people.provenance("ada", WEB.filename, DIGEST)
    with pytest.raises(MissingProgramError):
        verify_provenance(document, keyring(people), (WEB.filename, DIGEST), none, "chart web")


def test_a_keyring_is_one_text_however_it_was_written(people: Gpg) -> None:
    packets = people.export("ada", armour=False)
    text = armoured_keyring(people.export("ada"), "test")
    assert armoured_keyring(packets, "test") == text == armoured_keyring(text.encode(), "test")
    assert keyring_packets(text, "test") == packets
    both = armoured_keyring(people.export("ada") + b"\n" + people.export("eve"), "test")
    assert keyring_packets(both, "test") == packets + people.export("eve", armour=False)


def test_what_is_no_public_key_is_refused(people: Gpg) -> None:
    packets = people.export("ada", armour=False)
    armoured = people.export("ada")
    secret = people.export_secret("ada", armour=False)
    hidden = base64.b64encode(packets + secret).decode()
    mark = "PGP PUBLIC KEY BLOCK-----"
    block = f"-----BEGIN {mark}\n\n{hidden}\n-----END {mark}\n"
    cases = [
        (people.export_secret("ada"), "a private key"),
        (secret, "a private key"),
        (packets + secret, "a private key"),
        (block.encode(), "a private key"),
        (packets[:-1], "incomplete"),
        (b"", "something else"),
        (b"\x99", "incomplete"),
        (b"KBXf", "incomplete"),
        (b"\xc2\x00", "something else"),
        (b"\xc6\xe0", "incomplete"),
        (b"\x9b", "incomplete"),
        (armoured.replace(b"END", b"FIN"), "something else"),
        (armoured + people.clearsign("ada", b"x"), "something else"),
        (armoured.replace(b"\n\nm", b"\n\n="), "damaged"),
    ]
    for data, why in cases:
        with pytest.raises(DefinitionError, match=why):
            armoured_keyring(data, "test")


def _chart(rule: str | None, repository: str = "https://e.org") -> ChartSource:
    provenance = None if rule is None else ProvenanceRule(keyring=rule)
    return ChartSource(name="web", version="1.2.3", repository=repository, provenance=provenance)


def test_a_definition_names_a_keyring_by_its_file(people: Gpg, tmp_path: Path) -> None:
    (tmp_path / "keys.gpg").write_bytes(people.export("ada", armour=False))
    charts = (_chart(None), _chart("keys.gpg"), _chart(people.export("ada").decode()))
    found = inline_keyrings(charts, tmp_path, "d.yaml")
    assert found == (_chart(None), _chart(keyring(people)), _chart(keyring(people)))
    (tmp_path / "large").write_bytes(bytes(MAX_KEYRING_BYTES + 1))
    (tmp_path / "definition").mkdir()
    (tmp_path / "definition" / "link.gpg").symlink_to("../keys.gpg")
    with pytest.raises(DefinitionError, match="a link leads out of the document's folder"):
        inline_keyrings((_chart("link.gpg"),), tmp_path / "definition", "d.yaml")
    for name, why in (
        ("none", "no such file"), ("large", "at most"), ("a\nb", "path"), ("../keys.gpg", "path"),
    ):  # fmt: skip
        with pytest.raises(DefinitionError, match=why):
            inline_keyrings((_chart(name),), tmp_path, "d.yaml")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[StaticSite]:
    with static_site(tmp_path / "site") as made:
        made.put("c/index.yaml", repository_index({WEB: DIGEST}, base=""))
        made.put(f"c/{WEB.filename}", WEB.archive())
        yield made


def resolver(chart: ChartSource, host: str, cache: Path) -> ChartResolver:
    source = ManifestSource(client(host), BlobCache(cache))
    return ChartResolver([chart], source, run_program)


def test_a_repository_s_provenance_is_verified_where_it_is_demanded(
    people: Gpg, site: StaticSite, tmp_path: Path
) -> None:
    host = site.url.partition("//")[2]
    chart = _chart(keyring(people), f"{site.url}/c")
    with pytest.raises(UnsignedError, match="no provenance file"):
        resolver(chart, host, tmp_path / "a").resolve(chart)
    document = people.provenance("ada", WEB.filename, DIGEST)
    site.put(f"c/{WEB.filename}.prov", document)
    locked = resolver(chart, host, tmp_path / "a").resolve(chart)
    assert locked.provenance is not None
    assert locked.provenance.signer == fingerprint(people)
    assert locked.provenance.digest == digest_of(document)
    (made,) = locked.artifact.manifests
    assert [layer.digest for layer in made.layers] == [DIGEST, digest_of(document)]
    stranger = _chart(keyring(people, "eve"), f"{site.url}/c")
    with pytest.raises(UnsignedError, match="not in the keyring"):
        resolver(stranger, host, tmp_path / "a").resolve(stranger)


def test_a_provenance_that_nobody_demands_is_carried_unread(
    site: StaticSite, tmp_path: Path
) -> None:
    host = site.url.partition("//")[2]
    chart = _chart(None, f"{site.url}/c")
    assert resolver(chart, host, tmp_path / "a").resolve(chart).provenance is None
    site.put(f"c/{WEB.filename}.prov", b"whatever")
    locked = resolver(chart, host, tmp_path / "a").resolve(chart)
    assert locked.provenance is not None
    assert (locked.provenance.signer, locked.provenance.keyring) == (None, None)
    site.put(f"c/{WEB.filename}.prov", bytes(MAX_PROVENANCE_BYTES + 1))
    with pytest.raises(FormatError, match="at most"):
        resolver(chart, host, tmp_path / "a").resolve(chart)


def test_a_registry_s_provenance_is_a_layer(people: Gpg, tmp_path: Path) -> None:
    document = people.provenance("ada", WEB.filename, DIGEST)
    content = RegistryContent()
    layers = [Blob(LAYER, WEB.archive()), Blob(PROVENANCE, document)]
    content.put("c/web", manifest(Blob(CONFIG, to_json(WEB.metadata)), layers), "1.2.3")
    with faulty_registry(content) as registry:
        chart = _chart(keyring(people), f"oci://{registry.host}/c")
        locked = resolver(chart, registry.host, tmp_path / "a").resolve(chart)
        assert locked.provenance is not None
        assert locked.provenance.signer == fingerprint(people)
        stranger = _chart(keyring(people, "eve"), f"oci://{registry.host}/c")
        with pytest.raises(UnsignedError, match="not in the keyring"):
            resolver(stranger, registry.host, tmp_path / "a").resolve(stranger)
        bare = manifest(Blob(CONFIG, to_json(WEB.metadata)), layers[:1])
        content.put("c/web", bare, "1.2.3")
        with pytest.raises(UnsignedError, match="no provenance file"):
            resolver(chart, registry.host, tmp_path / "b").resolve(chart)
