"""What tags are worth: how far they cover, where they come from, which join the domains, and whether what they join belongs together.

Status: ours. The measures ask the same of the model's tags and of every control (`control_tags`), so that a number can be compared.
"""

import numpy as np
import torch
from scipy.stats import rankdata

from tema_lib.data.dataset import UNNAMED
from tema_lib.tags.item_tags import MAPPED, NEAREST, OWN, ItemTags
from tema_lib.tags.prompts import example_tags
from tema_lib.tags.refine import lemma, opposites


def weight_table(tags: ItemTags) -> np.ndarray:
    """float32 [N+1, G+1]: the weight of each tag on each item; row 0 and column 0 are zero."""
    table = torch.zeros(len(tags.tag_ids), len(tags.vocabulary))
    table.scatter_add_(1, tags.tag_ids, tags.weights)
    table[:, 0] = 0
    return table.numpy()


def uses(tags: ItemTags) -> np.ndarray:
    """int [2, G+1]: how many items of each domain carry each tag."""
    table, domain = weight_table(tags) > 0, tags.domain_of_item.numpy()
    return np.stack([table[domain == each].sum(0) for each in (0, 1)])


def coverage(
    tags: ItemTags, domains: tuple[str, str] = UNNAMED, style: str | None = None
) -> dict[str, float]:
    """Shares that say how complete the tags are and where they come from. With `style`, also the share that repeats an example of the prompt."""
    source, given = tags.source[1:], tags.tag_ids[1:] > 0
    own = (source == OWN) | (source == MAPPED)
    total = max(int(given.sum()), 1)
    found = {
        "items with a tag": given.any(1).float().mean().item(),
        "items with three tags, one of them own": ((given.sum(1) >= 3) & own.any(1))
        .float()
        .mean()
        .item(),
        "tags that are the model's own words": (source == OWN).sum().item() / total,
        "tags mapped to the list": (source == MAPPED).sum().item() / total,
        "tags nearest by meaning": (source == NEAREST).sum().item() / total,
        "share of items of the most frequent tag": (weight_table(tags)[1:] > 0)
        .mean(0)
        .max()
        .item(),
        "tags of the list that both domains use": float((uses(tags).min(0)[1:] > 0).mean())
        if len(tags.vocabulary) > 1
        else 0.0,
    }
    if style is not None:
        copies = [example_tags(each, style) for each in domains]
        found["tags that repeat an example"] = (
            sum(
                tags.vocabulary[tag] in copies[domain]
                for domain, row in zip(tags.domain_of_item[1:].tolist(), tags.tag_ids[1:].tolist())
                for tag in row
                if tag
            )
            / total
        )
    return found


def closest_pairs(tags: ItemTags, count: int = 50) -> list[tuple[float, str, str, bool]]:
    """The `count` pairs of tags nearest in meaning: (cosine, one, other, whether they count as opposites), nearest first."""
    one, other = np.triu_indices(len(tags.vocabulary) - 1, 1)
    vectors, name = tags.vectors[1:].numpy(), tags.vocabulary[1:]
    cosine = (vectors @ vectors.T)[one, other]
    return [
        (
            float(cosine[position]),
            name[one[position]],
            name[other[position]],
            opposites(name[one[position]], name[other[position]]),
        )
        for position in np.argsort(-cosine, kind="stable")[:count]
    ]


def equal_lemmas(tags: ItemTags) -> list[tuple[str, ...]]:
    """Groups of tags that are one word but for plural or verb ending; a refined list has none."""
    groups: dict[str, list[str]] = {}
    for tag in tags.vocabulary[1:]:
        groups.setdefault(lemma(tag), []).append(tag)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def agreement(first: ItemTags, second: ItemTags) -> float:
    """Mean over items of the Jaccard overlap of two taggings' tags, compared by lemma; items without tags in both are left out (nan if all are)."""
    shares = []
    for item in range(1, len(first.tag_ids)):
        one, other = ({lemma(tag) for tag, _, _ in tags.tags_of(item)} for tags in (first, second))
        if one | other:
            shares.append(len(one & other) / len(one | other))
    return float(np.mean(shares)) if shares else float("nan")


