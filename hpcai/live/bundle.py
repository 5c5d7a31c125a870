"""A bundle: a policy in one folder, or one .tar, that a live scheduler can trust to be what was exported.

============  ==================================================================
policy.onnx   the policy, as a graph of arithmetic and nothing else; rules need none
manifest.json what it reads and gives, where it comes from, its limits
MODEL_CARD.md the same for people
network.npz   a network's weights for replays; predictor.npz a run-time predictor; detector.npz one of failures
SHA256SUMS    of every other file, as ``sha256sum --check`` reads it
============  ==================================================================

Reading a bundle runs no code that is in it: JSON, plain arrays and an ONNX graph of standard operators.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import shutil
import tarfile
import tempfile
import weakref
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from hpcai.errors import InputError
from hpcai.live.manifest import SCHEMA, Manifest

POLICY: Final = "policy.onnx"
MANIFEST: Final = "manifest.json"
MODEL_CARD: Final = "MODEL_CARD.md"
SUMS: Final = "SHA256SUMS"
NETWORK: Final = "network.npz"
PREDICTOR: Final = "predictor.npz"
DETECTOR: Final = "detector.npz"
KNOWN: Final = {POLICY, MANIFEST, MODEL_CARD, SUMS, NETWORK, PREDICTOR, DETECTOR}
OF_POLICY: Final[Mapping[str, str]] = {"network": NETWORK, "predictor": PREDICTOR}
"""Files of a bundle that its policy names, by the key of the policy."""
LARGEST: Final = 256 * 2**20
"""Bytes of a file of a bundle: what is larger is refused before it is read."""


@dataclass(frozen=True)
class Bundle:
    """A bundle that has been read and verified."""

    where: str
    manifest: Manifest
    files: Mapping[str, bytes]
    digest: str
    """SHA-256 of SHA256SUMS, which stands for all of it."""

    @property
    def policy(self) -> bytes:
        """The ONNX graph."""
        return self.files[POLICY]

    @cached_property
    def unpacked(self) -> Path:
        """Its files in a folder that is there as long as the bundle is: as they were verified, archive or not."""
        folder = tempfile.mkdtemp(prefix="hpcai-bundle-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        for name, data in self.files.items():
            (Path(folder) / name).write_bytes(data)
        return Path(folder)


def write_bundle(out: str | Path, manifest: Manifest, files: Mapping[str, bytes]) -> Bundle:
    """Write a bundle: a .tar if ``out`` ends in that, else a folder, which must not be there or be an older bundle.

    Raises InputError if ``out`` is in the way or cannot be written.
    """
    path = Path(out)
    contents = {name: data for name, data in files.items() if name != SUMS}
    contents[MANIFEST] = (manifest.model_dump_json(indent=2) + "\n").encode()
    contents[SUMS] = _sums(contents)
    try:
        _check_is_free(path)
        if path.suffix == ".tar":
            path.parent.mkdir(parents=True, exist_ok=True)
            _write_tar(path, contents)
        else:
            _write_folder(path, contents)
    except OSError as error:
        raise InputError(f"bundle {path}: cannot be written: {error.strerror}") from error
    return read_bundle(path)


def check_can_be_written(out: str | Path) -> None:
    """Raise InputError if :func:`write_bundle` could not write to ``out``, as far as can be told without trying."""
    path = Path(out)
    try:
        _check_is_free(path)
        above = path if path.is_dir() and path.suffix != ".tar" else path.parent
        while not above.exists():
            above = above.parent
        if not above.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        if not os.access(above, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise InputError(f"bundle {path}: cannot be written: {error.strerror}") from error


def _check_is_free(path: Path) -> None:
    """Raise InputError if something is in the way of a bundle at ``path``."""
    if path.suffix == ".tar":
        if path.is_dir():
            raise InputError(f"bundle {path}: expected a file to write, found a folder")
    elif path.exists() and not path.is_dir():
        raise InputError(f"bundle {path}: expected a folder to write, found a file")
    elif path.is_dir() and any(entry.name not in KNOWN for entry in path.iterdir()):
        raise InputError(f"bundle {path}: expected an empty folder or an older bundle, found other files")


def _sums(contents: Mapping[str, bytes]) -> bytes:
    lines = [f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(contents.items())]
    return "".join(lines).encode()


def _write_tar(path: Path, contents: Mapping[str, bytes]) -> None:
    """Write the files without times and owners, so that the same bundle has the same bytes."""
    with tarfile.open(path, "w") as tar:
        for name, data in sorted(contents.items()):
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o644
            tar.addfile(info, io.BytesIO(data))


def _write_folder(path: Path, contents: Mapping[str, bytes]) -> None:
    path.mkdir(parents=True, exist_ok=True)
    for entry in path.iterdir():
        entry.unlink()
    for name, data in contents.items():
        (path / name).write_bytes(data)


def read_bundle(path: str | Path, digest: str | None = None) -> Bundle:
    """Return the bundle in a folder or .tar, which must have ``digest`` if one is given.

    Raises InputError if a file is missing, changed, added or too large, or if the bundle is another, or of another
    schema.
    """
    where = f"bundle {path}"
    try:
        files = _read_tar(Path(path), where) if Path(path).is_file() else _read_folder(Path(path), where)
    except OSError as error:
        raise InputError(f"{where}: cannot be read: {error.strerror or error}") from error
    _check_names(files, where)
    _verify(files, where)
    manifest = _read_manifest(files, where)
    if (POLICY in files) != (manifest.kind != "rules"):
        raise InputError(f"{where}: {SUMS}: {'lists' if POLICY in files else 'does not list'} {POLICY}")
    bundle = Bundle(str(path), manifest, files, hashlib.sha256(files[SUMS]).hexdigest())
    if digest is not None and digest != bundle.digest:
        raise InputError(f"{where}: expected digest {digest}, found {bundle.digest}")
    return bundle


def _read_folder(path: Path, where: str) -> dict[str, bytes]:
    if not path.is_dir():
        raise InputError(f"{where}: no such folder or .tar")
    entries = sorted(path.iterdir())
    _check_names([entry.name for entry in entries], where)
    for entry in entries:
        if entry.is_symlink() or not entry.is_file():
            raise InputError(f"{where}: {entry.name}: expected plain files only")
        if entry.stat().st_size > LARGEST:
            raise InputError(f"{where}: {entry.name}: larger than {LARGEST} bytes")
    return {entry.name: entry.read_bytes() for entry in entries}


def _check_names(names: Collection[str], where: str) -> None:
    """Raise InputError if this is no bundle, or something was added to it."""
    if SUMS not in names:
        found = ", ".join(sorted(names)[: len(KNOWN)])
        raise InputError(f"{where}: expected {SUMS}, found {found or 'nothing'}")
    for name in sorted(names):
        if name not in KNOWN:
            raise InputError(f"{where}: {name} was added to it")


def _read_tar(path: Path, where: str) -> dict[str, bytes]:
    """Read the files of an archive into memory; nothing is unpacked."""
    files: dict[str, bytes] = {}
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                plain = member.isfile() and not member.issparse() and member.size <= LARGEST
                if not plain or member.name not in KNOWN or member.name in files:
                    raise InputError(f"{where}: {member.name}: not a file of a bundle")
                stream = tar.extractfile(member)
                files[member.name] = stream.read() if stream else b""
    except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
        raise InputError(f"{where}: not a bundle: {error}") from error
    return files


def _verify(files: Mapping[str, bytes], where: str) -> None:
    """Raise InputError unless exactly the files that are listed are there, each with its hash."""
    try:
        lines = files[SUMS].decode("ascii").splitlines()
        listed = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: {SUMS}: not a list of hashes") from error
    for name in (MANIFEST, MODEL_CARD):
        if name not in listed:
            raise InputError(f"{where}: {SUMS}: does not list {name}")
    for name in sorted(listed.keys() | (files.keys() - {SUMS})):
        if name not in files:
            raise InputError(f"{where}: {name} is missing")
        if name not in listed:
            raise InputError(f"{where}: {name} was added to it")
        if hashlib.sha256(files[name]).hexdigest() != listed[name]:
            raise InputError(f"{where}: {name} has been changed since the export: its SHA-256 is not that in {SUMS}")


def _read_manifest(files: Mapping[str, bytes], where: str) -> Manifest:
    try:
        fields: Any = json.loads(files[MANIFEST])
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: {MANIFEST}: not JSON") from error
    found = fields.get("schema_name") if isinstance(fields, dict) else None
    if found != SCHEMA:
        raise InputError(f"{where}: {MANIFEST}: expected schema {SCHEMA!r}, found {found!r}; another version wrote it")
    try:
        return Manifest.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{where}: {MANIFEST}: {key}: {first['msg']}") from error
