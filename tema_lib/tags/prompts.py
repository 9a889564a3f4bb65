"""The question put to the language model.

A small model imitates better than it obeys. So each domain has its own sentence and its own made-up
examples, and the examples look like the product asked about: with a description where it has one,
only a title where it has none. What the examples' tags are about decides what the model's tags are
about. That is the prompt's *style*: the thing itself, its use, the occasion when it is used, or the
basket it lands in. Notebook 02 compares the styles on the same evidence.

The text of the prompts is fixed: shipped replies are stored under its hash. A domain is called a
shop there, a word that a language model knows.
Status: that prompts are domain-aware is stated in the paper; styles, wording and examples are ours.
"""

import re
import unicodedata
from collections.abc import Sequence

from tema_lib.data.dataset import UNNAMED
from tema_lib.tags.parse import parse_tags as parse_tags  # the check beside the question

# What the tags of a style are about, as the instruction says it; `style_text` fills in the names.
STYLES = {
    "thing": "They say what it is: its kind, what it is made of, its flavor or style.",
    "use": "They say what people do with it: the task, the dish or the drink it serves.",
    "occasion": (
        "They say when it is used: the meal, the season, the event or the habit it belongs to."
    ),
    "basket": (
        "They say what else the same customer puts in the basket, {shops}, and who that customer "
        "is."
    ),
    "mixed": (
        "They say what it is, what it is used for, when it is used, and what else is bought with "
        "it."
    ),
}

Example = tuple[str, str, dict[str, str]]

# Few-shot examples: (title, description, tags in each style) of products that do not exist. They
# are rare things on purpose: a small model copies example tags, `example_tags` lets us drop the
# copies, and a dropped tag should not be one that many products deserve.
EXAMPLES: dict[str, tuple[Example, ...]] = {
    "food": (
        (
            "Hollow Creek Popping Corn",
            "Small white kernels that open large and tender in a pot or a machine.",
            {
                "thing": "popcorn, corn kernels, whole grain, gluten free, snack",
                "use": "popping, salted snack, caramel corn, bowl filling, stovetop",
                "occasion": "movie night, slumber party, county fair, halloween, game evening",
                "basket": "popcorn machine, melted butter, big bowl, families, salt shaker",
            },
        ),
        (
            "Sunfield Passion Fruit Curd",
            "Tart and silky spread of ripe passion fruit, eggs and butter.",
            {
                "thing": "fruit curd, passion fruit, spread, tart, jar",
                "use": "scone filling, pavlova topping, layer cake, spreading, toast",
                "occasion": "afternoon tea, hostess gift, easter, garden party, dessert",
                "basket": "scone cutter, cake stand, clotted cream, tea drinkers, piping bag",
            },
        ),
        (
            "Petalwind Rose Marshmallows",
            "Hand cut cubes scented with rose water.",
            {
                "thing": "marshmallows, rose water, confectionery, pink, soft candy",
                "use": "toasting, cocoa topping, garnish, nibbling, rocky road",
                "occasion": "wedding favors, bonfire, valentine, bridal shower, winter evening",
                "basket": "roasting forks, cocoa mugs, graham crackers, romantics, gift tins",
            },
        ),
        (
            "Old Quay Clam Chowder",
            "Thick soup with potatoes and clams. Heat and eat.",
            {
                "thing": "canned soup, clam chowder, seafood, potatoes, creamy",
                "use": "quick lunch, warming up, starter, bread bowl, heat and eat",
                "occasion": "camping trip, rainy day, harbor festival, sick day, lent",
                "basket": "soup ladle, oyster crackers, can opener, campers, soup bowls",
            },
        ),
    ),
    "kitchen": (
        (
            "Ironvale Popover Pan",
            "Deep steel cups on a wire frame let the batter climb.",
            {
                "thing": "popover pan, steel cups, bakeware, nonstick, wire frame",
                "use": "baking popovers, yorkshire pudding, egg batter, muffins, browning",
                "occasion": (
                    "holiday brunch, roast dinner, christmas morning, family sunday, housewarming"
                ),
                "basket": "eggs, flour, gravy, home bakers, pastry brush",
            },
        ),
        (
            "Lumo Melon Baller",
            "Two sharp scoops on one maple handle.",
            {
                "thing": "melon baller, scoop, maple handle, hand tool, fruit tool",
                "use": "scooping, fruit salad, garnishing, potato balls, truffles",
                "occasion": (
                    "pool party, bridal luncheon, summer buffet, fourth of july, cocktail hour"
                ),
                "basket": "watermelon, cantaloupe, mint leaves, caterers, punch bowl",
            },
        ),
        (
            "Crabtree Lobster Picks and Crackers Set",
            "Six picks and two crackers in a canvas roll.",
            {
                "thing": "lobster picks, shellfish tools, canvas roll, cracker, cutlery",
                "use": "cracking shells, crab legs, table setting, picking meat, serving",
                "occasion": "seaside dinner, crab feast, anniversary, clambake, gift set",
                "basket": "lobster, drawn butter, lemons, seafood lovers, bibs",
            },
        ),
        (
            "Northbeam Fondue Pot",
            "Enamelled pot with burner and eight forks.",
            {
                "thing": "fondue pot, enamel, burner, long forks, cookware",
                "use": "melting cheese, dipping, chocolate sauce, keeping warm, sharing",
                "occasion": "ski cabin, dinner party, new year, date night, winter weekend",
                "basket": "gruyere, baguette, white wine, skiers, kirsch",
            },
        ),
    ),
}

