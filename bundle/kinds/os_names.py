"""How paths, suites, packages and versions of repositories of OS packages are written."""

from __future__ import annotations

from typing import Annotated, Final

from bundle.base.patterns import formed

KEYRING_NAMES: Final = ("keyring.asc", "keyring.gpg")
"""In ASCII armour, or binary: apt tells them apart by the name."""

_SEGMENT: Final = r"[A-Za-z0-9+_~^:=@,%-][A-Za-z0-9.+_~^:=@,%-]*"

OsPath = Annotated[
    str,
    formed(
        rf"^{_SEGMENT}(/{_SEGMENT})*$(?!\n)",
        "a path in a repository, no part of which begins with '.'",
        "pool/main/c/chrony/chrony_4.3-2_amd64.deb",
        max_length=1024,
    ),
]
"""A path in a repository; no part of it begins with a dot, so none is `.` or `..`."""

_WORD: Final = r"[A-Za-z0-9][A-Za-z0-9._-]*"

SuitePath = Annotated[
    str,
    formed(
        rf"^{_WORD}(/{_WORD})*$(?!\n)",
        "words of letters, digits, '.', '_' and '-', separated by '/'",
        "bookworm",
        max_length=128,
    ),
]
"""A component of an apt repository."""

SuiteName = Annotated[
    str,
    formed(
        rf"^(\./|/|(\./)?{_WORD}(/{_WORD})*/?)$(?!\n)",
        "words of letters, digits, '.', '_' and '-', separated by '/'; for a flat repository "
        "a '/' at the end",
        "bookworm",
        "./",
        max_length=128,
    ),
]
"""A suite of an apt repository, or the folder of a flat one: that ends in a slash."""

PackageName = Annotated[
    str,
    formed(
        r"^[A-Za-z0-9]([A-Za-z0-9+._-]{0,126}[A-Za-z0-9+])?$(?!\n)",
        "the name of a package: letters and digits, with '+', '.', '_' and '-' allowed in between",
        "chrony",
    ),
]
"""Never with a dash at an end: to apt that would be an option, or a wish to remove."""

PackageVersion = Annotated[
    str,
    formed(
        r"^[0-9A-Za-z][0-9A-Za-z.+~:^_-]*$(?!\n)",
        "the version of a package: letters, digits and '.', '+', '~', ':', '^', '_' and '-'",
        "4.3-2+deb12u1",
        max_length=256,
    ),
]

PackageArchitecture = Annotated[
    str,
    formed(
        r"^[a-z0-9_]{1,32}$(?!\n)",
        "an architecture of packages: lowercase letters, digits and '_'",
        "amd64",
    ),
]
