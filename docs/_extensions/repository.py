"""Brings files of the repository onto the site: whole pages, and the sources that pages link to.

README.md, CONTRIBUTING.md and their like become pages of ``project/``, which each build writes
anew. A link to any other file outside of ``docs/`` leads to a page that shows this file.
"""

from __future__ import annotations

import html
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms import SphinxTransform
from sphinx.util.osutil import relative_uri

ROOT = Path(__file__).resolve().parents[2]
PROJECT = {
    "README.md": "project/readme",
    "CONTRIBUTING.md": "project/contributing",
    "CHANGELOG.md": "project/changes",
    "SECURITY.md": "project/security",
    "CODE_OF_CONDUCT.md": "project/conduct",
}
# Where the scripts of the gallery become pages; their folder is what a repository's viewer shows.
GALLERY = re.compile(r"docs/gallery(?:/(?P<script>plot_\w+)\.py|/(?:README|GALLERY_HEADER)\.\w+)?$")
FENCE = re.compile(r"^(```+).*?^\1$", re.M | re.S)
LINK = re.compile(r"(!?\[[^\[\]]*\])\(([^)#\s:]+)((?:#[^)\s]*)?)\)")
HIGHLIGHT = {".py": "python", ".c": "c", ".h": "c", ".toml": "toml", ".md": "markdown"}


def moved(target: str, folder: str) -> str:
    """Return where a link of a file of ROOT's ``folder`` leads, seen from ``docs/project``."""
    path = posixpath.normpath(posixpath.join(folder, target))
    return posixpath.relpath(page_of(path) or path, "docs/project")


def outside_fences(text: str, change: re.Pattern[str], by) -> str:
    """Replace in what is no code block."""
    parts, start = [], 0
    for fence in FENCE.finditer(text):
        parts += [change.sub(by, text[start : fence.start()]), fence[0]]
        start = fence.end()
    return "".join([*parts, change.sub(by, text[start:])])


def write_project(app: Sphinx) -> None:
    """Write the pages of ``project/``; those that are up to date stay as they are."""
    for source, docname in PROJECT.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        text = outside_fences(text, LINK, lambda m: f"{m[1]}({moved(m[2], '')}{m[3]})")
        page = Path(app.srcdir, f"{docname}.md")
        page.parent.mkdir(exist_ok=True)
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")


def page_of(path: str) -> str | None:
    """Return the page that a build makes of a file."""
    if path in PROJECT:
        return f"docs/{PROJECT[path]}.md"
    if gallery := GALLERY.match(path):
        return f"docs/auto_gallery/{gallery['script'] or 'index'}.rst"
    return None


def link_project(app: Sphinx, docname: str, source: list[str]) -> None:
    """Let links to README.md and its like, and to the gallery, lead to their pages."""
    here = posixpath.dirname(f"docs/{docname}")

    def link(match: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(here, match[2]))
        page = page_of(path)
        if page is None:
            return match[0]
        return f"{match[1]}({posixpath.relpath(page, here)}{match[3]})"

    if app.env.doc2path(docname).suffix == ".md":
        source[0] = outside_fences(source[0], LINK, link)


class LinkSources(SphinxTransform):
    """Turns links to files and folders of the repository into links to pages that show them."""

    default_priority = 5

    def apply(self, **_kwargs: object) -> None:
        """Replace the nodes of this page."""
        here = Path(self.env.doc2path(self.env.docname)).parent
        kinds = (addnodes.download_reference, addnodes.pending_xref)
        for node in list(self.document.findall(lambda node: isinstance(node, kinds))):
            if node.get("reftype") != "myst":
                continue
            page = node.get("refdomain") == "doc"
            name = Path(self.env.srcdir, node["reftarget"] + ".md") if page else node["reftarget"]
            path = (here / name).resolve()
            if not path.exists() or not path.is_relative_to(ROOT):
                continue
            name = path.relative_to(ROOT).as_posix()
            if page and name.startswith("docs/"):
                if re.fullmatch(r"[\w./-]+\.md", node.astext()):
                    name_by_title(node)
                continue
            files = shown(self.env)
            files.setdefault(self.env.docname, set()).add(name)
            uri = relative_uri(f"{self.env.docname}.html", f"sources/{name}.html")
            link = nodes.reference("", "", internal=True, refuri=uri)
            link += nodes.inline("", "", *node.children[0].children)
            node.replace_self(link)


def name_by_title(link: nodes.Element) -> None:
    """Let a link whose text is the name of a file show the title of the page instead."""
    link["refexplicit"] = False
    link.children[0].clear()


def shown(env: BuildEnvironment) -> dict[str, set[str]]:
    """Return which files each page links to."""
    if not hasattr(env, "deltaloop_sources"):
        env.deltaloop_sources = {}
    return env.deltaloop_sources


def forget(app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    """Drop what a page that is read again linked to."""
    shown(env).pop(docname, None)


def merge(app: Sphinx, env: BuildEnvironment, docnames: set[str], other: BuildEnvironment) -> None:
    """Take what another process has read."""
    shown(env).update({name: of for name, of in shown(other).items() if name in docnames})


def source_pages(app: Sphinx) -> Iterator[tuple[str, dict[str, object], str]]:
    """Make a page for each file that is linked to."""
    for name in sorted(set().union(*shown(app.env).values())):
        path = ROOT / name
        if path.is_dir():
            files = sorted(f.relative_to(ROOT).as_posix() for f in path.rglob("*.*") if f.is_file())
            text, kind = "\n".join(f for f in files if "__pycache__" not in f), "text"
        else:
            text, kind = path.read_text(encoding="utf-8"), HIGHLIGHT.get(path.suffix, "text")
        body = app.builder.highlighter.highlight_block(text, kind, linenos=False)
        title = html.escape(name)
        context = {"title": title, "body": f"<h1>{title}</h1>\n{body}"}
        yield f"sources/{name}", context, "page.html"


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("builder-inited", write_project)
    app.connect("source-read", link_project)
    app.connect("env-purge-doc", forget)
    app.connect("env-merge-info", merge)
    app.connect("html-collect-pages", source_pages)
    app.add_transform(LinkSources)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
