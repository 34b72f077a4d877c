"""The report of an installation as plain data: what was installed where, how, and what was proven.

Every part is of a step's own record in the journal, of the bundle's import record, or of the site
file; nothing is asked anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bundle.base.documents import API_VERSION
from bundle.model.changes import waived_images
from installer.depot.accepted import AcceptedContent
from installer.kubespray.settings import cluster_options
from installer.records.journal import Record
from installer.site.cluster_part import Zone
from installer.site.document import Site

KIND: Final = "InstallationReport"
_IN_PARTS_OF_THEIR_OWN: Final = {"proofs": ("proofs",)}
"""Of these steps' results, what the report has elsewhere."""


@dataclass(frozen=True, slots=True)
class ReportInput:
    """What a report is made of.

    Attributes:
        site: With a cluster.
        bundle: That was installed.
        records: The journal, the oldest first.
        preflight: What the step `preflight` wrote; empty when that is gone.
        who: The person at the keyboard.
        when: Now, UTC, RFC 3339.
        run: The name of this run's folder.
    """

    site: Site
    bundle: AcceptedContent
    records: Sequence[Record]
    preflight: Mapping[str, Any]
    who: str
    when: str
    run: str


def report_data(what: ReportInput) -> dict[str, Any]:
    """Return the report.

    Source: docs/FORMAT.md, "Report of an installation".
    """
    steps = finished_steps(what.records)
    results = {step["name"]: step["result"] for step in steps}
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "site": what.site.metadata.name,
        "who": what.who,
        "when": what.when,
        "run": what.run,
        "bundle": _bundle(what.bundle),
        "cluster": _cluster(what.site, results.get("kubeconfig", {})),
        "zones": [_zone(zone, what.site) for zone in what.site.all_zones],
        "nodes": [
            {
                "name": node.name,
                "address": node.address,
                "zone": node.zone,
                "roles": list(node.roles),
            }
            for node in what.site.nodes
        ],
        "steps": [step | {"result": _kept(step["name"], step["result"])} for step in steps],
        "seconds": round(sum(step["seconds"] for step in steps), 3),
        "preflight": dict(what.preflight),
        "proofs": results.get("proofs", {}).get("proofs", []),
        "waivers": _waivers(what.bundle),
    }


def finished_steps(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Return each step with how it last finished, in the order in which they did.

    A step that was stopped and done again has more than one attempt; the times are of the last.
    """
    found: dict[str, dict[str, Any]] = {}
    began: dict[str, str] = {}
    attempts: dict[str, int] = {}
    for record in records:
        if record.event == "began":
            began[record.step] = record.when
            attempts[record.step] = attempts.get(record.step, 0) + 1
        elif record.event == "finished":
            found.pop(record.step, None)
            found[record.step] = {
                "name": record.step,
                "began": began.get(record.step, record.when),
                "ended": record.when,
                "seconds": record.seconds,
                "attempts": attempts.get(record.step, 1),
                "run": record.run,
                "result": record.result,
            }
    return list(found.values())


def _kept(step: str, result: Mapping[str, Any]) -> dict[str, Any]:
    elsewhere = _IN_PARTS_OF_THEIR_OWN.get(step, ())
    return {key: value for key, value in result.items() if key not in elsewhere}


def _bundle(bundle: AcceptedContent) -> dict[str, Any]:
    record, kubespray = bundle.record, bundle.manifest.kubespray
    return {
        "name": record.metadata.name,
        "version": record.metadata.version,
        "digest": record.digest,
        "release": record.release,
        "root": record.root,
        "imported": record.when,
        "signers": [{"name": signer.name, "role": signer.role} for signer in record.signers],
        "kubespray": kubespray.version if kubespray else "",
        "images": len(bundle.manifest.images),
        "size": record.size,
    }


def _cluster(site: Site, result: Mapping[str, Any]) -> dict[str, Any]:
    options = cluster_options(site)
    return {
        "version": str(result.get("version", "")),
        "server": str(result.get("server", "")),
        "networkPlugin": options.network_plugin,
        "encryptionAtRest": options.encryption_at_rest,
        "auditDays": options.audit.retention_days,
        "auditLogDays": options.audit.log_days,
    }


def _zone(zone: Zone, site: Site) -> dict[str, Any]:
    return {
        "name": zone.name,
        "networks": list(zone.networks),
        "egress": [
            {"to": egress.to, "ports": list(egress.ports), "protocol": egress.protocol}
            for egress in zone.egress
        ],
        "labels": zone.labels,
        "taints": [
            {"key": taint.key, "value": taint.value, "effect": taint.effect}
            for taint in zone.taints
        ],
        "nodes": [node.name for node in site.nodes if node.zone == zone.name],
    }


def _waivers(bundle: AcceptedContent) -> list[dict[str, Any]]:
    """Return what was let through although a rule says otherwise, by whom and until when."""
    waivers: list[dict[str, Any]] = []
    granted = bundle.record.waiver
    if granted is not None:
        waivers.append(
            {
                "what": "the bundle had expired",
                "by": list(granted.signers),
                "reason": granted.reason,
                "ticket": granted.ticket,
                "expires": granted.expires,
            }
        )
    waivers += [
        {
            "what": f"not signed upstream: {', '.join(waived.images)}",
            "by": [waived.approved_by],
            "reason": waived.reason,
            "ticket": waived.ticket,
            "expires": waived.expires,
        }
        for waived in waived_images(bundle.manifest)
    ]
    return waivers
