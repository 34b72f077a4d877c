"""What Helm prints: many YAML documents, made by templates that are not ours.

They may have what our own documents may not, and are read as the API server's own reader does. All
scalars but null are text, as they are written.
"""

from __future__ import annotations

from typing import Any

from bundle.base.errors import FormatError
from bundle.base.limits import MAX_REASON
from bundler.model.yaml_go import GoYamlError, go_documents


def rendered_documents(data: bytes, where: str) -> list[Any]:
    """Parse a stream of YAML documents.

    Args:
        data: Untrusted, of bounded size.
        where: Names the manifest in messages.
    Raises:
        FormatError: Not YAML, or too deep or too large.
    """
    try:
        return go_documents(data, str)
    except GoYamlError as error:
        raise FormatError(
            f"{where}: its rendered output cannot be read: {str(error)[:MAX_REASON]}",
            "Render it with `helm template`, and correct its values or ask its publisher.",
        ) from error
