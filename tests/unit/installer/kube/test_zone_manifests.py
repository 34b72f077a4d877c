"""The objects of the zones: as they stand in tests/vectors/zones, and what they allow.

After a wanted change, ISOWARD_WRITE_GOLDEN=1 writes that file anew, to be reviewed."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any

import yaml

from installer.kube.kubectl import as_list
from installer.kube.zone_manifests import Document, key_of, zone_documents
from installer.kubespray.settings import cluster_options
from tests.support.sites.clusters import cluster, cluster_data
from tests.support.sites.plain import site_of

_GOLDEN = Path(__file__).parents[3] / "vectors" / "zones" / "three.yaml"


def documents_with(egress: list[dict[str, Any]]) -> dict[str, Document]:
    data = copy.deepcopy(cluster_data(3, "calico"))
    data["zones"][1]["egress"] = egress
    site = site_of(data)
    found = zone_documents(site, cluster_options(site))
    return {f"{document['kind']} {key_of(document)}": document for document in found}


def test_the_objects_are_as_they_were_reviewed() -> None:
    site = cluster(3, "calico")
    # By way of JSON, as kubectl gets them; YAML would write what stands twice as an alias.
    plain = json.loads(as_list(zone_documents(site, cluster_options(site))))["items"]
    text = yaml.safe_dump_all(plain, sort_keys=False)
    if os.environ.get("ISOWARD_WRITE_GOLDEN"):
        _GOLDEN.write_text(text, encoding="utf-8")
    assert _GOLDEN.read_text(encoding="utf-8") == text


def test_a_zone_without_egress_has_no_such_policy() -> None:
    assert "NetworkPolicy clinical/isoward-egress" not in documents_with([])


def test_an_allowed_network_never_has_the_clusters_insides_in_it() -> None:
    policy = documents_with([{"to": "10.0.0.0/8"}])["NetworkPolicy clinical/isoward-egress"]
    (rule,) = policy["spec"]["egress"]
    assert rule["to"] == [
        {
            "ipBlock": {
                "cidr": "10.0.0.0/8",
                "except": ["10.233.0.0/18", "10.233.64.0/18", "10.20.1.0/24", "10.20.3.0/24"],
            }
        }
    ]
    assert rule["ports"] == [{"protocol": "TCP"}]


def test_protocol_and_ports_are_those_of_the_site() -> None:
    egress = [{"to": "10.30.0.0/24", "ports": [514, 6514], "protocol": "UDP"}]
    policy = documents_with(egress)["NetworkPolicy clinical/isoward-egress"]
    (rule,) = policy["spec"]["egress"]
    assert rule["ports"] == [{"protocol": "UDP", "port": port} for port in (514, 6514)]
    assert "except" not in rule["to"][0]["ipBlock"]
