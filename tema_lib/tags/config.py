"""The choices that the paper leaves open when tags are written, and their defaults."""

from dataclasses import dataclass

from tema_lib.data.dataset import UNNAMED
from tema_lib.tags.prompts import STYLES

WEIGHTS = ("relevance", "idf", "uniform")


@dataclass(frozen=True)
class TagConfig:
    """Every choice the paper leaves open; the comment says where ours comes from."""

    # What the prompt calls domains A and B; the data set knows (`RawData.domains`).
    domain_names: tuple[str, str] = UNNAMED
    # Ours: what the tags are about, the best of five in notebook 02.
    style: str = "mixed"
    # Ours: items of each domain whose tags make the draft.
    sample: int = 1000
    # Ours: characters of title and of description that reach the prompt.
    title_limit: int = 300
    # Ours: an own tag below this cosine to the item's text is dropped as invented.
    support: float = 0.2
    # Inferred: R in 1 to 3, or until the list is stable; 0: the list stays as it was proposed.
    rounds: int = 3
    # Ours: the list keeps so many tags at most, the most frequent ones; 0 = all.
    size: int = 0
    # Ours: tags at least this similar are one tag, opposites excepted; above 1 = never.
    merge: float = 0.8
    # Ours: a tag of one item links nothing.
    min_items: int = 2
    # Ours: a tag on a larger share of the items separates nothing.
    max_share: float = 0.15
    # Ours: a tag is too broad above this log-odds; 0 = midway between known broad and known narrow.
    generality: float = 0.0
    # Ours: K is unknown; alternatives 3, 8.
    tags_per_item: int = 5
    # Ours: from this cosine on, an own tag outside the list becomes the nearest one on it.
    map_to_nearest: float = 0.6
    # Ours: from this cosine on, a tag of the list is given to an item with fewer than K tags.
    assign: float = 0.4
    # Ours: the same for the three nearest tags, so that few items stay without any.
    assign_first: float = 0.3
    # Inferred: softmax of cosine(text, tag); alternatives "idf", "uniform". Learned weights are a
    # choice of the model (`ItemRepresentation`).
    weight: str = "relevance"
    # Ours: the temperature of that softmax.
    temperature: float = 0.1

    def __post_init__(self) -> None:
        if self.weight not in WEIGHTS:
            raise ValueError(
                f'weight "{self.weight}" is unknown; choose "relevance", "idf" or "uniform".'
            )
        if self.tags_per_item < 1 or self.temperature <= 0 or self.map_to_nearest <= 0:
            raise ValueError(
                "tags_per_item must be at least 1, temperature and map_to_nearest above 0."
            )
        if self.rounds < 0 or self.size < 0:
            raise ValueError("rounds and size must be 0 or more.")
        if self.style not in STYLES:
            raise ValueError(f'style "{self.style}" is unknown; choose one of {", ".join(STYLES)}.')


DEFAULT_TAGS = TagConfig()
