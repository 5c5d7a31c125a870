"""A hook of MkDocs: links from pages to files of the repository, which are right on a forge, become right on the site.

With ``repo_url`` they lead there. Without, the words stay and the path stands beside them. A link to a file that does
not exist is a warning, and so an error of a strict build. In the reference, roles such as ``:func:`` are left out.
"""

from __future__ import annotations

import logging
import posixpath
import re
from pathlib import Path
from typing import Any, Final

_log: Final = logging.getLogger("mkdocs.hooks.repository_links")
_LINK: Final = re.compile(r"(?<!!)\[(?P<words>[^\]]+)\]\((?P<target>\.\./[^)\s]+)\)")
_ROLE: Final = re.compile(r":(?:attr|class|data|func|meth|mod):<code>~?(?:[\w.]+\.)?(\w+)</code>")


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:
    """Return the page with its links out of docs/ rewritten."""
    root, docs = Path(config.config_file_path).parent, Path(config.docs_dir).name

    def rewritten(link: re.Match[str]) -> str:
        at = posixpath.join(docs, posixpath.dirname(page.file.src_uri), link["target"])
        path = posixpath.normpath(at.partition("#")[0])
        if path.startswith(f"{docs}/"):
            return link[0]  # another page
        if path.startswith("..") or not (root / path).exists():
            _log.warning("%s: the link to %s leads to no file of the repository", page.file.src_uri, link["target"])
        if config.repo_url:
            return f"[{link['words']}]({config.repo_url.rstrip('/')}/blob/HEAD/{path})"
        plain = link["words"].strip("`")
        return f"`{path}`" if plain in path else f"{link['words']} (`{path}`)"

    return _LINK.sub(rewritten, markdown)


def on_page_content(html: str, page: Any, **_: Any) -> str:
    """Return the page without the roles of docstrings."""
    return _ROLE.sub(r"<code>\1</code>", html) if page.file.src_uri.startswith("reference/") else html
