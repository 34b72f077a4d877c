"""A threshold counts persons: two names that people take for one are one."""

from __future__ import annotations

import pytest

from bundle.model.people import folded, name_problem

ADA = "Ada O'Hara-Zo\u00eb"
ONE = {
    "case": "ADA o'hara-ZO\u00cb",
    "full width": "\uff21\uff44\uff41 O'Hara-Zo\u00eb",
    "two spellings of a letter": "Ada O'Hara-Zoe\u0308",
    "a character that nobody sees": "Ada\u200b O'Hara-Zo\u00eb",
    "a soft hyphen": "A\u00adda O'Hara-Zo\u00eb",
    "a filler": "Ada\u3164 O'Hara-Zo\u00eb",
    "a joiner of graphemes": "A\u034fda O'Hara-Zo\u00eb",
    "a selector": "Ada\ufe0f O'Hara-Zo\u00eb",
    "a tag": "Ada\U000e0041 O'Hara-Zo\u00eb",
    "another space": "Ada\u00a0O'Hara-Zo\u00eb",
    "two spaces": "Ada  O'Hara-Zo\u00eb",
    "another apostrophe": "Ada O\u2019Hara-Zo\u00eb",
    "an accent for an apostrophe": "Ada O\u00b4Hara-Zo\u00eb",
    "a minus for a hyphen": "Ada O'Hara\u2212Zo\u00eb",
    "another hyphen": "Ada O'Hara\u2010Zo\u00eb",
    "Cyrillic": "\u0410d\u0430 O'Hara-Zo\u00eb",
    "Greek": "Ad\u03b1 \u039f'Hara-Zo\u00eb",
    "mathematical letters": "\U0001d400da O'Hara-Zo\u00eb",
}


@pytest.mark.parametrize("how", ONE)
def test_names_that_people_take_for_one_are_one(how: str) -> None:
    assert ONE[how] != ADA
    assert folded(ONE[how]) == folded(ADA)


@pytest.mark.parametrize(
    "other", ["Ida O'Hara-Zo\u00eb", "Ada Hara-Zo\u00eb", "Ada O'Hara-Zoe", "\u0410\u0434\u0430"]
)
def test_other_persons_are_others(other: str) -> None:
    assert folded(other) != folded(ADA)


@pytest.mark.parametrize(
    "name",
    [
        ADA,
        "Ada Example",
        "\u0410\u043d\u043d\u0430 \u0418\u0432\u0430\u043d\u043e\u0432\u0430",
        "\u0391\u03bd\u03bd\u03b1",
        "\u5c71\u7530 \u592a\u90ce",
        "\u0645\u0631\u064a\u0645",
        "Jos\u00e9",
        "\u0410\u043d\u043d\u0430 (Anna)",
        "Build System 2",
    ],
)
def test_people_have_names_of_many_scripts(name: str) -> None:
    assert name_problem(name, 100) == ""


@pytest.mark.parametrize(
    "name",
    ["", " Ada", "Ada ", "x" * 101, "Ada\n", "A\x1bda", "Ada\u202e", "Zoe\u0308", "Ada\u200b",
     "Ada\u3164", "A\u034fda", "Ada\U000e0041", "Ada\u00a0E", "\u0410d\u0430", "Ad\u03b1"],
)  # fmt: skip
def test_what_nobody_can_tell_apart_is_no_name(name: str) -> None:
    assert name_problem(name, 100)
