"""What the real Ansible makes of inventories and files of variables: every text, evaluated.

Run as a program with paths: of an inventory's file (each host's variables), or of a file of
variables that ends in `.vars.yml`. It writes one JSON list.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[3]


def as_ansible_reads(paths: Sequence[Path], home: Path) -> list[dict[str, Any]]:
    """Return the evaluated variables of each path: of an inventory by host."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.cluster.ansible_reads", *paths],
        capture_output=True, text=True, check=False, cwd=_ROOT,
        env={"PATH": os.environ["PATH"], "HOME": str(home), "LC_ALL": "C.UTF-8",
             "ANSIBLE_INVENTORY_ENABLED": "yaml", "ANSIBLE_HOME": str(home),
             "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "True"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    read: list[dict[str, Any]] = json.loads(done.stdout)
    return read


def _evaluated(path: Path) -> dict[str, Any]:
    loader = import_module("ansible.parsing.dataloader").DataLoader()
    templar = import_module("ansible.template").Templar
    if path.name.endswith(".vars.yml"):
        variables = loader.load_from_file(str(path))
        found: dict[str, Any] = templar(loader, variables=variables).template(variables)
        return found
    inventory = import_module("ansible.inventory.manager").InventoryManager(
        loader=loader, sources=[str(path)]
    )
    manager = import_module("ansible.vars.manager").VariableManager(loader, inventory)
    hosts = {}
    for host in inventory.get_hosts():
        own = manager.get_vars(host=host, include_hostvars=False)
        names = [
            name for name in own if not name.startswith(("groups", "omit", "playbook", "vars"))
        ]
        # What our own expression for an architecture needs.
        reader = templar(loader, variables={**own, "image_arch": "amd64"})
        hosts[str(host)] = {str(name): reader.template(own[name]) for name in names}
    return hosts


def _main() -> None:
    encoder = import_module("ansible.module_utils.common.json").AnsibleJSONEncoder
    # Without the marks: what matters is what a task gets.
    found = [_evaluated(Path(path)) for path in sys.argv[1:]]
    print(json.dumps(found, cls=encoder, preprocess_unsafe=False, vault_to_text=True))


if __name__ == "__main__":
    _main()
