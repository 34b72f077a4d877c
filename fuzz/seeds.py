"""Write the good inputs that fuzzing begins with: `python -m fuzz.seeds`.

The keys are new each time, and only their public parts are kept: so nothing in the corpus can ever
be signed again.
"""

from __future__ import annotations

import base64
import io
import json
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import to_builtins

from bundle.base.canonical import canonical_json
from bundle.base.digest import digest_of
from bundle.base.oci import (
    ARTIFACT_TYPES,
    DOCKER_LIST,
    INDEX_TYPES,
    MANIFEST_TYPES,
    OCI_INDEX,
    OCI_MANIFEST,
)
from bundle.base.yaml.strict import dump_yaml
from bundle.model.attestation import APPROVAL, make_statement
from bundle.model.plan import plan_bundle
from bundle.model.predicates import Approval, Reviewed
from bundle.trust.attestations.envelope import sign_statement
from bundle.trust.keys.stored import generate_key
from fuzz.packages import PINS, WHEEL
from fuzz.registry import CORPUS
from fuzz.trust import FIXED
from fuzz.upstream_seeds import upstream_seeds
from tests.support.depot.imported import import_now
from tests.support.documents.content import chart_archive, sample
from tests.support.packages.python_index import wheel
from tests.support.sites.people import (
    expired_bundle,
    make_site,
    old_release,
    recovery_for,
    waiver_for,
)
from tests.support.trust.release_kit import now, trusted_bundle
from tests.vectors.bad_documents import GOOD_DEFINITION, GOOD_SITE
from tests.vectors.charts import Chart, repository_index

_HAULER = Path(__file__).parents[1] / "tests" / "vectors" / "peers" / "hauler-manifest.yaml"
_HOSPITAL = Path(__file__).parents[1] / "inventory" / "samples" / "hospital.yaml"


def main() -> None:
    """Write fuzz/fixed, and the inputs of each target whose name begins with `seed-`."""
    FIXED.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        made: dict[str, dict[str, bytes]] = {}
        parts = (_documents(), _archives(), _trust(Path(name)), _network(), _packages())
        for part in parts:
            made |= part
    for target, seeds in made.items():
        folder = CORPUS / target
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.glob("seed-*"):
            path.unlink()
        for label, data in seeds.items():
            (folder / f"seed-{label}").write_bytes(data)


def _documents() -> dict[str, dict[str, bytes]]:
    lock, blobs = sample()
    plan = plan_bundle(lock)
    types = sorted((INDEX_TYPES | MANIFEST_TYPES) - {*ARTIFACT_TYPES})
    parts = {
        digest[7:15]: data
        for digest, data in blobs.items()
        if data.startswith(b"{") and b"schemaVersion" in data
    }
    oci = {
        label: bytes([types.index(OCI_INDEX if b'"manifests"' in data else OCI_MANIFEST)]) + data
        for label, data in parts.items()
    }
    oci["docker"] = bytes([types.index(DOCKER_LIST)]) + b'{"manifests":[],"schemaVersion":2}'
    chart = Chart("web", "1.2.3", "registry.example.org/app/web")
    return {
        "manifest": {"all": plan.manifest_bytes},
        "definition": {"all": GOOD_DEFINITION.encode()},
        "lock": {"all": dump_yaml(lock).encode()},
        "site": {"all": GOOD_SITE.encode(), "cluster": _HOSPITAL.read_bytes()},
        "sources": {"all": _SOURCES},
        "policy": {"all": _POLICY},
        "oci": oci,
        "chart": {"small": chart_archive("web", "1.2.3"), "real": chart.archive()},
        "chart-yaml": {
            "all": _CHART_YAML,
            "escape": b'name: "\\uD800"\nversion: 1\napiVersion: v2\n',
        },
        "chart-index": {"all": repository_index({chart: digest_of(b"x")}, base="")},
        "converted": {
            "hauler": _HAULER.read_bytes(),
            "images": b"# ours\nnginx:1.27\nquay.io/a/b:v1@sha256:" + b"0" * 64 + b"\n",
        },
        "release": {"all": _RELEASE, "xz": _RELEASE.replace(b"Packages.gz", b"Packages.xz")},
        "repomd": {"all": _REPOMD, "encoding": _REPOMD.replace(b"UTF-8", b"none", 1)},
        "names": {
            "short": b"nginx:1.27",
            "full": b"registry.example.org:5000/app/web:2.1@sha256:" + b"0" * 64,
            "ipv6": b"[::1]:5000/app:1",
            "address": b"https://files.example.org:8443/a%20b/c%2e/d",
            "repository": b"oci://registry.example.org/charts",
            "platform": b"linux/arm64/v8",
        },
    }


