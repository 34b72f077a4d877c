from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from bundle.base.errors import StepError
from installer.ansible_run.events import Failure
from installer.core.step import Context
from installer.site.document import DepotAddress
from installer.steps.cluster_depot import answering_depot, with_depots_word
from tests.support.sites.cluster_step import cluster_world

_HIDDEN = "the output has been hidden due to the fact that 'no_log: true' was specified"
_FIRST, _SECOND = DepotAddress(address="10.0.0.1"), DepotAddress(address="10.0.0.2")


@pytest.fixture
def context(tmp_path: Path) -> Context:
    with cluster_world(tmp_path, nodes=1) as world:
        made = world.context()
        site = msgspec.structs.replace(made.site, depot=_FIRST, second_depot=_SECOND)
        return world.context(site=site)


def test_kubespray_gets_its_files_from_a_depot_that_answers(context: Context) -> None:
    assert answering_depot(context, lambda depot, _: depot == _SECOND) == _SECOND
    assert answering_depot(context, lambda *_: True) == _FIRST
    assert answering_depot(context, lambda *_: False) == _FIRST


def test_why_a_hidden_download_failed_is_asked_of_the_depots(context: Context) -> None:
    failure = Failure("node1", "Download item", _HIDDEN, False, "download", _HIDDEN, "kubelet")

    def check(depot: DepotAddress, *_: object) -> int:
        if depot == _SECOND:
            raise StepError("https://10.0.0.2:5443: lacks the file kubelet")
        return 1

    error = with_depots_word(StepError("m", "h."), [failure], context, check)
    assert error.message == "m"
    assert error.hint == (
        "h. Asked now: https://10.0.0.1:5443 has all required files; "
        "https://10.0.0.2:5443: lacks the file kubelet; "
        "try it on node1: curl -sSfo /dev/null https://10.0.0.1:5443/files/dl.k8s.io/kubelet."
    )


def test_another_failure_asks_nobody(context: Context) -> None:
    error = StepError("m", "h")
    assert with_depots_word(error, [Failure("node1", "t", "no", False)], context) is error
