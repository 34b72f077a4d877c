"""Objects in the shapes that real charts have, in our own words: what in them is a question.

Each leads to images that no pod's specification shows: they are in parts, in texts of another
form, or put together by a template or a script.
"""

from __future__ import annotations

from typing import Final

DIGEST: Final = "sha256:" + "ab" * 32


def _map(data: str, name: str = "c") -> str:
    lines = "".join(f"    {line}\n" for line in data.splitlines())
    return (
        f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata:\n  config: |\n{lines}"
    )


def _resource(spec: str) -> str:
    return f"apiVersion: example.org/v1\nkind: Thing\nmetadata: {{name: t}}\nspec: {spec}\n"


def _pod(container: str) -> str:
    return (
        "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n"
        f"    - {{name: main, image: 'main.example.org/a:1', {container}}}\n"
    )


def _variables(**variables: str) -> str:
    listed = ", ".join(f"{{name: {name}, value: '{value}'}}" for name, value in variables.items())
    return _pod(f"env: [{listed}]")


def _options(*words: str) -> str:
    return _pod("args: [" + ", ".join(f"'{word}'" for word in words) + "]")


def _defaults(properties: str) -> str:
    return (
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: c}\n"
        "spec: {versions: [{schema: {openAPIV3Schema: {properties: {spec: {properties: "
        f"{properties}}}}}}}}}}}]}}\n"
    )


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
        _map('{"global": {"hub": "quay.io/mesh", "tag": "1.30.3", "proxy": {"image": "proxyv2"}}}'),
        {"quay.io/mesh/proxyv2:1.30.3"},
    ),
    "hub and tag beside the name": (
        _map("global:\n  hub: quay.io/mesh\n  tag: 1.30.3\nimage: pilot"),
        {"quay.io/mesh/pilot:1.30.3"},
    ),
    "templates in a text of an injector": (
        _map(_INJECTOR),
        {
            "{{annotation.ObjectMeta`example.org/proxyImage`.Values.global.proxy.image}}",
            "{{.ProxyImage|quote}}",
            "{{.Values.global.hub}}/proxy:{{.Values.global.tag}}",
        },
    ),
    "a template that is no value of an image": (
        _map("run {{ .Values.hub }}/agent:{{ .Values.tag }} now"),
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
        _resource("{source: {repoURL: 'oci://ghcr.io/ex', chart: web, targetRevision: 1.2.3}}"),
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
        _resource("{server: {repository: quay.io/parts/server, tag: v2}}"),
        {"quay.io/parts/server:v2"},
    ),
    "registry, repository and tag": (
        _resource("{agent: {registry: quay.io, repository: parts/agent, tag: '1.2'}}"),
        {"quay.io/parts/agent:1.2"},
    ),
    "repository, image and version": (
        _resource("{driver: {repository: nvcr.io/parts, image: driver, version: '580.1'}}"),
        {"nvcr.io/parts/driver:580.1"},
    ),
    "a name and a separate digest": (
        _resource(f"{{worker: {{image: quay.io/parts/worker, digest: '{DIGEST}'}}}}"),
        {f"quay.io/parts/worker@{DIGEST}"},
    ),
    "a digest without its algorithm": (
        _resource(f"{{worker: {{image: quay.io/parts/worker, sha: {DIGEST[7:]}}}}}"),
        {f"quay.io/parts/worker@{DIGEST}"},
    ),
    "parts in fields with a prefix": (
        _resource("{proxyImage: parts/proxy, proxyImageTag: '3.1', proxyImageRegistry: quay.io}"),
        {"quay.io/parts/proxy:3.1"},
    ),
    "a short name": (_resource("{sidecar: {image: busybox}}"), {"busybox"}),
    "a list of new names": (
        _resource("{images: [{name: a/b, newName: quay.io/a/b, newTag: '1.1'}]}"),
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
        _map('{"server": {"repository": "quay.io/parts/server", "tag": "v2"}}'),
        {"quay.io/parts/server:v2"},
    ),
    "YAML in YAML": (
        _map("inner: |\n  agent:\n    registry: quay.io\n    repository: parts/agent\n    tag: v3"),
        {"quay.io/parts/agent:v3"},
    ),
    "properties": (
        _map("agent.registry=quay.io\nagent.image.name=parts/agent\nagent.image.tag=1.5\nx=1"),
        {"quay.io/parts/agent:1.5"},
    ),
    "a table of settings": (
        _map('[plugin]\nsandbox_image = "registry.example.org/pause:3.10"\nname = "x"'),
        {"registry.example.org/pause:3.10"},
    ),
    "a script": (
        _map(_SCRIPT),
        {
            "quay.io/parts/helper:7",
            "docker.io/parts/pulled:2",
            "quay.io/parts/agent:1.4",
            "alpine",
        },
    ),
    "an organization beside the registry": (
        _resource("{proxy: {registry: quay.io, organization: parts, repository: db, tag: v1}}"),
        {"quay.io/parts/db:v1"},
    ),
    "a namespace of a registry": (
        _resource("{proxy: {registry: quay.io, namespace: parts, name: db, tag: v1}}"),
        {"quay.io/parts/db:v1"},
    ),
    "a namespace of Kubernetes beside a repository": (
        _resource("{proxy: {registry: quay.io, namespace: web, repository: db, tag: v1}}"),
        {"quay.io/db:v1"},
    ),
    "a path beside a registry and a tag": (
        _resource("{proxy: {registry: quay.io, path: parts/db, tag: v1}}"),
        {"quay.io/parts/db:v1"},
    ),
    "a digest behind the tag": (
        _resource(f"{{db: {{repository: quay.io/parts/db, tag: 'v1@{DIGEST}'}}}}"),
        {f"quay.io/parts/db:v1@{DIGEST}"},
    ),
    "a digest behind the version": (
        _resource(f"{{db: {{repository: quay.io/parts/db, version: 'v1@{DIGEST}'}}}}"),
        {f"quay.io/parts/db:v1@{DIGEST}"},
    ),
    "a digest with its sign": (
        _resource(f"{{db: {{repository: quay.io/parts/db, digest: '@{DIGEST}'}}}}"),
        {f"quay.io/parts/db@{DIGEST}"},
    ),
    "a tag with its colon": (
        _resource("{db: {repository: quay.io/parts/db, tag: ':v1'}}"),
        {"quay.io/parts/db:v1"},
    ),
    "a chart of Argo without a scheme": (
        _resource("{source: {repoURL: ghcr.io/parts, chart: web, targetRevision: 1.2.3}}"),
        {"ghcr.io/parts/web:1.2.3"},
    ),
    "values that Helm is told to set": (
        _options("--set=image.repository=quay.io/parts/db", "--set=image.tag=v1"),
        {"quay.io/parts/db:v1"},
    ),
    "several values to set at once": (
        _options("--set", "image.repository=quay.io/parts/db,image.tag=v1"),
        {"quay.io/parts/db:v1"},
    ),
    "a property with white space": (
        _map("spark.executor.instances 2\nspark.kubernetes.container.image parts/spark:3.5.0\n"),
        {"parts/spark:3.5.0"},
    ),
    "a file to build by": (
        _map("FROM golang:1.23 AS build\nRUN make\nFROM build\nFROM alpine\nCOPY a /a\n"),
        {"golang:1.23", "alpine"},
    ),
    "a template of Ruby": (
        _map("image: <%= hub %>/proxy:<%= tag %>\n"),
        {"<%=hub%>/proxy:<%=tag%>"},
    ),
    "a template of Automake": (_map("image: @HUB@/proxy:@TAG@\n"), {"@HUB@/proxy:@TAG@"}),
    "a template of Python": (_map("image: {hub}/proxy:{tag}\n"), {"{hub}/proxy:{tag}"}),
    "images by name, in parts": (
        _resource("{images: {proxy: {name: parts/db, tag: v1}, job: {name: busybox, tag: '1'}}}"),
        {"parts/db:v1", "busybox:1"},
    ),
    "images by name": (
        _resource("{images: {proxy: 'redis:7', job: busybox}}"),
        {"redis:7", "busybox"},
    ),
    "a name and a hash": (
        _resource(f"{{db: {{image: parts/db, hash: '{DIGEST}'}}}}"),
        {f"parts/db@{DIGEST}"},
    ),
    "YAML in one line": (
        _map("image: {registry: quay.io, repository: parts/db, tag: '1'}"),
        {"quay.io/parts/db:1"},
    ),
    "three variables": (
        _variables(REGISTRY="quay.io/parts", NAME="proxy", TAG="1.2"),
        {"quay.io/parts/proxy:1.2"},
    ),
    "three variables with a prefix": (
        _variables(SIDECAR_REGISTRY="quay.io", SIDECAR_NAME="parts/sidecar", SIDECAR_TAG="v3"),
        {"quay.io/parts/sidecar:v3"},
    ),
    "a registry for several": (
        _variables(IMAGE_REGISTRY="quay.io", A_IMAGE="parts/a", A_TAG="1", B_IMAGE="parts/b:2"),
        {"quay.io/parts/a:1", "parts/b:2"},
    ),
    "variables of variables": (
        _variables(HUB="quay.io/parts", VERSION="1.9", WORKER_IMAGE="$(HUB)/worker:$(VERSION)"),
        {"quay.io/parts/worker:1.9"},
    ),
    "a variable that nobody set": (_variables(WORKER_IMAGE="$(OTHER)"), {"$(OTHER)"}),
    "a name and a digest in variables": (
        _variables(WORKER_IMAGE="quay.io/parts/worker", WORKER_DIGEST=DIGEST),
        {f"quay.io/parts/worker@{DIGEST}"},
    ),
    "JSON in a variable": (
        _variables(CONFIG='{"sidecar": {"repository": "parts/side", "tag": "v1"}, "n": 1}'),
        {"parts/side:v1"},
    ),
    "an image in JSON in a variable": (
        _variables(CONFIG='{"runner": {"image": "busybox"}}'),
        {"busybox"},
    ),
    "a short name in an option": (_options("--sidecar-image=busybox"), {"busybox"}),
    "a short name behind an option": (_options("--sidecar-image", "busybox"), {"busybox"}),
    "an option that does not say image": (
        _options("--helper=parts/mirrored-pause:3.6", "--v=2"),
        {"parts/mirrored-pause:3.6"},
    ),
    "parts in options": (
        _options("--agent-registry=quay.io", "--agent-repository=parts/agent", "--agent-tag=1.1"),
        {"quay.io/parts/agent:1.1"},
    ),
    "a script in an argument": (
        _pod('command: [sh, -c, "set -e; nerdctl pull parts/x:1; IMAGE=alpine"]'),
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
        _defaults("{helper: {type: string, default: 'quay.io/parts/helper:1'}}"),
        {"quay.io/parts/helper:1"},
    ),
    "defaults in parts": (
        _defaults("{repository: {default: quay.io/parts/d}, tag: {default: '4.4'}}"),
        {"quay.io/parts/d:4.4"},
    ),
    "a default that is an object": (
        _defaults("{sidecar: {default: {repository: quay.io/parts/d, tag: '5.5'}}}"),
        {"quay.io/parts/d:5.5"},
    ),
    "variables in a resource": (
        _resource("{env: [{name: SIDECAR_IMAGE, value: busybox}, {name: MODE, value: fast}]}"),
        {"busybox"},
    ),
    "parameters in parts": (
        _resource("{set: [{name: image.repository, value: a/b}, {name: image.tag, value: v1}]}"),
        {"a/b:v1"},
    ),
    "a default of a parameter": (
        _resource("{params: [{name: builderImage, default: alpine, description: x}]}"),
        {"alpine"},
    ),
    "arguments in a resource": (_resource("{args: [--sidecar-image, busybox]}"), {"busybox"}),
    "an option twice": (
        _options("--image=a/one:1", "--image=busybox", "--image", "a/three:3"),
        {"a/one:1", "busybox", "a/three:3"},
    ),
    "an expression of a policy": (
        _resource("{expression: 'Object.spec.containers{name: \"x\", image: \"busybox\"}'}"),
        {"busybox"},
    ),
    "a default of a shell": (
        _map('set -e\nrun ${HELPER:-quay.io/parts/helper:1} now\n'), {"quay.io/parts/helper:1"},
    ),
    "several short names": (_variables(IMAGES="busybox,alpine:3.20"), {"busybox", "alpine:3.20"}),
    "a version with a point": (_options("--helper=busybox:1.36"), {"busybox:1.36"}),
    "a repository of a known registry": (_resource("{db: quay.io/parts/db}"), {"quay.io/parts/db"}),
    "a default of items": (
        _defaults("{sidecars: {items: {default: {image: 'side:1'}}}}"), {"side:1"},
    ),
    "an option that says img": (_options("--proxy-img=busybox"), {"busybox"}),
    "quotes in an option": (_options('--sidecar-image="busybox"'), {"busybox"}),
    "two tables of settings": (
        _map('[a]\nrepository = "quay.io/x/y"\ntag = "1.2"\n[b]\nrepository = "a/b"\ntag = "3"'),
        {"quay.io/x/y:1.2", "a/b:3"},
    ),
    "parts in a line of what is no JSON": (
        _map('{"a": {{ .x | toJson }},\n"sidecar": {"repository": "a/b", "tag": "1"}}'),
        {"a/b:1"},
    ),
    "a format of a template": (
        _map('x: {{ printf "%s/proxy:%s" .hub .tag }}\n{{- end }}'),
        {'{{printf"%s/proxy:%s".hub.tag}}'},
    ),
    "commands of tools": (
        _map("set -e\nkubectl set image deploy/x x=busybox:1.36\npodman run alpine:3.20 true\n"),
        {"busybox:1.36", "alpine:3.20"},
    ),
    "XML": (
        _map("<pod>\n<image>a/b:1</image>\n<image>busybox</image>\n</pod>\n"),
        {"a/b:1", "busybox"},
    ),
    "parts in XML": (
        _map("<repository>quay.io/a/b</repository><tag>v1</tag>\n<x/>\n"), {"quay.io/a/b:v1"},
    ),
    "a command of a container's end": (
        _pod("lifecycle: {preStop: {exec: {command: [sh, -c, 'crictl pull a/b:1']}}}"), {"a/b:1"},
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

NO_QUESTIONS: Final[dict[str, str]] = {
    "a Git repository": _resource("{git: {repository: org/app, tag: v1.2}}"),
    "a Git repository by address": _resource(
        "{repository: 'https://github.com/org/app', tag: v1.2, ref: {branch: main}}"
    ),
    "a Git repository without a scheme": _resource("{repository: github.com/org/app, tag: v1.2}"),
    "a chart": _resource("{chart: {repository: stable/web, name: web, version: 1.2.3}}"),
    "a chart of Flux": _resource(
        "{chart: {spec: {chart: web, version: 6.5.*, sourceRef: {kind: HelmRepository, name: w}}}}"
    ),
    "labels": (
        "apiVersion: v1\nkind: Service\nmetadata: {name: w, labels: {app.kubernetes.io/name: w, "
        "app.kubernetes.io/version: '1.2.3', helm.sh/chart: web-1.2.3, image: x}}\nspec: {}\n"
    ),
    "settings of an image": _resource(
        "{imagePullPolicy: IfNotPresent, imagePullSecrets: [{name: regcred}], imageFormat: oci, "
        "imageSize: 10Gi, imageGCHighThreshold: 85, imageScanning: fast, imageType: qcow2}"
    ),
    "no image": _resource("{image: '', sidecar: {image: 'true'}, proxy: {image: default}}"),
    "numbers": _resource("{image: 3, ratio: '1/2:3', range: '10.0.0.0/8:1', time: '2024/01:02'}"),
    "pictures": _resource("{image: logo.png, heroImage: assets/logo.svg, types: 'image/png'}"),
    "media types": _resource("{images: ['image/png', 'image/jpeg'], accept: 'text/html;q=0.9'}"),
    "a version of something else": _resource("{name: web, version: 1.2.3, tag: v1}"),
    "a service by name and version": _variables(
        SERVICE_NAME="web", SERVICE_VERSION="1.2.3", POD_NAME="web-0", LOG_TAG="web"
    ),
    "addresses": _variables(
        CACHE="cache.default.svc:6379", URL="https://registry.example.org/v2/a:1", DB="db/main:5432"
    ),
    "options": _options(
        "--leader-elect", "--image-pull-progress-deadline=1m", "--listen=0.0.0.0:8080",
        "--feature-gates=A=true,B=false", "--name=web", "--version=1.2", "--kind=apps/v1",
    ),
    "a program and a path": _options("/usr/bin/run", "--config=/etc/app/config:/tmp", "web:8080"),
    "permissions": _resource("{rules: [{resources: ['pods/proxy', 'nodes/stats'], verbs: [get]}]}"),
    "metrics": _map(
        "groups:\n- name: a\n  rules:\n  - alert: High\n"
        "    expr: sum by (image) (rate(container_cpu{image!=\"\",pod=~\"x.*\"}[5m])) > 0.5\n"
        "    annotations: {summary: '{{ $labels.namespace }}/{{ $labels.pod }}: {{ $value }}'}"
    ),
    "a dashboard": _map(
        '{"panels": [{"legendFormat": "{{image}}", "type": "text", "title": "image of the day"}], '
        '"tags": ["a"], "version": 3, "uid": "x"}'
    ),
    "a proxy's configuration": _map(
        "proxy_set_header Host $host;\nlog_format main '$remote_addr/$request: $status';\n"
        "rewrite ^/a/(.*)$ /b/$1 break;\n"
    ),
    "registries": _resource("{registry: quay.io/org, mirrors: ['ghcr.io/org'], hub: quay.io/a}"),
    "ports and times": _options("--to=web:80", "--at=noon:12", "--peer=node:10.0.0.1", "--x=a:1s"),
    "other variables": _resource("{env: [{name: MODE, value: fast}, {name: N, value: a}]}"),
    "prose": _map("The image and/or the picture is here.\nAn image: what you see.\n# image\n"),
    "a comment": _map("# image: quay.io/old/one:1\nkey: value\n"),
    "pulling from Git": _map("git pull origin\ncd /tmp && git pull --rebase\n"),
    "descriptions of a CRD": _defaults(
        "{image: {type: string, description: 'Such as quay.io/a/b:1.', example: 'quay.io/a/b:1'}}"
    ),
    "patterns of a policy": _resource("{match: {imageReferences: ['ghcr.io/org/*', '*:latest']}}"),
    "fields of pictures": _resource(
        "{images: [{title: hero, alt: read and/or write, key: abc}], policyImages: [{use: any}]}"
    ),
    "settings of all images": _resource(
        "{images: {pullPolicy: always, registry: quay.io, tag: v1, enabled: yes, secrets: regcred}}"
    ),
    "a query": _map("SELECT a\nFROM users\nWHERE a = 'b/c'\nFROM b/c\n"),
    "paths of an API": _map("GET /a/{id}/b:read\npath: /x/{name}:get\nuser@EXAMPLE@x\n"),
    "a path beside a registry": _resource("{registry: quay.io, path: /var/lib/x, tag: v1}"),
    "properties": _map("server.port 8080\nspark.image.pullPolicy Always\na.image.format png\n"),
    "a certificate": _resource("{caBundle: LS0tLS1CRUdJTi/a+b==, sha: abcdef}"),
    "quantities": _resource("{resources: {requests: {cpu: 100m, memory: 1Gi}}, at: '01:30'}"),
    "group, version and kind": _resource("{kind: 'apps/v1:Deployment', api: 'batch/v1'}"),
}  # fmt: skip
"""By what it is: an object in which nothing is an image."""
