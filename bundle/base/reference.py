"""References to images and charts in registries.

Source: OCI distribution-spec, "Pulling manifests" (repository and tag grammar), and the Docker
conventions for short names: `x` is docker.io/library/x, `a/b` is docker.io/a/b.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Final
from urllib.parse import unquote

from bundle.base.digest import is_digest
from bundle.base.errors import DefinitionError
from bundle.base.queries import concealed

_COMPONENT: Final = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY: Final = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST: Final = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])(?::([0-9]{{1,5}}))?")
_MAX_NAME: Final = 255
_MAX_PORT: Final = 65535
DOCKER_HUB: Final = "docker.io"


def fallback_tag(subject: str) -> str:
    """Return the tag under which registries without the referrers API keep a subject's referrers.

    Source: OCI distribution-spec, "Referrers Tag Schema".
    """
    return subject.replace(":", "-", 1)


@dataclass(frozen=True, slots=True)
class Reference:
    """A fully qualified reference: exactly one of `tag` and `digest` may be empty.

    Attributes:
        registry: Host and optional port, such as `registry.example.org:5000`.
        repository: Path in the registry, such as `app/web`.
        tag: Or an empty string.
        digest: Or an empty string; it takes precedence over the tag.
    """

    registry: str
    repository: str
    tag: str = ""
    digest: str = ""

    def __str__(self) -> str:
        """Return the form that `parse_reference` accepts."""
        text = self.name
        if self.tag:
            text += f":{self.tag}"
        if self.digest:
            text += f"@{self.digest}"
        return text

    @property
    def name(self) -> str:
        """Registry and repository, without tag and digest."""
        return f"{self.registry}/{self.repository}"

    @property
    def target(self) -> str:
        """What to request from the registry: the digest if there is one, otherwise the tag."""
        return self.digest or self.tag


def is_host(text: str) -> bool:
    """Return whether `text` is a host name or address with an optional port."""
    found = _HOST.fullmatch(text)
    if found is None or int(found[1] or 0) > _MAX_PORT:
        return False
    return not text.startswith("[") or _is_ipv6(text[1 : text.index("]")])


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def is_repository(text: str) -> bool:
    """Return whether `text` is a repository name by the OCI grammar."""
    return len(text) <= _MAX_NAME and _REPOSITORY.fullmatch(text) is not None


def is_tag(text: str) -> bool:
    """Return whether `text` is a tag by the OCI grammar."""
    return _TAG.fullmatch(text) is not None


def parse_reference(text: str, where: str = "reference") -> Reference:
    """Parse and normalize a reference.

    Args:
        text: Such as `nginx:1.27`, `quay.io/a/b:v1` or `r.example/a@sha256:...`.
        where: The place in the document, for the message.
    Raises:
        DefinitionError: Not a reference, or without tag and digest (`latest` is never assumed).
    """
    if "://" in text:
        raise _refuse(where, text, "it is a URL")
    rest, _, digest = text.partition("@")
    if "@" in text and not is_digest(digest):
        raise _refuse(where, text, "expected sha256:<64 hex> after '@'")
    first, slash, remainder = rest.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        registry, path = first, remainder
    else:
        registry, path = DOCKER_HUB, rest
    path, colon, tag = path.partition(":")
    if registry == "index.docker.io":
        registry = DOCKER_HUB
    if registry == DOCKER_HUB and "/" not in path:
        path = f"library/{path}"
    if not is_host(registry):
        raise _refuse(where, text, f"{registry!r} is not a host")
    if not is_repository(path):
        raise _refuse(where, text, f"{path!r} is not a repository name")
    if colon and not is_tag(tag):
        raise _refuse(where, text, f"{tag!r} is not a tag")
    if not tag and not digest:
        raise _refuse(where, text, "it has neither a tag nor a digest")
    return Reference(registry, path, tag, digest)


def check_url(text: str, where: str) -> None:
    """Check the host and the path of an address that matches `Url`.

    Args:
        text: Untrusted.
        where: The place in the document, for the message.
    Raises:
        DefinitionError: The host is invalid, or the path has `..`, which a server may follow, or
            unprintable characters.
    """
    shown = concealed(text)[:200]
    host, _, path = text.partition("?")[0].partition("://")[2].partition("/")
    if not is_host(host):
        raise DefinitionError(
            f"{where}: {shown!r}: {host.rpartition('@')[2][:100]!r} is not a host",
            "Write it as https://host/path, without a user name or password.",
        )
    plain = unquote(path)
    if not {".", ".."}.isdisjoint(plain.split("/")):
        raise DefinitionError(
            f"{where}: {shown!r} has '.' or '..' in its path", "Write out the full path."
        )
    if not plain.isprintable() or "\\" in plain:
        raise DefinitionError(
            f"{where}: {shown!r} has a control character or a backslash in its path",
            "Use an address with a plain path.",
        )


def path_host(host: str) -> str:
    """Return `host` as one component of a path: the port's colon becomes an underscore.

    A repository name may not hold a colon, so the depot serves `registry.example.org:5000/app` as
    `registry.example.org_5000/app`.
    """
    return host.replace(":", "_").replace("[", "").replace("]", "").lower()


def _refuse(where: str, text: str, why: str) -> DefinitionError:
    return DefinitionError(
        f"{where}: {concealed(text)[:200]!r} is not a reference: {why}",
        "Write it as registry.example.org/repository:tag or with @sha256:<digest>.",
    )
