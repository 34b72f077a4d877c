"""All commands: the role that each is for, its module as text, and its line in the help."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple


class Listed(NamedTuple):
    """A command as the help lists it: where its code is, and what it does in a line."""

    module: str
    summary: str


GROUPS: Final[Mapping[str, Mapping[str, Listed]]] = {
    "Vendor": {
        "convert": Listed("bundler.cli.convert", "Turn other tools' lists into a definition."),
        "lock": Listed("bundler.cli.lock", "Resolve a definition to digests."),
        "build": Listed("bundler.cli.build", "Fetch what a lock names into a bundle."),
        "approve": Listed("bundler.cli.approve", "Approve a bundle by signing it."),
        "export": Listed("bundler.cli.export", "Write a lock in another tool's format."),
        "keys": Listed("bundler.cli.keys", "Create and import signing keys."),
        "root": Listed("bundler.cli.root", "Create, change and show the root of trust."),
        "sign": Listed("bundler.cli.sign", "Sign a root offline, on request."),
        "release": Listed("bundler.cli.release", "Manage a release folder."),
    },
    "Auditor": {
        "verify": Listed(
            "bundle.cli.auditor.verify", "Verify a bundle: its trust, then every byte."
        ),
        "inspect": Listed(
            "bundle.cli.auditor.inspect", "Show what a bundle claims to hold, unverified."
        ),
    },
    "Operator": {
        "enroll": Listed("installer.cli.enroll", "Trust a vendor's root at this site, once."),
        "import": Listed("installer.cli.import_", "Verify a bundle into the depot."),
        "depot": Listed("installer.cli.depot", "Check the depot's content."),
        "serve": Listed("installer.cli.serve", "Serve the depot to the site's machines."),
        "push": Listed("installer.cli.push", "Push what the depot has into a registry."),
        "site": Listed("installer.cli.site", "Write and check a site file."),
        "preflight": Listed("installer.cli.preflight", "Check whether machines are ready."),
        "plan": Listed("installer.cli.plan", "Show what an installation would do."),
        "install": Listed("installer.cli.install", "Install the site's machines from the depot."),
        "waiver": Listed("installer.cli.waiver", "Waive expiry for one bundle."),
        "recover": Listed("installer.cli.recover", "Recover lost records of the site."),
    },
    "Help": {
        "docs": Listed("bundle.cli.help.docs", "Print the documentation that is installed."),
        "schema": Listed("bundle.cli.help.schema", "Print the JSON Schema of a document."),
        "man": Listed("bundle.cli.help.man", "Print or write manual pages."),
        "completion": Listed(
            "bundle.cli.help.completion", "Print a script that completes commands."
        ),
    },
}
"""By role, in the order of a bundle's journey."""

COMMANDS: Final[Mapping[str, Listed]] = {
    name: listed for group in GROUPS.values() for name, listed in group.items()
}
