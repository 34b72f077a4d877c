"""`isoward convert`: from another tool's document or package to a definition."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bundle.base.errors import UsageError
from bundle.base.yaml.strict import dump_yaml
from bundle.cli.given import Given
from bundle.cli.help.schema_line import schema_line
from bundle.cli.output import Output, output_options, pass_output
from bundle.kinds.policy import UnsignedRule, check_rules
from bundle.store.atomic import require_new, storage_errors, write_new
from bundler.cli.connection import connection_options, open_cache, open_client
from bundler.model.definition import Definition

if TYPE_CHECKING:
    from bundler.formats.conversion import Asked, Form, Found

_FILE = click.Path(path_type=Path)
_FORMS = ("images", "hauler", "kubespray", "zarf")


@click.command("convert")
@click.argument("source", type=Given(foreign="another tool's list or package"))
@click.option("-o", "--output", "target", type=_FILE, required=True, help="The definition.")
@click.option("--from", "form", type=click.Choice(_FORMS), help="The type of SOURCE, if unclear.")
@click.option("--name", help="The bundle's name.")
@click.option("--bundle-version", "version", help="The bundle's version.")
@click.option("--platform", "platforms", multiple=True, help="Such as linux/amd64; repeatable.")
@click.option("--checksums", type=_FILE, help="Kubespray's checksums.yml, for its lists.")
@click.option("--key", type=_FILE, metavar="PEM", help="The key that signed a Zarf package.")
@click.option("--waiver-reason", help="Why images without their own rule need no signature.")
@click.option("--waiver-approved-by", help="Who approved the waiver.")
@click.option("--waiver-ticket", help="The ticket of the waiver.")
@click.option("--waiver-expires", metavar="YYYY-MM-DD", help="The last day of the waiver.")
@connection_options
@output_options
@pass_output
def command(
    says: Output,
    *,
    source: Path,
    target: Path,
    form: Any,
    name: str | None,
    version: str | None,
    platforms: tuple[str, ...],
    checksums: Path | None,
    key: Path | None,
    sources: Path | None,
    cache: Path | None,
    waiver_reason: str | None,
    waiver_approved_by: str | None,
    waiver_ticket: str | None,
    waiver_expires: str | None,
) -> None:
    """Convert SOURCE to a definition for `isoward lock`.

    SOURCE is an images.txt, a Hauler manifest, a folder with Kubespray's lists, or a Zarf package.
    Anything a definition cannot express is refused with its line, or listed.
    """
    from bundler.formats.conversion import Asked, content_folder, form_of

    require_new(target)
    require_new(content_folder(target))
    asked = Asked(
        source=source,
        output=target,
        name=name,
        version=version,
        platforms=platforms,
        checksums=checksums,
        key=_text(key),
        waiver=_waiver(
            {
                "--waiver-reason": waiver_reason,
                "--waiver-approved-by": waiver_approved_by,
                "--waiver-ticket": waiver_ticket,
                "--waiver-expires": waiver_expires,
            }
        ),
    )
    chosen = form or form_of(source)
    try:
        definition, found = _convert(asked, chosen, sources, cache=cache, says=says)
        write_new(target, f"{schema_line(target, 'definition')}{dump_yaml(definition)}".encode())
    except BaseException:
        # It is of no use without its definition, and in the way of the next try.
        shutil.rmtree(content_folder(target), ignore_errors=True)
        raise
    _report(says, target, definition, found)


def _convert(
    asked: Asked, form: Form, sources: Path | None, cache: Path | None, says: Output
) -> tuple[Definition, Found]:
    from bundler.formats.conversion import make_definition, pin_file, read_source

    found = read_source(asked, form)
    hosts = [file.url.split("/")[2] for file in found.content.unpinned]
    store = open_cache(cache)
    client = open_client(sources, hosts, says.progress.note)
    definition = make_definition(asked, found, lambda file: pin_file(file, client, store))
    return definition, found


def _text(path: Path | None) -> str | None:
    if path is None:
        return None
    with storage_errors(f"read {path}"):
        return path.read_text()


def _waiver(said: dict[str, str | None]) -> UnsignedRule | None:
    """Return the waiver that the options make together.

    Raises:
        UsageError: Some of them are missing.
        DefinitionError: The day is none.
    """
    from bundle.kinds.policy import SignatureRule

    missing = sorted(name for name, value in said.items() if not value)
    if len(missing) == len(said):
        return None
    if missing:
        raise UsageError(
            f"a waiver needs all of its four options; {', '.join(missing)} missing",
            "Give all of --waiver-reason, -approved-by, -ticket and -expires, or none.",
        )
    rule = UnsignedRule(
        reason=said["--waiver-reason"] or "",
        approved_by=said["--waiver-approved-by"] or "",
        ticket=said["--waiver-ticket"] or "",
        expires=said["--waiver-expires"] or "",
    )
    check_rules((SignatureRule(images=("**",), unsigned=rule),), "--waiver")
    return rule


def _report(says: Output, target: Path, definition: Definition, found: Found) -> None:
    from bundler.formats.conversion import unsigned_images

    bare = unsigned_images(definition)
    notes = list(found.content.notes)
    if bare:
        notes.append(
            f"{bare} images have no signature rule, and `isoward lock` will refuse them: "
            "write rules under signatures:, or a waiver"
        )
    data = {
        "definition": str(target),
        "images": len(definition.images),
        "charts": len(definition.charts),
        "files": len(definition.files),
        "withoutRule": bare,
        "notes": notes,
    }
    counts = f"{data['images']} images, {data['charts']} charts, {data['files']} files"
    lines = [f"wrote {target}: {counts}", *(f"  note: {note}" for note in notes)]
    says.result(data, *lines)
