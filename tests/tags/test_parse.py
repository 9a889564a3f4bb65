"""A raw reply becomes tags, however a model dresses its list, and nothing but a list does."""

# ruff: noqa: RUF001 (the letters and marks of other scripts are meant)

import unicodedata

import pytest

from tema_lib.llm.replies import CUT, plain
from tema_lib.tags.parse import parse_tags

POTS = ("clay pot", "slow stew", "winter evening")


LIST = "clay pot, slow stew, winter evening"


@pytest.mark.parametrize(
    "reply",
    [
        f"<think>\nIt is a pot, brown, big, heavy.\n</think>\n\n{LIST}",
        f"<think></think>{LIST}",
        f"It is a pot, brown, big\n</think>{LIST}",
        f"<thinking>a pot, brown, big</thinking>{LIST}",
        f"<REASONING>a pot, brown, big</reasoning >\n{LIST}",
        f"<thought>\na, b, c\n</thought>\n{LIST}",
        f"[THINK]a pot, brown, big[/THINK]{LIST}",
        f"a pot, brown, big[/THINK]\n{LIST}",
        f"<seed:think>a, b, c</seed:think>{LIST}",
        f"◁think▷a, b, c◁/think▷{LIST}",
        f"<think>a <think> b, c, d</think>e, f, g</think>{LIST}",
        f"{LIST}\n<think>was that right, or not, hm</think>",
        f"&lt;think&gt;a, b, c&lt;/think&gt;{LIST}",
        f"<|begin_of_thought|>a, b, c<|end_of_thought|>\n{LIST}",
        f"<|START_THINKING|>a, b, c<|END_THINKING|>{LIST}",
        "<|channel|>analysis<|message|>a, b, c<|end|><|start|>assistant"
        f"<|channel|>final<|message|>{LIST}<|return|>",
        f"analysisWe need tags, five, short. assistantfinal{LIST}",
    ],
)
def test_reasoning_is_no_part_of_the_list(reply):
    assert parse_tags(reply) == POTS


@pytest.mark.parametrize(
    "reply",
    [
        "<think>\na pot, brown, big",
        "[THINK]a, b, c",
        "<|channel|>analysis<|message|>a, b, c",
        "analysisWe need tags, five, short",
        "<think>a, b, c</think><think>d, e, f",
        f"{LIST} <think>or d, e, f",
    ],
)
def test_reasoning_that_never_ends_says_nothing(reply):
    assert plain(reply) == ""
    assert parse_tags(reply) is None


@pytest.mark.parametrize(
    "reply",
    [
        f"Sure, here are five tags for the product:\n\n{LIST}",
        f"Sure! Here are five tags: {LIST}",
        f"Certainly, I can help with that!\n\n{LIST}",
        f"Claro, aquí tienes cinco etiquetas para el producto: {LIST}",
        f"**Tags:** {LIST}",
        f"### Tags\n{LIST}",
        f"Final answer:\n{LIST}",
        f"{LIST}. These tags say what it is, and when.",
        f"{LIST}\n\nI hope this helps, let me know, thanks!",
        "Clay pot, slow stew, and winter evening.",
        f"<|im_start|>assistant\n{LIST}<|im_end|>\n<|im_start|>user\nx, y, z",
        f"{LIST}</s>",
        f"<answer>{LIST}</answer>",
        f"\\boxed{{{LIST}}}",
    ],
)
def test_sentences_and_turns_around_the_list_are_not_read(reply):
    assert parse_tags(reply) == POTS


@pytest.mark.parametrize(
    "mark",
    [
        "**{}**",
        "*{}*",
        "__{}__",
        "_{}_",
        "`{}`",
        "“{}”",
        "«{}»",
        "({})",
        "🍲 {}",
        "{} ❄️",
        "<b>{}</b>",
        "~~{}~~",
        "[{}](http://a.b/c)",
    ],
)
def test_marks_around_a_tag_are_not_of_it(mark):
    assert parse_tags(", ".join(map(mark.format, POTS))) == POTS


