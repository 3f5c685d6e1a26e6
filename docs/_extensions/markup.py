"""Mends the HTML of pages: tables that fit, and roles that programs which read aloud understand."""

from __future__ import annotations

import re

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

CELL = re.compile(r"<t[dh]\b.*?</t[dh]>", re.S)
WORD = re.compile(r'(<span class="pre">)([^<]*)(</span>)')
# Where a word of code may break: behind brackets, commas and long names, before a long text.
PLACE = re.compile(
    r"(?<=[(,\[/|])(?=[\w\"'&])|(?<=\{)(?=[a-z])"
    r"|(?<=[\w)]{5}\.)(?=[A-Za-z])|(?<=\w{3}_)(?=\w{3})|(?<==)(?=[\w\"'&;]{24})"
)
# The corner of a table says nothing, and so is no header.
CORNER = re.compile(r'<th( class="[^"]*")?><p></p></th>')
# A list of references holds links beside its entries, and the role of an entry is deprecated.
REFERENCES = re.compile(r' role="list"(?= class="citation-list")')
REFERENCE = re.compile(r'(<div class="citation"[^>]*) role="doc-biblioentry"')


class LeaveOutEmptyHeaders(SphinxTransform):
    """Leaves out the header of a table if no cell of it says anything."""

    default_priority = 500

    def apply(self, **_kwargs: object) -> None:
        """Change the tables of this page."""
        for header in list(self.document.findall(nodes.thead)):
            if not header.astext().strip():
                header.parent.remove(header)


def broken(cell: re.Match[str]) -> str:
    """Return a cell of a table in which the words of code may break."""
    return WORD.sub(
        lambda word: word[1] + PLACE.sub(f"{word[3]}<wbr>{word[1]}", word[2]) + word[3], cell[0]
    )


def mend(
    app: Sphinx, page: str, template: str, context: dict[str, object], doctree: object
) -> None:
    """Mend the body of a page."""
    if isinstance(body := context.get("body"), str):
        body = CORNER.sub(r"<td\1></td>", CELL.sub(broken, body))
        context["body"] = REFERENCE.sub(r"\1", REFERENCES.sub("", body))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("html-page-context", mend)
    app.add_transform(LeaveOutEmptyHeaders)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
