"""Answers to the exercises of notebook 02; yours may be others, the checks decide.

Each function stands alone, so that it can be copied into the notebook in place of the empty one.
"""

import numpy as np
import torch


def rarity_weights(tag_ids):
    """The smallest weight is not quite 0, for an item whose only tag is on every item."""
    given = tag_ids > 0
    counts = torch.bincount(tag_ids[given], minlength=int(tag_ids.max()) + 1).clamp(min=1)
    rarity = torch.log((len(tag_ids) - 1) / counts).clamp(min=1e-6)
    weights = rarity[tag_ids] * given
    return weights / weights.sum(1, keepdim=True).clamp(min=1e-12)


def read_tags(reply):
    """First find the list, in the strictest form that fits; then let only real tags through."""
    import json
    import re

    try:  # both raise ValueError: no bracket, and no JSON
        pieces = json.loads(reply[reply.index("[") : reply.rindex("]") + 1])
    except ValueError:
        listed = re.findall(r"^[ \t]*(?:[-*]|\d+[.)])[ \t]+(.+)$", reply, re.MULTILINE)
        pieces = listed or reply.split(",")
    tags = []
    for piece in pieces:
        tag = str(piece).strip().strip(".").lower()
        fits = re.fullmatch(r"\w[\w' -]*", tag) and len(tag.split()) <= 4
        if fits and tag not in tags:
            tags.append(tag)
    return tuple(tags) if len(tags) >= 3 else ()


def givers(domain_of_item, rng):
    """Draw again while somebody keeps its own: about one permutation in e = 2.7 is accepted."""
    giver = np.arange(len(domain_of_item))
    for domain in (0, 1):
        own = np.flatnonzero(domain_of_item == domain)
        while len(own) > 1 and (giver[own] == own).any():
            giver[own] = rng.permutation(own)
    return giver


def write_question(title, description, domain, limit=300):
    """One line, no label of ours, not too long: then a text cannot open another product."""
    import re

    def harmless(text):
        line = " ".join(text.split())
        line = re.sub(r"\b(title|description|tags)(\s*:)+", r"\1", line, flags=re.IGNORECASE)
        return line[:limit].strip()

    lines = [f"Five short tags for a {domain} product, separated by commas."]
    lines += [f"Title: {harmless(title)}"]
    lines += [f"Description: {harmless(description)}"] if description else []
    return "\n".join([*lines, "Tags:"])


# 5. Another question for real titles (open)
#
# A good answer
# - starts from the table of section 9: on real titles equal tags are no more frequent across the
#   domains than in exchanged pairs, whoever writes them. So a better model for the same question
#   will hardly help; the question has to ask for something that both domains have in common.
# - proposes one, and says which domain's items should share which tags: who uses the item (a baker,
#   a family with small children), which meal or cuisine it belongs to, how much skill it takes. The
#   answers should come from a short closed list, or two items will not meet in the same words.
# - names the measure before it is computed: the AUC across the domains of consecutive interactions,
#   of users that were not used to choose the prompt, with an interval over users or seeds.
# - keeps the controls: the same tags shuffled within a domain (the gain has to vanish), title words
#   (the gain has to exceed theirs), and the small model with the same question.
# - allows for a negative result: if what a user does in one domain is unrelated to what comes next
#   in the other, no tag can find it, and more data, not another prompt, would show that.
