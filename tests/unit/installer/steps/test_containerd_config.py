"""The role that changes containerd's configuration, run by Ansible on many configurations."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
import yaml

from tests.support.programs.needs import requires_tool

_ROLE: Final = Path(__file__).resolve().parents[4] / "installer/ansible/roles/containerd_depot"
_DIRECTORY: Final = "/etc/containerd/certs.d"
_CRI: Final = 'plugins."io.containerd.grpc.v1.cri"'

_DEBIAN: Final = f"""\
version = 2

[plugins]
  [{_CRI}]
    [{_CRI}.cni]
      bin_dir = "/usr/lib/cni"
      conf_dir = "/etc/cni/net.d"
  [plugins."io.containerd.internal.v1.opt"]
    path = "/var/lib/containerd/opt"
"""
_GOOD: Final[dict[str, str | None]] = {
    "debian": _DEBIAN,
    "missing": None,
    "no-final-newline": "version = 2",
    "table-without-the-key": f'{_DEBIAN}\n[{_CRI}.registry]\n  # kept\n[debug]\n  level = "info"\n',
    "another-path": f'version = 2\n[{_CRI}.registry]\n  config_path = "/old"\n[grpc]\n  gid = 0\n',
    "key-after-another": (
        f'version = 2\n[{_CRI}.registry]\n\n  # why\n  config_path = "/old" # old\n'
    ),
    "single-quotes": (
        "version = 2 # two\n[plugins.'io.containerd.grpc.v1.cri'.registry]\nconfig_path = ''\n"
    ),
    "containerds-own-default": "",
    "same-key-elsewhere": (
        f'version = 2\n[{_CRI}.registry]\n[plugins."io.containerd.other.v1.x"]\n'
        f'  config_path = "/other"\n'
    ),
}
_ALL_DEFAULTS: Final = "containerds-own-default"
_REFUSED: Final[dict[str, str]] = {
    "version-1": '[plugins.cri]\n  sandbox_image = "x"\n',
    "disabled": 'disabled_plugins = ["cri"]\n',
    "mirrors": (
        f'version = 2\n[{_CRI}.registry.mirrors."docker.io"]\n  endpoint = ["https://m"]\n'
    ),
    "mirrors-inline": f'version = 2\n[{_CRI}.registry.mirrors]\n  "m" = {{endpoint = ["x"]}}\n',
    "configs": f'version = 2\n[{_CRI}.registry.configs."m".tls]\n  insecure_skip_verify = true\n',
}
_PLAYBOOK: Final = [
    {
        "hosts": "all",
        "gather_facts": False,
        # The machine of the test keeps its containerd as it is.
        "handlers": [{"name": "restart containerd", "ansible.builtin.debug": {"msg": "restart"}}],
        "tasks": [{"ansible.builtin.include_tasks": str(_ROLE / "tasks/config.yml")}],
    }
]


@dataclass(frozen=True)
class Outcome:
    """What the run left, and what it said of each configuration."""

    before: dict[str, str | None]
    folder: Path
    results: dict[str, dict[str, int]]
    log: str

    def text(self, name: str) -> str:
        return (self.folder / f"{name}.toml").read_text()


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """One run over all configurations, each the file of one host."""
    requires_tool("containerd")
    folder = tmp_path_factory.mktemp("configs")
    own = subprocess.run(["containerd", "config", "default"], capture_output=True, check=True)
    texts = {**_GOOD, **_REFUSED, _ALL_DEFAULTS: own.stdout.decode()}
    hosts = {}
    for name, text in texts.items():
        path = folder / f"{name}.toml"
        if text is not None:
            path.write_text(text)
            path.chmod(0o640)
        hosts[name] = {"containerd_depot_config": str(path)}
    every = yaml.safe_load((_ROLE / "defaults/main.yml").read_text())
    # Each host has a file of its own: the one of this machine is nobody's.
    del every["containerd_depot_config"]
    every |= {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    (folder / "hosts.yml").write_text(yaml.safe_dump({"all": {"vars": every, "hosts": hosts}}))
    (folder / "play.yml").write_text(yaml.safe_dump(_PLAYBOOK))
    done = subprocess.run(
        [Path(sys.executable).parent / "ansible-playbook", "-i", folder / "hosts.yml",
         folder / "play.yml"],
        capture_output=True, text=True, check=False,
        env={"PATH": "/usr/local/sbin:/usr/sbin:/usr/bin:/bin", "HOME": str(folder),
             "LC_ALL": "C.UTF-8", "ANSIBLE_FORKS": "12", "ANSIBLE_NOCOLOR": "True"},
    )  # fmt: skip
    recap = {
        name: {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", counts)}
        for name, counts in re.findall(r"(?m)^([\w-]+)\s+: (ok=.*)$", done.stdout)
    }
    assert recap.keys() == hosts.keys(), done.stdout + done.stderr
    return Outcome(texts, folder, recap, done.stdout)


@pytest.mark.parametrize("name", _GOOD)
def test_the_setting_is_added_and_all_else_is_kept(outcome: Outcome, name: str) -> None:
    assert outcome.results[name]["failed"] == 0, outcome.log[-4000:]
    after = tomllib.loads(outcome.text(name))
    registry = after["plugins"]["io.containerd.grpc.v1.cri"].pop("registry")
    expected = tomllib.loads(outcome.before[name] or "version = 2\n")
    plugins = expected.setdefault("plugins", {})
    before = plugins.setdefault("io.containerd.grpc.v1.cri", {}).pop("registry", {})
    assert registry == {**before, "config_path": _DIRECTORY}
    assert after == expected


def test_the_files_mode_is_kept(outcome: Outcome) -> None:
    modes = {name: (outcome.folder / f"{name}.toml").stat().st_mode & 0o777 for name in _GOOD}
    assert modes == dict.fromkeys(_GOOD, 0o640) | {"missing": 0o644}


def test_comments_are_kept(outcome: Outcome) -> None:
    assert "# kept" in outcome.text("table-without-the-key")
    assert "# two" in outcome.text("single-quotes")
    assert "# why" in outcome.text("key-after-another")


@pytest.mark.parametrize("name", _REFUSED)
def test_what_cannot_take_the_setting_is_refused_and_left_alone(
    outcome: Outcome, name: str
) -> None:
    assert outcome.results[name]["failed"] == 1
    assert outcome.text(name) == _REFUSED[name]
    assert "Bring it up to date by hand" in outcome.log


@pytest.mark.parametrize("name", _GOOD)
def test_containerd_restarts_where_something_changed(outcome: Outcome, name: str) -> None:
    assert outcome.results[name]["changed"] == 1