def _packages() -> dict[str, dict[str, bytes]]:
    made = wheel(WHEEL, requires=('lib>=2; python_version < "3.12"', "x[y]"))
    link = f'<a href="../../files/{WHEEL}#sha256={"0" * 64}" data-requires-python="&gt;=3.8">w</a>'
    file = {
        "filename": WHEEL,
        "url": f"../../files/{WHEEL}",
        "hashes": {"sha256": "0" * 64},
        "requires-python": ">=3.8",
        "size": 7,
        "yanked": "no",
    }
    page = {"meta": {"api-version": "1.1"}, "name": "app", "files": [file]}
    more = PINS.replace("app==1.0", 'a.b[c]==1!2.0+x ; os_name == "posix" \\\n ')
    return {
        "python-json": {"all": json.dumps(page).encode()},
        "python-html": {"all": f"<!DOCTYPE html><html><body>{link}</body></html>".encode()},
        "requirements": {"pins": f"# pins\n{PINS}{more}".encode()},
        "wheel": {"all": made},
    }


_RELEASE = b"""\
-----BEGIN PGP SIGNED MESSAGE-----
Hash: SHA256

Suite: stable
Codename: bookworm
Architectures: all amd64
Acquire-By-Hash: yes
SHA256:
 %b 7 main/binary-amd64/Packages.gz
 %b 0 main/binary-all/Packages
-----BEGIN PGP SIGNATURE-----
""" % (b"0" * 64, b"1" * 64)


_REPOMD = b"""\
<?xml version="1.0" encoding="UTF-8"?>
<repomd xmlns="http://linux.duke.edu/metadata/repo"><revision>1</revision>
<data type="primary"><checksum type="sha256">%b</checksum>
<location href="repodata/primary.xml.gz"/><size>7</size></data>
<data type="modules"><checksum type="sha256">%b</checksum>
<location href="repodata/modules.yaml.gz"/><size>9</size></data>
<data type="primary_db"><checksum type="sha">0</checksum><location href="x"/></data>
</repomd>
""" % (b"0" * 64, b"1" * 64)

_SOURCES = b"""\
apiVersion: isoward/v1
kind: SourceConfig
allowedHosts: ["*.example.org"]
hosts:
  registry.example.org:
    ca: ca.pem
    concurrency: 3
    mirrors: [{host: "mirror.example.org:5000", prefix: hub, resolve: true}]
"""
_POLICY = b"""\
apiVersion: isoward/v1
kind: SitePolicy
signatures:
  - images: ["registry.example.org/**"]
    cosign: {key: cosign.pub}
  - images: ["*/app/*"]
    keyless: {identityRegexp: ".*@x.org", issuer: "https://x.org", trustedRoot: root.json}
  - images: ["**"]
    unsigned: {reason: x, approvedBy: y, ticket: z, expires: "2099-12-31"}
"""
_CHART_YAML = b"""\
apiVersion: v2
name: web
version: 1.2.3+x
deprecated: false
dependencies: [{name: db, version: 1.x, repository: "https://x", enabled: true}]
maintainers: [{name: A, email: a@example.org}]
"""


def _archives() -> dict[str, dict[str, bytes]]:
    layer = _tar({"file": b""})
    config = canonical_json(
        {"architecture": "amd64", "os": "linux", "rootfs": {"diff_ids": [digest_of(layer)]}}
    )
    listing = [{"Config": "config.json", "RepoTags": ["own:1.0"], "Layers": ["1/layer.tar"]}]
    docker = {"config.json": config, "manifest.json": canonical_json(listing), "1/layer.tar": layer}
    manifest = canonical_json(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": _descriptor("application/vnd.oci.image.config.v1+json", config),
            "layers": [_descriptor("application/vnd.oci.image.layer.v1.tar", layer)],
        }
    )
    index = {"schemaVersion": 2, "manifests": [_descriptor(OCI_MANIFEST, manifest)]}
    layout = {
        "oci-layout": canonical_json({"imageLayoutVersion": "1.0.0"}),
        "index.json": canonical_json(index),
        **{f"blobs/sha256/{digest_of(d)[7:]}": d for d in (config, manifest, layer)},
    }
    named = _tar({"long/" * 25 + "name": b"x", **docker}, link="2/layer.tar")
    return {"archive": {"docker": _tar(docker), "oci": _tar(layout), "extended": named}}


def _descriptor(media_type: str, data: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}


