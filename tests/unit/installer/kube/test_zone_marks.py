from __future__ import annotations

import pytest

from bundle.base.errors import StepError
from installer.kube.zone_marks import (
    FoundNode,
    Marks,
    describe,
    node_patch,
    read_record,
    wanted_marks,
)
from tests.support.sites.clusters import cluster

WANTED = Marks(frozenset({("ward", "east")}), frozenset({("zone", "clinical", "NoSchedule")}))
TAINT = {"key": "zone", "value": "clinical", "effect": "NoSchedule"}
GUARD = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}


def test_a_node_that_has_everything_is_left_alone() -> None:
    found = FoundNode("7", {"ward": "east", "rack": "3"}, [GUARD, {**TAINT, "timeAdded": "t"}])
    assert node_patch(found, WANTED, WANTED) is None


def test_what_is_missing_is_added_after_what_is_there() -> None:
    patch = node_patch(FoundNode("7", {"rack": "3"}, [GUARD]), WANTED, Marks())
    assert patch == {
        "metadata": {"labels": {"ward": "east"}, "resourceVersion": "7"},
        "spec": {"taints": [GUARD, TAINT]},
    }
    assert describe(FoundNode("7", {}, [GUARD]), patch) == [
        "label ward=east", "taint zone=clinical:NoSchedule",
    ]  # fmt: skip


def test_a_taint_of_ours_with_another_value_is_replaced() -> None:
    other = {**TAINT, "value": "research"}
    patch = node_patch(FoundNode("7", {"ward": "east"}, [other, GUARD]), WANTED, Marks())
    assert patch is not None
    assert patch["spec"]["taints"] == [GUARD, TAINT]
    assert "labels" not in patch["metadata"]


def test_what_we_gave_and_the_site_no_longer_says_is_taken_back() -> None:
    found = FoundNode("7", {"ward": "east"}, [GUARD, TAINT])
    patch = node_patch(found, Marks(), WANTED)
    assert patch is not None
    assert patch["metadata"]["labels"] == {"ward": None}
    assert patch["spec"]["taints"] == [GUARD]
    assert describe(found, patch) == ["no label ward", "no taint zone=clinical:NoSchedule"]


def test_what_somebody_changed_since_is_theirs() -> None:
    taken = FoundNode("7", {"ward": "west"}, [{**TAINT, "value": "mine"}])
    assert node_patch(taken, Marks(), WANTED) is None


def test_a_label_that_moved_from_one_zone_to_another_is_changed_once() -> None:
    record = Marks(frozenset({("ward", "east"), ("ward", "west")}))
    patch = node_patch(FoundNode("7", {"ward": "west"}, []), Marks(WANTED.labels), record)
    assert patch is not None
    assert patch["metadata"]["labels"] == {"ward": "east"}


def test_a_record_is_read_as_it_was_written() -> None:
    site = cluster(3, "calico")
    marks = wanted_marks(site, site.nodes[1])
    assert read_record(marks.text(), "node2") == marks
    assert read_record("", "node2") == Marks()


@pytest.mark.parametrize("text", ["{", "[]", '{"labels": [["a"]], "taints": []}', '{"labels": 3}'])
def test_a_spoilt_record_is_named(text: str) -> None:
    with pytest.raises(StepError, match="kube-system/isoward-marks-node2"):
        read_record(text, "node2")
