"""Judging the machine: kernel, size, what its kernel can do, its clock."""

from __future__ import annotations

import re
from typing import Final

from bundle.kinds.kubespray import plain_version
from bundle.model.finding import Finding, fail, ok, warn
from installer.preflight.facts import Sysctl
from installer.preflight.situation import Judgement, Subject, shown

_KERNEL: Final = (4, 19)
"""The oldest that kubeadm's own system check takes (kubernetes/system-validators)."""
_CPUS: Final = {"control-plane": 2, "worker": 1, "etcd": 1}
"""kubeadm's own least for a control plane."""
_CPUS_ENOUGH: Final = 2
_KIB_PER_GIB: Final = 1024 * 1024
_MEMORY: Final = {"control-plane": (1.62, 4.0), "etcd": (1.0, 2.0), "worker": (1.0, 2.0)}
"""GiB by role: the least (kubeadm wants 1700 MB, Kubespray 1 GiB), and enough."""
_CGROUP_CONTROLLERS: Final = ("cpu", "memory", "pids", "cpuset")
_REFUSES_V1: Final = (1, 35)
"""From here on the kubelet refuses control groups version 1 unless it is told otherwise."""
_CLOCK_SECONDS: Final = 60.0
_SKEW_SECONDS: Final = 1.0
"""etcd complains of more."""

FEATURES: Final = {
    "overlay": ("CONFIG_OVERLAY_FS", "overlay"),
    "br_netfilter": ("CONFIG_BRIDGE_NETFILTER", "br_netfilter"),
    "nf_tables": ("CONFIG_NF_TABLES", "nf_tables"),
    "ip_tables": ("CONFIG_IP_NF_IPTABLES", "ip_tables"),
    "nf_conntrack": ("CONFIG_NF_CONNTRACK", "nf_conntrack"),
    "ip_set": ("CONFIG_IP_SET", "ip_set"),
    "ip_vs": ("CONFIG_IP_VS", "ip_vs"),
    "vxlan": ("CONFIG_VXLAN", "vxlan"),
}
"""What a kernel may have or lack: its setting, and the module that it may be in."""
_ALWAYS: Final = ("overlay", "br_netfilter", "nf_conntrack")
_BY_PLUGIN: Final = {
    "calico": ("ip_set", "vxlan"),
    "cilium": ("vxlan",),
    "kube-router": ("ip_set",),
}
_PROXY_MODE: Final = "ipvs"
"""Kubespray's own choice where nobody made another."""
_BY_MODE: Final = {"ipvs": ("ip_vs", "ip_set"), "iptables": (), "nftables": ("nf_tables",)}
_FORWARD: Final = "net.ipv4.ip_forward"
_BRIDGE: Final = "net.bridge.bridge-nf-call-iptables"
_PROTECTED: Final = {
    "vm.overcommit_memory": "1",
    "vm.panic_on_oom": "0",
    "kernel.panic": "10",
    "kernel.panic_on_oops": "1",
    "kernel.keys.root_maxkeys": "1000000",
    "kernel.keys.root_maxbytes": "25000000",
}
"""What the kubelet wants to find, and Kubespray sets (kubelet_protect_kernel_defaults)."""
SYSCTLS: Final = (_FORWARD, _BRIDGE, *_PROTECTED)


def judge_kernel(subject: Subject) -> Finding:
    """Judge the kernel's version."""
    machine = subject.facts.machine
    expected = f"Linux {_KERNEL[0]}.{_KERNEL[1]} or newer"
    text = machine.kernel if machine else ""
    found = re.match(r"([0-9]{1,4})\.([0-9]{1,4})", text)
    if found and (int(found[1]), int(found[2])) >= _KERNEL:
        return ok(expected, shown(text))
    return fail(expected, shown(text), "Upgrade the node's system.")


def judge_cpus(subject: Subject) -> Finding:
    """Judge the number of processors that a login may use."""
    machine = subject.facts.machine
    least = max((_CPUS[role] for role in subject.node.roles), default=1)
    enough = max(least, _CPUS_ENOUGH)
    expected, count = f"{enough} processors", machine.cpus if machine else 0
    if count >= enough:
        return ok(expected, str(count))
    advice = "Give the machine more processors."
    return (warn if count >= least else fail)(expected, str(count), advice)


def judge_memory(subject: Subject) -> Finding:
    """Judge the memory by what the node is to be."""
    machine = subject.facts.machine
    sizes = [_MEMORY[role] for role in subject.node.roles]
    least = max((size[0] for size in sizes), default=1.0)
    enough = max((size[1] for size in sizes), default=2.0)
    amount = (machine.memory_kib if machine else 0) / _KIB_PER_GIB
    expected, found = f"{enough:.0f} GiB", f"{amount:.1f} GiB"
    if amount >= enough:
        return ok(expected, found)
    advice = f"Give the machine more memory; less than {least} GiB cannot work."
    return (warn if amount >= least else fail)(expected, found, advice)


