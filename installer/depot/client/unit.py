"""The depot as a service of systemd: its unit, as text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bundle.base.errors import UsageError

UNIT: Final = "isoward-depot.service"
MARK: Final = "# Written by isoward."
"""The first line of every unit of ours, by which it is known again."""

# Not ProtectHome=yes, which would hide a depot below /home.
_TEMPLATE: Final = """\
{mark} `isoward install` makes it again where nothing answers as the depot.
# Serves {depot}
[Unit]
Description=Isoward depot
Wants=network-online.target
After=network-online.target
RequiresMountsFor={depot}
# The address may come up late, and a site cannot do without its depot: it is tried for ever.
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart={command}
# Takes a new certificate, and drops no connection for it.
ExecReload=/bin/kill -HUP $MAINPID
Restart=always
RestartSec=1
# Whoever the depot belongs to; the capability is for ports below 1024.
User={owner}
UMask=0077
# Connections, and the blobs that they are sent.
LimitNOFILE=65536
AmbientCapabilities=CAP_NET_BIND_SERVICE
CapabilityBoundingSet=CAP_NET_BIND_SERVICE
LockPersonality=yes
MemoryDenyWriteExecute=yes
NoNewPrivileges=yes
PrivateDevices=yes
PrivateTmp=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHome=read-only
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProtectSystem=strict
ReadWritePaths={depot}
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
SystemCallFilter=@system-service

[Install]
WantedBy=multi-user.target
"""


@dataclass(frozen=True, slots=True)
class Service:
    """What the unit is about.

    Attributes:
        python: Of the environment that has isoward.
        depot: The depot's directory, absolute.
        owner: The user id that the directory belongs to.
        address: An address of this machine, to listen on.
        port: To listen on.
        name: Under which nodes reach the depot.
    """

    python: Path
    depot: Path
    owner: int
    address: str
    port: int
    name: str


def unit_text(service: Service) -> str:
    """Return the unit.

    Source: systemd.service(5), "Command lines"; systemd.exec(5), "Sandboxing".
    Raises:
        UsageError: A path cannot be written in a unit.
    """
    # -I: neither the folder that it starts in nor a variable adds code to it.
    command = [str(service.python), "-I", "-m", "bundle.cli.main", "serve"]
    command += ["--depot", str(service.depot), "--address", service.address]
    command += ["--port", str(service.port), "--name", service.name]
    return _TEMPLATE.format(
        mark=MARK,
        depot=quoted(service.depot),
        owner=service.owner,
        command=" ".join(_argument(part) for part in command),
    )


def quoted(path: Path) -> str:
    """Write a path as a unit wants it in a setting.

    Raises:
        UsageError: It cannot be written there.
    """
    text = str(path)
    if not text.isprintable():
        raise UsageError(
            f"the depot {text!r}: expected a printable path, for a service of systemd",
            "Move the depot to another folder, or run `isoward serve` yourself.",
        )
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


def _argument(text: str) -> str:
    return quoted(Path(text)).replace("$", "$$")
