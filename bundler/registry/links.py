"""The Link header of a list that comes in pages.

Source: RFC 8288; OCI distribution-spec, "Listing Referrers".
"""

from __future__ import annotations

import re
from typing import Final

from bundle.base.errors import FormatError
from bundler.registry.hosts import Url
from bundler.registry.response import Answer

_LINK: Final = re.compile(r"<([^<>]*)>((?:\s*;\s*[^,;]+)*)")
_NEXT: Final = re.compile(r";\s*rel\s*=\s*\"?next\"?\s*(?:;|$)", re.IGNORECASE)


def next_link(answer: Answer, first: Url) -> Url | None:
    """Return the address of the next page, or None on the last one.

    Raises:
        FormatError: It leads to another host, where a registry has no business to send us.
    """
    for header in answer.headers.getlist("Link"):
        for match in _LINK.finditer(header):
            if not _NEXT.search(match[2]):
                continue
            url = answer.url.join(match[1])
            if (url.scheme, url.key) != (first.scheme, first.key):
                raise FormatError(
                    f"{first.shown}: its next page is at another host, {url.key}",
                    "The registry is broken or hostile; ask its operator.",
                )
            return url
    return None
