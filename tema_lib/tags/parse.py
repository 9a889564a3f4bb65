"""From the raw reply of a language model to tags: plain words, then the list, then its pieces.

Models write the same list in many ways: behind their reasoning, in mark-up, with bullets, in the
commas of their script, with a sentence before and after it. `plain` takes off what is not part of
the answer, `_pieces` finds the list, `_tag` lets only real tags through.
Status: ours.
"""

# ruff: noqa: RUF001 (marks of other scripts are meant)

import json
import re
import unicodedata

from tema_lib.llm.replies import COMMA, plain

# Marks that separate where no comma does; inside a word, or alone, they are something else.
_WEAK = (
    r"\s*[|｜]\s*",
    r"\s[/／]\s",
    r"\s*[·・･‧∙⋅]\s*",
    r"\s+[-–—−]\s+",
    r"\s*→\s*",
    r"(?:^|\s)#(?=\w)",
    r"\s\+\s",
    r"(?:^|\s)\(?\d{1,2}[.):]\s+",
)
_INSIDE = frozenset(" &'’/+%-·・׳״")  # besides letters, marks and digits
_AT_END = frozenset("&’/+%-")  # of these, what may end a tag: "c++", "100 %"
_BULLET = re.compile(
    r"\s*(?:[-–—−*•◦▪▫‣·●○■□◆◇►▶▸➤➜➢→⇒✓✔✅☑»>+~※＊]+\s*|"
    r"#{1,6}\s+|\(?\d{1,3}(?:[.):：．）](?!\d)|、)\s*|\(?(?:[a-z]|[ivx]{1,4})[.)]\s+|"
    r"(?:tag|keyword)\s*\d+\s*[:.)-]\s*)",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\(?\d+[.)]\s+")
_HEAD = re.compile(r"\s[-–—]\s|[:：]|\s?[(（]")
_LABEL = re.compile(r"([^:：\n]{1,120})[:：]\s*(?=\S)")
_OPENING = re.compile(
    r"\b(?:tags?|keywords?|sure|here|answer|list|certainly|okay|labels?)\b|"
    r"标签|標籤|关键|關鍵|タグ|キーワード|태그",
    re.IGNORECASE,
)
_REMARK = re.compile(r"(?<=\w)[.!]\s+(?=(?:Let|These|This|They|I|If|Feel|Note|Please|Hope|Each)\b)")


def parse_tags(reply: str) -> tuple[str, ...] | None:
    """The tags in a raw reply, in their order, or None unless it lists three different tags.

    Three forms are read: JSON, fenced or not; three or more bulleted or numbered lines, or lines
    that are a tag each; else the first line of tags between commas (others are not read). Reasoning
    never counts, nor does the last piece of a reply that ends with CUT. A tag has 1 to 4 words, at
    most 40 characters, and only letters with their marks, digits, space and &'/+%-·, in lower case.
    """
    tags: list[str] = []
    for piece in _pieces(plain(reply)):
        tag = _tag(piece)
        if tag and tag not in tags:
            tags.append(tag)
    return tuple(tags) if len(tags) >= 3 else None


def _pieces(text: str) -> list[str]:
    """The pieces of the list in a plain reply; [] where there is none."""
    if found := _from_json(text):
        return found
    lines = _lines(text)
    bulleted = [_HEAD.split(line, maxsplit=1)[0] for bullet, line in lines if bullet]
    listed = [line for line in bulleted if line.strip() and not re.search(COMMA, line)]
    if len(listed) >= 3:
        return listed
    several = [line for _, line in lines if re.search(COMMA, line)]
    if lists := [line for line in several if not _prose(line)]:
        return re.split(COMMA, lists[0])
    single = [line for _, line in lines if _tag(line)]
    if len(single) >= 3:
        return single
    if several:
        return re.split(COMMA, several[0])
    split = (re.split(mark, line) for _, line in lines for mark in _WEAK)
    return next((pieces for pieces in split if len(pieces) >= 3), [])


def _from_json(text: str) -> list[str]:
    """The texts of a JSON list, of objects in it, or of an object whose values are tags."""
    for pattern in (r"\[.*?\]", r"\{.*\}"):
        match = re.search(pattern, text, re.DOTALL)
        try:
            found = json.loads(match.group()) if match else []
        except (ValueError, RecursionError):
            continue
        found = list(found.values()) if isinstance(found, dict) else found
        texts = [
            [
                text
                for text in (one.values() if isinstance(one, dict) else [one])
                if isinstance(text, str)
            ]
            for one in found
        ]
        if pieces := [some[0] for some in texts if some]:
            return pieces
    return []


def _lines(text: str) -> list[tuple[bool, str]]:
    """(whether it had a bullet, the rest without its label) of each line that may hold tags.

    In a table these are the rows below the rule.
    """
    rows = [line.strip() for line in text.split("\n")]
    is_rule = re.compile(r"\|?(?:\s*:?-{2,}:?\s*\|)+[\s:-]*").fullmatch
    rule = next((position for position, row in enumerate(rows) if is_rule(row)), None)
    if rule is not None and (table := [row.strip("|") for row in rows[rule + 1 :] if "|" in row]):
        cells = [[cell for cell in row.split("|") if re.search(r"[^\W\d_]", cell)] for row in table]
        if len(cells) >= 3:
            return [(True, row[0]) for row in cells if row]
        return [(False, ",".join(row)) for row in cells]
    found = []
    for row in rows:
        bullet = _BULLET.match(row)
        line = _without_label(row[bullet.end() :] if bullet else row).strip()
        line = _REMARK.split(line, maxsplit=1)[0]
        if line and not line.rstrip("*_ ").endswith((":", "：")):  # "Here are five tags:"
            found.append((bool(bullet), line))
    return found


def _without_label(line: str) -> str:
    """A line without "Tags:", "Sure! Here are five tags:" and the like before its list."""
    label = _LABEL.match(line)
    if (
        label
        and len(re.findall(COMMA, line[label.end() :])) >= 2
        and (not re.search(COMMA, label[1]) or _OPENING.search(label[1]) or _prose(label[1]))
    ):
        return line[label.end() :]
    return re.sub(r"\A(?i:sure|okay|certainly|of course|great)\s*!\s*", "", line)


def _prose(line: str) -> bool:
    """True for a sentence: something in it is longer than a tag, or it calls or asks."""
    calls = line.rstrip().endswith(("!", "！", "?", "？", ":", "："))
    return calls or any(len(piece.split()) > 4 for piece in re.split(COMMA, line))


def _tag(piece: str) -> str:
    """A piece as a tag, or "" where it is none."""
    piece = re.sub(
        r"(?<=\S)\s*[(（][^()（）]*[)）]\s*$", "", _NUMBER.sub("", piece.strip(), count=1)
    )
    around = {character for character in piece if not _letter(character)}
    tag = piece.lstrip("".join(around)).rstrip("".join(around - _AT_END)).lower()
    tag = unicodedata.normalize("NFC", " ".join(re.sub(r"\Aand (?=[^\W\d])", "", tag).split()))
    fits = len(tag) <= 40 and 1 <= len(tag.split()) <= 4 and tag[0].isalnum()
    return tag if fits and all(_letter(one) or one in _INSIDE for one in tag) else ""


def _letter(character: str) -> bool:
    """Letters and digits of any script, and marks that combine with them: vowels of Hindi, say."""
    return character.isalnum() or unicodedata.category(character)[0] == "M"
