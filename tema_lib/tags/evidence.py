"""What tags are worth: coverage, origin, links between the domains, and whether those are right.

Status: ours. The measures ask the same of the model's tags and of every control (`control_tags`),
so that numbers can be compared.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike

from tema_lib.data.dataset import UNNAMED
from tema_lib.data.sequences import Sequences
from tema_lib.tags.item_tags import MAPPED, NEAREST, OWN, ItemTags
from tema_lib.tags.prompts import example_tags
from tema_lib.tags.refine import lemma, opposites

Histories = Sequences | Sequence[torch.Tensor]  # U sequences of global ids, oldest first


def weight_table(tags: ItemTags) -> np.ndarray:
    """float32 [N+1, G+1]: the weight of each tag on each item; row 0 and column 0 are zero."""
    table = torch.zeros(len(tags.tag_ids), len(tags.vocabulary))
    table.scatter_add_(1, tags.tag_ids, tags.weights)
    table[:, 0] = 0
    return table.numpy()


def uses(tags: ItemTags) -> np.ndarray:
    """int [2, G+1]: how many items of each domain carry each tag."""
    table = weight_table(tags) > 0
    domain = tags.domain_of_item.numpy()
    return np.stack([table[domain == each].sum(0) for each in (0, 1)])


def coverage(
    tags: ItemTags, domains: tuple[str, str] = UNNAMED, style: str | None = None
) -> dict[str, float]:
    """Shares that say how complete the tags are and where they come from.

    Args:
        tags: any tags, a control's too.
        domains: the names of both domains, which choose the examples.
        style: with a prompt style, also the share of tags that repeat an example of the prompt.
    """
    source = tags.source[1:]
    given = tags.tag_ids[1:] > 0
    own = (source == OWN) | (source == MAPPED)
    three_one_own = (given.sum(1) >= 3) & own.any(1)
    total = max(int(given.sum()), 1)
    shared = (uses(tags).min(0)[1:] > 0).mean() if len(tags.vocabulary) > 1 else 0.0
    found = {
        "items with a tag": given.any(1).float().mean().item(),
        "items with three tags, one of them own": three_one_own.float().mean().item(),
        "tags that are the model's own words": (source == OWN).sum().item() / total,
        "tags mapped to the list": (source == MAPPED).sum().item() / total,
        "tags nearest by meaning": (source == NEAREST).sum().item() / total,
        "share of items of the most frequent tag": _largest_share(tags),
        "tags of the list that both domains use": float(shared),
    }
    if style is not None:
        copies = [example_tags(each, style) for each in domains]
        repeated = sum(
            tags.vocabulary[tag] in copies[domain]
            for domain, row in zip(tags.domain_of_item[1:].tolist(), tags.tag_ids[1:].tolist())
            for tag in row
            if tag
        )
        found["tags that repeat an example"] = repeated / total
    return found


def _largest_share(tags: ItemTags) -> float:
    return (weight_table(tags)[1:] > 0).mean(0).max().item()


def closest_pairs(tags: ItemTags, count: int = 50) -> list[tuple[float, str, str, bool]]:
    """The `count` pairs of tags nearest in meaning, nearest first.

    Returns:
        (cosine, one tag, the other, whether they count as opposites).
    """
    one, other = np.triu_indices(len(tags.vocabulary) - 1, 1)
    vectors = tags.vectors[1:].numpy()
    names = tags.vocabulary[1:]
    cosine = (vectors @ vectors.T)[one, other]
    nearest = np.argsort(-cosine, kind="stable")[:count]
    pairs = [(cosine[pair], names[one[pair]], names[other[pair]]) for pair in nearest]
    return [(float(near), first, second, opposites(first, second)) for near, first, second in pairs]


def equal_lemmas(tags: ItemTags) -> list[tuple[str, ...]]:
    """Groups of tags that differ only in a plural or verb ending; a refined list has none."""
    groups: dict[str, list[str]] = {}
    for tag in tags.vocabulary[1:]:
        groups.setdefault(lemma(tag), []).append(tag)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def agreement(first: ItemTags, second: ItemTags) -> float:
    """Mean over items of the Jaccard overlap of two taggings' tags, compared by lemma.

    Items without tags in both are left out; nan if all are.
    """
    shares = []
    for item in range(1, len(first.tag_ids)):
        one, other = ({lemma(tag) for tag, _, _ in tags.tags_of(item)} for tags in (first, second))
        if one | other:
            shares.append(len(one & other) / len(one | other))
    return float(np.mean(shares)) if shares else float("nan")


def joined_pairs(tags: ItemTags, truth: ArrayLike, across: bool | None = None) -> dict[str, float]:
    """Precision, recall and F1 of "two items that share a tag belong together".

    Args:
        tags: any tags, a control's too.
        truth: [N], one label an item.
        across: True for pairs of the two domains only, False for pairs of one domain, None for all.
    """
    carries = (weight_table(tags)[1:] > 0).astype(np.float32)
    labels = np.asarray(truth)
    domain = tags.domain_of_item[1:].numpy()
    pair = np.triu(np.ones((len(labels), len(labels)), dtype=bool), 1)
    if across is not None:
        pair &= (domain[:, None] != domain[None]) == across
    joined = (carries @ carries.T > 0)[pair]
    same = (labels[:, None] == labels[None])[pair]
    right = float((joined & same).sum())
    precision = right / max(int(joined.sum()), 1)
    recall = right / max(int(same.sum()), 1)
    return {
        "precision": precision,
        "recall": recall,
        "F1": 2 * precision * recall / max(precision + recall, 1e-12),
        "pairs joined": int(joined.sum()),
        "lift": precision / float(same.mean()) if same.any() else float("nan"),
    }


def joined_table(systems: Mapping[str, ItemTags], truth: pd.DataFrame) -> pd.DataFrame:
    """Precision, recall and F1 of several systems of tags, of all pairs and of those across.

    Args:
        systems: {name: tags}.
        truth: N rows with a column "topic"; no rows where none is known.

    Returns:
        A row for each ("all pairs" or "across the domains", name); no row without a truth, and a
        sentence says so.
    """
    if truth.empty:
        print("these data have no ground truth, so precision and recall cannot be measured")
        return pd.DataFrame()
    measured = {
        (where, name): joined_pairs(tags, truth["topic"], across)
        for name, tags in systems.items()
        for where, across in (("all pairs", None), ("across the domains", True))
    }
    return pd.DataFrame(measured).T[["precision", "recall", "F1"]]


def right_shares(tags: ItemTags, truth: pd.DataFrame) -> np.ndarray | None:
    """How often a shared tag is right, for each item.

    Args:
        tags: any tags.
        truth: N rows with a column "topic"; no rows where none is known.

    Returns:
        float [N]: of the other items that share a tag with this one, the share with its topic; 0
        where no item does. None without a truth, and a sentence says so.
    """
    if truth.empty:
        print("these data have no ground truth, so nobody knows which shared tags are right")
        return None
    topic = truth["topic"].to_numpy()
    carries = weight_table(tags)[1:] > 0
    right = np.zeros(len(topic))
    for item in range(len(topic)):
        mates = (carries & carries[item]).any(1)
        mates[item] = False
        if mates.any():
            right[item] = (topic[mates] == topic[item]).mean()
    return right


def consecutive_pairs(
    sequences: Histories, domain_of_item: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Items of one user that follow each other.

    Args:
        sequences: U sequences of global ids.
        domain_of_item: int [N+1].

    Returns:
        (pairs [P, 2], user [P]); a pair across the domains has the item of A first.
    """
    rows = [sequences[user].numpy() for user in range(len(sequences))]
    pairs = np.concatenate([np.stack([row[:-1], row[1:]], axis=1) for row in rows])
    users = np.repeat(np.arange(len(rows)), [max(len(row) - 1, 0) for row in rows])
    turned = (domain_of_item[pairs[:, 0]] == 1) & (domain_of_item[pairs[:, 1]] == 0)
    pairs[turned] = pairs[turned][:, ::-1]
    return pairs, users