@pytest.mark.parametrize(
    "bullet",
    [
        "",
        "- ",
        "* ",
        "• ",
        "– ",
        "▪️ ",
        "✅ ",
        "🍲 ",
        "{n}. ",
        "{n}) ",
        "({n}) ",
        "{n}️⃣ ",
        "{a}) ",
        "({a}) ",
        "> ",
        "### ",
        "Tag {n}: ",
        "- **",
        "{n}. `",
    ],
)
@pytest.mark.parametrize(
    "opening", ["", "Here you are, five tags:\n", "Sure thing, no problem!\n\n"]
)
def test_one_tag_a_line_with_bullets_of_all_kinds(bullet, opening):
    lines = [bullet.format(n=n, a="abc"[n - 1]) + tag for n, tag in enumerate(POTS, start=1)]
    assert (
        parse_tags(opening + "\n".join(lines)) == POTS == parse_tags(opening + "\r\n".join(lines))
    )


def test_explanations_tables_code_and_mark_up_hold_the_same_list():
    for reply in (
        "- **Clay pot**: what it is, of clay\n- **Slow stew**: what it serves\n"
        "- **Winter evening**: when, mostly",
        "1. Clay pot (the thing)\n2. Slow stew (its use)\n3. Winter evening (its time)",
        "1. clay pot - the thing\n2. slow stew - its use\n3. winter evening - when",
        "| # | Tag |\n|---|:--|\n| 1 | clay pot |\n| 2 | slow stew |\n| 3 | winter evening |",
        "| clay pot | slow stew | winter evening |",
        f"```\n{LIST}\n```",
        f"```{LIST}```",
        "```text\nclay pot\nslow stew\nwinter evening\n```",
        "1. clay pot 2. slow stew 3. winter evening",
        "① clay pot ② slow stew ③ winter evening",
        "<ul><li>clay pot</li><li>slow stew</li><li>winter evening</li></ul>",
        "clay pot<br>slow stew<br/>winter evening",
        '[{"id": 1, "tag": "Clay pot"}, {"id": 2, "tag": "slow stew"}, '
        '{"id": 3, "tag": "winter evening"}]',
        '[{"tag": "Clay pot"}, {"tag": "slow stew"}, {"tag": "winter evening"}]',
        '{"first": "clay pot", "second": "slow stew", "third": "winter evening"}',
    ):
        assert parse_tags(reply) == POTS, reply


@pytest.mark.parametrize(
    "mark",
    [
        ", ",
        "; ",
        "，",
        "、",
        "،",
        "؛",
        "；",
        "፣ ",
        " | ",
        " / ",
        " · ",
        " • ",
        " - ",
        " — ",
        "\t",
        "﹐",
        "､",
    ],
)
def test_separators_of_all_scripts(mark):
    assert parse_tags(mark.join(POTS)) == POTS


@pytest.mark.parametrize(
    "tags",
    [
        ("煮锅", "炖菜", "冬夜"),
        ("アイス・コーヒー", "豆", "朝食"),
        ("뚝배기", "찌개", "겨울밤"),
        ("قِدْر", "حِسَاء", "ليلة شتاء"),
        ("סיר חרס", "תבשיל", "ארה״ב"),
        ("मिट्टी का बर्तन", "दाल", "सर्दी"),
        ("หม้อดิน", "ข้าวต้ม", "ค่ำคืน"),
        ("பானை", "குழம்பு", "மாலை"),
        ("глиняный горшок", "рагу", "вечер"),
        ("crème brûlée", "pâté", "thé"),
    ],
)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_marks_of_a_script_are_letters_and_one_spelling_is_one_tag(tags, form):
    for between in (", ", "、", "\n", "; "):
        assert parse_tags(unicodedata.normalize(form, between.join((*tags, tags[0])))) == tuple(
            unicodedata.normalize("NFC", tag) for tag in tags
        )