def _tar(files: Mapping[str, bytes], link: str = "") -> bytes:
    """Make a small tar, with a link to a layer if it has a name."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        if link:
            member = tarfile.TarInfo(link)
            member.type, member.linkname = tarfile.SYMTYPE, "../1/layer.tar"
            tar.addfile(member)
        end = tar.offset
    # Without the padding to whole records, which is nothing to fuzz.
    return buffer.getvalue()[:end] + bytes(2 * tarfile.BLOCKSIZE)


def _trust(folder: Path) -> dict[str, dict[str, bytes]]:
    kit = old_release(folder / "vendor")
    site = make_site(folder / "site", kit)
    expired = expired_bundle(folder / "expired", kit)
    bundle = trusted_bundle(folder / "bundle", kit, "2.0.0")
    waiver = waiver_for(expired, site, folder / "waiver").read_bytes()
    import_now(bundle, site.depot)
    (state,) = (path for path in site.trust.glob("*.json") if len(path.stem) == 64)
    seen = state.read_bytes()
    state.unlink()
    recovery = recovery_for(site, kit, 2)
    trust = {path.name: path.read_bytes() for path in (bundle / "trust").iterdir()}
    return {
        "tuf-root": {"all": trust["1.root.json"]},
        "tuf-metadata": {
            "targets": b"\0" + trust["targets.json"],
            "snapshot": b"\1" + trust["snapshot.json"],
            "timestamp": b"\2" + trust["timestamp.json"],
        },
        "envelope": {"all": _attestation()},
        "statement": {"waiver": waiver, "recovery": recovery},
        "state": {"all": canonical_json(json.loads(seen)["state"])},
        "predicates": {
            **_payloads(bundle),
            "waiver": _payload(waiver),
            "recovery": _payload(recovery),
        },
        "key": {
            type_: canonical_json(_public(type_))
            for type_ in ("ed25519", "ecdsa-p256", "ml-dsa-65")
        },
        "key-pem": {"all": str(_public("ecdsa-p256")["keyval"]["public"]).encode()},
        **upstream_seeds(),
    }


def _payload(envelope: bytes) -> bytes:
    return base64.b64decode(json.loads(envelope)["payload"])


def _payloads(bundle: Path) -> dict[str, bytes]:
    folder = bundle / "attestations"
    found = {path.name.split(".")[0]: path.read_bytes() for path in folder.glob("*.dsse.json")}
    return {name.split("-")[0]: _payload(data) for name, data in found.items()}


def _public(type_: str) -> dict[str, dict[str, str]]:
    key = generate_key("Ada Example", type_).public_key  # type: ignore[arg-type]
    return {"keyid": key.keyid, **key.to_dict()}


def _attestation() -> bytes:
    """Sign an approval, and keep only the public key and what was signed."""
    signer = generate_key("Ada Example")
    seen = digest_of(b"seen")
    approval = Approval(
        approver="Ada Example",
        ticket="CHG-1",
        time=now(),
        release=1,
        reviewed=Reviewed(provenance=seen, changes=seen),
    )
    about = "sha256:" + "0" * 64
    payload = make_statement("bundle.json", about, APPROVAL, to_builtins(approval))
    fields = {"keyid": signer.public_key.keyid, **signer.public_key.to_dict()}
    (FIXED / "approver.json").write_bytes(canonical_json(fields))
    (FIXED / "signed.txt").write_text(digest_of(payload) + "\n", encoding="ascii")
    return sign_statement(payload, signer)


def _network() -> dict[str, dict[str, bytes]]:
    web = b"v2/registry.example.org/app/web"
    return {
        "challenge": {
            "bearer": b'Bearer realm="https://auth.example.org/token",service="x",scope="a:b:pull"',
            "two": b'Basic realm="x y", Digest a=b, Bearer realm="\\"q\\""',
        },
        "link": {"next": b'</v2/x?n=1>; rel="next"', "two": b"<x>; rel=prev, <y>;a=b; rel=next"},
        "redirect": {
            "absolute": b"https://cdn.example.org/x?y=z",
            "relative": b"../blobs/x",
            "host": b"//other.example.org/x",
            "broken": b"//[",
        },
        "retry-after": {
            "seconds": b"120",
            "date": b"Fri, 31 Dec 1999 23:59:59 GMT\nFri, 31 Dec 1999 23:59:00 GMT",
        },
        "token": {"all": b'{"token":"abc","access_token":"def","expires_in":300}'},
        "ranges": {
            "range": b"a=b&c=d\nbytes=0-99\n\n",
            "last": b"\nbytes=-5\n",
            "match": b'\n\n\nW/"sha256:' + b"0" * 64 + b'", *',
        },
        "lookup": {
            "tags": web + b"/tags/list?n=2&last=a&ns=x",
            "manifest": web + b"/manifests/2.1",
            "blob": web + b"/blobs/sha256:" + b"0" * 64,
            "referrers": web + b"/referrers/sha256:" + b"0" * 64 + b"?artifactType=x",
            "catalog": b"v2/_catalog?n=1",
            "file": b"files/example.org/tool-1.4.tar.gz\nbytes=1-2",
            "chart": b"charts/charts.example.org/stable/web-1.2.3.tgz",
            "index": b"charts/index.yaml",
            "upwards": b"files/../../etc/passwd",
        },
    }


if __name__ == "__main__":
    main()
