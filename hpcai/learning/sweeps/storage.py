"""Where a study lies: a journal file, SQLite or PostgreSQL, that workers wait for when it goes away."""

from __future__ import annotations

import functools
import sys
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage, _CachedStorage
from optuna.storages.journal import JournalFileBackend
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError, ProgrammingError

from hpcai.errors import HpcaiError, InputError

GONE: Final = (StorageInternalError, DBAPIError, OSError)
"""What is raised while a storage cannot be reached."""

_PAUSE: Final = 1.0  # s between two tries

_DRIVERS: Final = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}


class StorageGoneError(HpcaiError):
    """A storage could not be reached for as long as workers have patience."""


def open_storage(url: str, patience: float) -> BaseStorage:
    """Return the storage at ``url``: ``sqlite:///file.db``, ``postgresql://user@host/base``, or a journal's path.

    Whatever it is asked is asked again for up to ``patience`` seconds while it cannot be reached; then it raises
    StorageGoneError. Raises InputError if it cannot be opened now.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        if "://" not in url:
            return _open_journal(Path(url), patience)
        scheme, _, rest = url.partition("://")
        driver = _DRIVERS.get(scheme, scheme)
        database = _open_database(f"{driver}://{rest}")
    except ImportError as error:
        raise InputError(f"storage {shown(url)}: needs a driver: pip install 'hpcai[postgresql]' ({error})") from error
    except (ArgumentError, NoSuchModuleError) as error:
        raise InputError(f"storage {shown(url)}: expected sqlite:///FILE, postgresql://... or a path") from error
    except (*GONE, UnicodeDecodeError, ValueError) as error:
        raise InputError(f"storage {shown(url)}: cannot be opened: {reason(error)}") from error
    storage = _PatientDatabase(database)
    weakref.finalize(storage, database.engine.dispose)  # else connections would stay open until Python finds them
    storage.patience, storage.where = patience, shown(url)
    return storage


def _open_database(url: str) -> RDBStorage:
    """Return a database; one that another worker is making at this moment is opened once that is done."""
    for pause in (0.5, 1.0, 2.0):
        try:
            return RDBStorage(url, engine_kwargs={"pool_pre_ping": True})
        except (IntegrityError, ProgrammingError):  # a table, or a type, that the other was faster to make
            time.sleep(pause)
    return RDBStorage(url, engine_kwargs={"pool_pre_ping": True})


def _open_journal(path: Path, patience: float) -> BaseStorage:
    if path.is_dir():
        raise InputError(f"storage {path}: expected a journal file, found a folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "ab+") as file:  # what is no journal would only be found out line by line
        file.seek(0)
        if file.read(1) not in (b"", b"{"):
            raise InputError(f"storage {path}: expected a journal of Optuna, found another file")
    storage = _PatientJournal(JournalFileBackend(str(path)))
    storage.patience, storage.where = patience, str(path)
    return storage


def shown(url: str) -> str:
    """Return an URL without the password that it may hold."""
    scheme, mark, rest = url.partition("://")
    login, at, host = rest.rpartition("@")
    return f"{scheme}{mark}{login.partition(':')[0]}{at}{host}" if mark else url


def reason(error: BaseException) -> str:
    """Return the first line of what lies at the bottom of an error."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error) or type(error).__name__).strip().splitlines()[0]


_inside = threading.local()


def _patient(ask: Callable[..., Any]) -> Callable[..., Any]:
    """Return a storage's method that asks again while the storage cannot be reached."""

    @functools.wraps(ask)
    def patiently(self: Any, *args: Any, **kwargs: Any) -> Any:
        if getattr(_inside, "asking", False):  # asked by another method, which is patient already
            return ask(self, *args, **kwargs)
        _inside.asking, begun, told = True, time.monotonic(), False
        try:
            while True:
                try:
                    answer = ask(self, *args, **kwargs)
                except GONE as error:
                    if time.monotonic() - begun > self.patience:
                        raise StorageGoneError(
                            f"storage {self.where}: cannot be reached: {reason(error)}; finished trials are in it, "
                            "the same command goes on"
                        ) from error
                    if not told:
                        print(f"hpcai: the storage cannot be reached ({reason(error)}), waiting", file=sys.stderr)
                    told = True
                    time.sleep(_PAUSE)
                else:
                    if told:
                        print("hpcai: the storage is back", file=sys.stderr)
                    return answer
        finally:
            _inside.asking = False

    return patiently


class _PatientDatabase(_CachedStorage):
    """A database behind the cache through which studies use it; the cache asks it by private ways, too."""

    patience = 0.0
    where = ""


class _PatientJournal(JournalStorage):
    """A journal file."""

    patience = 0.0
    where = ""


for _kind in (_PatientDatabase, _PatientJournal):
    for _name in [name for name in vars(BaseStorage) if not name.startswith("_")]:
        setattr(_kind, _name, _patient(getattr(_kind, _name)))