def test_characters_that_nobody_sees_do_not_make_another_tag():
    assert (
        parse_tags("clay\u200b pot\u200e, \ufeffslow\u00ad stew, \u2067winter\u00a0evening\u2069")
        == POTS
    )
    assert parse_tags("salt &amp; pepper, tea &#38; milk, &quot;pot&quot;") == (
        "salt & pepper",
        "tea & milk",
        "pot",
    )


def test_the_last_piece_of_a_cut_reply_is_dropped():
    assert parse_tags(f"{LIST}, bask{CUT}") == POTS == parse_tags(f"{LIST},{CUT}")
    assert parse_tags(f"clay pot, slow stew, wint{CUT}") is None
    assert parse_tags("煮锅，炖菜，冬夜，下" + CUT) == ("煮锅", "炖菜", "冬夜")
    assert parse_tags("- clay pot\n- slow stew\n- winter evening\n- bas" + CUT) == POTS
    assert parse_tags('["clay pot", "slow stew", "winter evening", "bas' + CUT) == POTS
    assert parse_tags(LIST + "\nThese tags say what" + CUT) == POTS  # the list was whole


@pytest.mark.parametrize(
    "reply",
    [
        "I'm sorry, but I can't help with that.",
        "I cannot help with that request.",
        "A product for everyone.",
        CUT,
        "Title: x\nTags:",
        "{}",
        "[]",
        "null",
    ],
)
def test_what_is_no_list_stays_none(reply):
    assert parse_tags(reply) is None


@pytest.mark.parametrize(
    "part",
    [
        "<think>",
        "</think>",
        "[",
        "{",
        "a,",
        "**",
        "- ",
        "<",
        "&amp;",
        "(a",
        ":",
        "1. ",
        "|-",
        " ",
        "<!--",
        "[a](",
        "|--|",
        "<a ",
        "a\n",
        "[THINK",
    ],
)
def test_a_broken_or_hostile_reply_is_read_to_its_end(part):
    found = parse_tags(part * (60_000 // len(part)))
    assert found is None or len(set(found)) == len(found) >= 3


@pytest.mark.parametrize(
    ("reply", "tags"),
    [
        (" Coffee, espresso , COFFEE, dark roast.", ("coffee", "espresso", "dark roast")),
        ("1930s, 12 ounce, 7-up", ("1930s", "12 ounce", "7-up")),  # digits stay
        ("1. mug\n2. cup", None),
        ("- \"mug\", 'cup', * bowl", ("mug", "cup", "bowl")),
        ("1. mug\n2) cup\n3. bowl", ("mug", "cup", "bowl")),
        ("- tea\n• pot\n* cup", ("tea", "pot", "cup")),
        ('```json\n["Mug", "tea cup", "bowl"]\n```', ("mug", "tea cup", "bowl")),
        ('Sure! ["a", "b", {"x": 1}, "c"]', ("a", "b", "c")),
        ("[mug, cup, bowl]", ("mug", "cup", "bowl")),
        ("Tags: mug, cup, bowl", ("mug", "cup", "bowl")),
        (
            "salt & pepper, crème brûlée, one two three four",
            ("salt & pepper", "crème brûlée", "one two three four"),
        ),
        ("one two three four five, a, b", None),
        ("a, b, " + "x" * 41, None),
        ("a, b, <b>", None),
        ("a, b, c_d\nd, e, f", None),
        ("", None),
        (",,,", None),
        ("\n\n", None),
        ("a, b, c\ntitle: x", ("a", "b", "c")),
        ("mug, " * 5000, None),
        ("mug " * 5000, None),
        ('["a", "b", "c"] or ["d"]', ("a", "b", "c")),
        ("1. a, b, c\n2. d, e, f\n3. g, h, i", ("a", "b", "c")),
        ("a, b, " + "x" * 40, ("a", "b", "x" * 40)),
        ("Here are tags:\nmug, cup, bowl\nEnjoy", ("mug", "cup", "bowl")),
        ("茶, 寿司, コーヒー", ("茶", "寿司", "コーヒー")),
        ("[" * 3000, None),
    ],
)
def test_parse_keeps_only_real_tags(reply, tags):
    assert parse_tags(reply) == tags