def judge_swap(subject: Subject) -> Finding | None:
    """Judge swap: what was in memory must not come to lie on a disk."""
    machine = subject.facts.machine
    if machine is None or not subject.runs_kubelet:
        return None
    if not machine.swap:
        return ok("no swap", "none")
    return fail(
        "no swap",
        shown(machine.swap),
        "Run `swapoff -a`, and take the swap out of /etc/fstab: memory of patients' programs would "
        "come to lie on the disk, and the kubelet does not start.",
    )


def judge_cgroups(subject: Subject) -> Finding | None:
    """Judge the version of control groups, and whether they can do what is asked of them."""
    machine, cluster = subject.facts.machine, subject.cluster
    if machine is None or not subject.runs_kubelet:
        return None
    groups = machine.cgroups
    expected = "control groups version 2, with cpu, memory, pids and cpuset"
    lacking = [name for name in _CGROUP_CONTROLLERS if name not in groups.controllers]
    if groups.version == 0 or lacking:
        found = f"version {groups.version} without {', '.join(lacking)}" if lacking else "none"
        advice = "Take cgroup_disable= out of the kernel's command line, or add cgroup_enable=."
        return fail(expected, found, advice)
    if groups.version != 1:
        return ok(expected, "version 2")
    advice = "Start the node with systemd.unified_cgroup_hierarchy=1."
    major, minor, _ = plain_version(cluster.options.version).split(".")
    told = cluster.wanted.settings.get("kubelet_fail_cgroup_v1", "").lower() == "false"
    if (int(major), int(minor)) < _REFUSES_V1 or told:
        return warn(expected, "version 1, which Kubernetes keeps as it is", advice)
    return fail(
        expected,
        f"version 1, which Kubernetes {cluster.options.version} refuses",
        f"{advice} Or let it through: kubelet_fail_cgroup_v1: false in an override.",
    )


def judge_features(subject: Subject) -> Finding | None:
    """Judge what the kernel has of what containers, the network plugin and services need."""
    machine, cluster = subject.facts.machine, subject.cluster
    if machine is None or not subject.runs_kubelet:
        return None
    mode = cluster.wanted.settings.get("kube_proxy_mode", _PROXY_MODE)
    needed = {
        *_ALWAYS,
        *_BY_PLUGIN.get(cluster.options.network_plugin, ()),
        *_BY_MODE.get(mode, ()),
    } - {"br_netfilter"}
    expected = f"a kernel with {', '.join(sorted(needed))}"
    states = {name: machine.features.get(name, "unknown") for name in sorted(needed)}
    absent = [name for name, state in states.items() if state == "absent"]
    # Either of them carries the rules of services and policies.
    tables = {machine.features.get(name, "unknown") for name in ("nf_tables", "ip_tables")}
    if tables == {"absent"}:
        absent.append("nf_tables or ip_tables")
    if absent:
        return fail(
            expected,
            f"without {', '.join(absent)}",
            f"Install the kernel's modules, or its full package; for services by {mode}, "
            "kube_proxy_mode may be another in an override.",
        )
    if "unknown" in states.values():
        return warn(
            expected,
            "not known: the kernel shows neither its settings nor its modules",
            "Install the kernel's package with /boot/config and /lib/modules.",
        )
    return ok(expected, "all of them")


def judge_forwarding(subject: Subject) -> Finding | None:
    """Judge whether packets of pods can be passed on."""
    machine = subject.facts.machine
    if machine is None or not subject.runs_kubelet:
        return None
    expected = f"{_FORWARD} that can be set"
    setting = machine.sysctls.get(_FORWARD)
    if setting is not None and (setting.value == "1" or setting.settable):
        return ok(expected, "on" if setting.value == "1" else "off; the installation sets it")
    return fail(expected, "it is off and cannot be set", "Is /proc/sys read-only on this machine?")


def judge_bridge(subject: Subject) -> Finding | None:
    """Judge whether packets on a bridge come before the filters."""
    machine = subject.facts.machine
    if machine is None or not subject.runs_kubelet:
        return None
    expected = f"{_BRIDGE} that can be set, or the module br_netfilter"
    setting = machine.sysctls.get(_BRIDGE)
    if setting is not None and (setting.value == "1" or setting.settable):
        return ok(expected, "on" if setting.value == "1" else "off; the installation sets it")
    if machine.features.get("br_netfilter") == "present":
        return ok(expected, "not loaded yet; the installation loads it")
    return fail(
        expected,
        "neither",
        "Install the kernel's modules (br_netfilter): services and policies need it.",
    )