# For domains of other names: products of no one kind, since examples of food would make a small
# model tag films as food.
NEUTRAL: tuple[Example, ...] = (
    (
        "The Lanternmaker of Ostrava",
        "A clockwork city, a stolen map, and one winter night to find the way home.",
        {
            "thing": "adventure story, clockwork city, stolen map, mystery, illustrated",
            "use": "bedtime reading, book club, escaping, collecting, reading aloud",
            "occasion": "winter holidays, train ride, rainy weekend, school break, long flight",
            "basket": "reading lamp, bookmarks, fantasy fans, sequel, blanket",
        },
    ),
    (
        "Brindle Ridge Folding Stool",
        "Ash legs and a canvas seat that close flat.",
        {
            "thing": "folding stool, canvas seat, ash wood, portable furniture, lightweight",
            "use": "sketching outdoors, fishing, extra seating, carrying, resting",
            "occasion": "open air concert, field trip, picnic, festival season, garden fair",
            "basket": "sketchbook, sun hat, rucksack, painters, thermos",
        },
    ),
    (
        "Quillow Marching Snare",
        "A light field drum with gut wires and a leather sling.",
        {
            "thing": "snare drum, gut wires, percussion, leather sling, handmade",
            "use": "marching band, drumming practice, keeping time, street music, recording",
            "occasion": "parade, carnival, band camp, town jubilee, rehearsal",
            "basket": "drumsticks, sheet music, ear plugs, drummers, drum oil",
        },
    ),
    (
        "Merrow Tidepool Puzzle",
        "Starfish and anemones in many small wooden pieces.",
        {
            "thing": "jigsaw puzzle, wooden pieces, sea life, starfish, family game",
            "use": "puzzling, quiet play, framing, learning shapes, unwinding",
            "occasion": "snow day, birthday gift, advent, grandparents visit, sunday afternoon",
            "basket": "puzzle mat, picture frame, jigsaw lovers, puzzle glue, aquarium poster",
        },
    ),
)

# Two wordings: the second is asked only when the first reply was not a list of tags, or left its
# item without a tag of the list. Their text, fields included, is part of `prompt_version`.
INSTRUCTIONS = (
    "Tags for the products of {shop}: for each product five short, specific, lower-case tags "
    "separated by commas. {form}",
    "Catalogue of {shop}. Each product has five different keywords, separated by commas. {form}",
)

_MEASURE_UNIT = (
    r"(?:fl(?:uid)?\.?\s*)?(?:ounces?|oz|lbs?|pounds?|grams?|gr?|kg|ml|lit(?:er|re)s?|quarts?|qt|"
    r"gallons?|inch(?:es)?|in(?!-\d)|cm|mm|feet|ft|watts?|w|volts?|counts?|ct|packs?|pk|pieces?|pc|"
    r"sets?|cups?|bags?|cans?|bottles?|boxes|servings?)"
)
_MEASURE = re.compile(
    r"\(?\b(?:pack|case|set|box|bag) of \d+\)?|"
    r"(?<![\w.])(?:\d+(?:[.,/-]\d+)*\s*x\s*)*\d+(?:[.,/-]\d+)*[\s-]*" + _MEASURE_UNIT + r"\b\.?",
    re.IGNORECASE,
)
# The wide colon of Chinese and Japanese counts, too.
_LABEL = re.compile(r"\b(title|description|tags)(?:\s*[:\uff1a])+", re.IGNORECASE)


