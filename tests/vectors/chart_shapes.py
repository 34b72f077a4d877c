"""Charts in the shapes that real ones have, in our own words: what each shows, and nothing else.

Each says which images it makes a cluster run over its whole life: when it is installed, tested,
upgraded, rolled back and removed.
"""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

from tests.support.registries.oci import CONFIG, LAYER, Blob, manifest, to_json
from tests.vectors import chart_templates as t

PINNED: Final = manifest(
    Blob(CONFIG, to_json({"os": "linux", "architecture": "amd64"})), [Blob(LAYER, b"pinned")]
)
"""The image that charts name by digest."""
DIGEST: Final = PINNED.digest
HOST: Final = "registry.example.org"


@dataclass(frozen=True)
class Shape:
    """A chart and how it is rendered.

    Attributes:
        name: Of the chart and of its release.
        files: Text by path within the chart; Chart.yaml gets its name and version by itself.
        runs: The images that pods run, as the API server is told them.
        values: The content of a values file; empty for none.
        metadata: More lines of Chart.yaml.
        started: The images that its operator starts.
        annotated: The images that Chart.yaml lists.
        kube_version: For which Kubernetes; empty for Helm's own.
        api_versions: That the cluster has besides.
    """

    name: str
    files: Mapping[str, str]
    runs: frozenset[str]
    values: str = ""
    metadata: str = ""
    started: tuple[str, ...] = ()
    annotated: frozenset[str] = frozenset()
    kube_version: str = ""
    api_versions: tuple[str, ...] = ()
    version: str = field(default="1.0.0")

    def at(self, host: str) -> Shape:
        """Return the same chart with its images in another registry."""

        def moved(text: str) -> str:
            return text.replace(HOST, host)

        return replace(
            self,
            files={path: moved(text) for path, text in self.files.items()},
            runs=frozenset(map(moved, self.runs)),
            values=moved(self.values),
            metadata=moved(self.metadata),
            started=tuple(map(moved, self.started)),
            annotated=frozenset(map(moved, self.annotated)),
        )

    @cached_property
    def archive(self) -> bytes:
        """The chart as `helm package` would write it, but with no time in it."""
        head = f"apiVersion: v2\nname: {self.name}\nversion: {self.version}\nappVersion: 2.4.1\n"
        files = {"Chart.yaml": head + self.metadata, **self.files}
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for path, text in files.items():
                info = tarfile.TarInfo(f"{self.name}/{path}")
                info.size = len(text.encode())
                tar.addfile(info, io.BytesIO(text.encode()))
        return gzip.compress(buffer.getvalue(), mtime=0)


def _images(*names: str) -> frozenset[str]:
    return frozenset(f"{HOST}/{name}" for name in names)


def _each(image: str, *names: str) -> frozenset[str]:
    return _images(*(image.format(name) for name in names))


def _subchart(name: str, files: Mapping[str, str], more: str = "") -> dict[str, str]:
    """Return a chart within a chart."""
    head = f"apiVersion: v2\nname: {name}\nversion: 0.1.0\n{more}"
    inner = {"Chart.yaml": head, **files}
    return {f"charts/{name}/{path}": text for path, text in inner.items()}


PLAIN = Shape(
    "plain",
    {
        "values.yaml": f"image: {{repository: {HOST}/plain/web, tag: ''}}\n",
        "templates/web.yaml": t.deployment(
            "web",
            '"{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"',
        ),
        "templates/NOTES.txt": f"Once it runs, try image: {HOST}/plain/not-this:1\n",
    },
    _images("plain/web:2.4.1"),
)

CONDITIONS = Shape(
    "conditions",
    {
        "values.yaml": "cache: {enabled: true}\nqueue: {enabled: false}\ntags: {reports: false}\n",
        "templates/app.yaml": t.deployment("app", f"{HOST}/cond/app:1"),
        **_subchart("cache", {"templates/c.yaml": t.deployment("cache", f"{HOST}/cond/cache:7.2")}),
        **_subchart("queue", {"templates/q.yaml": t.deployment("queue", f"{HOST}/cond/queue:3")}),
        **_subchart("report", {"templates/r.yaml": t.deployment("rep", f"{HOST}/cond/report:1")}),
    },
    _images("cond/app:1", "cond/cache:7.2"),
    metadata=(
        "dependencies:\n"
        "  - {name: cache, version: 0.1.0, condition: cache.enabled}\n"
        "  - {name: queue, version: 0.1.0, condition: queue.enabled}\n"
        "  - {name: report, version: 0.1.0, tags: [reports]}\n"
    ),
)

