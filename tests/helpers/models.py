"""Small random items, users and models for the tests of models, training and evaluation."""

import random

import numpy as np
import torch

from tema_lib.data.batches import Batch, training_batches
from tema_lib.data.sequences import Sequences
from tema_lib.data.splits import Split
from tema_lib.encoders.text import TitleTokens
from tema_lib.experiment import Experiment
from tema_lib.models.autocdsr import AutoCDSR, AutoCDSRConfig
from tema_lib.models.base import SequenceRecommender
from tema_lib.models.inputs import MODALITIES, ItemInputs
from tema_lib.models.llm4cdsr import LLM4CDSR, LLM4CDSRConfig
from tema_lib.models.man import MAN, MANConfig
from tema_lib.models.sasrec import SASRec, SASRecConfig
from tema_lib.models.systems import SYSTEMS
from tema_lib.models.tema import Tema, TemaConfig
from tema_lib.tags.profiles import Profiles
from tema_lib.training import TrainConfig, train, training_step

DOMAIN_A, DOMAIN_B = range(1, 13), range(13, 23)  # 12 items in A, 10 in B
DOMAIN = torch.tensor([-1] + [0] * 12 + [1] * 10)
ALL_ITEMS = torch.arange(1, 23)
USERS = [[1, 13, 2, 14, 3, 4, 15, 5], [16, 17, 6, 7, 18, 8], [9, 10, 19], [20, 11]]
LITTLE = TrainConfig(epochs=5, batch_size=8, learning_rate=1e-2)


def inputs(seed=0):
    """Random features of 22 items and 6 tags.

    Items 3 and 15 lack text, 4 and 16 a picture, 5 and 17 have no tag.
    """
    rng = torch.Generator().manual_seed(seed)
    text, image = torch.randn(23, 16, generator=rng), torch.randn(23, 20, generator=rng)

    def lacks(*rows):
        return ~torch.isin(torch.arange(23), torch.tensor([0, *rows]))

    tag_ids = torch.randint(1, 7, (23, 3), generator=rng)
    tag_ids[[0, 5, 17]] = 0
    weights = torch.rand(23, 3, generator=rng) * (tag_ids > 0)
    weights = weights / weights.sum(1, keepdim=True).clamp(min=1e-9)
    vectors = torch.randn(7, 16, generator=rng)
    vectors[0] = 0
    return ItemInputs(DOMAIN, text, lacks(3, 15), image, lacks(4, 16), tag_ids, weights, vectors)


def awake(model, seed=1):
    """Evaluation mode, all parameters jittered: one that is 0 would hide what depends on it."""
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=rng)
    return model.eval()


class SmallInputs:
    """`ModelInputs` of the 22 items; 40 training sequences, all but the third with a profile."""

    domain_of_item, hidden, dropout, options = DOMAIN, 16, 0.3, {}
    modalities = MODALITIES
    profiles = Profiles(
        ("",) * 40,
        torch.randn(40, 16, generator=torch.Generator().manual_seed(3)),
        torch.arange(40) != 2,
    )
    titles = TitleTokens(
        torch.randint(1, 9, (23, 3), generator=torch.Generator().manual_seed(4)).index_fill(
            0, torch.tensor([0]), 0
        ),
        torch.randn(9, 16, generator=torch.Generator().manual_seed(5)),
    )

    def inputs(self, **_):
        return inputs()


