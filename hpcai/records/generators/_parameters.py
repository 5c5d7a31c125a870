"""Parameters of a generator: frozen, checked, kept in YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from hpcai.errors import InputError
from hpcai.records.writers import atomic


class ParameterModel(BaseModel):
    """Base of all parameter models: an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Return the parameters in a YAML file; InputError, naming the key, if they are not valid."""
        try:
            content = yaml.safe_load(Path(path).read_text("utf-8"))
            return cls.model_validate({} if content is None else content)
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: cannot be read: {error}") from error
        except yaml.YAMLError as error:
            raise InputError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"]) or "parameters"
            raise InputError(f"{path}: {key}: {first['msg']}") from error

    def save(self, path: Path | str) -> None:
        """Write the parameters as YAML."""
        text = yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, width=100)
        with atomic(path) as file:
            file.write(text.encode())
