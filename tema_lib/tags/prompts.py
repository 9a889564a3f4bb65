"""The question put to the language model.

A small model imitates better than it obeys. So each domain has its own sentence and its own made-up examples, and the
examples look like the product asked about: with a description where it has one, title only where it has none.
What the examples' tags speak of decides what the model speaks of. That is a prompt's *form*: the thing itself, its use,
its occasion, or the basket it lands in. Notebook 02 compares the forms on the same evidence.
Status: that prompts are domain-aware is stated in the paper; forms, wording and examples are ours.
"""

import re
import unicodedata
from collections.abc import Sequence

from tema_lib.data.dataset import UNNAMED
from tema_lib.tags.parse import parse_tags as parse_tags

# What the tags of a form speak of, as the instruction says it (`style_text` puts the names of the shops in).
STYLES = {
    "thing": "They say what it is: its kind, what it is made of, its flavor or style.",
    "use": "They say what people do with it: the task, the dish or the drink it serves.",
    "topic": "They say when it is used: the meal, the season, the event or the habit it belongs to.",
    "basket": "They say what else the same customer puts in the basket, {shops}, and who that customer is.",
    "mixed": "They say what it is, what it is used for, when it is used, and what else is bought with it.",
}

# (title, description, tags of each form) of products that do not exist. They are rare things on purpose: a small model copies
# example tags, `example_tags` lets us drop the copies, and a dropped tag should not be one that many products deserve.
EXAMPLES = {
    "food": (
        (
            "Hollow Creek Popping Corn",
            "Small white kernels that open large and tender in a pot or a machine.",
            {
                "thing": "popcorn, corn kernels, whole grain, gluten free, snack",
                "use": "popping, salted snack, caramel corn, bowl filling, stovetop",
                "topic": "movie night, slumber party, county fair, halloween, game evening",
                "basket": "popcorn machine, melted butter, big bowl, families, salt shaker",
            },
        ),
        (
            "Sunfield Passion Fruit Curd",
            "Tart and silky spread of ripe passion fruit, eggs and butter.",
            {
                "thing": "fruit curd, passion fruit, spread, tart, jar",
                "use": "scone filling, pavlova topping, layer cake, spreading, toast",
                "topic": "afternoon tea, hostess gift, easter, garden party, dessert",
                "basket": "scone cutter, cake stand, clotted cream, tea drinkers, piping bag",
            },
        ),
        (
            "Petalwind Rose Marshmallows",
            "Hand cut cubes scented with rose water.",
            {
                "thing": "marshmallows, rose water, confectionery, pink, soft candy",
                "use": "toasting, cocoa topping, garnish, nibbling, rocky road",
                "topic": "wedding favors, bonfire, valentine, bridal shower, winter evening",
                "basket": "roasting forks, cocoa mugs, graham crackers, romantics, gift tins",
            },
        ),
        (
            "Old Quay Clam Chowder",
            "Thick soup with potatoes and clams. Heat and eat.",
            {
                "thing": "canned soup, clam chowder, seafood, potatoes, creamy",
                "use": "quick lunch, warming up, starter, bread bowl, heat and eat",
                "topic": "camping trip, rainy day, harbor festival, sick day, lent",
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
                "topic": "holiday brunch, roast dinner, christmas morning, family sunday, housewarming",
                "basket": "eggs, flour, gravy, home bakers, pastry brush",
            },
        ),
        (
            "Lumo Melon Baller",
            "Two sharp scoops on one maple handle.",
            {
                "thing": "melon baller, scoop, maple handle, hand tool, fruit tool",
                "use": "scooping, fruit salad, garnishing, potato balls, truffles",
                "topic": "pool party, bridal luncheon, summer buffet, fourth of july, cocktail hour",
                "basket": "watermelon, cantaloupe, mint leaves, caterers, punch bowl",
            },
        ),
        (
            "Crabtree Lobster Picks and Crackers Set",
            "Six picks and two crackers in a canvas roll.",
            {
                "thing": "lobster picks, shellfish tools, canvas roll, cracker, cutlery",
                "use": "cracking shells, crab legs, table setting, picking meat, serving",
                "topic": "seaside dinner, crab feast, anniversary, clambake, gift set",
                "basket": "lobster, drawn butter, lemons, seafood lovers, bibs",
            },
        ),
        (
            "Northbeam Fondue Pot",
            "Enamelled pot with burner and eight forks.",
            {
                "thing": "fondue pot, enamel, burner, long forks, cookware",
                "use": "melting cheese, dipping, chocolate sauce, keeping warm, sharing",
                "topic": "ski cabin, dinner party, new year, date night, winter weekend",
                "basket": "gruyere, baguette, white wine, skiers, kirsch",
            },
        ),
    ),
}