_SPLIT = '{{ include "joined" (dict "image" .Values.image "global" .Values.global) }}'
GLOBALS = Shape(
    "globals",
    {
        "values.yaml": (
            "global: {imageRegistry: ''}\n"
            "image: {registry: docker.io, repository: globals/front, tag: 1.9.0-r2, digest: ''}\n"
        ),
        "templates/_helpers.tpl": t.JOINED_IMAGE,
        "templates/front.yaml": t.deployment("front", _SPLIT),
        **_subchart(
            "store",
            {
                "values.yaml": (
                    "image: {registry: docker.io, repository: globals/store, tag: 16.3, "
                    f"digest: '{DIGEST}'}}\n"
                ),
                "templates/store.yaml": t.stateful_set("store", _SPLIT),
            },
        ),
    },
    _images("globals/front:1.9.0-r2", f"globals/store@{DIGEST}"),
    values=f"global: {{imageRegistry: {HOST}}}\n",
    metadata="dependencies: [{name: store, version: 0.1.0}]\n",
)

DIGESTS = Shape(
    "digests",
    {
        "values.yaml": f"image: {HOST}/digests/app\ndigest: {DIGEST}\n",
        "templates/one.yaml": t.deployment("one", '"{{ .Values.image }}@{{ .Values.digest }}"'),
        "templates/two.yaml": t.deployment("two", '"{{ .Values.image }}:9@{{ .Values.digest }}"'),
    },
    _images(f"digests/app@{DIGEST}", f"digests/app:9@{DIGEST}"),
)

CONTAINERS = Shape(
    "containers",
    {"templates/all.yaml": t.MANY_CONTAINERS.replace("HOST", HOST)},
    _images(
        "many/migrate:5", "many/sidecar:0.3", "many/main:5", "many/metrics:1.1", "many/model:2024.1"
    ),
)

HOOKS = Shape(
    "hooks",
    {
        f"templates/{name}.yaml": t.hook_job(name, event, f"{HOST}/hooks/{name}:1", policy)
        for name, event, policy in (
            ("prepare", "pre-install", "before-hook-creation,hook-succeeded"),
            ("seed", "post-install", "hook-succeeded"),
            ("migrate", "pre-upgrade", "hook-succeeded"),
            ("announce", "post-upgrade,post-rollback", "before-hook-creation"),
            ("goodbye", "pre-delete", "hook-succeeded"),
        )
    }
    | {
        "templates/test.yaml": t.hook_pod("probe", "test", f"{HOST}/hooks/probe:1"),
        "templates/app.yaml": t.deployment("app", f"{HOST}/hooks/app:1"),
    },
    _images(
        *(
            f"hooks/{n}:1"
            for n in ["prepare", "seed", "migrate", "announce", "goodbye", "probe", "app"]
        )
    ),
)

OPERATOR = Shape(
    "operator",
    {
        "crds/widgets.yaml": t.CRD,
        "templates/operator.yaml": t.OPERATOR.replace("HOST", HOST),
        "templates/widget.yaml": t.WIDGET.replace("HOST", HOST),
        "templates/config.yaml": t.OPERATOR_CONFIG.replace("HOST", HOST),
    },
    _images("operator/manager:0.8.0"),
    started=tuple(
        f"{HOST}/operator/{name}"
        for name in ("worker:0.8.0", "reloader:0.3.1", "widget:4.2", "helper:1.36", "backup:2.0")
    ),
)

WORKLOADS = Shape(
    "workloads",
    {"templates/all.yaml": t.EVERY_WORKLOAD.replace("HOST", HOST)},
    _images(
        *(
            f"kinds/{n}:1"
            for n in ["cron", "job", "daemon", "set", "rs", "rc", "pod", "template", "listed"]
        )
    ),
)

