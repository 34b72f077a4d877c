"""What the depots have to do with a run: which one answers, and what one lacks of a download."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from urllib.parse import quote

from bundle.base.errors import IsowardError, StepError
from bundle.base.names import file_path
from installer.ansible_run.events import Failure
from installer.core.step import Context
from installer.depot.client.ask_depot import answers, check_depot
from installer.depot.client.expected_content import Wanted, wanted_of
from installer.kubespray.inventory import url_of
from installer.site.document import DepotAddress

_HIDDEN = ("censored", "output has been hidden")


def answering_depot(
    context: Context, answers: Callable[[DepotAddress, bytes], bool] = answers
) -> DepotAddress:
    """Return the first depot that answers now, for Kubespray takes one address for its files."""
    first, *others = context.site.depots
    if others and not answers(first, context.ca):
        return next((depot for depot in others if answers(depot, context.ca)), first)
    return first


def with_depots_word(
    error: StepError,
    failures: Sequence[Failure],
    context: Context,
    check: Callable[[DepotAddress, bytes, Sequence[Wanted]], int] = check_depot,
) -> StepError:
    """Return an error with what the depots say, where Kubespray hides why a download failed.

    Args:
        error: Of the run.
        failures: Of the run, in order.
        context: Of the step.
        check: Asks a depot for everything.
    """
    hidden = next((f for f in failures if any(word in f.reason for word in _HIDDEN)), None)
    if hidden is None:
        return error
    files = [wanted for wanted in wanted_of(context.bundle) if wanted.path.startswith("/files/")]
    said = []
    for depot in context.site.depots:
        try:
            check(depot, context.ca, files)
            said.append(f"{url_of(depot)} has all required files")
        except IsowardError as lack:
            said.append(lack.message)
    url = _url_of(hidden.item, context)
    if url:
        said.append(f"try it on {hidden.node}: curl -sSfo /dev/null {url}")
    return StepError(error.message, f"{error.hint} Asked now: {'; '.join(said)}.", error.context)


def _url_of(item: str, context: Context) -> str:
    entry = context.bundle.manifest.kubespray
    for file in entry.files if entry is not None else ():
        if item and file.path.rpartition("/")[2] == item:
            return f"{url_of(context.site.depot)}/files/{quote(file_path(file.url))}"
    return ""
