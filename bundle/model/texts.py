"""README.txt and VERIFY.txt of a bundle, for a person who has the medium and nothing of ours.

They follow from the bundle's name and version alone, since bundle.json names them by digest.
"""

from __future__ import annotations

from bundle.model.documents import Metadata

_README = """\
{name} {version}
{line}

This folder is an Isoward bundle: images, charts and files for a Kubernetes platform that has no
network, with the signatures that say who approved it.

To install it, on a machine of the site where `isoward` is installed:

    isoward import THIS-FOLDER --depot /var/lib/isoward
    isoward serve --depot /var/lib/isoward
    isoward install SITE.yaml --depot /var/lib/isoward

To check it with tools that every Linux machine has, read VERIFY.txt.

What is where:

    bundle.json       every blob by digest and size, and what each one is
    blobs/sha256/     the content, each file named by its SHA-256 digest
    index.json        with oci-layout: this folder is an OCI image layout
    trust/            signed metadata (The Update Framework)
    SHA256SUMS        the digests of all files, for sha256sum -c

Nothing here is compressed again or packed into an archive: what you see is what is used.
"""

_VERIFY = """\
Verifying {name} {version} with stock tools
{line}

Run these in this folder. None of them writes anything or needs a network.

1. Every byte is what the list says:

    sha256sum --check --quiet SHA256SUMS

   No output means that all files are intact. This finds damage, not forgery: whoever can change
   a file can change the list. Steps 2 and 3 say who vouches for it.

2. bundle.json is the file that was approved:

    sha256sum bundle.json
    python3 -m json.tool trust/targets.json

   Compare the first output with signed.targets."bundle.json".hashes.sha256 in the second, and
   the number of entries under "signatures" with the threshold of the role "targets" in the newest
   trust/*.root.json.

3. The signatures are good, and the root is the one that you were told out of band:

    sha256sum trust/1.root.json
    isoward verify . --fingerprint THE-FINGERPRINT-YOU-WERE-TOLD

   or any client of The Update Framework (theupdateframework.io), with trust/1.root.json as the
   trusted root and trust/ as the repository; it must accept the target bundle.json.

4. The images can be read by any OCI tool:

    skopeo inspect oci:.:REFERENCE
"""


def readme_text(metadata: Metadata) -> str:
    """Return README.txt."""
    return _fill(_README, metadata)


def verify_text(metadata: Metadata) -> str:
    """Return VERIFY.txt."""
    return _fill(_VERIFY, metadata)


def _fill(template: str, metadata: Metadata) -> str:
    line = "=" * (
        len(template.partition("\n")[0])
        - len("{name}{version}")
        + len(metadata.name)
        + len(metadata.version)
    )
    return template.format(name=metadata.name, version=metadata.version, line=line)
