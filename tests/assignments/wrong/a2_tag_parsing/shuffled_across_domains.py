"""The control shuffles all items together, so that tags of food end up on kitchen items.

The title opens lines of its own, too.
"""

import random

MARKS = {
    "write_prompt_tests": 0,
    "pieces_tests": 5,
    "clean_tags_tests": 4,
    "tag_weights_tests": 4,
    "shuffled_tags_tests": 0,
}


def write_prompt(title, description, domain, examples):
    lines = [f"Write five tags for a product of the {domain} domain."]
    for item_title, item_description, tags in [*examples, (title, description, [])]:
        lines += ["", f"Title: {item_title}"]
        lines += [f"Description: {item_description}"] if item_description else []
        lines += [f"Tags: {', '.join(tags)}".strip()]
    return "\n".join(lines)


def shuffled_tags(tags, domains, seed):
    return random.Random(seed).sample(tags, len(tags))
