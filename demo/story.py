"""The story: a bundle's journey from a registry to a node, step by step."""

from __future__ import annotations

import json
import secrets
import shlex
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import urllib3

from demo.narrator import DemoError, Narrator, command_environment
from demo.stage import (
    BackgroundLab,
    Stage,
    has_helm,
    has_skopeo,
    lab_site_file,
    open_upstream,
    rehearsal_site_file,
    this_platform,
)
from tests.support.programs.processes import running
from tests.support.registries.definition import definition_yaml
from tests.support.registries.oci import sha256
from tests.support.registries.seeded import SeededImage, Upstream

_PERSONS = ("Ruth", "Ada", "Ben", "Cleo")
_REFUSED_THRESHOLD = 32
_REFUSED_DIGEST = 21


@dataclass
class Story:
    """Tells the journey; what one step makes, the next ones use.

    Attributes:
        narrator: Says and runs everything.
        stage: What this machine can be.
        stack: Ends what was started, whatever happens.
    """

    narrator: Narrator
    stage: Stage
    stack: ExitStack
    _lab: BackgroundLab | None = None
    _upstream: Upstream | None = None
    _fingerprint: str = ""
    _served: dict[str, Any] = field(default_factory=dict)

    def tell(self) -> None:
        """Tell it from the beginning to the end.

        Raises:
            DemoError: A step did not go as it must.
        """
        if self.stage.lab_node:
            # First of all, since the first time its file system takes most of a minute.
            self._lab = self.stack.enter_context(BackgroundLab())
        chapters: tuple[Callable[[], None], ...] = (
            self._seed, self._keys, self._root, self._lock, self._build, self._unapproved,
            self._approve, self._verify, self._flip, self._enroll, self._import, self._serve,
            self._pull, self._install,
        )  # fmt: skip
        for chapter in chapters:
            chapter()

    @property
    def _home(self) -> Path:
        return self.narrator.directory

    @property
    def _image(self) -> SeededImage:
        assert self._upstream is not None
        return self._upstream.seeded.image("hello")

    def _seed(self) -> None:
        real = self.stage.real_registry
        title = "An upstream, as a vendor finds it on the internet"
        with self.narrator.step(title):
            what = "the CNCF distribution registry" if real else "a registry within this program"
            self.narrator.tell(
                f"Here it is {what}, a Helm repository and a file server, all on this machine, with"
                " images made from Debian's packages. Some are signed and have SBOMs."
            )
            opened = open_upstream(self.stage, self._home / "upstream")
            self._upstream = self.stack.enter_context(opened)
            why = "" if has_helm() else "this machine has no Helm"
            text = definition_yaml(self._upstream, not_rendered=why)
            text = text.replace("platforms: [linux/amd64]\n", f"platforms: [{this_platform()}]\n")
            (self._home / "definition.yaml").write_text(text, encoding="utf-8")
            self.narrator.tell("The vendor says what the hospital needs:")
            self.narrator.run("cat definition.yaml", lines=30)

    def _keys(self) -> None:
        with self.narrator.step(
            "Keys: one for the root, three approvers, one for the build system",
            "Each person makes their own, on their own machine. The passphrase would be asked on "
            "the terminal; nobody sits here, so it comes on a file descriptor.",
        ):
            (self._home / "keys").mkdir()
            for person in _PERSONS:
                secret = self._home / "keys" / f"{person.lower()}.passphrase"
                secret.touch(mode=0o600)
                secret.write_text(secrets.token_urlsafe(24) + "\n", encoding="ascii")
                name = f"keys/{person.lower()}"
                self.narrator.run(
                    f"isoward keys new {person} -o {name}.pem{_passphrase(person)}",
                    lines=1,
                    brief=True,
                )
            self.narrator.run("isoward keys new CI -o keys/ci.pem --no-passphrase")

    def _root(self) -> None:
        with self.narrator.step("The root of trust: who may approve, and how many must"):
            self.narrator.run(
                "isoward root new release --root-key keys/ruth.pub --root-threshold 1 \\\n"
                "    --approver keys/ada.pub --approver keys/ben.pub --approver keys/cleo.pub \\\n"
                f"    --builder keys/ci.pub --sign-with keys/ruth.pem{_passphrase('Ruth')}"
            )
            shown = self.narrator.quiet("isoward root show release --json")
            self._fingerprint = json.loads(shown)["fingerprint"]

    def _lock(self) -> None:
        with self.narrator.step(
            "Lock: every reference becomes a digest, for a person to review",
            "Signatures, attestations and SBOMs are found and locked as well.",
        ):
            self.narrator.run("isoward lock definition.yaml")
            self.narrator.run("isoward lock definition.yaml --check")

    def _build(self) -> None:
        with self.narrator.step("Build: fetch what the lock names, by digest only"):
            self.narrator.run(
                "isoward build definition.lock.yaml -o bundle --release release --key keys/ci.pem"
            )
            self.narrator.run("ls -m bundle bundle/trust")

    def _unapproved(self) -> None:
        with self.narrator.step(
            "A hospital would refuse it now: nobody has approved it",
            "The fingerprint of the root came by telephone, not on the medium.",
        ):
            self.narrator.run(self._verify_command, refused=_REFUSED_THRESHOLD)

    @property
    def _verify_command(self) -> str:
        return f"isoward verify bundle --fingerprint {self._fingerprint}"

    def _approve(self) -> None:
        with self.narrator.step("Two of three approve"):
            for person in ("Ada", "Ben"):
                self.narrator.run(
                    f"isoward approve bundle --key keys/{person.lower()}.pem"
                    " --ticket CHG-1234 --yes"
                    f"{_passphrase(person)}",
                    lines=28,
                )

    def _verify(self) -> None:
        with self.narrator.step("Verify: trust first, then every byte, in place"):
            self.narrator.run(self._verify_command)
            if has_skopeo():
                self.narrator.tell("Any OCI tool can look into it as well:")
                self.narrator.run(f"skopeo inspect oci:bundle:{self._image.reference}", lines=7)

    def _flip(self) -> None:
        with self.narrator.step(
            "One bit flips on the way", "On a copy of the medium, in the middle of a layer:"
        ):
            blobs = (self._home / "bundle" / "blobs" / "sha256").iterdir()
            blob = max(blobs, key=lambda path: (path.stat().st_size, path.name))
            offset = blob.stat().st_size // 2
            with blob.open("rb") as stream:
                stream.seek(offset)
                flipped = stream.read(1)[0] ^ 1
            target = f"damaged/blobs/sha256/{blob.name}"
            self.narrator.run("cp -r bundle damaged && chmod -R u+w damaged")
            self.narrator.run(
                f"printf '\\{flipped:03o}' | dd of={target} bs=1 seek={offset} conv=notrunc"
                " status=none"
            )
            command = self._verify_command.replace("verify bundle", "verify damaged")
            self.narrator.run(command, refused=_REFUSED_DIGEST)

    def _enroll(self) -> None:
        with self.narrator.step("In the hospital: trust the vendor's root, once"):
            self.narrator.run(
                f"isoward enroll bundle --depot depot --fingerprint {self._fingerprint}"
            )

    def _import(self) -> None:
        with self.narrator.step("Import: each byte is read once and checked on the way"):
            self.narrator.run("isoward import bundle --depot depot")

    def _serve(self) -> None:
        with self.narrator.step("Serve the depot to the hospital's machines, over TLS"):
            address = "127.0.0.1"
            if self._lab is not None:
                if not self._lab.is_up:
                    self.narrator.tell("Waiting for the lab node; the first time it is made now.")
                address = self._lab.wait().host_address
            ready = self._home / "ready.json"
            command = (
                f"isoward serve --depot depot --address {address} --port 0 --ready-file ready.json"
            )
            self.narrator.show(f"{command} &")
            self.stack.enter_context(
                running(
                    "isoward serve",
                    ["/bin/sh", "-c", f"exec {command}"],
                    self.narrator.log,
                    ready=ready.exists,
                    env=command_environment(),
                    cwd=self._home,
                )
            )
            self._served = json.loads(ready.read_bytes())
            self.narrator.quote(f"serving {self._served['url']}")

    def _pull(self) -> None:
        host = str(self._served["url"]).removeprefix("https://")
        where = f"{host}/{self._image.reference.replace(':', '_', 1)}"
        with self.narrator.step("A stock client pulls an image from the depot"):
            if has_skopeo():
                self.narrator.run("mkdir certs && cp depot/tls/ca.pem certs/ca.crt")
                self.narrator.run(
                    f"skopeo copy --src-cert-dir certs docker://{where} dir:pulled", lines=8
                )
                found = sha256((self._home / "pulled" / "manifest.json").read_bytes())
            else:
                self.narrator.tell("There is no skopeo here, so it is asked by plain HTTPS.")
                found = self._fetch_manifest(host, where)
            self.narrator.quote(f"upstream had  {self._image.digest}")
            self.narrator.quote(f"the depot has {found}")
            if found != self._image.digest:
                raise DemoError("the depot has another image than upstream")

    def _fetch_manifest(self, host: str, where: str) -> str:
        repository, _, tag = where.removeprefix(f"{host}/").rpartition(":")
        with urllib3.PoolManager(ca_certs=str(self._home / "depot" / "tls" / "ca.pem")) as pool:
            url = f"https://{host}/v2/{repository}/manifests/{tag}"
            self.narrator.show(f"curl --cacert depot/tls/ca.pem {url}")
            return sha256(pool.request("GET", url).data)

    def _install(self) -> None:
        port = int(str(self._served["url"]).rpartition(":")[2])
        site = self._home / "site.yaml"
        if self._lab is not None:
            lab_site_file(site, self._lab.wait(), self._image.reference, port)
            with self.narrator.step(
                "Install a node that has no route out of its network",
                "It is told to trust the depot, sent there by containerd's mirror configuration, "
                "and runs an image of the bundle by its digest.",
            ):
                self.narrator.run("isoward install site.yaml --depot depot", lines=60)
                node = self._lab.wait().nodes[0]
                self.narrator.tell(f"{node.name} itself says which routes and images it has:")
                for argv in (("ip", "route"), ("ctr", "-n", "isoward", "images", "list", "-q")):
                    self._on_node(argv)
            return
        rehearsal_site_file(site, self._image.reference, port)
        with self.narrator.step(
            "Rehearse the installation on this machine",
            f"There is no lab node ({self.stage.why}), so nothing is changed.",
        ):
            command = "isoward install site.yaml --depot depot --connection local --dry-run"
            self.narrator.run(command, lines=60)

    def _on_node(self, argv: tuple[str, ...]) -> None:
        assert self._lab is not None
        node = self._lab.wait().nodes[0]
        self.narrator.show(shlex.join(argv), prompt=f"{node.name}#")
        for line in node.run(*argv).stdout.decode().splitlines():
            self.narrator.quote(line)


def _passphrase(person: str) -> str:
    return f" --passphrase-fd 3 3<keys/{person.lower()}.passphrase"


@contextmanager
def story(narrator: Narrator, stage: Stage) -> Iterator[Story]:
    """Make a story whose every process ends with the block."""
    with ExitStack() as stack:
        yield Story(narrator, stage, stack)
