"""The machines that wheels are chosen for: a Python, a platform and a C library.

The choice is pip's. pip itself judges markers by the Python that runs it, whatever Python it is
asked to choose for, so the rules of the `packaging` library, which pip uses too, are applied here.

Source: PyPA specifications, "Platform compatibility tags"; PEP 600; pip's CandidateEvaluator.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from packaging.markers import Marker
from packaging.specifiers import SpecifierSet
from packaging.tags import Tag, compatible_tags, cpython_tags

from bundle.kinds.python_packages import MACHINES

_OLDEST_GLIBC: Final = {"x86_64": 5, "aarch64": 17}
"""The second number of the first C library that wheels of this machine are built for (PEP 600)."""

_LEGACY: Final = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}


@dataclass(frozen=True)
class Target:
    """One kind of machine at the sites.

    Attributes:
        python: Minor version of CPython, such as `3.12`.
        platform: Such as `linux/amd64`.
        glibc: The oldest C library, such as `2.28`.
    """

    python: str
    platform: str
    glibc: str

    def __str__(self) -> str:
        """Say it for a message."""
        return f"Python {self.python} on {self.platform} with glibc {self.glibc}"

    @property
    def machine(self) -> str:
        """What Python calls the platform's machine."""
        return MACHINES[self.platform]

    @property
    def full_version(self) -> str:
        """The first release of the minor version, as pip takes it."""
        return f"{self.python}.0"

    @cached_property
    def ranks(self) -> dict[Tag, int]:
        """Every tag that such a machine accepts, the best one 0."""
        version = tuple(int(part) for part in self.python.split("."))
        interpreter = f"cp{version[0]}{version[1]}"
        platforms = list(self._platforms())
        ordered = (
            *cpython_tags(version, abis=[interpreter], platforms=platforms),
            *compatible_tags(version, interpreter=interpreter, platforms=platforms),
        )
        ranks: dict[Tag, int] = {}
        for tag in ordered:
            ranks.setdefault(tag, len(ranks))
        return ranks

    def _platforms(self) -> Iterator[str]:
        newest = int(self.glibc.partition(".")[2])
        for minor in range(newest, _OLDEST_GLIBC[self.machine] - 1, -1):
            yield f"manylinux_2_{minor}_{self.machine}"
            if minor in _LEGACY:
                yield f"{_LEGACY[minor]}_{self.machine}"
        # Such a wheel promises no C library, so any other is better, whatever a newer pip thinks.
        yield f"linux_{self.machine}"

    def accepts_python(self, requires: str) -> bool:
        """Return whether a `Requires-Python` allows this Python; nonsense allows all, as in pip."""
        try:
            return SpecifierSet(requires).contains(self.full_version, prereleases=True)
        except ValueError:
            return True

    def wants(self, marker: Marker | None, extra: str = "") -> bool:
        """Return whether a requirement with this marker counts on such a machine.

        Raises:
            ValueError: The marker compares what cannot be compared.
        """
        return marker is None or marker.evaluate({**self._environment, "extra": extra})

    @cached_property
    def _environment(self) -> dict[str, str | AbstractSet[str]]:
        return {
            "implementation_name": "cpython",
            "implementation_version": self.full_version,
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": self.full_version,
            "platform_python_implementation": "CPython",
            "python_version": self.python,
            "sys_platform": "linux",
        }
