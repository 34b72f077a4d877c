"""The README's commands, in order, typed by a person against a real upstream."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from tests.support.documents.readme import PASSPHRASE, README, Block, Person, command_blocks
from tests.support.documents.right import HOST_KEY, read_definition
from tests.support.programs.processes import Child, running
from tests.support.programs.roles import ROLES, role_environment
from tests.support.registries.definition import definition_yaml
from tests.support.registries.seeded import Upstream

SITE = """\
apiVersion: isoward/v1
kind: Site
metadata: {{name: readme}}
depot: {{address: 127.0.0.1, port: {port}}}
ssh: {{key: id_ed25519}}
zones: [clinical]
nodes:
  - {{name: node1, address: 127.0.0.1, zone: clinical, hostKey: {host_key}}}
firstImage:
  reference: {reference}
  command: ["true"]
"""
_SERVE_ADDITION = ("--address", "127.0.0.1", "--port", "0", "--ready-file", "ready.json")


@pytest.fixture(scope="module")
def reader(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    """Somebody who has typed all that the README says; the depot serves until the end."""
    person = Person(tmp_path_factory.mktemp("readme"))
    environments = tmp_path_factory.mktemp("environments")
    chosen = upstream.seeded.images[:2]
    (person.home / "hospital.yaml").write_text(definition_yaml(upstream, images=chosen))
    # It is looked at and not used: the README's machines are replaced by this one.
    key = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )
    (person.home / "id_ed25519").write_bytes(key)
    (person.home / "id_ed25519").chmod(0o600)
    with ExitStack() as stack:
        for block in _journey():
            folder = person.home
            person.programs = role_environment(environments / block.role, block.role).bin
            for command in block.commands:
                if command.startswith("cd "):
                    folder /= command.removeprefix("cd ")
                elif command.startswith("isoward serve"):
                    stack.enter_context(_serving(person, command))
                    _write_site(person.home, chosen[0].reference)
                else:
                    _type(person, command, folder)
        yield person


def _journey() -> list[Block]:
    """Return what follows the installation, which tests/e2e/checkout/test_roles.py types."""
    return [block for block in command_blocks() if block.role in ROLES]


def _type(person: Person, command: str, folder: Path) -> None:
    if command.startswith("isoward install"):
        # The journey onto a node is shown by tests/e2e; this machine only rehearses.
        command += " --connection local --dry-run"
    said = person.run(command, folder)
    if command.startswith("isoward root show"):
        person.fingerprint = _fingerprint_in(said)


def _serving(person: Person, command: str) -> AbstractContextManager[Child]:
    """Run the depot as the README says, but on a port of the kernel's choice."""
    return running(
        "isoward serve",
        [*shlex.split(command), *_SERVE_ADDITION],
        person.home / "serve.log",
        ready=(person.home / "ready.json").exists,
        env=person.environment,
        cwd=person.home,
    )


def _fingerprint_in(text: str) -> str:
    groups = re.search(r"(?:[0-9a-f]{4}\s+){16}", text)
    assert groups is not None, text
    return "".join(groups.group().split())


def _write_site(home: Path, reference: str) -> None:
    ready = json.loads((home / "ready.json").read_text())
    port = int(ready["url"].rpartition(":")[2])
    text = SITE.format(port=port, host_key=HOST_KEY, reference=reference)
    (home / "site.yaml").write_text(text)


def test_every_command_works_as_it_is_written(reader: Person) -> None:
    typed = [command for block in _journey() for command in block.commands]
    assert len(typed) >= 15
    for name in ("lock", "build", "approve", "verify", "inspect", "enroll", "import", "serve",
                 "install"):  # fmt: skip
        assert any(command.startswith(f"isoward {name} ") for command in typed), name
    assert (reader.home / "bundle" / "bundle.json").exists()
    assert list((reader.home / "depot" / "bundles").iterdir())


def test_the_bundle_was_verified_by_two_approvers(reader: Person) -> None:
    (verified,) = (text for text in reader.said if "verified: debian-platform 1.0.0" in text)
    assert "Ada Approver, Ben Approver" in verified


def test_the_install_was_rehearsed(reader: Person) -> None:
    assert "rehearsed readme" in reader.said[-1]


def test_no_passphrase_was_shown_or_kept(reader: Person) -> None:
    assert not any(PASSPHRASE in text for text in reader.said)
    for path in reader.home.rglob("*"):
        if path.is_file() and path.stat().st_size < 100_000:
            assert PASSPHRASE.encode() not in path.read_bytes(), path


def test_the_example_definition_is_a_right_one() -> None:
    (example,) = re.findall(r"^```yaml\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
    assert len(read_definition(example).charts) == 2