# For shops of other names: products of no one kind, since examples of food would make a small model tag films as food.
NEUTRAL = (
    (
        "The Lanternmaker of Ostrava",
        "A clockwork city, a stolen map, and one winter night to find the way home.",
        {
            "thing": "adventure story, clockwork city, stolen map, mystery, illustrated",
            "use": "bedtime reading, book club, escaping, collecting, reading aloud",
            "topic": "winter holidays, train ride, rainy weekend, school break, long flight",
            "basket": "reading lamp, bookmarks, fantasy fans, sequel, blanket",
        },
    ),
    (
        "Brindle Ridge Folding Stool",
        "Ash legs and a canvas seat that close flat.",
        {
            "thing": "folding stool, canvas seat, ash wood, portable furniture, lightweight",
            "use": "sketching outdoors, fishing, extra seating, carrying, resting",
            "topic": "open air concert, field trip, picnic, festival season, garden fair",
            "basket": "sketchbook, sun hat, rucksack, painters, thermos",
        },
    ),
    (
        "Quillow Marching Snare",
        "A light field drum with gut wires and a leather sling.",
        {
            "thing": "snare drum, gut wires, percussion, leather sling, handmade",
            "use": "marching band, drumming practice, keeping time, street music, recording",
            "topic": "parade, carnival, band camp, town jubilee, rehearsal",
            "basket": "drumsticks, sheet music, ear plugs, drummers, drum oil",
        },
    ),
    (
        "Merrow Tidepool Puzzle",
        "Starfish and anemones in many small wooden pieces.",
        {
            "thing": "jigsaw puzzle, wooden pieces, sea life, starfish, family game",
            "use": "puzzling, quiet play, framing, learning shapes, unwinding",
            "topic": "snow day, birthday gift, advent, grandparents visit, sunday afternoon",
            "basket": "puzzle mat, picture frame, jigsaw lovers, puzzle glue, aquarium poster",
        },
    ),
)

# Two wordings: the second is asked only when the first reply was not a list of tags, or left its item without a tag of the list.
INSTRUCTIONS = (
    "Tags for the products of {shop}: for each product five short, specific, lower-case tags separated by commas. {form}",
    "Catalogue of {shop}. Each product has five different keywords, separated by commas. {form}",
)

_MEASURE_UNIT = (
    r"(?:fl(?:uid)?\.?\s*)?(?:ounces?|oz|lbs?|pounds?|grams?|gr?|kg|ml|lit(?:er|re)s?|quarts?|qt|gallons?|inch(?:es)?|in(?!-\d)|cm|mm|"
    r"feet|ft|watts?|w|volts?|counts?|ct|packs?|pk|pieces?|pc|sets?|cups?|bags?|cans?|bottles?|boxes|servings?)"
)
_MEASURE = re.compile(
    r"\(?\b(?:pack|case|set|box|bag) of \d+\)?|(?<![\w.])(?:\d+(?:[.,/-]\d+)*\s*x\s*)*\d+(?:[.,/-]\d+)*[\s-]*"
    + _MEASURE_UNIT
    + r"\b\.?",
    re.IGNORECASE,
)
_LABEL = re.compile(r"\b(title|description|tags)(?:\s*[:：])+", re.IGNORECASE)


