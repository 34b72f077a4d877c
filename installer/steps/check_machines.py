"""The step that asks all machines of a site before anything is changed on any of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec

from bundle.base.canonical import canonical_json
from bundle.base.digest import digest_of
from bundle.base.errors import DefinitionError
from bundle.base.limits import MAX_INVENTORY_BYTES
from bundle.base.reference import Reference, parse_reference
from bundle.base.yaml.strict import load_yaml
from bundle.model.finding import READINESS, Verdict
from bundle.model.manifest import Manifest
from bundle.store.atomic import write_atomic
from installer.core.step import Change, Context
from installer.hosts.choose_image import image_of
from installer.hosts.inquiry import System
from installer.hosts.package_sources import sets_of
from installer.kubespray.carried import parts_of
from installer.preflight.answers import Report
from installer.preflight.ask import require_ready
from installer.preflight.ask_site import ask_site
from installer.preflight.question import Wanted
from installer.preflight.table import by_question
from installer.site.document import Site
from installer.steps.check_page import render_page

ANSWERS_NAME: Final = "preflight.json"
PAGE_NAME: Final = "preflight.html"
SETTINGS: Final = ("kube_proxy_mode", "kubelet_fail_cgroup_v1")
"""Kubespray's variables on which answers depend."""
_SAMPLE: Final = "kube-apiserver"
"""The image whose presence stands for that of all: each of them is looked for by the step depot."""


class PreflightStep:
    """Asks every node everything, and refuses to go on unless all of them are ready."""

    name: Final = "preflight"
    title: Final = "Check the machines"

    def changes(self, context: Context) -> Sequence[Change]:
        """Change nothing."""
        del context
        return ()

    def inputs(self, context: Context) -> Mapping[str, Any]:
        """Return what the questions depend on; the machines themselves are not among it."""
        kind: dict[str, Any] = {"settings": _settings(context)}
        if context.site.kubernetes is None:
            kind = {"image": str(wanted_of(context).image), "local": context.local}
        return {
            "site": digest_of(canonical_json(_asked_about(context.site))),
            "bundle": context.bundle.record.digest,
            "ca": digest_of(context.ca),
            **kind,
        }

    def run(self, context: Context) -> Mapping[str, Any]:
        """Ask; the answers stay in the run's folder, as JSON and as a page.

        Raises:
            UnreachableError: A node could not be reached.
            PreflightError: Nodes lack something; the message names all of it.
        """
        asked = context.now()
        report = ask_machines(context)
        data = {
            "site": context.site.metadata.name,
            "asked": f"{asked:%Y-%m-%dT%H:%M:%SZ}",
            "nodes": report.data(),
        }
        write_atomic(context.run / ANSWERS_NAME, json.dumps(data, indent=2).encode())
        page = render_page(context.site.metadata.name, report, asked)
        write_atomic(context.run / PAGE_NAME, page.encode())
        for line in by_question(report):
            context.progress.note(line)
        require_ready(report)
        return {
            "nodes": len(report.nodes),
            "counts": {verdict.value: report.count(verdict) for verdict in READINESS},
            "warnings": _notes(report),
            "answers": str(context.run / ANSWERS_NAME),
            "page": str(context.run / PAGE_NAME),
        }


def ask_machines(context: Context) -> Report:
    """Ask every node all that there is to ask of a site of its kind."""
    report = ask_site(context.site, context.connect, wanted_of(context), progress=context.progress)
    return report.rehearsed() if context.local and context.rehearsal else report


def wanted_of(context: Context) -> Wanted:
    """Return what the questions need to know of the installation.

    Raises:
        DefinitionError: The bundle has no image at all, or not the first one.
    """
    manifest, site, depot = context.bundle.manifest, context.site, context.site.depot
    if site.kubernetes is None:
        chosen = image_of(context.bundle, site.required_first_image.reference)
        return Wanted(
            depot.address,
            depot.port,
            context.ca,
            image=chosen.reference,
            platforms=chosen.platforms,
            now=context.now,
        )
    entries = manifest.os_packages
    return Wanted(
        depot.address,
        depot.port,
        context.ca,
        image=_sample_image(manifest),
        platforms=_platforms(manifest),
        now=context.now,
        settings=_settings(context),
        releases=tuple(sorted({entry.release for entry in entries})),
        has_packages=lambda release, machine: bool(sets_of(System(release, machine, 0.0), entries)),
    )


def _settings(context: Context) -> dict[str, str]:
    """Return what our inventory sets by what the bundle carries, and the site's people over it."""
    manifest = context.bundle.manifest
    mode = parts_of(manifest, manifest.kubespray).proxy_mode if manifest.kubespray else ""
    ours = {"kube_proxy_mode": mode} if mode else {}
    return {**ours, **settings_of(context.overrides.values())}


def settings_of(texts: Iterable[bytes]) -> dict[str, str]:
    """Return the settings that the site's own people chose, by name, out of an inventory's files.

    What is no YAML that we read says nothing, so that the answer to it is the stricter one.
    """
    found: dict[str, str] = {}
    for text in texts:
        with suppress(DefinitionError):
            tree = load_yaml(
                text,
                dict[str, Any],
                where="an override",
                limit=MAX_INVENTORY_BYTES,
                error=DefinitionError,
            )
            found |= {key: str(tree[key]) for key in SETTINGS if key in tree}
    return found


def _asked_about(site: Site) -> dict[str, Any]:
    """Return what of a site the questions depend on: its machines, not what they will run."""
    fields = msgspec.to_builtins(site)
    kept = ("depot", "secondDepot", "ssh", "nodes", "kubernetes", "timeServers", "dnsServers")
    zones = [{"name": z.name, "networks": list(z.networks)} for z in site.all_zones]
    return {"zones": zones, **{name: fields[name] for name in kept if name in fields}}


def _sample_image(manifest: Manifest) -> Reference:
    images = [(parse_reference(image.reference), image.digest) for image in manifest.images]
    if not images:
        raise DefinitionError(
            f"the bundle {manifest.metadata.name} {manifest.metadata.version} has no image",
            "Ask the vendor for a bundle that carries what its Kubespray needs.",
        )
    known, digest = next((i for i in images if i[0].repository.endswith(_SAMPLE)), images[0])
    return Reference(known.registry, known.repository, "", digest)


def _platforms(manifest: Manifest) -> tuple[str, ...]:
    entry = manifest.kubespray
    files = entry.files if entry is not None else ()
    stated = sorted({platform for file in files for platform in file.platforms})
    return tuple(stated) or manifest.platforms


def _notes(report: Report) -> list[str]:
    return [
        f"{node.node}: {answer.verdict.value}: {answer.id}: {answer.found}"
        for node in report.nodes
        for answer in node.answers
        if answer.verdict is not Verdict.OK
    ]
