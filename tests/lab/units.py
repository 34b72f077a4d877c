"""What a lab node does at its start that a machine of its own would not have to."""

from __future__ import annotations

from typing import Final

# nspawn mounts the control groups read-only; containerd has to make groups of its own.
_CGROUPS: Final = """\
[Unit]
Description=Writable control groups
DefaultDependencies=no
Before=containerd.service
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'while read -r _ where kind _; do case $kind in cgroup*) \
mount -o remount,rw,bind "$where" ;; esac; done < /proc/mounts'
[Install]
WantedBy=sysinit.target
"""
# The kernel is this machine's. What a cluster sets of it beside a node's own network is kept in
# files in its place, so that it is read as it was written. Its log is not the node's either: for
# kubelet, which looks there for processes that ran out of memory, it is empty.
_KERNEL: Final = """\
[Unit]
Description=Kernel settings of a node's own
DefaultDependencies=no
Before=systemd-sysctl.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'mkdir -p /run/lab-kernel; for key in vm/overcommit_memory vm/panic_on_oom \
kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys kernel/keys/root_maxbytes \
fs/inotify/max_user_instances; do \
copy=/run/lab-kernel/$(basename $key); cat /proc/sys/$key > $copy; \
mount --bind $copy /proc/sys/$key; done; ln -sf /dev/null /dev/kmsg'
[Install]
WantedBy=sysinit.target
"""
UNITS: Final = {"lab-cgroups.service": _CGROUPS, "lab-kernel.service": _KERNEL}
"""Units that every node starts, by name."""
