"""Broken definitions, locks and sites: what a tired person or a damaged disk makes of good ones."""

from __future__ import annotations

from dataclasses import dataclass

DIGEST = "sha256:" + "0" * 64
GOOD_DEFINITION = f"""\
apiVersion: isoward/v1
kind: BundleDefinition
metadata: {{name: hospital, version: 1.0.0}}
platforms: [linux/amd64]
images:
  - reference: registry.example.org/app/web:2.1
files:
  - url: https://example.org/tool.tar.gz
    digest: {DIGEST}
charts:
  - {{name: web, repository: "https://charts.example.org", version: 1.2.3}}
"""
GOOD_LOCK = f"""\
apiVersion: isoward/v1
kind: BundleLock
metadata: {{name: hospital, version: 1.0.0}}
definition: {DIGEST}
platforms: [linux/amd64]
images:
  - reference: registry.example.org/app/web:2.1
    digest: {DIGEST}
    manifests:
      - digest: {DIGEST}
        size: 10
        mediaType: application/vnd.oci.image.manifest.v1+json
        platform: linux/amd64
"""
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDAAvyFzgnJNSZP9dOuvH66nuxm9qEwp5esQxzEaKPYV"
GOOD_SITE = f"""\
apiVersion: isoward/v1
kind: Site
metadata: {{name: st-example}}
depot: {{address: 10.20.0.5}}
ssh: {{user: root, key: id_ed25519}}
zones: [clinical]
nodes:
  - {{name: node1, address: 10.20.0.11, zone: clinical, hostKey: {HOST_KEY}}}
firstImage: {{reference: "registry.example.org/app/web:2.1", command: [/bin/true]}}
"""
DEFINITION, FORMAT = 10, 11


@dataclass(frozen=True)
class BadDocument:
    """A broken document.

    Attributes:
        name: What is wrong with it.
        data: Its bytes.
        code: The exit code that docs/EXIT_CODES promises.
        says: A part of the message, which names the place.
    """

    name: str
    data: bytes
    code: int
    says: str


def _changed(  # noqa: PLR0917 - a row of a table
    good: str, name: str, old: str, new: str, says: str, code: int
) -> BadDocument:
    assert old in good, f"{name}: the good document has no {old!r}"
    return BadDocument(name, good.replace(old, new, 1).encode(), code, says)


def bad_yaml(good: str, code: int) -> list[BadDocument]:
    """Return what is no acceptable YAML, whatever the document is."""
    deep = "[" * 100 + "]" * 100
    bomb = "a: &a [x,x,x]\nb: &b [*a,*a,*a]\nc: [*b,*b,*b]\n"
    return [
        BadDocument("empty", b"", code, "nothing"),
        BadDocument("not-utf8", b"\xff\xfe" + good.encode(), code, "UTF-8"),
        BadDocument("nul", good.encode() + b"x: \0\n", code, ""),
        BadDocument("binary", bytes(range(256)), code, ""),
        BadDocument("json-garbage", b'{"apiVersion": ', code, "line"),
        BadDocument("tab-indent", good.encode() + b"\n\tx: 1\n", code, "line"),
        BadDocument(
            "two-documents", good.encode() + b"---\n" + good.encode(), code, "found another"
        ),
        BadDocument("deep", f"a: {deep}\n".encode(), code, "nested"),
        BadDocument("alias-bomb", bomb.encode(), code, "alias"),
        BadDocument("tag", b"a: !!python/object/apply:os.system [id]\n", code, "tags"),
        BadDocument("duplicate-key", f"{good}kind: x\n".encode(), code, "duplicate key"),
        BadDocument("unknown-field", f"{good}extra: 1\n".encode(), code, "extra"),
        BadDocument("scalar", b"hello\n", code, "a mapping"),
        _changed(good, "other-version", "isoward/v1", "isoward/v9", "apiVersion", code),
        _changed(good, "other-kind", "kind: ", "kind: No", "kind", code),
    ]