def clean(text: str, limit: int = 300) -> str:
    """A title or description made safe to stand inside the prompt.

    It becomes one line of at most `limit` characters: control characters go, white space collapses,
    and the labels of our own frame ("Title:") lose their colon, so that untrusted text cannot open
    a new product.
    """
    shown = (" " if unicodedata.category(one)[0] == "C" else one for one in text[: 20 * limit])
    return _LABEL.sub(r"\1", " ".join("".join(shown).split()))[:limit].strip()


def without_measures(title: str) -> str:
    """A title without its pack sizes and measures ("12-Ounce"), unless nothing else stands there.

    They say nothing about use or taste, and a small model likes to repeat them as tags.
    """
    rest = re.sub(r"\(\s*\)|\s+(?=,)|,\s*(?=,|$)", "", _MEASURE.sub(" ", title))
    rest = " ".join(rest.split()).strip(" ,;-")
    return rest if re.search(r"[^\W\d_]{2}", rest) else title


def is_measure(tag: str) -> bool:
    """True for a tag that holds a measure or is a bare number ("12-ounce cans", "set of 6")."""
    return bool(_MEASURE.search(tag)) or not re.search(r"[^\W\d_]{2}", tag)


def examples_for(domain: str) -> tuple[Example, ...]:
    """The examples for a domain of this name: its own, where we have written some, else neutral."""
    return EXAMPLES.get(domain.lower(), NEUTRAL)


def tags_of_example(tags: dict[str, str], style: str) -> list[str]:
    """The tags with which an example answers in a style.

    "mixed" takes two for the thing and one of each other style.
    """
    if style != "mixed":
        return tags[style].split(", ")
    parts = (("thing", 0), ("thing", 1), ("use", 0), ("occasion", 0), ("basket", 0))
    return [tags[facet].split(", ")[position] for facet, position in parts]


def example_tags(domain: str, style: str) -> frozenset[str]:
    """All tags that a model could have copied from the examples of a domain."""
    return frozenset(
        tag for _, _, tags in examples_for(domain) for tag in tags_of_example(tags, style)
    )


def shop_of(domain: str) -> str:
    """What the prompt calls a domain: "food shop", or only "shop" where the domain has no name."""
    name = clean(domain, 40)
    if name in UNNAMED:
        return "shop"
    return name if name.lower().endswith(("shop", "store")) else f"{name} shop"


def style_text(style: str, domains: Sequence[str]) -> str:
    """What the instruction says of a style, for two domains of these names."""
    named = " and ".join(f"in the {shop_of(name)}" for name in domains)
    return STYLES[style].format(shops="in both shops" if set(domains) <= set(UNNAMED) else named)


def write_prompt(
    title: str,
    description: str,
    domain: str,
    style: str,
    attempt: int = 1,
    limit: int = 300,
    names: Sequence[str] = UNNAMED,
) -> str:
    """The prompt for one product: instruction, four examples, the product, and "Tags:" at the end.

    Args:
        title, description: the product's; either may be "".
        domain: the name of its domain, such as "food".
        style: a key of `STYLES`.
        attempt: 1 or 2, which chooses the wording.
        limit: characters of title and of description that are read.
        names: the names of both domains.
    """
    title = without_measures(clean(title, limit))
    description = clean(description, limit)
    called = shop_of(domain)
    article = "an" if called[:1].lower() in "aeiou" else "a"
    lines = [
        INSTRUCTIONS[attempt - 1].format(shop=f"{article} {called}", form=style_text(style, names))
    ]
    for example_title, example_description, tags in examples_for(domain):
        lines += ["", f"Title: {example_title}"]
        lines += [f"Description: {example_description}"] if description else []
        lines += [f"Tags: {', '.join(tags_of_example(tags, style))}"]
    lines += ["", f"Title: {title}"]
    lines += [f"Description: {description}"] if description else []
    return "\n".join([*lines, "Tags:"])
