"""What the site does differently from the pages as they are read in the repository; MkDocs calls these by name."""

import re
from typing import Any

_LINK = re.compile(r"\[(?P<text>[^\]]+)\]\((?P<target>[^)\s#]+)(?P<anchor>#[^)\s]*)?\)")


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Name files that are not part of the site instead of linking to them: plant files, examples, schemas, folders."""
    depth = page.file.src_uri.count("/")

    def replaced(found: re.Match[str]) -> str:
        target = found["target"]
        outside = target.startswith("../" * (depth + 1)) or target.endswith((".json", ".toml")) or "." not in target
        if ":" in target or not outside:
            return found[0]
        return f"{found['text']} (`{target.lstrip('./')}`)"

    return _LINK.sub(replaced, markdown)
