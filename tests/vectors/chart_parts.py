"""Objects in the shapes that real charts have, in our own words: what in them is a question.

Each leads to images that no pod's specification shows: they are in parts, in texts of another
form, or put together by a template or a script.
"""

from __future__ import annotations

from typing import Final

from tests.vectors.chart_objects import defaults, options, pod, resource, text, variables

DIGEST: Final = "sha256:" + "ab" * 32


_INJECTOR: Final = """\
defaultTemplates: [sidecar]
templates:
  sidecar: |
    spec:
      {{- if .Values.enabled }}
      initContainers:
      - name: init
        image: "{{ annotation .ObjectMeta `example.org/proxyImage` .Values.global.proxy.image }}"
      {{- end }}
      containers:
      - name: proxy
      {{- if contains "/" .Values.global.proxy.image }}
        image: {{ .ProxyImage | quote }}
      {{- else }}
        image: "{{ .Values.global.hub }}/proxy:{{ .Values.global.tag }}"
      {{- end }}
"""

_SCRIPT: Final = """\
#!/bin/sh
set -e
export REGISTRY=quay.io/parts
TAG="1.4"
HELPER_IMAGE=quay.io/parts/helper:7
crictl pull docker.io/parts/pulled:2
ctr -n k8s.io image pull "${REGISTRY}/agent:${TAG}"
kubectl run x --image=alpine -- true
"""

