"""tema_lib.tags.config"""

from dataclasses import dataclass

from tema_lib.data.dataset import UNNAMED
from tema_lib.tags.prompts import STYLES


@dataclass(frozen=True)
class TagConfig:
    """Every choice the paper leaves open; the comment says where ours comes from."""

    domain_names: tuple[str, str] = (
        UNNAMED  # how the prompt calls domains A and B; the data set knows (`RawData.domains`)
    )
    style: str = "mixed"  # ours: what the tags speak of, the best of five in notebook 02
    sample: int = 1000  # ours: items of each domain whose tags make the draft
    title_limit: int = 300  # ours: characters of title and of description that reach the prompt
    support: float = (
        0.2  # ours: an own tag below this cosine to the item's text is dropped as invented
    )
    rounds: int = 3  # inferred: R in 1 to 3, or until the list is stable
    merge: float = (
        0.8  # ours: tags at least this alike are one tag, opposites excepted; above 1 = never
    )
    min_items: int = 2  # ours: a tag of one item joins nothing
    max_share: float = 0.15  # ours: a tag on more of the items tells nothing apart
    generality: float = 0.0  # ours: a tag is too broad above this log-odds; 0 = midway between known broad and known narrow tags
    tags_per_item: int = 5  # ours: K is unknown; alternatives 3, 8
    map_to_nearest: float = (
        0.6  # ours: cosine from which an own tag outside the list becomes the nearest one on it
    )
    assign: float = (
        0.4  # ours: cosine from which a tag of the list is given to an item that has room
    )
    assign_first: float = (
        0.3  # ours: the same for the three nearest tags, so that few items stay bare
    )
    weight: str = "relevance"  # inferred: softmax of cosine(text, tag); alternatives "idf", "uniform"; learned ones: `ItemRepresentation`
    temperature: float = 0.1  # ours: of that softmax

    def __post_init__(self):
        if self.weight not in ("relevance", "idf", "uniform"):
            raise ValueError(
                f'weight "{self.weight}" is unknown; choose "relevance", "idf" or "uniform".'
            )
        if self.tags_per_item < 1 or self.temperature <= 0 or self.map_to_nearest <= 0:
            raise ValueError("tags_per_item must be at least 1, temperature and snap above 0.")
        if self.style not in STYLES:
            raise ValueError(f'form "{self.style}" is unknown; choose one of {", ".join(STYLES)}.')