def clean(text: str, limit: int = 300) -> str:
    """A title or description made safe to stand inside the prompt: one line of at most `limit` characters.

    Control characters go, white space collapses, and the labels of our own frame ("Title:") lose their colon, so that a
    stranger's text cannot open a new product.
    """
    text = " ".join(
        "".join(
            character if unicodedata.category(character)[0] != "C" else " "
            for character in text[: 20 * limit]
        ).split()
    )
    return _LABEL.sub(r"\1", text)[:limit].strip()


def without_measures(title: str) -> str:
    """A title without its pack sizes and measures ("12-Ounce", "(Pack of 6)"), unless nothing else stands there.

    They say nothing about use or taste, and a small model likes to repeat them as tags.
    """
    rest = re.sub(r"\(\s*\)|\s+(?=,)|,\s*(?=,|$)", "", _MEASURE.sub(" ", title))
    rest = " ".join(rest.split()).strip(" ,;-")
    return rest if re.search(r"[^\W\d_]{2}", rest) else title


def is_measure(tag: str) -> bool:
    """True for a tag that holds a measure or is a bare number ("12-ounce cans", "set of 6", "49983"): it tells no use."""
    return bool(_MEASURE.search(tag)) or not re.search(r"[^\W\d_]{2}", tag)


def examples_for(name: str) -> tuple[tuple[str, str, dict[str, str]], ...]:
    """The examples for a domain of this name: its own, where we have written some, else neutral ones."""
    return EXAMPLES.get(name.lower(), NEUTRAL)


def tags_of_example(tags: dict[str, str], style: str) -> list[str]:
    """The tags with which an example answers a form; "mixed" takes two for the thing and one of each other."""
    if style != "mixed":
        return tags[style].split(", ")
    return [
        tags[facet].split(", ")[position]
        for facet, position in (("thing", 0), ("thing", 1), ("use", 0), ("topic", 0), ("basket", 0))
    ]


def example_tags(domain: str, style: str) -> frozenset[str]:
    """All tags a model could have copied from the examples of a shop."""
    return frozenset(
        tag for _, _, tags in examples_for(domain) for tag in tags_of_example(tags, style)
    )


def shop_of(name: str) -> str:
    """How the prompt calls the shop of a domain: "food shop", and "shop" alone where the domain has no name of its own."""
    name = clean(name, 40)
    return (
        "shop"
        if name in UNNAMED
        else name
        if name.lower().endswith(("shop", "store"))
        else f"{name} shop"
    )


def style_text(style: str, names: Sequence[str]) -> str:
    """What the instruction says of a form, for domains of these names."""
    named = " and ".join(f"in the {shop_of(name)}" for name in names)
    return STYLES[style].format(domains="in both shops" if set(names) <= set(UNNAMED) else named)


def write_prompt(
    title: str,
    description: str,
    domain: str,
    style: str,
    attempt: int = 1,
    limit: int = 300,
    names: Sequence[str] = UNNAMED,
) -> str:
    """The prompt for one product: instruction, four examples, the product, and "Tags:" for the model to go on from.

    `domain` is the name of the product's domain ("food"), `names` are those of both, `style` is a key of FORMS, `attempt` 1 or 2
    chooses the wording.
    """
    title, description = without_measures(clean(title, limit)), clean(description, limit)
    called = shop_of(domain)
    article = "an" if called[:1].lower() in "aeiou" else "a"
    lines = [
        INSTRUCTIONS[attempt - 1].format(
            domain=f"{article} {called}", style=style_text(style, names)
        )
    ]
    for example_title, example_description, tags in examples_for(domain):
        lines += ["", f"Title: {example_title}"] + (
            [f"Description: {example_description}"] if description else []
        )
        lines += [f"Tags: {', '.join(tags_of_example(tags, style))}"]
    lines += (
        ["", f"Title: {title}"]
        + ([f"Description: {description}"] if description else [])
        + ["Tags:"]
    )
    return "\n".join(lines)
