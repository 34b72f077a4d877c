"""The playbook that asks Kubespray's variables what an inventory wants.

One task goes over the platforms and one over the releases of operating systems. Each sets the facts
that a node of that kind would have, so that nothing of this machine is asked, and prints what it
found; it touches nothing. Of Kubespray's own tasks only those run that put hosts into groups.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from bundle.kinds.kubespray import MACHINES
from bundle.kinds.systems import SYSTEMS, Release
from bundler.sources.kubespray.checkout import Tree
from bundler.sources.kubespray.gaps import GAPS, Gap

MARK: Final = "isoward"
"""The key by which what we print is told from the rest; its value is the play's subject."""

DEFAULTS: Final = "kubespray_defaults"
_PACKAGES: Final = "system_packages"
_GROUPS: Final = "dynamic_groups"
_PARTS: Final = ("defaults", "vars")
"""What of a role gives variables."""

_IMAGE: Final = re.compile(r"^\s*(?:-\s+)?image:\s*(\S.*?)\s*$", re.MULTILINE)
"""A line of a template that says which image a container has."""

_CONTROL_PLANE: Final = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
)
"""What kubeadm pulls besides CoreDNS, pause and etcd, which `downloads` has."""

FAMILIES: Final = {
    "apt": {"ansible_os_family": "Debian", "ansible_pkg_mgr": "apt"},
    "rpm": {"ansible_os_family": "RedHat", "ansible_pkg_mgr": "dnf"},
}
"""What Ansible calls a family of systems, by the tool of their packages."""

_FACTS: Final = {
    "ansible_connection": "local",
    "ansible_become": False,
    "ansible_system": "Linux",
    "is_fedora_coreos": False,
    # Kubespray looks for each node's address before it installs packages, and then wants `ping`.
    "main_access_ip": "192.0.2.1",
}


def playbook(tree: Tree, platforms: Iterable[str]) -> bytes:
    """Return the playbook, as JSON, which is YAML.

    Args:
        tree: Kubespray.
        platforms: Those of MACHINES that are wanted.
    """
    groups = tree.read(f"roles/{_GROUPS}/tasks/main.yml") is not None
    first = {**_play(), "roles": [_GROUPS] if groups else []}
    second = {
        **_play(),
        "roles": [DEFAULTS, *_others(tree)],
        "tasks": [_downloads(tree, platforms), *([_packages()] if _has_packages(tree) else [])],
    }
    return json.dumps([first, second], indent=1).encode()


def role_files(tree: Tree) -> Iterator[tuple[str, bytes]]:
    """Yield what of Kubespray's roles is evaluated: defaults and variables, and no other tasks."""
    roles = [DEFAULTS, *_others(tree)]
    for folder in (*(f"{role}/{part}" for role in roles for part in _PARTS), _GROUPS):
        yield from tree.below(f"roles/{folder}")


def _others(tree: Tree) -> list[str]:
    """Return the roles whose variables are asked for and that this Kubespray has."""
    wanted = sorted({gap.role for gap in GAPS if gap.role} | {_PACKAGES})
    return [role for role in wanted if _has_role(tree, role)]


def _has_role(tree: Tree, role: str) -> bool:
    return any(True for part in _PARTS for _ in tree.below(f"roles/{role}/{part}"))


def _has_packages(tree: Tree) -> bool:
    return _has_role(tree, _PACKAGES)


def _play() -> dict[str, Any]:
    return {"hosts": "all", "gather_facts": False, "vars": _FACTS}


def _task(says: Mapping[str, Any], facts: list[dict[str, str]], variables: Any) -> dict[str, Any]:
    """Make a task that prints something for each set of facts, which are the loop's items."""
    names = {name for item in facts for name in item if name != MARK}
    return {
        "debug": {"msg": {MARK: f"{{{{ item.{MARK} }}}}", **says}},
        "vars": {**{name: f"{{{{ item.{name} }}}}" for name in sorted(names)}, **variables},
        "loop": facts,
    }


def _release_facts(release: Release) -> dict[str, str]:
    system = SYSTEMS[release]
    return {
        **FAMILIES[system.tool],
        "ansible_distribution": system.name,
        "ansible_distribution_version": system.version,
        "ansible_distribution_major_version": system.major,
    }


def _downloads(tree: Tree, platforms: Iterable[str]) -> dict[str, Any]:
    """Make the task that prints what is downloaded for each platform."""
    gaps: dict[str, Any] = {}
    variables: dict[str, str] = {}
    for number, gap in enumerate(GAPS):
        expressions = [*gap.images, *_images(tree, gap.role), *(gap.chart or ())]
        names = [f"_isoward_{number}_{index}" for index in range(len(expressions))]
        variables |= dict(zip(names, expressions, strict=True))
        gaps[gap.item] = {
            "wanted": f"{{{{ {gap.when} }}}}",
            # A variable that is not there, or asks for one, gives an empty text.
            "found": [_found(name, gap) for name in names],
        }
    says = {
        "groups": "{{ group_names }}",
        "downloads": "{{ downloads }}",
        "folder": "{{ local_release_dir }}",
        "kubeadm": [
            "{{ kubeadm_image_repo | default(kube_image_repo) }}/"
            f"{name}:v{{{{ kube_version | regex_replace('^v', '') }}}}"
            for name in _CONTROL_PLANE
        ],
        "gaps": gaps,
    }
    # No download differs between releases, yet defaults ask for the family.
    some = _release_facts(next(iter(SYSTEMS)))
    facts = [{MARK: p, **some, "ansible_architecture": MACHINES[p]} for p in platforms]
    return _task(says, facts, variables)


def _found(name: str, gap: Gap) -> str:
    return f"{{{{ ({name} | default('')) if ({gap.when}) else '' }}}}"


def _packages() -> dict[str, Any]:
    """Make the task that prints the packages of each release, by Kubespray's own expression."""
    wanted = (
        "{{ pkgs | dict2items | selectattr('value', 'ansible.builtin.all') "
        "| map(attribute='key') | list }}"
    )
    machine = {"ansible_architecture": "x86_64"}
    facts = [{MARK: release, **_release_facts(release), **machine} for release in SYSTEMS]
    return _task({"packages": wanted}, facts, {})


def _images(tree: Tree, role: str) -> list[str]:
    """Return the images that a role's templates name, as they stand there, each once."""
    found: dict[str, None] = {}
    for path, data in tree.below(f"roles/{role}/templates") if role else ():
        if posixpath.splitext(path)[1] not in {".j2", ".yml", ".yaml"}:
            continue
        for line in _IMAGE.findall(data.decode("utf-8", "replace")):
            found.setdefault(line.strip("\"'"))
    return list(found)
