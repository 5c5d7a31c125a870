"""Opening a log: its bytes, decompressed whatever the file is called, and clean text."""

from __future__ import annotations

import bz2
import hashlib
import lzma
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hpcai.errors import FormatError, InputError
from hpcai.records.schema import BadRows

_MAGIC: Final[dict[bytes, Callable[[], Any]]] = {
    b"\x1f\x8b": lambda: zlib.decompressobj(wbits=31),
    b"\xfd7zXZ\x00": lzma.LZMADecompressor,
    b"BZh": bz2.BZ2Decompressor,
}
_COMPRESSED_SUFFIXES: Final = (".gz", ".xz", ".bz2")
_CHUNK: Final = 1 << 20
HEAD: Final = 1 << 16  # bytes of text that are enough to tell one format from another

CUT_SHORT: Final = "file is cut short or damaged: the rest is lost"
NOT_TEXT: Final = "not UTF-8 text"


@dataclass(frozen=True)
class Source:
    """A file as read: its bytes after decompression, and the SHA-256 of those on disk."""

    path: Path
    data: bytes
    sha256: dict[str, str]
    cut_short: bool

    @property
    def name(self) -> str:
        """File name without the suffixes of compression and format."""
        return stem(self.path)


def stem(path: Path) -> str:
    """Return the file name without the suffix of compression, if any, and that of the format."""
    name = path.name
    for suffix in _COMPRESSED_SUFFIXES:
        name = name.removesuffix(suffix)
    return name.rsplit(".", 1)[0] if "." in name[1:] else name


def load(path: Path) -> Source:
    """Return the content of ``path``; InputError if it cannot be read, FormatError if there is none."""
    raw = _read(path)
    data, cut_short = decompress(raw)
    if not data.strip():
        raise FormatError(f"{path}: the file is empty, expected a log")
    return Source(path, data, {path.name: hashlib.sha256(raw).hexdigest()}, cut_short)


def read_text(path: Path, what: str) -> tuple[str, str]:
    """Return the text of a file that has to be whole, plain or compressed, and the SHA-256 of its bytes.

    Raises InputError if it cannot be read, is cut short, or is empty where ``what`` is expected.
    """
    raw = _read(path)
    data, cut_short = decompress(raw)
    if cut_short:
        raise InputError(f"{path}: the compressed file is cut short or damaged, expected a whole one")
    if not data.strip():
        raise InputError(f"{path}: the file is empty, expected {what}")
    text = data.decode("utf-8-sig", errors="replace")  # names of places in old files are not always UTF-8
    return text, hashlib.sha256(raw).hexdigest()


def companion(path: Path, given: Path | str | None, *names: str) -> Path | None:
    """Return the file that goes with a log: the one given, else one of ``names`` beside it, else None."""
    if given is not None:
        return Path(given)
    beside = (path.with_name(name + suffix) for name in names for suffix in ("", *_COMPRESSED_SUFFIXES))
    return next((file for file in beside if file.is_file()), None)


def head(path: Path) -> bytes:
    """Return the first 64 KiB of content of ``path``, decompressed."""
    return decompress(_read(path, limit=_CHUNK), limit=HEAD)[0]


def _read(path: Path, limit: int = -1) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(limit)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error


def decompress(raw: bytes, limit: int | None = None) -> tuple[bytes, bool]:
    """Return the plain content of ``raw`` and whether it is cut short; at most ``limit`` bytes if given.

    gzip, xz and bzip2 are known by their first bytes, and may have several members. What can be read before
    damage is returned.
    """
    factory = next((make for magic, make in _MAGIC.items() if raw.startswith(magic)), None)
    if factory is None:
        return raw[:limit], False
    parts: list[bytes] = []
    size, rest = 0, raw
    step = _CHUNK if limit is None else HEAD
    while rest and any(rest.startswith(magic) for magic in _MAGIC):
        member = factory()
        position = 0
        while position < len(rest) and not member.eof:
            try:
                parts.append(member.decompress(rest[position : position + step]))
            except (zlib.error, lzma.LZMAError, OSError, EOFError):
                return b"".join(parts)[:limit], True
            position += step
            size += len(parts[-1])
            if limit is not None and size >= limit:
                return b"".join(parts)[:limit], False
        if not member.eof:
            return b"".join(parts)[:limit], True
        rest = member.unused_data + rest[position:]
    return b"".join(parts)[:limit], False


def whole_lines(source: Source, bad: BadRows) -> bytes:
    """Return the content; where the file is cut short, without its last, partial line, which is counted."""
    if not source.cut_short:
        return source.data
    end = source.data.rfind(b"\n") + 1
    bad.add(CUT_SHORT, [source.data.count(b"\n") + 1])
    return source.data[:end]


def text_lines(source: Source, bad: BadRows) -> bytes:
    """Return whole lines of valid UTF-8; a line that is not is counted and blanked, so numbers still hold."""
    data = whole_lines(source, bad).removeprefix(b"\xef\xbb\xbf").replace(b"\0", b"\xff")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        lines = data.split(b"\n")
        wrong = [i for i, line in enumerate(lines) if not _is_text(line)]
        for i in wrong:
            lines[i] = b""
        bad.add(NOT_TEXT, [i + 1 for i in wrong])
        return b"\n".join(lines)
    return data


def _is_text(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
