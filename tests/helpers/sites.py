"""Static sites: what a page holds, links to and loads."""

import re
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}


class Page(HTMLParser):
    """The ids, links and loaded files of a page."""

    def __init__(self, path):
        super().__init__()
        self.path, self.ids, self.links, self.loads = path, set(), [], []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.ids |= {given["id"]} if "id" in given else set()
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if given.get(LOADED.get(tag)):
            self.loads.append(given[LOADED[tag]])


def pages_below(folder):
    """{path: page} of a site; what a theme keeps in `_static` is no page."""
    found = (path for path in sorted(folder.rglob("*.html")) if "_static" not in path.parts)
    return {path.resolve(): Page(path) for path in found}


def dead_links(pages):
    """Links and loaded files of these pages that are not there, and anchors without an id."""
    dead = []
    for path, page in pages.items():
        for link in {*page.links, *page.loads}:
            there = urlsplit(link)
            if there.scheme or there.netloc:
                continue
            target = (path.parent / unquote(there.path)).resolve() if there.path else path
            anchors = {"", *pages[target].ids} if target in pages else {unquote(there.fragment)}
            if not target.is_file() or unquote(there.fragment) not in anchors:
                dead.append(f"{path.name}: {link}")
    return dead


def loaded_from_elsewhere(folder, pages):
    """Scripts, styles, fonts and pictures that a site would fetch from the network."""
    found = [
        f"{path.name}: {load}"
        for path, page in pages.items()
        for load in page.loads
        if urlsplit(load).scheme not in ("", "data") or load.startswith("//")
    ]
    for style in folder.rglob("*.css"):
        text = style.read_text(encoding="utf-8")
        elsewhere = re.findall(r"(?:url\(|@import)\s*['\"]?(?:https?:)?//[^)'\"]+", text)
        found += [f"{style.name}: {address}" for address in elsewhere]
    return found
