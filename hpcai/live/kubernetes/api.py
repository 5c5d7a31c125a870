"""A thin client of the Kubernetes API: get, list, watch, write; credentials from the pod it runs in, or given."""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from os import environ
from pathlib import Path
from typing import Any, Final

import httpx

from hpcai.errors import HpcaiError, InputError

_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_PAGE: Final = 500  # objects of a list in one answer
_WATCH: Final = 240  # s that a watch lasts before it is asked for anew
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


class ApiError(HpcaiError):
    """The API server did not do what it was asked; ``status`` is its HTTP status, 0 where it did not answer."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class TokenFile:
    """A secret in a file that may be renewed at any time."""

    def __init__(self, path: Path) -> None:
        self._path, self._read, self._text = path, -1, ""
        self.current()

    def current(self) -> str:
        """Return the secret as the file holds it now. Raises InputError if it holds none."""
        try:
            changed = self._path.stat().st_mtime_ns
            if changed != self._read:
                self._text, self._read = self._path.read_text("utf-8").strip(), changed
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"token file {self._path}: cannot be read: {error}") from error
        if not self._text:
            raise InputError(f"token file {self._path}: is empty, expected a token")
        return self._text


class _Bearer(httpx.Auth):
    def __init__(self, token: TokenFile) -> None:
        self._token = token

    def auth_flow(self, request: httpx.Request) -> Iterator[httpx.Request]:  # type: ignore[override]
        request.headers["Authorization"] = f"Bearer {self._token.current()}"
        yield request


@dataclass(frozen=True)
class Server:
    """Where the API server is and how it is spoken to."""

    url: str
    token: Path | None = None
    authority: Path | None = None  # certificate of the authority that it is signed by

    @classmethod
    def given(cls, url: str | None, token: Path | None, authority: Path | None) -> Server:
        """Return the server at ``url``, or by default the one of the cluster that this process is a pod of."""
        if url is not None:
            return cls(url, token, authority)
        host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT", "443")
        if not host:
            raise InputError("--server: not given and this is no pod of a cluster; expected https://HOST:PORT")
        host = f"[{host}]" if ":" in host else host
        return cls(f"https://{host}:{port}", token or _ACCOUNT / "token", authority or _ACCOUNT / "ca.crt")

    def client(self) -> httpx.AsyncClient:
        """Return a client. Raises InputError if the URL, the token or the certificate is of no use."""
        if not re.fullmatch(r"https?://[^/\s]+/?", self.url):
            raise InputError(f"--server {self.url}: expected https://HOST:PORT")
        try:
            verify = ssl.create_default_context(cafile=self.authority)
        except (OSError, ssl.SSLError) as error:
            raise InputError(f"--certificate-authority {self.authority}: cannot be used: {error}") from error
        auth = _Bearer(TokenFile(self.token)) if self.token else None
        return httpx.AsyncClient(base_url=self.url, auth=auth, verify=verify, timeout=15.0, trust_env=False)


class Api:
    """The requests that a scheduler makes. Every method raises ApiError."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def get(self, path: str, **parameters: str) -> dict[str, Any]:
        """Return one object."""
        return await self._ask("GET", path, params=parameters)

    async def list(self, path: str, **parameters: str) -> tuple[list[dict[str, Any]], str]:
        """Return all objects of a list, taken page by page, and the version of the list."""
        items: list[dict[str, Any]] = []
        page = {"limit": str(_PAGE), **parameters}
        while True:
            found = await self._ask("GET", path, params=page)
            items += found.get("items") or []
            meta = found.get("metadata") or {}
            if not meta.get("continue"):
                return items, str(meta.get("resourceVersion") or "")
            page = {**page, "continue": str(meta["continue"])}

    async def watch(self, path: str, version: str, **parameters: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Yield (kind, object) for each change after ``version``, until the server ends it."""
        asked = {
            **parameters,
            "watch": "1",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(_WATCH),
        }
        patience = httpx.Timeout(15.0, read=_WATCH + 15.0)
        try:
            async with self._client.stream("GET", path, params=asked, timeout=patience) as reply:
                if reply.is_error:
                    await reply.aread()
                    raise _refused(reply)
                async for line in reply.aiter_lines():
                    if line:
                        event = json.loads(line)
                        yield str(event["type"]), event["object"]
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            raise ApiError(f"watch {path}: {error or type(error).__name__}") from error

    async def bind(self, namespace: str, pod: str, uid: str, node: str, *, dry: bool = False) -> None:
        """Put a pod on a node; with ``dry`` only ask whether that would be done."""
        body = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": pod, "namespace": namespace, **({"uid": uid} if uid else {})},
            "target": {"apiVersion": "v1", "kind": "Node", "name": name(node)},
        }
        path = f"/api/v1/namespaces/{name(namespace)}/pods/{name(pod)}/binding"
        await self._ask("POST", path, json=body, params={"dryRun": "All"} if dry else {})

    async def patch(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Merge ``body`` into an object."""
        return await self._ask("PATCH", path, json=body, headers={"Content-Type": "application/merge-patch+json"})

    async def _ask(self, method: str, path: str, **given: Any) -> dict[str, Any]:
        try:
            reply = await self._client.request(method, path, **given)
            if reply.is_error:
                raise _refused(reply)
            found = reply.json()
        except (httpx.HTTPError, ValueError) as error:
            raise ApiError(f"{method} {path}: {error or type(error).__name__}") from error
        if not isinstance(found, dict):
            raise ApiError(f"{method} {path}: expected an object, found {type(found).__name__}")
        return found


def name(text: str) -> str:
    """Return ``text`` if it can be the name of an object, and so part of a path. Raises ApiError."""
    if not _NAME.fullmatch(text):
        raise ApiError(f"{text[:80]!r} is no name of an object", 422)
    return text


def _refused(reply: httpx.Response) -> ApiError:
    try:
        why = str(reply.json()["message"])
    except (ValueError, KeyError, TypeError):
        why = reply.reason_phrase
    where = f"{reply.request.method} {reply.request.url.path}"
    return ApiError(f"{where}: {reply.status_code} {why[:300]}", reply.status_code)
