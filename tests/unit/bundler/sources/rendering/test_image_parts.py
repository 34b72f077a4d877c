"""Images in parts, in texts and in templates are questions; what is none is not."""

from __future__ import annotations

import pytest

from bundle.kinds.closure import Named
from bundler.sources.rendering.rendered_yaml import rendered_documents
from bundler.sources.rendering.workloads import images_of
from tests.vectors.chart_harmless import NO_QUESTIONS
from tests.vectors.chart_parts import QUESTIONS


def asked(text: str) -> list[Named]:
    documents = rendered_documents(text.encode(), "x")
    return [named for named in images_of(documents, "x") if named.how == "found"]


@pytest.mark.parametrize("shape", QUESTIONS)
def test_no_image_is_passed_over(shape: str) -> None:
    text, expected = QUESTIONS[shape]
    assert {named.image for named in asked(text)} == expected


@pytest.mark.parametrize("shape", NO_QUESTIONS)
def test_what_is_no_image_is_no_question(shape: str) -> None:
    assert [named.image for named in asked(NO_QUESTIONS[shape])] == []
