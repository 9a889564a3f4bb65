"""From items to tags in four steps, each a function with a typed result.

Draft asks about a sample of the items; refine makes one list of what was proposed; assign asks
about every item and gives it tags of that list; weigh, at the end of assign, says how much each
counts.

Status: LLM tags from titles and descriptions under domain-aware prompts, self-refined lists and
weighted fusion are stated in the paper; how a list is refined, how tags are assigned and what the
weights are is inferred or ours, so each is a field of `TagConfig`.
"""

from tema_lib.llm.client import LanguageModel
from tema_lib.llm.store import ReplyStore
from tema_lib.tags.assign import assign
from tema_lib.tags.catalogue import Catalogue
from tema_lib.tags.config import DEFAULT_TAGS, TagConfig
from tema_lib.tags.draft import draft, sample
from tema_lib.tags.item_tags import ItemTags
from tema_lib.tags.refine import refine


def write_tags(
    catalogue: Catalogue, llm: LanguageModel, store: ReplyStore, config: TagConfig = DEFAULT_TAGS
) -> ItemTags:
    """Tags for all items; an item without any text gets none.

    Args:
        catalogue: the items and the vectors of their texts.
        llm: the model that is asked.
        store: where its replies are kept; what it holds already is not asked again.
        config: the choices that the paper leaves open.

    Raises:
        OSError: the store cannot be written, or the model's server gave up. What was answered until
            then is kept.
    """
    proposals = draft(catalogue, sample(catalogue.items, config), llm, store, config)
    refinement = refine(catalogue, proposals, llm, store, config)
    return assign(catalogue, refinement, llm, store, config)
