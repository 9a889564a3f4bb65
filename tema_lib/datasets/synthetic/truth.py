"""What the truth of the synthetic data set is for: checking neighbours and cross-domain cases.

    read_truth(folder)                              the truth about items and about users
    item_truth(items, truth)                        the truth about items in their order
    neighbour_precision(vectors, topic, k=10)       how well neighbours share a topic
    precision_by_kind(spaces, known)                the same, by what is missing from the items
    topic_precisions({kind: vectors}, truth)        the same for several kinds of vectors
    is_cross_domain(sequence, truth_items)          whether the target comes from the other domain

No model may read the truth.  Status: ours.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.sparse import csr_matrix, issparse

from tema_lib.data.dataset import Items

Truth = tuple[pd.DataFrame, pd.DataFrame]  # about items, about users
KINDS = ("complete", "no description", "no picture", "uninformative title")


def read_truth(folder: Path | str) -> Truth:
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


def item_truth(items: Items, truth: Truth | None) -> pd.DataFrame:
    """The truth about the items in their order: row i - 1 for item i.

    Args:
        truth: What `read_truth` gave; None where none is known.

    Returns:
        The columns of the table of items, without rows where no truth is known.
    """
    if truth is None:
        columns = ["domain", "topic", "uninformative", "undescribed", "unpictured"]
        return pd.DataFrame(columns=columns)
    return truth[0].set_index("item_id").loc[list(items.item_id[1:])]


def neighbour_precision(vectors: ArrayLike | csr_matrix, topic: ArrayLike, k: int = 10) -> float:
    """Share of the k nearest other items (by cosine, whole catalogue) that have the same topic.

    Args:
        vectors: [N, F], sparse or not.
        topic: The topic of each item, [N].
        k: How many neighbours.

    Returns:
        Between 0 and 1; the truth itself would score 1.

    Raises:
        ValueError: The two lengths differ, or there are no k other items.
    """
    return float(_alike(vectors, topic, k).mean())


def _alike(vectors: ArrayLike | csr_matrix, topic: ArrayLike, k: int) -> np.ndarray:
    """bool [N, k]: whether each of the nearest items has the topic of its item."""
    from sklearn.metrics.pairwise import cosine_similarity

    matrix = csr_matrix(vectors) if issparse(vectors) else np.asarray(vectors, dtype=np.float64)
    topics = np.asarray(topic)
    if matrix.shape[0] != len(topics) or len(topics) <= k:
        raise ValueError(
            f"{matrix.shape[0]} vectors, {len(topics)} topics, k = {k}: give one topic per vector "
            "and more than k vectors"
        )
    similarity = cosine_similarity(matrix, dense_output=True)
    np.fill_diagonal(similarity, -np.inf)
    nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
    return topics[nearest] == topics[:, None]


def precision_by_kind(
    spaces: Mapping[str, ArrayLike], known: pd.DataFrame, k: int = 10
) -> pd.DataFrame:
    """Neighbour precision of several sets of vectors: of all items, and of each kind of them.

    Args:
        spaces: {name: [N + 1, F]}, as models hold them: row 0 is padding and does not count.
        known: What `item_truth` gave.
        k: How many neighbours.

    Returns:
        A row for each set of vectors; the columns are "all items" and `KINDS`, by the first of an
        uninformative title, no description, no picture that an item has.  No rows, and one printed
        sentence, where no truth is known.
    """
    columns = ["all items", *KINDS]
    if known.empty:
        print("without ground truth there is nothing to grade")
        return pd.DataFrame(columns=columns, dtype=float)
    topic = known["topic"].to_numpy()
    grade = pd.DataFrame(
        {name: _alike(np.asarray(all_)[1:], topic, k).mean(1) for name, all_ in spaces.items()}
    )
    missing = [
        known[name].to_numpy() == 1 for name in ("uninformative", "undescribed", "unpictured")
    ]
    kind = np.select(missing, [KINDS[3], KINDS[1], KINDS[2]], KINDS[0])
    table = grade.groupby(kind).mean().T
    table["all items"] = grade.mean()
    return table.reindex(columns=columns)


def topic_precisions(
    vectors: Mapping[str, ArrayLike | csr_matrix], truth: pd.DataFrame, k: int = 10
) -> dict[str, float]:
    """`neighbour_precision` of several kinds of vectors, between a random choice and the truth.

    Args:
        vectors: {kind: [N, F]}.
        truth: N rows with a column "topic"; no rows where none is known.
        k: How many neighbours.

    Returns:
        {"random": ..., one for each kind, "truth": 1.0}; {} without a truth: a sentence
        says so.

    Raises:
        ValueError: As `neighbour_precision`.
    """
    if truth.empty:
        print("these data have no ground truth, so there is nothing to compare neighbours with")
        return {}
    topic = truth["topic"].to_numpy()
    found = {kind: neighbour_precision(matrix, topic, k) for kind, matrix in vectors.items()}
    return {"random": float((topic[:, None] == topic).mean()), **found, "truth": 1.0}


def bag_of_words(texts: Iterable[str]) -> csr_matrix:
    """TF-IDF rows [N, words], sparse, which know words but no meaning.

    idf = log(N / number of texts with the word).  Texts without a word give no column.
    """
    from sklearn.feature_extraction import DictVectorizer

    words = (Counter(re.findall(r"[a-z0-9']+", text.lower())) for text in texts)
    counts = DictVectorizer().fit_transform(words)
    return csr_matrix(counts.multiply(np.log(counts.shape[0] / counts.getnnz(axis=0))))


def is_cross_domain(sequence: Sequence[str], truth_items: pd.DataFrame) -> bool:
    """Whether the last item has the topic of the one before, in the other domain."""
    if len(sequence) < 2:
        return False
    known = truth_items.set_index("item_id").loc[list(sequence[-2:])]
    return known.domain.nunique() == 2 and known.topic.nunique() == 1