def judge_settings(subject: Subject) -> Finding | None:
    """Judge whether the kernel's settings are, or can be made, what the kubelet wants."""
    machine = subject.facts.machine
    if machine is None or not subject.runs_kubelet:
        return None
    expected = "kernel settings that are as the kubelet wants them, or can be set"
    stuck = [
        f"{name} is {setting.value or 'not there'}, not {value}"
        for name, value in _PROTECTED.items()
        if (setting := machine.sysctls.get(name, Sysctl("", settable=False))).value != value
        and not setting.settable
    ]
    if not stuck:
        return ok(expected, "all of them")
    return fail(expected, shown(stuck), "Is /proc/sys read-only on this machine?")


def judge_packages_carried(subject: Subject) -> Finding | None:
    """Judge whether the bundle has OS packages for the node's release."""
    machine, identity = subject.facts.machine, subject.facts.identity
    wanted = subject.cluster.wanted
    if machine is None or identity is None:
        return None
    expected = f"a release that the bundle has packages of: {', '.join(wanted.releases) or 'none'}"
    found = shown(f"{identity.release} on {machine.architecture}")
    if wanted.has_packages(identity.release, machine.architecture):
        return ok(expected, found)
    return fail(
        expected,
        found,
        "Set the node up with such a release, or ask the vendor for osPackages of this one.",
    )


def judge_access_control(subject: Subject) -> Finding:
    """Judge SELinux and AppArmor."""
    machine = subject.facts.machine
    expected = "SELinux off or permissive; AppArmor as it is"
    state = machine.selinux if machine else ""
    found = f"SELinux {shown(state)}, AppArmor {'on' if machine and machine.apparmor else 'off'}"
    if state != "enforcing":
        return ok(expected, found)
    return warn(
        expected,
        found,
        "Kubespray sets SELinux to permissive (preinstall_selinux_state); see that this is wanted.",
    )


def judge_clock(subject: Subject) -> Finding:
    """Judge the clock against the installer's."""
    expected = f"within {_CLOCK_SECONDS:.0f} s of the installer's clock"
    offset = subject.cluster.offsets[subject.node.name]
    if offset.trouble:
        return fail(expected, offset.trouble, "The node has no usable `date`.")
    found = f"{abs(offset.seconds):.1f} s {'ahead' if offset.seconds > 0 else 'behind'}"
    if abs(offset.seconds) - offset.unsure <= _CLOCK_SECONDS:
        return ok(expected, found)
    return fail(expected, found, "Set both clocks, or their time server.")


def judge_skew(subject: Subject) -> Finding | None:
    """Judge the clock against those of the others."""
    offset = subject.cluster.offsets[subject.node.name]
    if offset.trouble:
        return None
    expected = f"within {_SKEW_SECONDS:.0f} s of the other clocks"
    away = offset.seconds - subject.cluster.usual_offset
    found = f"{abs(away):.1f} s {'ahead' if away > 0 else 'behind'}"
    if abs(away) - offset.unsure <= _SKEW_SECONDS:
        return ok(expected, found)
    return warn(
        expected,
        found,
        "The installation sets it, once. Name timeServers in the site file, so that it stays: "
        "certificates, etcd and audit records rest on it.",
    )


JUDGEMENTS: Final = (
    Judgement("kernel", "Is the kernel new enough?", "machine", judge_kernel),
    Judgement("cpu", "Are there enough processors?", "machine", judge_cpus),
    Judgement("memory", "Is there enough memory?", "machine", judge_memory),
    Judgement("swap", "Is swap off?", "machine", judge_swap),
    Judgement("cgroups", "Which control groups has it?", "machine", judge_cgroups),
    Judgement("kernel-features", "Can its kernel do what is needed?", "machine", judge_features),
    Judgement("ip-forward", "Can it pass packets on?", "machine", judge_forwarding),
    Judgement("bridge-netfilter", "Do bridged packets meet the filters?", "machine", judge_bridge),
    Judgement("kernel-settings", "Can the kernel be set up?", "machine", judge_settings),
    Judgement("os-packages", "Has the bundle its packages?", "machine", judge_packages_carried),
    Judgement("access-control", "What of SELinux and AppArmor?", "machine", judge_access_control),
    Judgement("clock", "Is its clock right?", "", judge_clock),
    Judgement("skew", "Do the clocks agree?", "", judge_skew),
)
