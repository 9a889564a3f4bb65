"""What the truth of the synthetic data set is for: how well neighbours share an topic, and which test cases cross the domains.

Status: ours. The truth is for checking; no model may read it.
"""

import csv
import math
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd


def read_truth(folder: Path | str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The truth about items and about users, one row each (columns: see the README of the folder)."""
    tables = []
    for name in ("items", "users"):
        path = Path(folder) / "truth" / f"{name}.tsv"
        if not path.is_file():
            raise FileNotFoundError(
                f"{path} is missing: only the synthetic data set has a truth; write it with `python -m tema_lib.datasets.synthetic.generator`"
            )
        tables.append(pd.read_csv(path, sep="\t", quoting=csv.QUOTE_NONE, keep_default_na=False))
    return tables[0], tables[1]


def neighbour_precision(vectors: np.ndarray, topic, k: int = 10) -> float:
    """Share of the k nearest other items (cosine, whole catalogue) that have the same topic; vectors [N, F], topic [N].

    The truth itself would score 1.0. ValueError where the two lengths differ or there are no k other items.
    """
    vectors, topic = np.asarray(vectors, dtype=np.float64), np.asarray(topic)
    if len(vectors) != len(topic) or len(vectors) <= k:
        raise ValueError(
            f"{len(vectors)} vectors, {len(topic)} topics, k = {k}: give one topic per vector and more than k vectors"
        )
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    closeness = unit @ unit.T
    np.fill_diagonal(closeness, -np.inf)
    nearest = np.argsort(-closeness, axis=1, kind="stable")[:, :k]
    return float((topic[nearest] == topic[:, None]).mean())


def bag_of_words(texts) -> np.ndarray:
    """TF-IDF rows [N, words], the neighbour that knows words but no meaning; idf = log(N / number of texts with the word)."""
    bags = [Counter(re.findall(r"[a-z0-9']+", text.lower())) for text in texts]
    spread = Counter(word for bag in bags for word in bag)
    column = {word: number for number, word in enumerate(sorted(spread))}
    matrix = np.zeros((len(bags), len(column)))
    for row, bag in enumerate(bags):
        for word, count in bag.items():
            matrix[row, column[word]] = count * math.log(len(bags) / spread[word])
    return matrix


def is_cross_domain(sequence, truth_items: pd.DataFrame) -> bool:
    """True where the last item id of `sequence` lies in the other domain than the one before it and shares its topic."""
    if len(sequence) < 2:
        return False
    known = truth_items.set_index("item_id").loc[list(sequence[-2:])]
    return known.domain.nunique() == 2 and known.topic.nunique() == 1
