"""Small objects of Kubernetes, for the charts that are made up here."""

from __future__ import annotations


def text(data: str, name: str = "c") -> str:
    """Return a ConfigMap that holds a text."""
    lines = "".join(f"    {line}\n" for line in data.splitlines())
    return (
        f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata:\n  config: |\n{lines}"
    )


def resource(spec: str) -> str:
    """Return an object of a kind that only its own controller understands."""
    return f"apiVersion: example.org/v1\nkind: Thing\nmetadata: {{name: t}}\nspec: {spec}\n"


def pod(container: str) -> str:
    """Return a pod whose one container has these fields as well."""
    return (
        "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n"
        f"    - {{name: main, image: 'main.example.org/a:1', {container}}}\n"
    )


def variables(**variables: str) -> str:
    """Return a pod with these variables in its environment."""
    listed = ", ".join(f"{{name: {name}, value: '{value}'}}" for name, value in variables.items())
    return pod(f"env: [{listed}]")


def options(*words: str) -> str:
    """Return a pod whose program gets these words."""
    return pod("args: [" + ", ".join(f"'{word}'" for word in words) + "]")


def defaults(properties: str) -> str:
    """Return a CustomResourceDefinition whose spec has these properties."""
    return (
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: c}\n"
        "spec: {versions: [{schema: {openAPIV3Schema: {properties: {spec: {properties: "
        f"{properties}}}}}}}}}}}]}}\n"
    )
