"""What a raw reply says: without reasoning, control tokens, invisible characters and mark-up.

Models dress an answer in many ways; `plain` takes off what is not part of it.
Status: ours.
"""

# ruff: noqa: RUF001 (the commas of other scripts are meant)

import html
import re
import unicodedata

CUT = "…"  # ends a reply that was cut at its limit: its last piece is not read

# Commas and semicolons of the world's scripts.
COMMA = "[,;\t\n•" + "،؛՝߸፣፤᠂᠈、，；﹐﹑﹔︐︑︔､⁏⹁⹌‚꓾꘍" + "]"
_ODD_BREAK = re.compile(r"\r\n?|[\v\f\x85\u2028\u2029]")
_WORD = (
    r"(?:think(?:ing)?|thoughts?|reason(?:ing)?|reflect(?:ion)?|analysis|"
    r"scratch[_ -]?pad|(?:inner|internal)[_ -]monologue|cot)"
)
_REASONING = re.compile(
    rf"[<\[◁]\|?\s*(?P<closes>/)?\s*(?:\w+:)?{_WORD}(?:\s[^<>\[\]]*)?\|?[>\]▷]|"
    r"<\|(?:begin_of_thought|start_thinking|inner_prefix)\|>|"
    r"(?P<ends><\|(?:end_of_thought|end_thinking|inner_suffix)\|>|<channel\|>|<unused95>)|"
    r"<\|channel>\s*thought|<unused94>",
    re.IGNORECASE,
)
_TURN = re.compile(r"<\|[^<>]{1,30}\|>|</s>|<(?:end_of_turn|eos)>|\[/?INST\]", re.IGNORECASE)
_INLINE = re.compile(
    r"</?(?:b|i|u|s|a|em|strong|code|mark|span|small|font|kbd|su[bp])(?:\s[^<>]*)?>|"
    r"\*\*|__|~~|`|"
    r"\\(?:boxed|text)\{",
    re.IGNORECASE,
)
_FENCE = re.compile(r"```(?:[a-z]+(?=\s*[\n\[{]))?|~~~", re.IGNORECASE)
_BLOCK = re.compile(r"</?[a-z][^<>]*>|<!--.*?-->", re.IGNORECASE | re.DOTALL)
_LINK = re.compile(r"!?\[([^\[\]]*)\]\([^()\s]*\)")
_KEYCAP = re.compile(r"[#*\d]\ufe0f?\u20e3|[①-⑳❶-❿➀-➓⓪⓫-⓴]")


def plain(reply: str) -> str:
    """What a reply says, without reasoning, control tokens, invisible characters and mark-up.

    "" where the reasoning never ends.
    """
    text = unicodedata.normalize("NFC", _ODD_BREAK.sub("\n", html.unescape(html.unescape(reply))))
    text = _without_reasoning(_final_channel(text)).lstrip()
    while turn := _TURN.match(text):  # "<|im_start|>assistant": the answer follows
        text = re.sub(r"\A\s*(?:assistant|model)\b", "", text[turn.end() :]).lstrip()
    text = _TURN.split(text, maxsplit=1)[0][:4000]  # ... and ends where another turn begins
    text = _KEYCAP.sub("\n• ", text)
    text = "".join(one for one in text if one in "\n\t" or not _unseen(one))
    text = _LINK.sub(r"\1", _BLOCK.sub("\n", _INLINE.sub("", _FENCE.sub("\n", text))))
    if text.rstrip().endswith(CUT):
        commas = [position.start() for position in re.finditer(COMMA, text.rstrip())]
        text = text[: max(commas, default=0)]
    return text.strip()


def _unseen(character: str) -> bool:
    """Control and format characters (zero-width, bidirectional), and the selectors of emoji."""
    return unicodedata.category(character)[0] == "C" or "\ufe00" <= character <= "\ufe0f"


def _final_channel(text: str) -> str:
    """Some models answer in channels, "analysis" before "final"; a server may drop the marks."""
    if "<|channel|>" in text:
        *_, last = text.split("<|channel|>")
        return last.partition("<|message|>")[2] if last.lstrip().startswith("final") else ""
    if re.match(r"\s*analysis[A-Z]", text):
        return text.rpartition("assistantfinal")[2] if "assistantfinal" in text else ""
    return text


def _without_reasoning(text: str) -> str:
    """What stands outside of reasoning.

    A closing mark alone ends what began with the reply; an opening one alone never ends.
    """
    kept: list[str] = []
    inside = False
    start = 0
    for mark in _REASONING.finditer(text):
        if mark["closes"] or mark["ends"]:
            kept = kept if inside else []
            inside, start = False, mark.end()
        elif not inside:
            kept.append(text[start : mark.start()])
            inside = True
    return "" if inside else "".join(kept) + text[start:]
