"""Numeric limits on all outside input, each with its unit and its reason."""

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

MAX_SAFE_INTEGER: Final = 2**53 - 1
"""Largest integer that every JSON reader represents exactly (RFC 8259, section 6)."""

MAX_DEFINITION_BYTES: Final = 4 * MIB
"""A document typed by a person; far above any real one."""

MAX_LOCK_BYTES: Final = 64 * MIB
"""About 100,000 locked blobs."""

MAX_MANIFEST_BYTES: Final = 64 * MIB
"""bundle.json; the same content as a lock."""

MAX_OCI_MANIFEST_BYTES: Final = 4 * MIB
"""OCI distribution-spec, "Pushing Manifests": registries should accept at least 4 MiB."""

MAX_INDEX_YAML_BYTES: Final = 64 * MIB
"""A Helm repository index; the largest public ones are near 20 MiB."""

MAX_PYTHON_INDEX_BYTES: Final = 32 * MIB
"""A project's page in an index of Python packages; the largest public ones are near 10 MiB."""

MAX_PYTHON_INDEX_FILES: Final = 200_000
"""Files of one project; the largest public ones have near 20,000."""

MAX_REQUIREMENTS_BYTES: Final = 4 * MIB
"""A requirements file; a hundred packages with all their hashes have 300 KiB."""

MAX_WHEEL_METADATA_BYTES: Final = 4 * MIB
"""METADATA inside a wheel, which has the project's whole description."""

MAX_WHEEL_REQUIRES: Final = 2000
"""Requirements of one wheel; the largest known has a few hundred."""

MAX_WHEEL_MEMBERS: Final = 200_000
"""Files in a wheel; the largest known, a collection of collections, has near 40,000."""

MAX_CHART_YAML_BYTES: Final = MIB
"""Chart.yaml inside a chart archive."""

MAX_CHART_BYTES: Final = 64 * MIB
"""A chart archive, which is read entirely into memory to find its Chart.yaml."""

MAX_CHART_UNPACKED_BYTES: Final = 16 * MAX_CHART_BYTES
"""What a chart archive may unpack to until its Chart.yaml is found."""

MAX_CHART_MEMBERS: Final = 10_000
"""Files in a chart archive; each costs memory, and an empty one compresses to almost nothing."""

MAX_ARCHIVE_MEMBERS: Final = 100_000
"""Files in an image archive; each is remembered, and a header costs its author almost nothing."""

MAX_TAR_HEADER_BYTES: Final = MIB
"""An extended tar header, which is read entirely into memory; real ones hold a long name."""

MAX_UNPACKED_BYTES: Final = 64 * 1024 * MIB
"""What a compressed layer or image archive may unpack to: gzip shrinks zeros a thousandfold."""

MAX_GIT_FILES: Final = 200_000
"""Files in a Git tree; the largest trees people deploy from have tens of thousands."""

MAX_GIT_LISTING_BYTES: Final = 64 * MIB
"""The file list of a Git tree, which is read entirely into memory."""

MAX_GIT_TREE_BYTES: Final = 4 * 1024 * MIB
"""All files of a Git tree together; anything larger does not belong in Git."""

MAX_PROVENANCE_BYTES: Final = 2 * MIB
"""A chart's provenance file: its Chart.yaml, and a signature."""

MAX_CHART_DEPTH: Final = 32
"""Folders within folders of a chart, and charts within charts; real ones have three or four."""

MAX_REPOMD_BYTES: Final = MIB
"""repomd.xml of an rpm repository; real ones have 4 to 20 KiB."""

MAX_REPOMD_DEPTH: Final = 8
"""Nesting of repomd.xml; it needs three levels."""

MAX_SIGNATURE_FILE_BYTES: Final = 64 * KIB
"""A detached OpenPGP signature; an RSA 4096 one is under 1 KiB, and a file may hold several."""

MAX_WHEEL_BYTES: Final = 4096 * MIB
"""One wheel whose index gives no digest; the largest known are 3 GiB."""

MAX_DEB_BYTES: Final = 8192 * MIB
"""One apt package that is fetched to compute its digest; CUDA's largest are 3 GiB."""

MAX_RPM_BYTES: Final = 4096 * MIB
"""One package; past 4 GiB rpm itself needs a different format."""

MAX_RPM_PACKAGES: Final = 10_000
"""What one package list may pull in; a full desktop has 2,500."""

RPM_SOLVER_MEMORY: Final = 4096 * MIB
"""Address space of dnf while it solves; a distribution's metadata needs under 1 GiB."""

RPM_SOLVER_SECONDS: Final = 600.0
"""Time for dnf to solve; the metadata of a whole distribution takes it under a minute."""

MAX_KUBESPRAY_BYTES: Final = 128 * MIB
"""Kubespray's tree, which is held in memory; v2.31 has 7 MiB."""

MAX_KUBESPRAY_FILES: Final = 20_000
"""Files of Kubespray's tree; v2.31 has 1,200."""

MAX_INVENTORY_BYTES: Final = 16 * MIB
"""A Kubespray inventory with its variables; a thousand nodes have less than one."""

MAX_INVENTORY_FILES: Final = 4_000
"""Files of an inventory; at most one per node and group."""

CHECK_BYTES_PER_SECOND: Final = 32 * MIB
"""Rate at which a serving depot re-reads its blobs: a terabyte in nine hours, 3 % of a core."""

CHECK_INTERVAL_SECONDS: Final = 24 * 3600
"""From the end of one such pass to the start of the next."""

