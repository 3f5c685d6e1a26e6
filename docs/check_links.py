"""Checks links: those between the Markdown files of the repository, and those of the built site.

``python docs/check_links.py`` looks at the files, with the anchors that a repository's viewer gives
to headings; ``python docs/check_links.py build/site`` looks at the pages of the site as well. Links
to other sites are not followed. The exit status is 1 if a link leads nowhere.
"""

from __future__ import annotations

import re
import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parents[1]
# What a build makes, and what is not of this repository.
LEFT_OUT = {".git", ".venv", "auto_gallery", "build", "dist", "node_modules"}
FENCE = re.compile(r"^( *)(```+|~~~+).*?^\1\2[ ]*$|<!--.*?-->", re.M | re.S)
CODE = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)", re.S)
LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\[\]]*\])*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
HEADING = re.compile(r"^#{1,6} +(.+?)(?: +#+)?$", re.M)


def slug(heading: str) -> str:
    """Return the anchor that the viewer gives to a heading."""
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").replace("*", "")
    return re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")


@cache
def anchors(path: Path) -> frozenset[str]:
    """Return the anchors of a Markdown file."""
    found: dict[str, int] = {}
    names = set()
    for heading in HEADING.findall(FENCE.sub("", path.read_text(encoding="utf-8"))):
        name = slug(heading)
        times = found[name] = found.get(name, -1) + 1
        names.add(f"{name}-{times}" if times else name)
    return frozenset(names)


def wrong_in_markdown(path: Path) -> list[str]:
    """Return the links of a file that lead nowhere."""
    wrong = []
    text = CODE.sub("", FENCE.sub("", path.read_text(encoding="utf-8")))
    for link in LINK.findall(text):
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            continue
        target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        if not target.exists():
            wrong.append(f"{link}: there is no such file")
        elif parts.fragment and target.suffix == ".md" and parts.fragment not in anchors(target):
            wrong.append(f"{link}: there is no such heading")
    return wrong


def markdown_files() -> list[Path]:
    """Return the Markdown files of the repository."""
    made = set((ROOT / "docs" / "project").glob("*.md")) - {ROOT / "docs" / "project" / "index.md"}
    files = (p for p in ROOT.rglob("*.md") if not LEFT_OUT & set(p.relative_to(ROOT).parts[:-1]))
    return sorted(set(files) - made)


class Page(HTMLParser):
    """The links and the anchors of a page, and pictures that have no text."""

    def __init__(self, path: Path) -> None:
        """Read a page."""
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.silent: list[str] = []
        self.title = ""
        self.in_title = False
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep what a tag says."""
        named = dict(attrs)
        self.anchors |= {value for key in ("id", "name") if (value := named.get(key))}
        self.links += [value for key in ("href", "src") if (value := named.get(key))]
        self.in_title = tag == "title"
        if tag == "img" and "alt" not in named:  # that of a decoration is empty
            self.silent.append(named.get("src") or "")

    def handle_data(self, data: str) -> None:
        """Keep the title."""
        if self.in_title:
            self.title += data
            self.in_title = False


def wrong_in_site(site: Path) -> list[str]:
    """Return what is wrong with the pages of a built site."""
    pages = {path: Page(path) for path in sorted(site.rglob("*.html"))}
    wrong = []
    for path, page in pages.items():
        name = path.relative_to(site)
        if "_static" in name.parts:
            continue
        if not page.title.strip():
            wrong.append(f"{name}: it has no title")
        wrong += [f"{name}: the picture {picture} has no text" for picture in page.silent]
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            fragment = unquote(parts.fragment)
            if not target.is_file():
                wrong.append(f"{name}: {link}: there is no such file")
            elif fragment and target in pages and fragment not in pages[target].anchors:
                wrong.append(f"{name}: {link}: there is no such anchor")
    return wrong


def main() -> int:
    """Check, and tell what is wrong."""
    files = markdown_files()
    wrong = [
        f"{path.relative_to(ROOT)}: {text}" for path in files for text in wrong_in_markdown(path)
    ]
    for folder in sys.argv[1:]:
        wrong += wrong_in_site(Path(folder).resolve())
    print(*wrong, sep="\n" if wrong else "")
    print(
        f"{len(files)} Markdown files{' and the site' * (len(sys.argv) > 1)}: {len(wrong)} faults"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
