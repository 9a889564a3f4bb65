"""What the truth of the synthetic data set is for: checking neighbours and cross-domain cases.

    read_truth(folder)                              the truth about items and about users
    neighbour_precision(vectors, topic, k=10)       how well neighbours share a topic
    topic_precisions({kind: vectors}, truth)        the same for several kinds of vectors
    is_cross_domain(sequence, truth_items)          whether the target comes from the other domain

No model may read the truth.  Status: ours.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike


def read_truth(folder: Path | str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The truth about items and about users, one row each (columns: see the README of the folder).

    Raises:
        FileNotFoundError: The folder has no truth.
    """
    tables = []
    for name in ("items", "users"):
        path = Path(folder) / "truth" / f"{name}.tsv"
        if not path.is_file():
            raise FileNotFoundError(
                f"{path} is missing: only the synthetic data set has a truth; "
                "write it with `python -m tema_lib.datasets.synthetic.generator`"
            )
        tables.append(pd.read_csv(path, sep="\t", quoting=csv.QUOTE_NONE, keep_default_na=False))
    return tables[0], tables[1]


def neighbour_precision(vectors: ArrayLike, topic: ArrayLike, k: int = 10) -> float:
    """Share of the k nearest other items (by cosine, whole catalogue) that have the same topic.

    Args:
        vectors: [N, F].
        topic: The topic of each item, [N].
        k: How many neighbours.

    Returns:
        Between 0 and 1; the truth itself would score 1.

    Raises:
        ValueError: The two lengths differ, or there are no k other items.
    """
    matrix, topics = np.asarray(vectors, dtype=np.float64), np.asarray(topic)
    if len(matrix) != len(topics) or len(matrix) <= k:
        raise ValueError(
            f"{len(matrix)} vectors, {len(topics)} topics, k = {k}: give one topic per vector "
            "and more than k vectors"
        )
    unit = matrix / np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-12)
    similarity = unit @ unit.T
    np.fill_diagonal(similarity, -np.inf)
    nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
    return float((topics[nearest] == topics[:, None]).mean())


def topic_precisions(
    vectors: Mapping[str, ArrayLike], truth: pd.DataFrame | None, k: int = 10
) -> dict[str, float]:
    """`neighbour_precision` of several kinds of vectors, between a random choice and the truth.

    Args:
        vectors: {kind: [N, F]}.
        truth: N rows with a column "topic"; None where none is known.
        k: How many neighbours.

    Returns:
        {"random": ..., one for each kind, "truth": 1.0}; {} without a truth: a sentence
        says so.

    Raises:
        ValueError: As `neighbour_precision`.
    """
    if truth is None:
        print("these data have no ground truth, so there is nothing to compare neighbours with")
        return {}
    topic = truth["topic"].to_numpy()
    found = {kind: neighbour_precision(matrix, topic, k) for kind, matrix in vectors.items()}
    return {"random": float((topic[:, None] == topic).mean()), **found, "truth": 1.0}


def bag_of_words(texts: Iterable[str]) -> np.ndarray:
    """TF-IDF rows [N, words], which know words but no meaning.

    idf = log(N / number of texts with the word).
    """
    from sklearn.feature_extraction.text import CountVectorizer

    counts = CountVectorizer(token_pattern=r"[a-z0-9']+").fit_transform(texts).toarray()
    return counts * np.log(len(counts) / (counts > 0).sum(0))


def is_cross_domain(sequence: Sequence[str], truth_items: pd.DataFrame) -> bool:
    """Whether the last item has the topic of the one before, in the other domain."""
    if len(sequence) < 2:
        return False
    known = truth_items.set_index("item_id").loc[list(sequence[-2:])]
    return known.domain.nunique() == 2 and known.topic.nunique() == 1
