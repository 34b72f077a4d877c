"""The templates of the charts in chart_shapes."""

from __future__ import annotations

from typing import Final


def _workload(kind: str, name: str, image: str, more: str = "") -> str:
    return f"""\
apiVersion: apps/v1
kind: {kind}
metadata:
  name: {{{{ .Release.Name }}}}-{name}
spec:
{more}  selector:
    matchLabels: {{app: {name}}}
  template:
    metadata:
      labels: {{app: {name}}}
    spec:
      containers:
        - name: main
          image: {image}
"""


def deployment(name: str, image: str) -> str:
    """Return a deployment with one container; `image` may be a template."""
    return _workload("Deployment", name, image)


def stateful_set(name: str, image: str) -> str:
    """Return a stateful set with one container; `image` may be a template."""
    return _workload("StatefulSet", name, image, f"  serviceName: {name}\n")


def _hooked(event: str, policy: str) -> str:
    lines = [f"    helm.sh/hook: {event}"]
    lines += [f"    helm.sh/hook-delete-policy: {policy}"] if policy else []
    return "\n".join(lines)


def hook_job(name: str, event: str, image: str, policy: str) -> str:
    """Return a job that Helm runs at an event."""
    return f"""\
apiVersion: batch/v1
kind: Job
metadata:
  name: {{{{ .Release.Name }}}}-{name}
  annotations:
{_hooked(event, policy)}
spec:
  template:
    spec:
      restartPolicy: Never
      containers: [{{name: main, image: "{image}"}}]
"""


def hook_pod(name: str, event: str, image: str) -> str:
    """Return a pod that Helm runs at an event."""
    return f"""\
apiVersion: v1
kind: Pod
metadata:
  name: {{{{ .Release.Name }}}}-{name}
  annotations:
{_hooked(event, "")}
spec:
  restartPolicy: Never
  containers: [{{name: main, image: "{image}"}}]
"""


JOINED_IMAGE: Final = """\
{{- define "joined" -}}
{{- $registry := .image.registry -}}
{{- with .global -}}
{{- if .imageRegistry }}{{- $registry = .imageRegistry }}{{- end -}}
{{- end -}}
{{- if .image.digest -}}
{{- printf "%s/%s@%s" $registry .image.repository .image.digest -}}
{{- else -}}
{{- printf "%s/%s:%s" $registry .image.repository (toString .image.tag) -}}
{{- end -}}
{{- end -}}
"""

LIBRARY: Final = """\
{{- define "common.deployment" -}}
apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .name }}}
spec:
  selector: {matchLabels: {app: {{ .name }}}}
  template:
    metadata: {labels: {app: {{ .name }}}}
    spec: {containers: [{name: main, image: {{ .image | quote }}}]}
{{- end -}}
"""

MANY_CONTAINERS: Final = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
  annotations: {example.org/note: "the image of this is not said here"}
spec:
  selector: {matchLabels: {app: many}}
  template:
    metadata: {labels: {app: many}}
    spec:
      initContainers:
        - {name: migrate, image: "HOST/many/migrate:5"}
        - {name: sidecar, image: "HOST/many/sidecar:0.3", restartPolicy: Always}
      containers:
        - name: main
          image: HOST/many/main:5
          imagePullPolicy: IfNotPresent
          command: [/bin/main, --listen=0.0.0.0:8080, --cache, "cache.default.svc:6379"]
          env:
            - {name: IMAGE_PULL_POLICY, value: Always}
            - {name: DATABASE, value: "postgres://db.example.org:5432/main"}
          volumeMounts: [{name: model, mountPath: /model}]
        - {name: metrics, image: "HOST/many/metrics:1.1"}
      volumes:
        - name: model
          image: {reference: "HOST/many/model:2024.1", pullPolicy: IfNotPresent}
"""

CRD: Final = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.org}
spec:
  group: example.org
  scope: Namespaced
  names: {kind: Widget, listKind: WidgetList, plural: widgets, singular: widget}
  versions:
    - name: v1
      served: true
      storage: true
      schema:
        openAPIV3Schema:
          type: object
          properties:
            spec:
              type: object
              properties:
                image: {type: string, description: "Such as quay.io/example/widget:v1."}
                replicas: {type: integer, default: 1}
                backup:
                  type: object
                  properties:
                    image:
                      type: object
                      properties:
                        repository: {type: string}
                        tag: {type: string}
"""

