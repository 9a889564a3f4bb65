"""From items to tags in four steps, each a function with a typed result: draft, refine, assign, weigh.

Status: LLM tags from titles and descriptions under domain-aware prompts, self-refined lists and weighted fusion are stated
in the paper; how a list is refined, how tags are assigned and what the weights are is inferred or ours, so each is a field
of `TagConfig`.
"""

from tema_lib.llm.store import ReplyStore
from tema_lib.tags.assign import assign
from tema_lib.tags.catalogue import Catalogue
from tema_lib.tags.config import TagConfig
from tema_lib.tags.draft import draft, sample
from tema_lib.tags.item_tags import ItemTags
from tema_lib.tags.refine import refine


def write_tags(
    catalogue: Catalogue, llm, store: ReplyStore, config: TagConfig = TagConfig()
) -> ItemTags:
    """Tags for all items: draft, refine, assign, and weigh at the end of assign. An item without any text gets no tags.

    llm: a `LocalModel` or a `ServerModel`; store: where its replies are kept.
    """
    proposals = draft(catalogue, sample(catalogue.items, config), llm, store, config)
    refinement = refine(catalogue, proposals, llm, store, config)
    return assign(catalogue, refinement, llm, store, config)
