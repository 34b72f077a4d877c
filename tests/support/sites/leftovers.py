"""A medium that was in other machines: what Windows, macOS and Linux leave on it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

FILES: Final = {
    "System Volume Information/IndexerVolumeGuid": 0o600,
    "System Volume Information/WPSettings.dat": 0o600,
    "$RECYCLE.BIN/S-1-5-21/desktop.ini": 0o444,
    "$Recycle.Bin": 0o644,
    ".Trashes/501/._old": 0o600,
    ".Spotlight-V100/Store-V2/x/0.indexHead": 0o600,
    ".fseventsd/fseventsd-uuid": 0o600,
    ".Trash-1000/info/a.trashinfo": 0o600,
    "lost+found/#12": 0o600,
    ".TemporaryItems/x": 0o600,
    "FOUND.001/FILE0000.CHK": 0o644,
    "BOOTEX.LOG": 0o644,
    "LOST.DIR/1": 0o644,
    "aquota.user": 0o600,
    "@eaDir/x": 0o644,
    "Icon\r": 0o644,
    ".directory": 0o644,
    "trust/.directory": 0o644,
    ".metadata_never_index": 0o644,
    ".DS_Store": 0o644,
    "._.Trashes": 0o644,
    "._bundle.json": 0o000,
    "Thumbs.db": 0o644,
    "desktop.ini": 0o644,
    "trust/._1.root.json": 0o644,
    "trust/.DS_Store": 0o000,
    "attestations/._x": 0o644,
    "attestations/keys/.DS_Store": 0o644,
    "blobs/.DS_Store": 0o644,
    "blobs/sha256/Thumbs.db": 0o644,
    "blobs/sha256/._0123": 0o000,
}


def litter(bundle: Path, files: dict[str, int]) -> None:
    """Leave files as other systems do, each folder that they brought closed to all but root."""
    for name, mode in files.items():
        path = bundle / name
        for folder in reversed(path.relative_to(bundle).parents[:-1]):
            if not (bundle / folder).exists():
                (bundle / folder).mkdir()
        path.write_bytes(b"\x00\x05\x16\x07")
        path.chmod(mode)
    for name in ("System Volume Information", "lost+found", ".Trashes", ".Spotlight-V100"):
        if (bundle / name).exists():
            (bundle / name).chmod(0o000)