QUESTIONS: Final[dict[str, tuple[str, set[str]]]] = {
    "hub, tag and name in values of an injector": (
        text('{"global": {"hub": "quay.io/mesh", "tag": "1.30.3", "proxy": {"image": "proxyv2"}}}'),
        {"quay.io/mesh/proxyv2:1.30.3"},
    ),
    "hub and tag beside the name": (
        text("global:\n  hub: quay.io/mesh\n  tag: 1.30.3\nimage: pilot"),
        {"quay.io/mesh/pilot:1.30.3"},
    ),
    "templates in a text of an injector": (
        text(_INJECTOR),
        {
            "{{annotation.ObjectMeta`example.org/proxyImage`.Values.global.proxy.image}}",
            "{{.ProxyImage|quote}}",
            "{{.Values.global.hub}}/proxy:{{.Values.global.tag}}",
        },
    ),
    "a template that is no value of an image": (
        text("run {{ .Values.hub }}/agent:{{ .Values.tag }} now"),
        {"{{.Values.hub}}/agent:{{.Values.tag}}"},
    ),
    "an artifact of Flux by tag": (
        (
        "apiVersion: source.toolkit.fluxcd.io/v1\nkind: OCIRepository\nmetadata: {name: f}\n"
        "spec: {url: 'oci://ghcr.io/example/manifests', ref: {tag: 6.9.1}, interval: 5m}\n"
        ),
        {"ghcr.io/example/manifests:6.9.1"},
    ),
    "an artifact of Flux by digest": (
        (
        "apiVersion: source.toolkit.fluxcd.io/v1\nkind: OCIRepository\nmetadata: {name: f}\n"
        f"spec: {{url: 'oci://ghcr.io/example/manifests', ref: {{digest: '{DIGEST}'}}}}\n"
        ),
        {f"ghcr.io/example/manifests@{DIGEST}"},
    ),
    "a range of an artifact of Flux": (
        (
        "apiVersion: source.toolkit.fluxcd.io/v1\nkind: OCIRepository\nmetadata: {name: f}\n"
        "spec: {url: 'oci://ghcr.io/example/manifests', ref: {semver: '>= 6.0'}}\n"
        ),
        {"ghcr.io/example/manifests"},
    ),
    "a chart of Argo by OCI": (
        resource("{source: {repoURL: 'oci://ghcr.io/ex', chart: web, targetRevision: 1.2.3}}"),
        {"ghcr.io/ex/web:1.2.3"},
    ),
    "values of a release of Flux": (
        (
        "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: r}\nspec:\n"
        "  values:\n    image: {repository: ghcr.io/example/web, tag: 6.9.1}\n"
        "    global: {imageRegistry: quay.io}\n    cache: {image: {repository: a/cache, tag: 7}}\n"
        ),
        {"ghcr.io/example/web:6.9.1", "quay.io/a/cache:7"},
    ),
    "repository and tag below any name": (
        resource("{server: {repository: quay.io/parts/server, tag: v2}}"),
        {"quay.io/parts/server:v2"},
    ),
    "registry, repository and tag": (
        resource("{agent: {registry: quay.io, repository: parts/agent, tag: '1.2'}}"),
        {"quay.io/parts/agent:1.2"},
    ),
    "repository, image and version": (
        resource("{driver: {repository: nvcr.io/parts, image: driver, version: '580.1'}}"),
        {"nvcr.io/parts/driver:580.1"},
    ),
    "a name and a separate digest": (
        resource(f"{{worker: {{image: quay.io/parts/worker, digest: '{DIGEST}'}}}}"),
        {f"quay.io/parts/worker@{DIGEST}"},
    ),
    "a digest without its algorithm": (
        resource(f"{{worker: {{image: quay.io/parts/worker, sha: {DIGEST[7:]}}}}}"),
        {f"quay.io/parts/worker@{DIGEST}"},
    ),
    "parts in fields with a prefix": (
        resource("{proxyImage: parts/proxy, proxyImageTag: '3.1', proxyImageRegistry: quay.io}"),
        {"quay.io/parts/proxy:3.1"},
    ),
    "a short name": (resource("{sidecar: {image: busybox}}"), {"busybox"}),
    "a list of new names": (
        resource("{images: [{name: a/b, newName: quay.io/a/b, newTag: '1.1'}]}"),
        {"quay.io/a/b:1.1"},
    ),
    "keys of a ConfigMap": (
        (
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: k}\n"
        "data: {scan.repository: mirror.example.org/scan, scan.tag: 0.72.0, scan.mode: fast}\n"
        ),
        {"mirror.example.org/scan:0.72.0"},
    ),
    "JSON in a ConfigMap": (
        text('{"server": {"repository": "quay.io/parts/server", "tag": "v2"}}'),
        {"quay.io/parts/server:v2"},
    ),
    "YAML in YAML": (
        text("inner: |\n  agent:\n    registry: quay.io\n    repository: parts/agent\n    tag: v3"),
        {"quay.io/parts/agent:v3"},
    ),
    "properties": (
        text("agent.registry=quay.io\nagent.image.name=parts/agent\nagent.image.tag=1.5\nx=1"),
        {"quay.io/parts/agent:1.5"},
    ),
    "a table of settings": (
        text('[plugin]\nsandbox_image = "registry.example.org/pause:3.10"\nname = "x"'),
        {"registry.example.org/pause:3.10"},
    ),
    "a script": (
        text(_SCRIPT),
        {
            "quay.io/parts/helper:7",
            "docker.io/parts/pulled:2",
            "quay.io/parts/agent:1.4",
            "alpine",
        },
    ),
    "an organization beside the registry": (
        resource("{proxy: {registry: quay.io, organization: parts, repository: db, tag: v1}}"),
        {"quay.io/parts/db:v1"},
    ),
    "a namespace of a registry": (
        resource("{proxy: {registry: quay.io, namespace: parts, name: db, tag: v1}}"),
        {"quay.io/parts/db:v1"},
    ),
    "a namespace of Kubernetes beside a repository": (
        resource("{proxy: {registry: quay.io, namespace: web, repository: db, tag: v1}}"),
        {"quay.io/db:v1"},
    ),
    "a path beside a registry and a tag": (
        resource("{proxy: {registry: quay.io, path: parts/db, tag: v1}}"),
        {"quay.io/parts/db:v1"},
    ),
    "a digest behind the tag": (
        resource(f"{{db: {{repository: quay.io/parts/db, tag: 'v1@{DIGEST}'}}}}"),
        {f"quay.io/parts/db:v1@{DIGEST}"},
    ),
    "a digest behind the version": (
        resource(f"{{db: {{repository: quay.io/parts/db, version: 'v1@{DIGEST}'}}}}"),
        {f"quay.io/parts/db:v1@{DIGEST}"},
    ),
    "a digest with its sign": (
        resource(f"{{db: {{repository: quay.io/parts/db, digest: '@{DIGEST}'}}}}"),
        {f"quay.io/parts/db@{DIGEST}"},
    ),
    "a tag with its colon": (
        resource("{db: {repository: quay.io/parts/db, tag: ':v1'}}"),
        {"quay.io/parts/db:v1"},
    ),
    "a chart of Argo without a scheme": (
        resource("{source: {repoURL: ghcr.io/parts, chart: web, targetRevision: 1.2.3}}"),
        {"ghcr.io/parts/web:1.2.3"},
    ),
    "values that Helm is told to set": (
        options("--set=image.repository=quay.io/parts/db", "--set=image.tag=v1"),
        {"quay.io/parts/db:v1"},
    ),
    "several values to set at once": (
        options("--set", "image.repository=quay.io/parts/db,image.tag=v1"),
        {"quay.io/parts/db:v1"},
    ),
    "a property with white space": (
        text("spark.executor.instances 2\nspark.kubernetes.container.image parts/spark:3.5.0\n"),
        {"parts/spark:3.5.0"},
    ),
    "a file to build by": (
        text("FROM golang:1.23 AS build\nRUN make\nFROM build\nFROM alpine\nCOPY a /a\n"),
        {"golang:1.23", "alpine"},
    ),
    "a template of Ruby": (
        text("image: <%= hub %>/proxy:<%= tag %>\n"),
        {"<%=hub%>/proxy:<%=tag%>"},
    ),
    "a template of Automake": (text("image: @HUB@/proxy:@TAG@\n"), {"@HUB@/proxy:@TAG@"}),
    "a template of Python": (text("image: {hub}/proxy:{tag}\n"), {"{hub}/proxy:{tag}"}),
    "images by name, in parts": (
        resource("{images: {proxy: {name: parts/db, tag: v1}, job: {name: busybox, tag: '1'}}}"),
        {"parts/db:v1", "busybox:1"},
    ),
    "images by name": (
        resource("{images: {proxy: 'redis:7', job: busybox}}"),
        {"redis:7", "busybox"},
    ),
    "a name and a hash": (
        resource(f"{{db: {{image: parts/db, hash: '{DIGEST}'}}}}"),
        {f"parts/db@{DIGEST}"},
    ),
    "YAML in one line": (
        text("image: {registry: quay.io, repository: parts/db, tag: '1'}"),
        {"quay.io/parts/db:1"},
    ),
    "three variables": (
        variables(REGISTRY="quay.io/parts", NAME="proxy", TAG="1.2"),
        {"quay.io/parts/proxy:1.2"},
    ),
    "three variables with a prefix": (
        variables(SIDECAR_REGISTRY="quay.io", SIDECAR_NAME="parts/sidecar", SIDECAR_TAG="v3"),
        {"quay.io/parts/sidecar:v3"},
    ),
    "a registry for several": (
        variables(IMAGE_REGISTRY="quay.io", A_IMAGE="parts/a", A_TAG="1", B_IMAGE="parts/b:2"),
        {"quay.io/parts/a:1", "parts/b:2"},
    ),
    "variables of variables": (
        variables(HUB="quay.io/parts", VERSION="1.9", WORKER_IMAGE="$(HUB)/worker:$(VERSION)"),
        {"quay.io/parts/worker:1.9"},
    ),
    "a variable that nobody set": (variables(WORKER_IMAGE="$(OTHER)"), {"$(OTHER)"}),
    "a name and a digest in variables": (
        variables(WORKER_IMAGE="quay.io/parts/worker", WORKER_DIGEST=DIGEST),
        {f"quay.io/parts/worker@{DIGEST}"},
    ),
    "JSON in a variable": (
        variables(CONFIG='{"sidecar": {"repository": "parts/side", "tag": "v1"}, "n": 1}'),
        {"parts/side:v1"},
    ),
    "an image in JSON in a variable": (
        variables(CONFIG='{"runner": {"image": "busybox"}}'),
        {"busybox"},
    ),
    "a short name in an option": (options("--sidecar-image=busybox"), {"busybox"}),
    "a short name behind an option": (options("--sidecar-image", "busybox"), {"busybox"}),
    "an option that does not say image": (
        options("--helper=parts/mirrored-pause:3.6", "--v=2"),
        {"parts/mirrored-pause:3.6"},
    ),
    "parts in options": (
        options("--agent-registry=quay.io", "--agent-repository=parts/agent", "--agent-tag=1.1"),
        {"quay.io/parts/agent:1.1"},
    ),
    "a script in an argument": (
        pod('command: [sh, -c, "set -e; nerdctl pull parts/x:1; IMAGE=alpine"]'),
        {"parts/x:1", "alpine"},
    ),
    "arguments of an init container": (
        (
        "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n"
        "  containers: [{name: a, image: 'main.example.org/a:1'}]\n"
        "  initContainers: [{name: b, image: 'main.example.org/a:1', args: ['--image=busybox']}]\n"
        ),
        {"busybox"},
    ),
    "a default in a CRD": (
        defaults("{helper: {type: string, default: 'quay.io/parts/helper:1'}}"),
        {"quay.io/parts/helper:1"},
    ),
    "defaults in parts": (
        defaults("{repository: {default: quay.io/parts/d}, tag: {default: '4.4'}}"),
        {"quay.io/parts/d:4.4"},
    ),
    "a default that is an object": (
        defaults("{sidecar: {default: {repository: quay.io/parts/d, tag: '5.5'}}}"),
        {"quay.io/parts/d:5.5"},
    ),
    "variables in a resource": (
        resource("{env: [{name: SIDECAR_IMAGE, value: busybox}, {name: MODE, value: fast}]}"),
        {"busybox"},
    ),
    "parameters in parts": (
        resource("{set: [{name: image.repository, value: a/b}, {name: image.tag, value: v1}]}"),
        {"a/b:v1"},
    ),
    "a default of a parameter": (
        resource("{params: [{name: builderImage, default: alpine, description: x}]}"),
        {"alpine"},
    ),
    "arguments in a resource": (resource("{args: [--sidecar-image, busybox]}"), {"busybox"}),
    "an option twice": (
        options("--image=a/one:1", "--image=busybox", "--image", "a/three:3"),
        {"a/one:1", "busybox", "a/three:3"},
    ),
    "an expression of a policy": (
        resource("{expression: 'Object.spec.containers{name: \"x\", image: \"busybox\"}'}"),
        {"busybox"},
    ),
    "a default of a shell": (
        text('set -e\nrun ${HELPER:-quay.io/parts/helper:1} now\n'), {"quay.io/parts/helper:1"},
    ),
    "several short names": (variables(IMAGES="busybox,alpine:3.20"), {"busybox", "alpine:3.20"}),
    "a version with a point": (options("--helper=busybox:1.36"), {"busybox:1.36"}),
    "a repository of a known registry": (resource("{db: quay.io/parts/db}"), {"quay.io/parts/db"}),
    "a default of items": (
        defaults("{sidecars: {items: {default: {image: 'side:1'}}}}"), {"side:1"},
    ),
    "an option that says img": (options("--proxy-img=busybox"), {"busybox"}),
    "quotes in an option": (options('--sidecar-image="busybox"'), {"busybox"}),
    "two tables of settings": (
        text('[a]\nrepository = "quay.io/x/y"\ntag = "1.2"\n[b]\nrepository = "a/b"\ntag = "3"'),
        {"quay.io/x/y:1.2", "a/b:3"},
    ),
    "parts in a line of what is no JSON": (
        text('{"a": {{ .x | toJson }},\n"sidecar": {"repository": "a/b", "tag": "1"}}'),
        {"a/b:1"},
    ),
    "a format of a template": (
        text('x: {{ printf "%s/proxy:%s" .hub .tag }}\n{{- end }}'),
        {'{{printf"%s/proxy:%s".hub.tag}}'},
    ),
    "commands of tools": (
        text("set -e\nkubectl set image deploy/x x=busybox:1.36\npodman run alpine:3.20 true\n"),
        {"busybox:1.36", "alpine:3.20"},
    ),
    "XML": (
        text("<pod>\n<image>a/b:1</image>\n<image>busybox</image>\n</pod>\n"),
        {"a/b:1", "busybox"},
    ),
    "parts in XML": (
        text("<repository>quay.io/a/b</repository><tag>v1</tag>\n<x/>\n"), {"quay.io/a/b:v1"},
    ),
    "a command of a container's end": (
        pod("lifecycle: {preStop: {exec: {command: [sh, -c, 'crictl pull a/b:1']}}}"), {"a/b:1"},
    ),
    "an annotation": (
        (
        "apiVersion: v1\nkind: Service\nmetadata: {name: s, annotations: {example.org/proxyImage: "
        "proxy, example.org/proxyImageTag: '2.2'}}\n"
        ),
        {"proxy:2.2"},
    ),
    "an annotation of a job's pods": (
        (
        "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: j}\nspec: {jobTemplate: {metadata: "
        "{annotations: {e.org/image: 'side:1'}}, spec: {template: {spec: {containers: []}}}}}\n"
        ),
        {"side:1"},
    ),
}  # fmt: skip
"""By what it is: an object, and what must be declared or left out."""
