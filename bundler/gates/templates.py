"""Images that a template puts together: what a person declared answers for those that fit it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from bundler.model.image_holes import has_holes, holes_in, plain_reference


def answered(template: str, declared: Iterable[str]) -> bool:
    """Return whether one of the declared images is what a template may come to.

    A template in which nothing but holes stands fits everything, and so says nothing.

    Args:
        template: As it was found.
        declared: As a person wrote them, and as full references.
    """
    if not has_holes(template):
        return False
    text = plain_reference(template)
    pattern, literal, last = "", "", 0
    for start, end in holes_in(text):
        pattern += re.escape(text[last:start]) + r"\S+"
        literal += text[last:start]
        last = end
    pattern += re.escape(text[last:])
    literal += text[last:]
    if not any(character.isalnum() for character in literal):
        return False
    return any(re.fullmatch(pattern, image) for image in declared)