WIDGET: Final = """\
apiVersion: example.org/v1
kind: Widget
metadata: {name: "{{ .Release.Name }}"}
spec:
  image: HOST/operator/widget:4.2
  replicas: 2
  backup: {image: {repository: HOST/operator/backup, tag: "2.0"}}
"""

OPERATOR: Final = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: "{{ .Release.Name }}"}
spec:
  selector: {matchLabels: {app: operator}}
  template:
    metadata: {labels: {app: operator}}
    spec:
      containers:
        - name: manager
          image: HOST/operator/manager:0.8.0
          args: [--leader-elect, "--reloader-image=HOST/operator/reloader:0.3.1"]
          env: [{name: RELATED_IMAGE_WORKER, value: "HOST/operator/worker:0.8.0"}]
"""

OPERATOR_CONFIG: Final = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: "{{ .Release.Name }}-pod"}
data:
  helperPod.yaml: |
    apiVersion: v1
    kind: Pod
    spec:
      containers:
        - name: helper
          image: "HOST/operator/helper:1.36"
"""


def _pod(name: str) -> str:
    return f"{{containers: [{{name: main, image: 'HOST/kinds/{name}:1'}}]}}"


def _template(name: str, spec: str = "") -> str:
    return f"{{metadata: {{labels: {{app: {name}}}}}, spec: {spec or _pod(name)}}}"


def _selecting(kind: str, name: str, more: str = "") -> str:
    return (
        f"apiVersion: apps/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec:\n{more}"
        f"  selector: {{matchLabels: {{app: {name}}}}}\n  template: {_template(name)}\n"
    )


_ONCE: Final = "{restartPolicy: Never, containers: [{name: main, image: 'HOST/kinds/%s:1'}]}"
_JOB: Final = f"{{template: {_template('job', _ONCE % 'job')}}}"
_CRON: Final = f"{{template: {_template('cron', _ONCE % 'cron')}}}"

_SET: Final = _selecting("StatefulSet", "set", "  serviceName: set\n")

EVERY_WORKLOAD: Final = f"""\
apiVersion: batch/v1
kind: CronJob
metadata: {{name: cron}}
spec: {{schedule: '0 3 * * *', jobTemplate: {{spec: {_CRON}}}}}
---
apiVersion: batch/v1
kind: Job
metadata: {{name: job}}
spec: {_JOB}
---
{_selecting("DaemonSet", "daemon")}
---
{_SET}
---
{_selecting("ReplicaSet", "rs")}
---
apiVersion: v1
kind: ReplicationController
metadata: {{name: rc}}
spec: {{selector: {{app: rc}}, template: {_template("rc")}}}
---
apiVersion: v1
kind: Pod
metadata: {{name: pod}}
spec: {_pod("pod")}
---
apiVersion: v1
kind: PodTemplate
metadata: {{name: template}}
template: {_template("template")}
---
apiVersion: v1
kind: List
items:
  - {{apiVersion: v1, kind: Pod, metadata: {{name: listed}}, spec: {_pod("listed")}}}
"""

ODD_YAML: Final = """\
# image: HOST/odd/not-this:1
apiVersion: v1
kind: Pod
metadata: {name: anchored}
spec:
  containers:
    - &first
      name: one
      image: HOST/odd/anchored:1
    - <<: *first
      name: two
      image: HOST/odd/merged:1
    - <<: *first
      name: three
---
# Nothing but a comment.
---
apiVersion: v1
kind: Pod
metadata: {name: folded}
spec:
  containers:
    - name: one
      image: >-
        HOST/odd/folded:1
      args:
        - |
          ---
          image: of a text that is not YAML at all: {
---
{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "json"},
 "spec": {"containers": [{"name": "one", "image": "HOST/odd/json:1"}]}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: odd}
data: {when: 2024-02-30, number: "012", "yes": "on", text: "image and/or picture"}
"""