def similarity(
    table: np.ndarray, sequences: Histories, domain_of_item: np.ndarray, seed: int = 0
) -> dict[str, float]:
    """How much more similar consecutive interactions are than random pairs, by their tags.

    "A", "B", "across": the score of a pair is the product of its weights on equal tags.
    "across, learned": the score of a tag of A and a tag of B is the log-odds of their standing in a
    pair, counted on every other user and evaluated on the rest. Random pairs are the same first
    items with the second ones exchanged, so that popularity cannot help.

    Args:
        table: float [N+1, G+1], see `weight_table`.
        sequences: U sequences of global ids.
        domain_of_item: int [N+1].
        seed: of the exchange.

    Returns:
        AUCs; .5 = not at all.
    """
    pairs, users = consecutive_pairs(sequences, domain_of_item)
    domains = domain_of_item[pairs]
    kind = np.where(domains[:, 0] == domains[:, 1], domains[:, 0], 2)
    rng = np.random.default_rng(seed)

    def exchanged(some: np.ndarray) -> np.ndarray:
        return np.stack([some[:, 0], rng.permutation(some[:, 1])], axis=1)

    def equal_tags(some: np.ndarray) -> np.ndarray:
        return np.einsum("pg,pg->p", table[some[:, 0]], table[some[:, 1]])

    found = {}
    for number, name in enumerate(("A", "B", "across")):
        chosen = pairs[kind == number]
        found[name] = _auc(equal_tags(chosen), equal_tags(exchanged(chosen)))
    known, rest = (pairs[(kind == 2) & (users % 2 == half)] for half in (0, 1))
    counted = table[known[:, 0]].T @ table[known[:, 1]]
    sums = [table[known[:, side]].sum(0) for side in (0, 1)]
    expected = np.outer(*sums) / max(len(known), 1)
    affinity = np.log((counted + 1) / (expected + 1))

    def related_tags(some: np.ndarray) -> np.ndarray:
        return np.einsum("pg,pg->p", table[some[:, 0]] @ affinity, table[some[:, 1]])

    found["across, learned"] = _auc(related_tags(rest), related_tags(exchanged(rest)))
    return found


def _auc(real: np.ndarray, random: np.ndarray) -> float:
    """Probability that a real pair scores above a random one, a tie counting half; nan for none."""
    from sklearn.metrics import roc_auc_score  # a long import

    if not len(real):
        return float("nan")
    is_real = np.repeat([1, 0], [len(real), len(random)])
    return float(roc_auc_score(is_real, np.concatenate([real, random])))
