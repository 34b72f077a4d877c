"""Names, lifetimes and limits of the trust metadata, each with its reason."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

TARGET_NAME: Final = "bundle.json"
"""The one target: it names every other byte of the bundle by digest."""

NAME_FIELD: Final = "x-isoward-name"
"""Field of a TUF key that holds its holder's name; python-tuf keeps and signs unknown fields."""

ROOT_LIFETIME_DAYS: Final = 730
"""Two years: a key ceremony needs people in one place, and hospitals update rarely."""

MAX_ROOT_LIFETIME_DAYS: Final = 3650
"""Ten years: the longest that `isoward root new` gives a root."""

TARGETS_LIFETIME: Final = timedelta(days=365)
"""One year: what was approved longer ago was scanned with last year's database."""

SNAPSHOT_LIFETIME: Final = timedelta(days=365)
"""As long as the targets that it names: it adds no freshness of its own here."""

TIMESTAMP_LIFETIME: Final = timedelta(days=90)
"""How old a release may be when it is imported: a quarter covers a medium's journey and a change
window, and bounds how long someone can hold back a newer release (freeze attack)."""

MIN_APPROVALS: Final = 2
"""No one person releases alone (four eyes)."""

BUILDER_THRESHOLD: Final = 1
"""The build system is one machine with one key."""

MAX_ROOTS: Final = 100
"""Root versions in one bundle: with one rotation a year a century, and 50 MiB at the very most."""

MAX_NAME_LENGTH: Final = 100
"""Characters of a holder's name: one line on a terminal."""

MAX_KEY_FILE_BYTES: Final = 64 * 1024
"""A key file; ours are below 1 KiB."""

MAX_PUBLIC_VALUE: Final = 8192
"""Characters of a public key in TUF metadata; the largest, ML-DSA-65 in PEM, has 2726."""

MIN_PASSPHRASE: Final = 12
"""Characters. PKCS8 encryption stretches a passphrase only a little, so that it must be long."""

CLOCK_TOLERANCE: Final = timedelta(minutes=10)
"""How far a clock may step back without complaint: what time synchronization corrects."""