MAX_JOURNAL_BYTES: Final = 64 * MIB
"""The journal of a site; an installation writes about 100 KiB."""

MAX_VALUES_BYTES: Final = MIB
"""One values file of a chart; typed by a person."""

MAX_HELM_ARCHIVE_BYTES: Final = 128 * MIB
"""Helm's own release archive, which is read entirely into memory; it has 20 MiB."""

MAX_HELM_BYTES: Final = 256 * MIB
"""Helm's binary, unpacked; it has 60 MiB."""

MAX_HELM_MEMORY: Final = 3 * 1024 * MIB
"""Address space that Helm may use while it renders; Go reserves a third of a GiB up front, and the
largest public charts need one and a half."""

MAX_HELM_ERRORS: Final = MIB
"""One file that Helm may write, including its standard error."""

MAX_RENDERED_BYTES: Final = 64 * MIB
"""What rendering one chart may print; the largest public ones, with their CRDs, are near 5 MiB."""

MAX_RENDERED_NODES: Final = 2_000_000
"""Values visited, so that aliases of aliases do not multiply without end."""

MAX_CHART_IMAGES: Final = 5_000
"""Images, and candidates for images, of one chart."""

MAX_OWN_WHEEL_BYTES: Final = 64 * MIB
"""A wheel of isoward, which is read entirely into memory; ours is about 1 MiB."""

MAX_REASON: Final = 500
"""Characters of a parser's message inside one of ours, which must fit a line."""

MAX_TRUST_FILE_BYTES: Final = 512 * KIB
"""One TUF metadata file; ours are a few KiB."""

MAX_TIMESTAMP_DAYS: Final = 91
"""Days from now until a timestamp expires: 90, which a build writes, plus one for clock
differences. It limits how long a stolen build-system key can hold a site back."""

MAX_SNAPSHOT_DAYS: Final = 366
"""The same for a snapshot: 365, plus one."""

MAX_TRUST_FILES: Final = 200
"""Files below trust/: a hundred roots, the three others, and some slack."""

MAX_TRUST_DEPTH: Final = 32
"""Nesting of TUF metadata; ours needs at most seven."""

MAX_ATTESTATION_BYTES: Final = 4 * MIB
"""One file below attestations/; ours are a few KiB, and 2 MiB for thousands of changes."""

MAX_ATTESTATION_FILES: Final = 400
"""Files below attestations/: three per approver, for far more than a hundred approvers."""

MAX_YAML_DEPTH: Final = 32
"""Nesting of a YAML document; ours need at most eight."""

MAX_YAML_EVENTS: Final = 8_000_000
"""Parser events of a YAML document, so that a small file cannot make a large tree."""

MAX_PROBLEMS: Final = 50
"""Problems of one document reported at once; nobody reads more."""

MAX_REFERRER_DEPTH: Final = 4
"""Levels of referrers: a signature of an image's SBOM is at depth two."""

MAX_SIGNATURES: Final = 2000
"""Manifests that may carry signatures of one image; each costs at least one public-key operation.

Images that are signed at every release have several hundred."""

MAX_SIGNATURE_BYTES: Final = 16 * MIB
"""One signature and its payload: an SBOM attestation may be large, the others are a few KiB."""

MAX_INDEX_DEPTH: Final = 3
"""An index within an index within an index."""

MAX_REFERRERS: Final = 1000
"""Referrers of one subject; a registry that sends more is broken or hostile."""

CHUNK_BYTES: Final = MIB
"""Unit of reading, hashing and writing: past the knee of hashlib's rate, well below 200 MB."""

MAX_OS_INDEX_BYTES: Final = 256 * MIB
"""An index of a package repository as transferred; the largest public ones are near 60 MiB."""

MAX_KEYRING_BYTES: Final = MIB
"""A distribution's public keys; Debian's, the largest, are near 60 KiB."""

MAX_OS_RELEASE_BYTES: Final = 8 * MIB
"""A signed list of indexes, such as InRelease; the largest public ones are near 300 KiB."""

MAX_HEADER_BYTES: Final = MIB
"""Headers of one HTTP response, including all interim responses; real ones have 1 or 2 KiB."""

HEADER_SECONDS: Final = 120.0
"""Time until the headers of one HTTP response are complete, no matter how many bytes arrive."""

TRANSFER_GRACE_SECONDS: Final = 120.0
"""Grace period before MIN_BYTES_PER_SECOND applies: servers generate content on request."""

MIN_BYTES_PER_SECOND: Final = 2 * KIB
"""Slower than any connection that is usable for a build: 1 GiB would take six days."""

MIN_BYTES_PER_TRY: Final = 256 * KIB
"""Bytes per reconnect that a broken connection must average, after a few free ones."""

MAX_DOWNLOAD_BYTES: Final = 1024 * 1024 * MIB
"""A file of unknown size; no medium holds more than 1 TiB."""

MAX_PROGRAM_BYTES: Final = 256 * MIB
"""What an external program may print; a long listing or a rendered chart is a few MiB."""

MAX_GIT_PACK_BYTES: Final = 16 * 1024 * MIB
"""One file of a fetched repository, compressed, with its history where needed."""

MAX_GO_YAML_DEPTH: Final = 128
"""Nesting of another project's YAML document."""

MAX_GO_YAML_NODES: Final = 4_000_000
"""Its elements, including those that aliases repeat; the largest public ones have 500,000."""
