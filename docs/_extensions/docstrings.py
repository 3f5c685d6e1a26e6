"""Fits docstrings to the site: names and pages that link, and no text of other libraries."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.domains.python import ObjectEntry
from sphinx.transforms import SphinxTransform
from sphinx.transforms.post_transforms import SphinxPostTransform

PAGE = re.compile(r"`{0,2}\bdocs/([\w/-]+)\.md`{0,2}")
NAME = re.compile(r"(?:deltaloop\.|dl\.)?(\w+(?:\.\w+)*)(?:\(.*\))?$", re.S)


def link_pages(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Make ``docs/reference/tables.md`` in a docstring a link to the page."""
    lines[:] = [PAGE.sub(r":doc:`/\1`", line) for line in lines]


def leave_out(
    app: Sphinx, what: str, name: str, obj: object, skip: bool, options: object
) -> bool | None:
    """Leave out what classes of other libraries hand down."""
    module = getattr(obj, "__module__", None) or getattr(type(obj), "__module__", "")
    return True if module.partition(".")[0] in ("sklearn", "torch") else None


class LinkNames(SphinxPostTransform):
    """Links literals such as ``Network.fit`` or ``dl.Adam(0.001)`` to the pages of these names."""

    default_priority = 8

    def run(self, **_kwargs: object) -> None:
        """Wrap the literals of this page that name something public."""
        domain = self.env.domains.python_domain
        for node in list(self.document.findall(nodes.literal)):
            if isinstance(node.parent, nodes.reference) or not inside_text(node):
                continue
            match = NAME.match(node.astext())
            found = match and target(match[1], domain.objects)
            if not found:
                continue
            uri = self.app.builder.get_relative_uri(self.env.docname, found.docname)
            uri = "" if found.docname == self.env.docname else uri
            link = nodes.reference("", "", internal=True, refuri=f"{uri}#{found.node_id}")
            node.replace_self(link)
            link += node


def target(name: str, objects: Mapping[str, ObjectEntry]) -> ObjectEntry | None:
    """Return what a name of a page leads to: itself, or for an attribute maybe its class.

    ``net`` is what pages call a network; a word such as ``fit`` alone may mean anything.
    """
    name = f"Network.{name[4:]}" if name.startswith("net.") else name
    owner = name.rpartition(".")[0]
    if owner == "" and name.islower():
        return None
    return objects.get(f"deltaloop.{name}") or (
        objects.get(f"deltaloop.{owner}") if owner[:1].isupper() else None
    )


class TrimBlocks(SphinxTransform):
    """Takes the blank lines away that end an example: doctest needs one, readers do not."""

    default_priority = 500

    def apply(self, **_kwargs: object) -> None:
        """Trim the code blocks of this page."""
        for node in self.document.findall(nodes.literal_block):
            text = node.rawsource.rstrip()
            if node.rawsource == node.astext() and text != node.rawsource:
                node.rawsource = text
                node.children = [nodes.Text(text)]


def inside_text(node: nodes.Node) -> bool:
    """Return whether a node is in the text of a page, and not in a heading or a signature."""
    above: Iterable[str] = ("title", "desc_signature", "toctree", "pending_xref", "caption")
    while node := node.parent:
        if node.tagname in above:
            return False
    return True


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-docstring", link_pages)
    app.connect("autodoc-skip-member", leave_out)
    app.add_post_transform(LinkNames)
    app.add_transform(TrimBlocks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