VALUES = Shape(
    "values",
    {
        "values.yaml": (
            f"metrics: {{enabled: false}}\nextra: []\nimages: {{app: '{HOST}/values/app:1'}}\n"
        ),
        "templates/app.yaml": t.deployment("app", "{{ .Values.images.app }}"),
        "templates/metrics.yaml": (
            "{{- if .Values.metrics.enabled }}\n"
            + t.deployment("metrics", f"{HOST}/values/exporter:0.9")
            + "{{- end }}\n"
        ),
        "templates/extra.yaml": (
            "{{- range .Values.extra }}\n---\n{{ tpl (toYaml .) $ }}\n{{- end }}\n"
        ),
    },
    _images("values/app:2", "values/exporter:0.9", "values/extra:2"),
    values=(
        f"images: {{app: '{HOST}/values/app:2'}}\nmetrics: {{enabled: true}}\nextra:\n"
        "  - apiVersion: v1\n    kind: Pod\n    metadata: {name: '{{ .Release.Name }}-x'}\n"
        f'    spec: {{containers: [{{name: x, image: \'{{{{ .Values.images.app | replace "app" '
        '"extra" }}\'}]}\n'
    ),
)

CAPABILITIES = Shape(
    "capabilities",
    {
        "templates/old.yaml": (
            '{{- if semverCompare "<1.30-0" .Capabilities.KubeVersion.Version }}\n'
            + t.deployment("old", f"{HOST}/caps/old:1")
            + "{{- else }}\n"
            + t.deployment("new", f"{HOST}/caps/new:1")
            + "{{- end }}\n"
        ),
        "crds/widgets.yaml": t.CRD.replace("widget", "gadget").replace("Widget", "Gadget"),
        "templates/monitored.yaml": (
            '{{- if .Capabilities.APIVersions.Has "example.org/v1/Gadget" }}\n'
            + t.deployment("exporter", f"{HOST}/caps/exporter:1")
            + "{{- end }}\n"
        ),
    },
    _images("caps/new:1", "caps/exporter:1"),
    kube_version="1.35.4",
    api_versions=("example.org/v1/Gadget",),
)

LIBRARY = Shape(
    "library",
    {
        "values.yaml": "blue: {tag: '1.1'}\ngreen: {tag: '1.2'}\n",
        **_subchart("common", {"templates/_d.tpl": t.LIBRARY}, "type: library\n"),
        **_subchart(
            "app",
            {
                "values.yaml": "tag: '1.0'\n",
                "templates/app.yaml": (
                    f'{{{{ include "common.deployment" (dict "name" .Chart.Name "image" '
                    f'(printf "{HOST}/library/app:%s" .Values.tag)) }}}}\n'
                ),
            },
        ),
    },
    _images("library/app:1.1", "library/app:1.2"),
    metadata=(
        "dependencies:\n  - {name: common, version: 0.1.0}\n"
        "  - {name: app, version: 0.1.0, alias: blue}\n"
        "  - {name: app, version: 0.1.0, alias: green}\n"
    ),
)

ANNOTATED = Shape(
    "annotated",
    {"templates/app.yaml": t.deployment("app", f"{HOST}/annotated/app:1")},
    _images("annotated/app:1"),
    metadata=(
        "annotations:\n  artifacthub.io/images: |\n"
        f"    - name: app\n      image: {HOST}/annotated/app:1\n"
        f"    - {{name: runner, image: '{HOST}/annotated/runner:3'}}\n"
        f"  helm.sh/images: |\n    - {{name: tool, image: '{HOST}/annotated/tool:8'}}\n"
    ),
    annotated=_images("annotated/app:1", "annotated/runner:3", "annotated/tool:8"),
)

ODD_YAML = Shape(
    "odd-yaml",
    {"templates/odd.yaml": t.ODD_YAML.replace("HOST", HOST)},
    _images("odd/anchored:1", "odd/merged:1", "odd/folded:1", "odd/json:1"),
)

SHORT_NAMES = Shape(
    "short-names",
    {
        "templates/a.yaml": t.deployment("a", "busybox:1.36"),
        "templates/b.yaml": t.deployment("b", "example/tool:1.2"),
        "templates/c.yaml": t.deployment("c", "docker.io/library/busybox:1.36"),
    },
    frozenset({"busybox:1.36", "example/tool:1.2", "docker.io/library/busybox:1.36"}),
)

SHAPES: Final = (
    PLAIN, CONDITIONS, GLOBALS, DIGESTS, CONTAINERS, HOOKS, OPERATOR, WORKLOADS, VALUES,
    CAPABILITIES, LIBRARY, ANNOTATED, ODD_YAML, SHORT_NAMES,
)  # fmt: skip
