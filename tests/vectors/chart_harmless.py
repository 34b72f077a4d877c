"""Objects in which nothing is an image, although much looks like one."""

from __future__ import annotations

from typing import Final

from tests.vectors.chart_objects import defaults, options, resource, text, variables

NO_QUESTIONS: Final[dict[str, str]] = {
    "a Git repository": resource("{git: {repository: org/app, tag: v1.2}}"),
    "a Git repository by address": resource(
        "{repository: 'https://github.com/org/app', tag: v1.2, ref: {branch: main}}"
    ),
    "a Git repository without a scheme": resource("{repository: github.com/org/app, tag: v1.2}"),
    "a chart": resource("{chart: {repository: stable/web, name: web, version: 1.2.3}}"),
    "a chart of Flux": resource(
        "{chart: {spec: {chart: web, version: 6.5.*, sourceRef: {kind: HelmRepository, name: w}}}}"
    ),
    "labels": (
        "apiVersion: v1\nkind: Service\nmetadata: {name: w, labels: {app.kubernetes.io/name: w, "
        "app.kubernetes.io/version: '1.2.3', helm.sh/chart: web-1.2.3, image: x}}\nspec: {}\n"
    ),
    "settings of an image": resource(
        "{imagePullPolicy: IfNotPresent, imagePullSecrets: [{name: regcred}], imageFormat: oci, "
        "imageSize: 10Gi, imageGCHighThreshold: 85, imageScanning: fast, imageType: qcow2}"
    ),
    "no image": resource("{image: '', sidecar: {image: 'true'}, proxy: {image: default}}"),
    "numbers": resource("{image: 3, ratio: '1/2:3', range: '10.0.0.0/8:1', time: '2024/01:02'}"),
    "pictures": resource("{image: logo.png, heroImage: assets/logo.svg, types: 'image/png'}"),
    "media types": resource("{images: ['image/png', 'image/jpeg'], accept: 'text/html;q=0.9'}"),
    "a version of something else": resource("{name: web, version: 1.2.3, tag: v1}"),
    "a service by name and version": variables(
        SERVICE_NAME="web", SERVICE_VERSION="1.2.3", POD_NAME="web-0", LOG_TAG="web"
    ),
    "addresses": variables(
        CACHE="cache.default.svc:6379", URL="https://registry.example.org/v2/a:1", DB="db/main:5432"
    ),
    "options": options(
        "--leader-elect", "--image-pull-progress-deadline=1m", "--listen=0.0.0.0:8080",
        "--feature-gates=A=true,B=false", "--name=web", "--version=1.2", "--kind=apps/v1",
    ),
    "a program and a path": options("/usr/bin/run", "--config=/etc/app/config:/tmp", "web:8080"),
    "permissions": resource("{rules: [{resources: ['pods/proxy', 'nodes/stats'], verbs: [get]}]}"),
    "metrics": text(
        "groups:\n- name: a\n  rules:\n  - alert: High\n"
        "    expr: sum by (image) (rate(container_cpu{image!=\"\",pod=~\"x.*\"}[5m])) > 0.5\n"
        "    annotations: {summary: '{{ $labels.namespace }}/{{ $labels.pod }}: {{ $value }}'}"
    ),
    "a dashboard": text(
        '{"panels": [{"legendFormat": "{{image}}", "type": "text", "title": "image of the day"}], '
        '"tags": ["a"], "version": 3, "uid": "x"}'
    ),
    "a proxy's configuration": text(
        "proxy_set_header Host $host;\nlog_format main '$remote_addr/$request: $status';\n"
        "rewrite ^/a/(.*)$ /b/$1 break;\n"
    ),
    "registries": resource("{registry: quay.io/org, mirrors: ['ghcr.io/org'], hub: quay.io/a}"),
    "ports and times": options("--to=web:80", "--at=noon:12", "--peer=node:10.0.0.1", "--x=a:1s"),
    "other variables": resource("{env: [{name: MODE, value: fast}, {name: N, value: a}]}"),
    "prose": text("The image and/or the picture is here.\nAn image: what you see.\n# image\n"),
    "a comment": text("# image: quay.io/old/one:1\nkey: value\n"),
    "pulling from Git": text("git pull origin\ncd /tmp && git pull --rebase\n"),
    "descriptions of a CRD": defaults(
        "{image: {type: string, description: 'Such as quay.io/a/b:1.', example: 'quay.io/a/b:1'}}"
    ),
    "patterns of a policy": resource("{match: {imageReferences: ['ghcr.io/org/*', '*:latest']}}"),
    "fields of pictures": resource(
        "{images: [{title: hero, alt: read and/or write, key: abc}], policyImages: [{use: any}]}"
    ),
    "settings of all images": resource(
        "{images: {pullPolicy: always, registry: quay.io, tag: v1, enabled: yes, secrets: regcred}}"
    ),
    "a query": text("SELECT a\nFROM users\nWHERE a = 'b/c'\nFROM b/c\n"),
    "paths of an API": text("GET /a/{id}/b:read\npath: /x/{name}:get\nuser@EXAMPLE@x\n"),
    "a path beside a registry": resource("{registry: quay.io, path: /var/lib/x, tag: v1}"),
    "properties": text("server.port 8080\nspark.image.pullPolicy Always\na.image.format png\n"),
    "a certificate": resource("{caBundle: LS0tLS1CRUdJTi/a+b==, sha: abcdef}"),
    "quantities": resource("{resources: {requests: {cpu: 100m, memory: 1Gi}}, at: '01:30'}"),
    "group, version and kind": resource("{kind: 'apps/v1:Deployment', api: 'batch/v1'}"),
}  # fmt: skip
"""By what it is: an object in which nothing is an image."""
