"""The ledger of unstated choices: every field of a configuration that the paper leaves open.

A row says what is chosen, what others choose, and what the alternatives do, by the records of the
ablations.  A field without a row fails a test.  Status of all: ours, unless the row says stated
(the idea is the paper's) or inferred (from the paper's relatives).
"""

from __future__ import annotations

from dataclasses import dataclass

from tema_lib.models.tema import TemaConfig
from tema_lib.tags.config import TagConfig
from tema_lib.training import TrainConfig

CONFIGS = {"Tags": TagConfig, "Model": TemaConfig, "Training": TrainConfig}


@dataclass(frozen=True)
class Choice:
    """One field.

    Args:
        what: the choice in words.
        variants: names in the plan of ablations that take an alternative.
        why: in place of variants, why there are none.
        status: "stated", "inferred" or "ours".
        elsewhere: what other systems choose, as far as it is known.
    """

    what: str
    variants: tuple[str, ...] = ()
    why: str = ""
    status: str = "ours"
    elsewhere: str = ""


CHOICES: dict[str, dict[str, Choice]] = {
    "Tags": {
        "domain_names": Choice(
            "what a prompt calls the two domains",
            why="named by the data",
            status="stated",
        ),
        "style": Choice(
            "the wording of the prompt",
            why="five styles beside each other in notebook 02, section 10",
            status="inferred",
            elsewhere="key terms, summaries, interests (LLM-EMF); attributes as JSON (URLLM)",
        ),
        "sample": Choice(
            "items of a domain whose tags make the draft",
            why="the synthetic data have fewer items",
        ),
        "title_limit": Choice(
            "characters of title and description in a prompt",
            why="no text of the synthetic data is longer",
        ),
        "support": Choice(
            "least cosine of an item's own tag to its text", ("small, invented tags kept",)
        ),
        "rounds": Choice(
            "rounds of self-refinement",
            ("small, list not refined", "small, one round", "small, two rounds"),
            status="stated",
        ),
        "size": Choice(
            "most tags on the list",
            ("small, 50 tags", "small, 200 tags", "small, 1,000 tags"),
        ),
        "merge": Choice(
            "cosine from which two tags are one",
            ("small, no merging", "small, merging from .7"),
        ),
        "min_items": Choice("fewest items of a tag", ("small, 1,000 tags",)),
        "max_share": Choice(
            "largest share of the items with one tag",
            ("small, tags on up to half of the items",),
        ),
        "generality": Choice("log-odds from which a tag is too broad", ("small, broad tags kept",)),
        "tags_per_item": Choice(
            "most tags of an item",
            ("small, three tags an item", "small, eight tags an item"),
            elsewhere="three in URLLM's example",
        ),
        "map_to_nearest": Choice(
            "cosine from which a tag outside the list becomes its nearest on the list",
            ("small, only what the model said",),
        ),
        "assign": Choice(
            "cosine from which an item is given a tag it did not name",
            ("small, only what the model said",),
        ),
        "assign_first": Choice(
            "the same for its three nearest tags", ("small, only what the model said",)
        ),
        "weight": Choice(
            "how the tags of an item are weighed",
            ("small, weights by idf", "small, uniform weights"),
            status="stated",
        ),
        "temperature": Choice("temperature of the weights", ("small, weights of temperature 1",)),
    },
    "Model": {
        "hidden": Choice(
            "width of vectors and states",
            ("width 128",),
            elsewhere="256 (C2DSR)",
        ),
        "heads": Choice(
            "heads of attention",
            ("one head", "four heads"),
            elsewhere="1 (C2DSR); 4 (a public implementation of LLM-EMF)",
        ),
        "layers": Choice("layers of an encoder", ("two layers",), elsewhere="2 (C2DSR)"),
        "max_length": Choice(
            "newest events of a history that are read",
            ("15 events of a history",),
            elsewhere="15 (C2DSR), 200 (LLM4CDSR)",
        ),
        "dropout": Choice("dropout rate", ("dropout .3",), elsewhere=".2 (C2DSR), .5 (ABXI)"),
        "positions": Choice("where positions begin", ("positions from the start",)),
        "lag_bias": Choice("a bias of attention for each lag", ("no lag bias",)),
        "negatives": Choice(
            "items that a target competes with in training", ("all items as negatives",)
        ),
        "modalities": Choice(
            "what an item is made of",
            (
                "without tags",
                "without text",
                "without pictures",
                "without ids",
                "ids and tags alone",
                "ids alone",
            ),
            status="stated",
        ),
        "branches": Choice(
            "sequences that are attended to",
            ("merged sequence alone", "sequences of A and B alone"),
            status="inferred",
        ),
        "shared_encoder": Choice(
            "one encoder for all sequences", ("an encoder for each sequence",)
        ),
        "branch_dropout": Choice(
            "how often a sequence is left out in training",
            ("no sequence left out in training",),
        ),
        "late_fusion": Choice(
            "scores averaged with those of a SASRec of the ids",
            ("no late fusion",),
            elsewhere="similarities of id and picture are summed (IFCDSR)",
        ),
        "temperature": Choice(
            "temperature of the cosines",
            ("temperature .05", "temperature .2"),
            elsewhere="learned (a public implementation of LLM-EMF)",
        ),
        "loss": Choice(
            "the loss",
            ("softmax over both domains", "sampled softmax", "binary cross-entropy"),
            elsewhere="softmax over both domains (a public implementation of LLM-EMF)",
        ),
        "feature_width": Choice(
            "components that frozen vectors are reduced to",
            ("frozen features of 64 components",),
        ),
        "tag_table": Choice(
            "vectors of tags: the text encoder's, learned ones, or both",
            ("tag vectors frozen", "tag vectors learned alone"),
            status="inferred",
        ),
        "tag_weighting": Choice(
            "weights of tags: given, learned or uniform",
            ("uniform tag weights", "learned tag weights"),
            status="stated",
        ),
        "across": Choice(
            "weights of the sequences: attention, or fixed",
            ("fixed weights of the sequences",),
            status="stated",
            elsewhere="1, .3 and .1 (a public implementation of LLM-EMF)",
        ),
    },
    "Training": {
        "epochs": Choice("most epochs", ("20 epochs",), elsewhere="100 (C2DSR)"),
        "learning_rate": Choice(
            "learning rate", ("learning rate .001",), elsewhere=".001 (C2DSR), .0001 (ABXI)"
        ),
        "weight_decay": Choice("weight decay", ("weight decay .1",)),
        "batch_size": Choice("users of a batch", ("256 users a batch",), elsewhere="256 (C2DSR)"),
        "warm_up": Choice("share of steps with a growing learning rate", ("no warm-up",)),
        "patience": Choice("epochs without a better validation MRR", ("patience of one epoch",)),
        "clip": Choice("largest norm of a gradient", ("gradients not clipped",)),
        "window": Choice(
            "batches whose sequences are sorted by length together",
            ("batches not sorted by length",),
        ),
        "precision": Choice(
            "number format", why="float32 on a processor, and bfloat16 is for a GPU"
        ),
        "seed": Choice("of weights and batches", why="every row has several"),
    },
}
