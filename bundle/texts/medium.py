"""README.txt and VERIFY.txt of a bundle, for a person who has the medium and nothing of ours.

They follow from the bundle's name and version alone, since bundle.json names them by digest.
"""

from __future__ import annotations

from bundle.base.documents import Metadata
from bundle.texts.verify_text import VERIFY

_README = """\
{name} {version}
{line}

This folder is an Isoward bundle: images, charts, files and packages for a Kubernetes platform that
has no network, with the signatures that say who approved it.

To install it, on a machine of the site where `isoward` is installed. Once for each vendor, with the
fingerprint that the vendor told you through a separate channel, never from this medium:

    isoward enroll THIS-FOLDER --depot /var/lib/isoward

For each medium:

    isoward import THIS-FOLDER --depot /var/lib/isoward
    isoward serve --depot /var/lib/isoward
    isoward install SITE.yaml --depot /var/lib/isoward

To check it with tools that every Linux machine has, read VERIFY.txt.

Where `isoward` is not installed yet, and this folder has an install.sh: check that as VERIFY.txt
says, then run `sh install.sh` as root. It needs no network, and no Python on those Debian, Ubuntu
or Rocky machines that the medium has packages for.

What is where:

    bundle.json       every blob by digest and size, and what each one is
    blobs/sha256/     the content, each file named by its SHA-256 digest
    index.json        with oci-layout: this folder is an OCI image layout
    trust/            signed metadata (The Update Framework)
    attestations/     how this was built, what changed, who approved it and why
    SHA256SUMS        the digests of all files, for sha256sum -c

Nothing here is compressed again or packed into an archive: what you see is what is used.
"""


def readme_text(metadata: Metadata) -> str:
    """Return README.txt."""
    return _fill(_README, metadata)


def verify_text(metadata: Metadata) -> str:
    """Return VERIFY.txt."""
    return _fill(VERIFY, metadata)


def _fill(template: str, metadata: Metadata) -> str:
    title = template.partition("\n")[0].replace("{name}", metadata.name)
    line = "=" * len(title.replace("{version}", metadata.version).removeprefix("# "))
    # Not str.format: the commands have braces of their own.
    for field, text in (("name", metadata.name), ("version", metadata.version), ("line", line)):
        template = template.replace(f"{{{field}}}", text)
    return template