# ---------------------------------------------------------------------------------------------- against a known truth


def joined_pairs(tags: ItemTags, truth, across: bool | None = None) -> dict[str, float]:
    """Precision, recall and F1 of "two items that share a tag belong together" against truth [N], one label an item.

    across: True for pairs of the two domains only, False for pairs of one domain, None for all.
    """
    carries, truth, domain = (
        (weight_table(tags)[1:] > 0).astype(np.float32),
        np.asarray(truth),
        tags.domain_of_item[1:].numpy(),
    )
    pair = np.triu(np.ones((len(truth), len(truth)), dtype=bool), 1)
    if across is not None:
        pair &= (domain[:, None] != domain[None]) == across
    joined, same = (carries @ carries.T > 0)[pair], (truth[:, None] == truth[None])[pair]
    right = float((joined & same).sum())
    precision, recall = right / max(int(joined.sum()), 1), right / max(int(same.sum()), 1)
    return {
        "precision": precision,
        "recall": recall,
        "F1": 2 * precision * recall / max(precision + recall, 1e-12),
        "pairs joined": int(joined.sum()),
        "lift": precision / float(same.mean()) if same.any() else float("nan"),
    }


# ---------------------------------------------------------------------------------------------- against what people buy


def consecutive_pairs(sequences, domain_of_item: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(pairs [P, 2], user row [P]) of items bought one after the other; a pair across the domains has the item of A first."""
    pairs = np.concatenate(
        [
            np.stack([row[:-1], row[1:]], axis=1)
            for row in (sequences[user].numpy() for user in range(len(sequences)))
        ]
    )
    users = np.repeat(
        np.arange(len(sequences)),
        [max(len(sequences[user]) - 1, 0) for user in range(len(sequences))],
    )
    turned = (domain_of_item[pairs[:, 0]] == 1) & (domain_of_item[pairs[:, 1]] == 0)
    pairs[turned] = pairs[turned][:, ::-1]
    return pairs, users


def similarity(
    table: np.ndarray, sequences, domain_of_item: np.ndarray, seed: int = 0
) -> dict[str, float]:
    """How much more alike consecutive interactions are than random pairs, in the space of table [N+1, G+1]: AUCs, .5 = not at all.

    "A", "B", "across": the score of a pair is the product of its weights on equal tags. "across, learned": a tag of A and a
    tag of B speak for each other by their log-odds of standing in a pair, counted on every other user, scored on the rest.
    Random pairs are the same first items with the second ones exchanged, so that popularity cannot help.
    """
    pairs, users = consecutive_pairs(sequences, domain_of_item)
    kind = np.where(
        domain_of_item[pairs[:, 0]] == domain_of_item[pairs[:, 1]], domain_of_item[pairs[:, 0]], 2
    )
    chance = np.random.default_rng(seed)

    def exchanged(some):
        return np.stack([some[:, 0], chance.permutation(some[:, 1])], axis=1)

    def alike(some):
        return np.einsum("pg,pg->p", table[some[:, 0]], table[some[:, 1]])

    found = {
        name: _auc(alike(pairs[kind == position]), alike(exchanged(pairs[kind == position])))
        for position, name in enumerate(("A", "B", "across"))
    }
    known, rest = (pairs[(kind == 2) & (users % 2 == half)] for half in (0, 1))
    seen = table[known[:, 0]].T @ table[known[:, 1]]
    chance_level = np.outer(table[known[:, 0]].sum(0), table[known[:, 1]].sum(0)) / max(
        len(known), 1
    )
    affinity = np.log((seen + 1) / (chance_level + 1))

    def fits(some):
        return np.einsum("pg,pg->p", table[some[:, 0]] @ affinity, table[some[:, 1]])

    return found | {"across, learned": _auc(fits(rest), fits(exchanged(rest)))}


def _auc(real: np.ndarray, random: np.ndarray) -> float:
    """Probability that a real pair scores above a random one, a tie counting half; nan where there is none."""
    if not len(real):
        return float("nan")
    ranks = rankdata(np.concatenate([real, random]))
    return float(
        (ranks[: len(real)].sum() - len(real) * (len(real) + 1) / 2) / (len(real) * len(random))
    )
