"""Reading pages as a browser would."""

from html.parser import HTMLParser

from tema_lib.explain.display.html import Pages
from tema_lib.explain.explanation import explain
from tests.helpers.explain import EVIL

PARTS = {
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "main",
    "script",
    "div",
    "span",
    "p",
    "h1",
    "h2",
    "h3",
    "b",
    "bdi",
    "br",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "pre",
    "ul",
    "li",
}
PARTS |= {"button", "select", "option", "label", "img"}
NAMES = {
    "lang",
    "charset",
    "name",
    "content",
    "class",
    "style",
    "title",
    "alt",
    "src",
    "type",
    "id",
    "value",
    "role",
    "aria-label",
    "aria-live",
    "data-position",
    "data-of",
    "data-branch",
    "selected",
    "hidden",
}


class Page(HTMLParser):
    """Reads a page as a browser would.

    Raises AssertionError for what is not closed, and for elements and attributes that no template
    writes.
    """

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.open, self.text, self.found, self.scripts = [], [], [], []
        self.feed(page)
        self.close()
        assert self.open == []
        self.words = "".join(self.text)

    def handle_starttag(self, tag, attributes):
        assert tag in PARTS, tag
        assert {name for name, _ in attributes} <= NAMES, (tag, attributes)
        self.found.append((tag, dict(attributes)))
        if tag not in ("meta", "br", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_comment(self, data):
        raise AssertionError(f"the page has a comment: {data}")

    def handle_data(self, data):
        (self.scripts if self.open and self.open[-1] == "script" else self.text).append(data)

    def every(self, tag):
        return [attributes for name, attributes in self.found if name == tag]


def explanation_and_pages(evil, row=3, domains=(f"domain A {EVIL}", f"domain B {EVIL}")):
    explanation = explain(
        evil.counterfactual,
        evil.control,
        evil.sequences,
        row,
        times=[86_400 * day for day in range(len(evil.sequences[row]))],
    )
    return explanation, Pages(evil.items.image, domains)
