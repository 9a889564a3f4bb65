"""The synthetic data set is the same again from its seed, and only meaning shows its topics."""

import itertools
import re
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tema_lib.datasets.synthetic.config import SyntheticConfig
from tema_lib.datasets.synthetic.generator import write_dataset
from tema_lib.datasets.synthetic.items import TOPICS
from tema_lib.datasets.synthetic.truth import (
    bag_of_words,
    is_cross_domain,
    neighbour_precision,
    read_truth,
)
from tema_lib.encoders.text import encode_text

FOLDER = Path(__file__).resolve().parents[3] / "data" / "synthetic"


def words(text):
    return re.findall(r"[a-z0-9']+", text.lower())


@pytest.fixture(scope="module")
def items():
    return pd.read_csv(FOLDER / "items.tsv", sep="\t", quoting=3, keep_default_na=False)


@pytest.fixture(scope="module")
def truth():
    return read_truth(FOLDER)[0]


@pytest.fixture(scope="module")
def texts(items):
    return [f"{title}. {description}" for title, description in zip(items.title, items.description)]


@pytest.fixture(scope="module")
def sequences():
    events = pd.read_csv(FOLDER / "interactions.tsv", sep="\t", quoting=3)
    gaps = events.groupby("user_id").timestamp.diff().dropna()
    assert events.user_id.is_monotonic_increasing
    assert (gaps > 0).all()
    return list(events.groupby("user_id").item_id.apply(list))


def test_the_same_seed_gives_the_same_data(tmp_path):
    write_dataset(tmp_path, seed=0)
    replies = {Path("replies.jsonl"), Path("profile_replies.jsonl.gz")}  # of a language model
    names = {path.relative_to(FOLDER) for path in FOLDER.rglob("*") if path.is_file()} - replies
    assert names == {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()}
    for name in names:
        if name.suffix == ".png":
            with Image.open(FOLDER / name) as stored, Image.open(tmp_path / name) as made:
                assert stored.convert("RGB").tobytes() == made.convert("RGB").tobytes(), name
        else:
            assert (FOLDER / name).read_bytes() == (tmp_path / name).read_bytes(), name


def test_it_is_small_and_called_synthetic(items):
    assert sum(path.stat().st_size for path in FOLDER.glob("pictures/*")) < 1_500_000
    assert len(items) <= 640
    assert "Synthetic" in (FOLDER / "README.md").read_text()


def test_no_run_of_five_words_repeats(texts):
    runs = Counter(
        run
        for text in texts
        for run in {tuple(words(text)[k : k + 5]) for k in range(len(words(text)) - 4)}
    )
    assert max(runs.values()) <= 0.02 * len(texts), runs.most_common(3)


def test_gaps_have_their_shares_and_every_item_can_be_understood(items, truth):
    config = SyntheticConfig()
    for domain in "AB":
        part, known = items[items.domain == domain], truth[truth.domain == domain]
        assert known.uninformative.mean() == pytest.approx(config.uninformative)
        assert known.undescribed.mean() == pytest.approx(config.undescribed)
        assert known.unpictured.mean() == pytest.approx(config.unpictured)
        assert (part.image == "").mean() == pytest.approx(config.unpictured)
        assert (part.description == "").mean() == pytest.approx(
            config.uninformative + config.undescribed
        )
    assert (items.title != "").all()
    assert (truth[["uninformative", "undescribed", "unpictured"]].sum(axis=1) <= 1).all()
    assert all((FOLDER / image).is_file() for image in items.image if image)


def test_uninformative_titles_say_nothing(items, truth):
    telling = {
        word
        for o in TOPICS
        for d in "AB"
        for text in (*o.related[d], *(p for k in o.kinds[d] for p in k.phrases))
        for word in words(text)
    }
    domain_words = set(words(" ".join(truth.modifier) + " " + " ".join(truth["size"])))
    said = {
        word
        for title in items.title[truth.uninformative == 1]
        for word in words(title)
        if word.isalpha() and len(word) > 2
    }
    assert said
    assert not said & (telling - domain_words - {"the"})