# Without what every sequence model has besides its own idea.
PLAIN = {"max_length": 20, "positions": "from the start", "lag_bias": False, "negatives": "all"}
COUNTING = ("popularity", "markov", "co-occurrence")
# The same model with other inputs.
CONTROLS = tuple(name for name in SYSTEMS if name.startswith("tema-"))
MODELS = {
    name: lambda system=system: system.build(SmallInputs())
    for name, system in SYSTEMS.items()
    if name not in COUNTING + CONTROLS
} | {
    "tema, two layers, branches A and merged": lambda: Tema(
        inputs(), TemaConfig(hidden=16, max_length=20, layers=2, branches=("A", "merged"))
    ),
    "tema, learned tag weights": lambda: Tema(
        inputs(), TemaConfig(hidden=16, max_length=20, tag_weighting="learned")
    ),
    "tema, fixed weights of branches, uniform tag weights": lambda: Tema(
        inputs(),
        TemaConfig(hidden=16, max_length=20, across="fixed", tag_weighting="uniform"),
    ),
    "tema, learned tags only": lambda: Tema(
        inputs(),
        TemaConfig(hidden=16, max_length=20, modalities=("id", "tags"), tag_table="learned"),
    ),
    "tema, no late fusion": lambda: Tema(
        inputs(), TemaConfig(hidden=16, max_length=20, late_fusion=False)
    ),
    "sasrec, dot products": lambda: SASRec(
        DOMAIN, SASRecConfig(hidden=16, max_length=20, layers=2, similarity="dot")
    ),
    "sasrec, plain": lambda: SASRec(
        DOMAIN, SASRecConfig(hidden=16, layers=2, domain_heads=False, **PLAIN)
    ),
    "sasrec-per-domain, plain": lambda: SASRec(
        DOMAIN, SASRecConfig(hidden=16, per_domain=True, **PLAIN)
    ),
    "tema, plain": lambda: Tema(
        inputs(), TemaConfig(hidden=16, shared_encoder=False, branch_dropout=0.0, **PLAIN)
    ),
    "llm4cdsr, plain": lambda: LLM4CDSR(
        inputs(),
        SmallInputs.profiles,
        LLM4CDSRConfig(hidden=16, domain_heads=False, **PLAIN),
    ),
    "autocdsr, plain": lambda: AutoCDSR(
        DOMAIN, AutoCDSRConfig(hidden=16, domain_heads=False, **PLAIN)
    ),
    "autocdsr-plus, plain": lambda: AutoCDSR(DOMAIN, AutoCDSRConfig(hidden=16, plus=True, **PLAIN)),
    "man, plain": lambda: MAN(DOMAIN, MANConfig(hidden=16, **PLAIN)),
}
SEQUENCE_MODELS = [name for name, make in MODELS.items() if isinstance(make(), SequenceRecommender)]


def next_item(model, batch):
    """The main term of the loss, with the same draws every time."""
    torch.manual_seed(0)
    return model.loss(batch)["next item"]


def batch_of(*users, target_domain=None):
    """A training batch from lists of ids: every position has the next event as its target."""
    width = max(map(len, users))
    merged = torch.tensor([[*user, *[0] * (width - len(user))] for user in users])
    targets = merged[:, 1:].contiguous()
    domains = DOMAIN[targets] if target_domain is None else torch.full_like(targets, target_domain)
    return Batch(merged[:, :-1] * (targets > 0), targets, domains, torch.arange(len(users)))


def ranking(*users, domain=0):
    """A ranking batch: the whole list is the input, the target is hidden."""
    width = max(1, *map(len, users))
    sequence = torch.tensor([[*user, *[0] * (width - len(user))] for user in users])
    return Batch(sequence, None, torch.full((len(users),), domain), torch.arange(len(users)))


def sequences(users):
    lengths = torch.tensor([0, *map(len, users)])
    return Sequences(
        tuple(f"u{row}" for row in range(len(users))),
        torch.tensor([item for user in users for item in user]),
        lengths.cumsum(0),
    )


def small_split(seed=0):
    rng = np.random.default_rng(seed)
    whole = sequences(
        [rng.permutation(np.arange(1, 23))[: rng.integers(5, 14)].tolist() for _ in range(40)]
    )
    return Split("own", whole.without_last(2), whole.without_last(1), whole)


def trained(seed=0, config=LITTLE, name="tema", split=None, **options):
    torch.manual_seed(seed)
    model = MODELS[name]()
    return model, train(model, split or small_split(), DOMAIN, config, **options)


def fitted(model, sequences, epochs=8):
    """The model after so many epochs on these sequences; validation chooses none of them."""
    model.fit_statistics(sequences)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    order = torch.Generator().manual_seed(0)
    model.train()
    for _ in range(epochs):
        for batch in training_batches(
            sequences, DOMAIN, max_length=20, batch_size=8, generator=order, window=1
        ):
            training_step(model, batch, optimizer)
    return model.eval()


def same_weights(one, other):
    return all(
        torch.equal(a, b)
        for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    )


def small_run(tmp_path, monkeypatch):
    """A run on items without text, pictures or tags, which needs no encoder or language model."""
    monkeypatch.setenv("TEMA_ARTIFACTS", str(tmp_path / "artifacts"))
    folder = tmp_path / "small"
    folder.mkdir()
    items = [(f"{domain}{number}", domain) for domain in "AB" for number in range(12)]
    (folder / "items.tsv").write_text(
        "item_id\tdomain\ttitle\n" + "".join(f"{item}\t{domain}\t\n" for item, domain in items)
    )
    order = random.Random(0)
    (folder / "interactions.tsv").write_text(
        "user_id\titem_id\tdomain\ttimestamp\n"
        + "".join(
            f"u{user}\t{item}\t{domain}\t{1_600_000_000 + position}\n"
            for user in range(20)
            for position, (item, domain) in enumerate(order.sample(items, 8))
        )
    )
    return Experiment(str(folder))
