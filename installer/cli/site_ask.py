"""Asking a person about a site: an answer that is wrong is asked for again, and none is lost."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import click

from bundle.base.errors import IsowardError, UsageError
from bundle.base.problem import Problem
from bundle.cli.questions import ask, confirm, tell
from installer.site.draft import (
    Draft,
    draft_site,
    node_fields,
    node_of,
    objections,
    within,
    zone_fields,
    zone_of,
)
from installer.site.questions import FIRST, LAST, NODE_PARTS, ZONE_PARTS, Plain
from installer.site.saved_answers import Kind, SiteAnswers
from installer.site.scan import pinned_node, shown_key
from installer.site.scan_key import host_key_text

_LEAVE_OUT: Final = "none"
_CONSOLE: Final = "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub"

NO_ANSWERS: Final = SiteAnswers(kind="SiteAnswers")
_KINDS: Final[tuple[Kind, ...]] = ("zones", "nodes")

Part = tuple[str, str, str | None]


class Asker:
    """Takes each answer from its option, or asks for it; what has a default can do without both.

    Attributes:
        draft: The answers so far.
    """

    def __init__(
        self,
        given: Mapping[str, Any],
        file: Path,
        *,
        asks: bool,
        kept: SiteAnswers = NO_ANSWERS,
        keep: Callable[[SiteAnswers], None] = lambda _: None,
    ) -> None:
        """Begin with what the options say.

        Args:
            given: Texts by the name of the answer; lists for zones and nodes.
            file: The site file to be.
            asks: Whether somebody is there to answer.
            kept: Answers of an earlier time; an option goes before them.
            keep: Told all answers after each one.
        Raises:
            UsageError: An option is malformed.
        """
        self._given = given
        self._file = file
        self._asks = asks
        self._texts: dict[str, list[dict[str, str]]] = {
            "zones": [zone_fields(text) for text in given["zones"]],
            "nodes": [node_fields(text) for text in given["nodes"]],
        }
        self._kept, self._keep = kept, keep
        # Of a zone, unless these are all there; an option may have named them all since.
        begun = "nodes" if "zones" in kept.finished else "zones"
        self._begun = {} if self._texts[begun] else dict(kept.begun)
        self._finished = [kind for kind in kept.finished if not self._texts[kind]]
        self._resumed: set[Kind] = {kind for kind in _KINDS if not self._texts[kind]}
        for kind, texts in (("zones", kept.zones), ("nodes", kept.nodes)):
            self._texts[kind] = self._texts[kind] or [dict(fields) for fields in texts]
        command = list(given["image_command"])
        self.draft = Draft(answers={}, **({"image_command": command} if command else {}))

    def ask(self) -> Draft:
        """Ask all questions, and again about what does not fit together.

        Raises:
            UsageError: An answer is missing and nobody is there to give it.
            IsowardError: A node does not show the host key that an option says.
        """
        for question in FIRST:
            self._plain(question)
        self._several("zones", "zone")
        self._several("nodes", "node")
        for question in LAST:
            self._plain(question)
        while self._asks:
            problems = draft_site(self.draft, self._file)[1]
            if not problems or not self._again(problems[0]):
                break
        return self.draft

    def _plain(self, question: Plain, *, again: bool = False) -> None:
        if not question.applies(self.draft):
            return
        known = self.draft.answers.get(question.name) or self._given[question.name]
        if known is None and not again:
            known = self._kept.answers.get(question.name)
        default = question.default_for(self.draft) if known is None else str(known)
        if known is not None and not again:
            found = objections(self._with(question.name, str(known)), self._file, question.fields)
            if not found or not self._asks:
                self.draft = self._with(question.name, str(known))
                return
            _say(found[0])
        if not self._asks:
            if default is None:
                raise _missing(question.name)
            self.draft = self._with(question.name, default)
            return

        def take(text: str) -> str:
            answer = text.strip()
            if answer == _LEAVE_OUT and question.default == "":
                answer = ""
            _refuse(objections(self._with(question.name, answer), self._file, question.fields))
            return answer

        hint = f" ({_LEAVE_OUT} omits it)" if again and question.default == "" else ""
        self.draft = self._with(question.name, ask(question.text + hint, default, take))
        self._remember()

    def _remember(self) -> None:
        # What was kept and comes only later is not lost either, should this end here.
        self._keep(
            SiteAnswers(
                kind="SiteAnswers",
                answers={**self._kept.answers, **self.draft.answers},
                zones=tuple(self._texts["zones"]),
                nodes=tuple(self._texts["nodes"]),
                finished=tuple(self._finished),
                begun=self._begun,
            )
        )

    def _with(self, name: str, answer: str) -> Draft:
        return replace(self.draft, answers={**self.draft.answers, name: answer})

    def _several(self, kind: Kind, what: str) -> None:
        """Ask for zones or for nodes, unless options have said them all."""
        if self._texts[kind]:
            self.draft = self._placed(kind, self._texts[kind])
            if kind not in self._resumed or kind in self._finished:
                return
        if not self._asks:
            raise _missing(what)
        while not self._texts[kind] or self._begun or confirm(f"Another {what}?"):
            self._one(kind, len(self._texts[kind]))
        self._finished.append(kind)
        self._remember()

    def _one(self, kind: str, number: int) -> None:
        """Ask for one zone or node, again while something is wrong with it as a whole."""
        while True:
            self._parts(kind, number)
            found = objections(self.draft, self._file, [f"{kind}[{number}]"])
            if not found:
                return
            _say(found[0])

    def _parts(self, kind: str, number: int) -> None:
        parts: Sequence[Part] = ZONE_PARTS if kind == "zones" else NODE_PARTS
        is_new = number == len(self._texts[kind])
        known = self._begun if is_new else self._texts[kind][number]
        texts: dict[str, str] = {}
        for name, text, default in parts:
            if name == "roles" and not self.draft.cluster:
                continue
            take = self._taker(kind, number, name, texts)
            texts[name] = ask(text.format(number + 1), known.get(name, default), take)
            if is_new:
                self._begun = {**known, **texts}
                self._remember()
        # What is not asked for, such as the port, stays as an option has said it.
        texts = {**known, **texts}
        self._texts[kind][number:] = [texts, *self._texts[kind][number + 1 :]]
        self.draft = self._placed(kind, self._texts[kind])
        self._begun = {} if is_new else self._begun
        self._remember()

    def _taker(
        self, kind: str, number: int, name: str, texts: Mapping[str, str]
    ) -> Callable[[str], str]:
        def take(text: str) -> str:
            answer = text.strip()
            if name == "hostKey" and not answer:
                answer = _compared(node_of(texts))
            others = self._texts[kind]
            mine = {**texts, name: answer}
            draft = self._placed(kind, [*others[:number], mine, *others[number + 1 :]])
            _refuse(objections(draft, self._file, [f"{kind}[{number}].{name}"]))
            return answer

        return take

    def _placed(self, kind: str, texts: Sequence[Mapping[str, str]]) -> Draft:
        if kind == "zones":
            return replace(self.draft, zones=[zone_of(fields) for fields in texts])
        return replace(self.draft, nodes=[pinned_node(node_of(fields)) for fields in texts])

    def _again(self, problem: Problem) -> bool:
        """Ask again for what a problem is about; say whether there is a question for it."""
        _say(problem)
        found = re.match(r"(zones|nodes)(?:\[(\d+)\])?", problem.path)
        if found is not None:
            kind, number = found[1], found[2]
            count = len(self._texts[kind])
            for i in range(count) if number is None else [int(number)]:
                self._one(kind, i)
            while number is None and confirm(f"Another {kind[:-1]}?"):
                self._one(kind, len(self._texts[kind]))
            return True
        for question in (*FIRST, *LAST):
            if within(problem.path, question.fields):
                self._plain(question, again=True)
                return True
        return False


def _compared(node: Mapping[str, Any]) -> str:
    """Ask a machine for its host key, and a person whether it is the right one."""
    try:
        key = shown_key(node)
    except IsowardError as error:
        raise click.BadParameter(f"{error.message}. {error.hint}") from error
    tell(
        f"  It shows {key.fingerprint}",
        f"  Run this on its own console and compare: {_CONSOLE}",
    )
    if not confirm("  Does the console show the same?"):
        raise click.BadParameter("that key is not accepted.")
    return host_key_text(key)


def _refuse(found: Sequence[Problem]) -> None:
    """Have the question asked again, with the reason."""
    if found:
        raise click.BadParameter(f"{found[0].message}. {found[0].hint}")


def _say(problem: Problem) -> None:
    tell(problem.text, f"  {problem.hint}")


def _missing(name: str) -> UsageError:
    option = "--" + name.removesuffix("s" if name in {"zones", "nodes"} else "").replace("_", "-")
    return UsageError(
        f"{option}: expected a value, found none, and there is no terminal to ask on",
        "Run this on a terminal, or give every answer as an option.",
    )