def test_a_topic_is_never_named(texts, truth):
    assert not [text for text, topic in zip(texts, truth.topic) if topic.lower() in text.lower()]


def test_no_single_word_reveals_a_topic(texts, truth):
    members = defaultdict(set)
    for row, text in enumerate(texts):
        for word in words(text):
            members[word].add(row)
    sizes, topic = truth.topic.value_counts(), truth.topic.to_numpy(str)
    for word, rows in members.items():
        for name, hits in Counter(topic[sorted(rows)]).items():
            # A word that points at a topic must be in few of its items.
            if hits / len(rows) > 0.3:
                assert hits / sizes[name] < 0.3, (word, name)


def test_ids_say_nothing(truth):
    for _, part in truth.groupby("domain"):
        topic = part.sort_values("item_id").topic.to_numpy(str)
        random = np.random.default_rng(0)

        def leak(order):
            return np.mean([(order[step:] == order[:-step]).mean() for step in (1, 2, 3, 16)])

        chance = [leak(random.permutation(topic)) for _ in range(500)]
        # Neighbours in id share a topic as often as by chance.
        assert leak(topic) < np.quantile(chance, 0.995)


def test_meaning_beats_shared_words_and_falls_short_of_the_truth(texts, truth):
    telling = np.flatnonzero(truth.uninformative == 0)
    texts, topic = [texts[row] for row in telling], truth.topic.to_numpy(str)[telling]
    meaning = neighbour_precision(
        encode_text(["", *texts], progress=False).matrix[1:].numpy(), topic
    )
    shared_words = neighbour_precision(bag_of_words(texts), topic)
    chance = np.mean([(topic == name).mean() for name in topic])
    assert chance < shared_words <= 0.7 * meaning
    assert 0.35 < meaning < 0.9
    truth_itself = np.eye(len(TOPICS))[np.unique(topic, return_inverse=True)[1]]
    assert neighbour_precision(truth_itself, topic) == 1.0


def test_rare_words_weigh_more_than_common_ones():
    both, rare = np.log(1.5), np.log(3)
    weights = bag_of_words(["Tea pot, tea", "tea cup", "--"]).toarray()
    assert np.allclose(weights, [[0, rare, 2 * both], [rare, 0, both], [0, 0, 0]])
    assert bag_of_words(["", "--"]).shape == (2, 0)  # own data may have no title at all


def test_long_tail_items_have_their_share(items, sequences):
    seen = Counter(item for sequence in sequences for item in sequence[:-2])
    rare = {item for item in items.item_id if seen[item] <= 2}
    assert len(rare) >= 0.20 * len(items)
    assert np.mean([sequence[-1] in rare for sequence in sequences]) >= 0.10


def test_knowing_the_topic_pays_in_cross_domain_transitions(truth, sequences):
    known = truth.set_index("item_id")
    topic, domain = known.topic.to_dict(), known.domain.to_dict()
    cross_domain = [
        s for s in sequences if domain[s[-1]] != domain[s[-2]] and topic[s[-1]] == topic[s[-2]]
    ]
    assert len(cross_domain) >= 0.25 * len(sequences)
    assert len(sequences) >= 1_000
    assert all(is_cross_domain(s, truth) for s in cross_domain[:20])
    assert not is_cross_domain(cross_domain[0][:1], truth)
    seen, after = Counter(), defaultdict(Counter)
    for s in sequences:
        seen.update(s[:-2])
        for first, second in itertools.pairwise(s[:-2]):
            after[first][second] += 1

    def hit_rate(score):
        hits = []
        for s in cross_domain:
            scores = {
                item: score(s[-2], item) + 1e-4 * seen[item]
                for item in domain
                if domain[item] == domain[s[-1]]
            }
            hits.append(sum(value > scores[s[-1]] for value in scores.values()) < 10)
        return np.mean(hits)

    oracle = hit_rate(lambda last, item: topic[last] == topic[item])
    together = hit_rate(lambda last, item: after[last][item])
    popular = hit_rate(lambda last, item: 0)
    assert oracle > together + 0.15 > popular + 0.15