def bad_definitions() -> list[BadDocument]:
    """Return broken definitions."""

    def bad(name: str, old: str, new: str, says: str) -> BadDocument:
        return _changed(GOOD_DEFINITION, name, old, new, says, DEFINITION)

    return [
        *bad_yaml(GOOD_DEFINITION, DEFINITION),
        bad("version-is-a-number", "version: 1.0.0", "version: 1.0", "metadata.version"),
        bad("name-leaves-the-folder", "name: hospital", "name: ../hospital", "metadata.name"),
        bad("no-platform", "[linux/amd64]", "[]", "platforms"),
        bad("odd-platform", "linux/amd64", "linux", "platforms"),
        bad("no-tag", "web:2.1", "web", "images[0].reference"),
        bad("upper-case-repository", "app/web", "App/web", "images[0].reference"),
        bad("short-digest", "web:2.1", "web@sha256:abc", "images[0].reference"),
        bad("url-with-secret", "tool.tar.gz", "tool.tar.gz?token=x", "files[0].url"),
        bad("file-url", "https://example.org/tool", "file:///etc/passwd", "files[0].url"),
        bad("file-without-digest", f"    digest: {DIGEST}\n", "", "files[0]"),
        bad("file-digest-of-another-kind", "sha256:", "md5:", "files[0].digest"),
        bad("chart-from-git", "https://charts", "git://charts", "charts[0].repository"),
        bad("chart-name-is-a-path", "name: web,", "name: a/b,", "charts[0].name"),
        bad("chart-without-version", ", version: 1.2.3", "", "charts[0]"),
    ]


def bad_locks() -> list[BadDocument]:
    """Return broken locks."""

    def bad(name: str, old: str, new: str, says: str) -> BadDocument:
        return _changed(GOOD_LOCK, name, old, new, says, FORMAT)

    other = "sha256:" + "1" * 64
    return [
        *bad_yaml(GOOD_LOCK, FORMAT),
        bad("negative-size", "size: 10", "size: -1", "images[0].manifests[0].size"),
        bad("huge-size", "size: 10", "size: 99999999999999999999", "size"),
        bad("text-size", "size: 10", "size: ten", "size"),
        bad(
            "root-is-not-listed", f"digest: {DIGEST}\n    man", f"digest: {other}\n    man", "list"
        ),
        bad("odd-media-type", "application/vnd", "vnd", "mediaType"),
        bad("reference-with-control", "app/web:2.1", '"a\\e[31m:1"', "repository name"),
        BadDocument(
            "one-digest-of-two-sizes",
            (
                GOOD_LOCK
                + f"files: [{{url: 'https://x.example/y', digest: '{DIGEST}', size: 9}}]\n"
            ).encode(),
            FORMAT,
            "two sizes",
        ),
    ]


def bad_sites() -> list[BadDocument]:
    """Return broken site files."""

    def bad(name: str, old: str, new: str, says: str) -> BadDocument:
        return _changed(GOOD_SITE, name, old, new, says, DEFINITION)

    node = GOOD_SITE.partition("nodes:\n")[2].partition("firstImage")[0]
    return [
        *bad_yaml(GOOD_SITE, DEFINITION),
        bad("address-with-a-command", "10.20.0.11", '"x; reboot"', "nodes[0].address"),
        bad("unknown-zone", "zone: clinical", "zone: research", "nodes[0].zone"),
        bad("no-node", f"nodes:\n{node}", "nodes: []\n", "nodes"),
        bad("node-twice", node, node + node, "nodes"),
        bad("no-host-key", f", hostKey: {HOST_KEY}", "", "nodes[0]"),
        bad("odd-host-key", "ssh-ed25519 ", "ssh-dss ", "hostKey"),
        bad("port-too-large", "10.20.0.5}", "10.20.0.5, port: 70000}", "depot.port"),
        bad("user-with-an-option", "user: root", 'user: "-oProxyCommand=x"', "ssh.user"),
        bad("no-ssh-key", "key: id_ed25519", "key: not-there", "not-there"),
        bad("no-command", "[/bin/true]", "[]", "firstImage.command"),
        bad("first-image-without-tag", "web:2.1", "web", "firstImage.reference"),
    ]
