"""The question put to the language model, and the check of its answer.

A small model imitates better than it obeys. So each domain has its own sentence and its own made-up examples, and the
examples look like the product asked about: with a description where it has one, title only where it has none. The
examples name occasions and uses beside kind and material, because two shops meet in the occasion (espresso beans and an
espresso cup), not in the thing.
Status: that prompts are domain-aware is stated in the paper; the wording and the examples are ours.
"""

import re
import unicodedata

# (title, description, tags) of products that do not exist. Their occasions are rare ones on purpose: a small model copies
# example tags, `shot_tags` lets us drop the copies, and a dropped tag should not be one that many products deserve.
SHOTS = {
    "food": (
        ("Hollow Creek Popping Corn, 2 Pound Jar", "Small white kernels that open large and tender in a pot or a machine.",
         "popcorn, corn kernels, movie night, party snack, gluten free"),
        ("Sunfield Passion Fruit Curd", "Tart and silky spread of ripe passion fruit, eggs and butter.",
         "fruit curd, passion fruit, scone filling, afternoon tea, hostess gift"),
        ("Petalwind Rose Marshmallows (Pack of 4)", "Hand cut cubes scented with rose water.",
         "marshmallows, rose water, wedding favors, hot cocoa topping, sweets"),
        ("Old Quay Clam Chowder, 15 oz", "Thick soup with potatoes and clams. Heat and eat.",
         "canned soup, clam chowder, camping trip, quick lunch, seafood"),
    ),
    "kitchen": (
        ("Ironvale Popover Pan, 6 Cups", "Deep steel cups on a wire frame let the batter climb.",
         "popover pan, six cups, holiday brunch, steel bakeware, roast dinner"),
        ("Lumo Melon Baller", "Two sharp scoops on one maple handle.",
         "melon baller, fruit salad, pool party, garnishing, hand tool"),
        ("Crabtree Lobster Picks and Crackers Set", "Six picks and two crackers in a canvas roll.",
         "lobster picks, shellfish tools, seaside dinner, table setting, gift set"),
        ("Northbeam Fondue Pot 2 Quart", "Enamelled pot with burner and eight forks.",
         "fondue pot, melted cheese, ski cabin, dinner party, enamel"),
    ),
}

# Two wordings: the second is asked only when the first reply was not a list of tags.
INSTRUCTIONS = (
    "Tags for the products of {shop}: for each product five to seven short, specific, lower-case tags separated by commas. "
    "They say what it is and what occasion or use it serves.",
    "Catalogue of {shop}. Each product has five different keywords, separated by commas: its kind, its use, and the occasion "
    "it goes with.",
)

_LABEL = re.compile(r"\b(title|description|tags)\s*:", re.IGNORECASE)
_TAG = re.compile(r"[^\W_](?:[^\W_]|[ &'’/+%-])*")
_LEADING = re.compile(r"^(\d+[.)]\s+|[-*#\"'“”.\s]+)+")       # "1. ", "- ", quotes; "1930s" keeps its digits
_TRAILING = re.compile(r"[\s\"'“”.!;:]+$")


def clean(text: str, limit: int = 300) -> str:
    """A title or description made safe to stand inside the prompt: one line of at most `limit` characters.

    Control characters go, white space collapses, and the labels of our own frame ("Title:") lose their colon, so that a
    stranger's text cannot open a new product.
    """
    text = " ".join("".join(character if unicodedata.category(character)[0] != "C" else " " for character in text).split())
    return _LABEL.sub(r"\1", text)[:limit].strip()


def shots_for(shop: str) -> tuple[tuple[str, str, str], ...]:
    """The examples of a shop; a shop of another name gets two from each of ours."""
    return SHOTS.get(shop) or SHOTS["food"][:2] + SHOTS["kitchen"][:2]


def shot_tags(shop: str) -> frozenset[str]:
    """All tags a model could have copied from the examples of a shop."""
    return frozenset(tag for _, _, tags in shots_for(shop) for tag in tags.split(", "))


def write_prompt(title: str, description: str, shop: str, attempt: int = 1, limit: int = 300) -> str:
    """The prompt for one product: instruction, four examples, the product, and "Tags:" for the model to go on from.

    `shop` is the name of the domain ("food"), `attempt` 1 or 2 chooses the wording.
    """
    title, description = clean(title, limit), clean(description, limit)
    article = "an" if shop[:1].lower() in "aeiou" else "a"
    lines = [INSTRUCTIONS[attempt - 1].format(shop=f"{article} {shop} shop")]
    for example_title, example_description, tags in shots_for(shop):
        lines += ["", f"Title: {example_title}"] + ([f"Description: {example_description}"] if description else []) + [f"Tags: {tags}"]
    lines += ["", f"Title: {title}"] + ([f"Description: {description}"] if description else []) + ["Tags:"]
    return "\n".join(lines)


def parse_tags(reply: str) -> tuple[str, ...] | None:
    """The tags in a raw reply, in their order, or None when it is not a list of at least three different tags.

    A tag has 1 to 4 words, at most 40 characters, and letters, digits, space and &'/+%- only; everything is lower case.
    Whatever stands behind the first line is not read.
    """
    tags = []
    for piece in reply.strip().split("\n")[0].split(","):
        tag = " ".join(_TRAILING.sub("", _LEADING.sub("", piece)).lower().split())
        if tag not in tags and len(tag) <= 40 and 1 <= len(tag.split()) <= 4 and _TAG.fullmatch(tag):
            tags.append(tag)
    return tuple(tags) if len(tags) >= 3 else None
