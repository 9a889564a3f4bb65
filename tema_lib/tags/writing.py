"""From items to tags in four steps, each a function with a typed result: draft, refine, assign, weigh.

Status: LLM tags from titles and descriptions under domain-aware prompts, self-refined lists and weighted fusion are stated
in the paper; how a list is refined, how tags are assigned and what the weights are is inferred or ours, so each is a field
of `TagConfig`.
"""

import json
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm.auto import tqdm

from tema_lib.data.interactions import UNNAMED
from tema_lib.tags import NEAREST, OWN, SNAPPED, ItemTags
from tema_lib.tags.prompts import FORMS, clean, is_measure, parse_tags, shot_tags, write_prompt
from tema_lib.tags.refinement import ANYTHING, ONE, Change, Refinement, Round, breadth, settle
from tema_lib.tags.store import Reply, ReplyStore, reply_key

Encoder = Callable[[list[str]], Tensor]  # texts -> unit vectors [len, F]


@dataclass(frozen=True)
class TagConfig:
    """Every choice the paper leaves open; the comment says where ours comes from."""

    domain_names: tuple[str, str] = (
        UNNAMED  # how the prompt calls domains A and B; the data set knows (`RawData.domains`)
    )
    form: str = "mixed"  # ours: what the tags speak of, the best of five in notebook 02
    sample: int = 1000  # ours: items of each shop whose tags make the draft
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
    breadth: float = 0.0  # ours: a tag is too broad above this log-odds; 0 = midway between known broad and known narrow tags
    tags_per_item: int = 5  # ours: K is unknown; alternatives 3, 8
    snap: float = (
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
        if self.tags_per_item < 1 or self.temperature <= 0 or self.snap <= 0:
            raise ValueError("tags_per_item must be at least 1, temperature and snap above 0.")
        if self.form not in FORMS:
            raise ValueError(f'form "{self.form}" is unknown; choose one of {", ".join(FORMS)}.')


class Catalogue:
    """What the steps know of the items: `Items`, the vectors of their texts (row = global id), and the encoder, which remembers tags."""

    def __init__(self, items, text_vectors, encode: Encoder):
        self.items, self.text_vectors, self._encode = items, text_vectors, encode
        self.vector_of: dict[str, Tensor] = {}

    def learn(self, tags) -> None:
        """Encode the tags not yet in `vector_of` (tag -> unit vector [F])."""
        new = sorted(set(tags) - set(self.vector_of))
        if new:
            self.vector_of |= dict(zip(new, self._encode(new)))

    def cosine(self, item: int, tag: str) -> float:
        return float(self.text_vectors.matrix[item] @ self.vector_of[tag])


def write_tags(
    catalogue: Catalogue, llm, store: ReplyStore, config: TagConfig = TagConfig()
) -> ItemTags:
    """Tags for all items: draft, refine, assign, and weigh at the end of assign. An item without any text gets no tags.

    llm: a `LocalModel` or a `ServerModel`; store: where its replies are kept.
    """
    proposals = draft(catalogue, sample(catalogue.items, config), llm, store, config)
    refinement = refine(catalogue, proposals, llm, store, config)
    return assign(catalogue, refinement, llm, store, config)


# ---------------------------------------------------------------------------------------------- asking


def prompt_for(items, item: int, config: TagConfig = TagConfig(), attempt: int = 1) -> str:
    """The prompt for one item (global id); its domain chooses shop and examples."""
    shop = config.domain_names[items.domain_of_item[item]]
    return write_prompt(
        items.title[item],
        items.description[item],
        shop,
        config.form,
        attempt,
        config.title_limit,
        config.domain_names,
    )


def ask(
    prompts: Sequence[str],
    llm,
    store: ReplyStore,
    progress: str = "tags",
    choices: tuple[str, str] | None = None,
    usable: Callable[[str], object] = bool,
) -> list[str]:
    """The replies to `prompts`: from the store, else from the model, whose every batch enters the store at once.

    So a stopped run goes on where it was, and the same prompt is never asked twice. Prompts are asked in groups that
    begin alike (same shop, same examples), because the model reads a common beginning only once.
    choices: two words; the reply is then the log-odds of the first against the second, as text.

    A server may be set right under the same name and address (`llm.may_change`): of its replies only those that are `usable`
    stay, the others are asked anew by the next run. What it refused, the store notes; the reply is "" then, and the question
    is not put again. Raises OSError where replies are missing and the store cannot be written.
    """
    may_change = getattr(llm, "may_change", False)
    if may_change and (wanted := store.refusal(reply_key(llm.fingerprint, "", llm.settings))):
        llm.request = json.loads(wanted)  # it refused these fields once, and took those
    before, settings = llm.settings, _settings(llm, choices)
    key_of = {prompt: reply_key(llm.fingerprint, prompt, settings) for prompt in prompts}
    replies = {
        prompt: reply
        for prompt, key in key_of.items()
        if (reply := store.get(key)) is not None and (usable(reply) or not may_change)
    }
    if may_change:
        replies |= {
            prompt: ""
            for prompt, key in key_of.items()
            if prompt not in replies and store.refusal(key) is not None
        }
    missing = [prompt for prompt in key_of if prompt not in replies]
    store.must_be_writable(len(missing))
    groups: dict[str, list[str]] = {}
    for prompt in missing:
        groups.setdefault(prompt.rpartition("\n\n")[0], []).append(prompt)
    with tqdm(total=len(missing), desc=progress, unit="item", disable=not missing) as bar:
        for group in groups.values():
            for places, texts in (
                llm.generate_batches(group)
                if choices is None
                else llm.choose_batches(group, *choices)
            ):
                said = dict(zip((group[place] for place in places), texts))
                now = _settings(llm, choices)
                store.put(
                    [
                        Reply(llm.name, llm.fingerprint, prompt, now, text)
                        for prompt, text in said.items()
                        if text is not None and (usable(text) or not may_change)
                    ],
                    replace=may_change,
                )
                if refused := {
                    reply_key(llm.fingerprint, prompt, now): llm.refused[prompt]
                    for prompt, text in said.items()
                    if text is None
                }:
                    store.refuse(llm.fingerprint, refused)
                if (
                    now != settings
                ):  # the server wanted other fields: what it once said to these counts
                    store.refuse(
                        llm.fingerprint,
                        {reply_key(llm.fingerprint, "", before): json.dumps(llm.request)},
                    )
                    return ask(prompts, llm, store, progress, choices, usable)
                replies |= {prompt: text or "" for prompt, text in said.items()}
                bar.update(len(said))
    return [replies[prompt] for prompt in prompts]


def _settings(llm, choices: tuple[str, str] | None) -> str:
    """The settings as they stand in a reply's key."""
    return (
        llm.settings
        if choices is None
        else json.dumps({"choices": choices, **json.loads(llm.settings)}, sort_keys=True)
    )


def refused_items(items, llm, store: ReplyStore, config: TagConfig = TagConfig()) -> dict[int, str]:
    """The items (global ids) whose question the server refused, in either wording, and why."""
    found = {}
    for item in range(1, len(items.title)):
        keys = [
            reply_key(llm.fingerprint, prompt_for(items, item, config, attempt), llm.settings)
            for attempt in (1, 2)
        ]
        reasons = [reason for key in keys if (reason := store.refusal(key)) is not None]
        if reasons and has_text(items, item):
            found[item] = reasons[0]
    return found


# ---------------------------------------------------------------------------------------------- 1 draft


@dataclass
class Draft:
    """What the model proposed for the items asked so far (keys: global ids)."""

    replies: dict[int, tuple[str, ...]]  # raw replies: to the first wording, then to the second
    proposed: dict[int, tuple[str, ...]]  # tags that passed the check, in the order of the reply
    refused: dict[int, tuple[tuple[str, str], ...]]  # (tag, reason) of those that did not


def sample(items, config: TagConfig) -> list[int]:
    """The items whose tags make the draft: at most `config.sample` of each shop, drawn once, always the same."""
    draw, chosen = random.Random(0), []
    for domain in (0, 1):
        own = [
            item
            for item in range(1, len(items.title))
            if items.domain_of_item[item] == domain and has_text(items, item)
        ]
        chosen += draw.sample(own, min(config.sample, len(own)))
    return sorted(chosen)


def has_text(items, item: int) -> bool:
    return bool(clean(items.title[item]) or clean(items.description[item]))


def draft(
    catalogue: Catalogue,
    chosen: Sequence[int],
    llm,
    store: ReplyStore,
    config: TagConfig = TagConfig(),
    so_far: Draft | None = None,
) -> Draft:
    """Ask about the chosen items and check the replies. A reply that is no list is asked for once more, in other words.

    so_far: a draft to add to. Chosen items that it knows already are asked in the second wording.
    """
    result = so_far or Draft({}, {}, {})
    known = set(result.replies)
    _ask_and_check(
        catalogue, [item for item in chosen if item not in known], 1, llm, store, config, result
    )

    def no_list(item):
        return not result.proposed[item] and not result.refused[item]

    again = [
        item
        for item in chosen
        if len(result.replies[item]) == 1 and (item in known or no_list(item))
    ]
    _ask_and_check(catalogue, again, 2, llm, store, config, result)
    return result


def _ask_and_check(
    catalogue: Catalogue,
    chosen: Sequence[int],
    attempt: int,
    llm,
    store: ReplyStore,
    config: TagConfig,
    result: Draft,
) -> None:
    prompts = [prompt_for(catalogue.items, item, config, attempt) for item in chosen]
    replies = ask(
        prompts, llm, store, "tags" if attempt == 1 else "tags, second wording", usable=parse_tags
    )
    tags = [parse_tags(reply) or () for reply in replies]
    catalogue.learn(tag for row in tags for tag in row)
    for item, reply, row in zip(chosen, replies, tags):
        reasons = [(tag, refusal(catalogue, item, tag, config)) for tag in row]
        result.replies[item] = (*result.replies.get(item, ()), reply)
        result.proposed[item] = tuple(
            dict.fromkeys(
                (*result.proposed.get(item, ()), *(tag for tag, reason in reasons if not reason))
            )
        )
        result.refused[item] = (
            *result.refused.get(item, ()),
            *((tag, reason) for tag, reason in reasons if reason),
        )


def says(text: str, tag: str) -> bool:
    """True when the words of `tag` stand in `text`, as words and in this order."""
    return re.search(rf"(?<!\w){re.escape(tag)}(?!\w)", text.lower()) is not None


def refusal(catalogue: Catalogue, item: int, tag: str, config: TagConfig) -> str:
    """Why a tag of the reply is not taken ("" = it is): a measure, a copy of an example, or nothing the item's text supports."""
    if is_measure(tag):
        return "a measure"
    if says(catalogue.items.text(item), tag):
        return ""
    if tag in shot_tags(config.domain_names[catalogue.items.domain_of_item[item]], config.form):
        return "copied from an example"
    return "" if catalogue.cosine(item, tag) >= config.support else "not supported by the text"


# ---------------------------------------------------------------------------------------------- 2 refine


def refine(
    catalogue: Catalogue, proposals: Draft, llm, store: ReplyStore, config: TagConfig = TagConfig()
) -> Refinement:
    """The list that both shops share. `proposals` grows by what the rounds ask for."""

    def judged(replies):
        return [float(reply or 0) for reply in replies]  # no answer: neither broad nor narrow

    def broad(tags):
        return breadth(
            tags,
            lambda prompts: judged(
                ask(prompts, llm, store, "how broad", (ANYTHING, ONE), usable=float)
            ),
        )

    rounds: list[Round] = []
    while True:
        kept, leader_of, fate = settle(
            proposals.proposed,
            catalogue.vector_of,
            broad,
            threshold=config.merge,
            min_items=config.min_items,
            max_share=config.max_share,
            breadth_limit=config.breadth,
        )
        before = rounds[-1].tags if rounds else ()
        added = [
            Change(tag, "added", "named by items that the list left out")
            for tag in kept
            if rounds and tag not in before
        ]
        known = {change.tag for round in rounds for change in round.changes}
        rounds.append(
            Round(
                tuple(kept),
                (
                    *added,
                    *(change for tag, change in fate.items() if tag in before or tag not in known),
                ),
            )
        )
        left_out = [
            item
            for item in proposals.proposed
            if len(proposals.replies[item]) == 1
            and not any(leader_of[tag] in kept for tag in proposals.proposed[item])
        ]
        if len(rounds) == config.rounds or set(kept) == set(before) or not left_out:
            vectors = (
                torch.stack([catalogue.vector_of[tag] for tag in kept])
                if kept
                else catalogue.text_vectors.matrix[:0]
            )
            return Refinement(tuple(kept), vectors, leader_of, tuple(rounds))
        draft(catalogue, left_out, llm, store, config, proposals)


# ---------------------------------------------------------------------------------------------- 3 assign


def assign(
    catalogue: Catalogue,
    refinement: Refinement,
    llm,
    store: ReplyStore,
    config: TagConfig = TagConfig(),
) -> ItemTags:
    """At most K tags of the list for every item, weighed (`weigh`): its own first, then near ones.

    Every item with a text is asked; what its reply names outside the list is snapped to the tag of the list that means
    the same, or dropped. An item left without an own tag is asked in the second wording. Free places go to tags of the
    list near to the text; a place stays empty rather than hold an invented tag. A tag that would come to more than
    `max_share` of the items leaves the list, and the places it held are given anew.
    """
    items, rows = catalogue.items, len(catalogue.items.title)
    replies = draft(
        catalogue, [item for item in range(1, rows) if has_text(items, item)], llm, store, config
    )
    listed = _Listed(catalogue, refinement, config)
    bare = [
        item
        for item in replies.proposed
        if len(replies.replies[item]) == 1 and not listed.own(replies.proposed[item])
    ]
    replies = draft(catalogue, bare, llm, store, config, replies)
    while True:
        table = [listed.tags_for(item, replies.proposed.get(item, ())) for item in range(rows)]
        counts = torch.bincount(
            torch.tensor([tag for row in table for tag, _ in row], dtype=torch.long),
            minlength=len(listed.tags) + 1,
        )
        common = (
            (counts > max(config.max_share * (rows - 1), config.min_items)).nonzero()[:, 0].tolist()
        )
        if not common:
            break
        listed.drop(common)
    order = (-counts[1:]).argsort(stable=True) + 1  # frequent tags first; tags of no item go
    order = order[counts[order] > 0].tolist()
    number = {tag: place for place, tag in enumerate(order, start=1)}
    tag_ids = torch.zeros(rows, config.tags_per_item, dtype=torch.long)
    source = torch.zeros(rows, config.tags_per_item, dtype=torch.int8)
    for item, row in enumerate(table):
        for place, (tag, origin) in enumerate(row):
            tag_ids[item, place], source[item, place] = number[tag], origin
    vectors = torch.cat(
        [torch.zeros(1, listed.vectors.shape[1]), listed.vectors[[tag - 1 for tag in order]]]
    )
    weights = weigh(tag_ids, vectors, catalogue.text_vectors, config)
    return ItemTags(
        ("", *(listed.tags[tag - 1] for tag in order)),
        tag_ids,
        weights,
        source,
        vectors,
        torch.as_tensor(items.domain_of_item).clone(),
        tuple(replies.replies.get(item, ()) for item in range(rows)),
        llm.name,
        llm.fingerprint,
    )


def nearest_tags(text_vectors, item: int, vectors: Tensor, config: TagConfig) -> list[int]:
    """The places 1..G of the tags near to an item's text, nearest first; vectors [G, F]. None for an item without a text.

    Near is a cosine of at least `assign`; the nearest three may be as far as `assign_first`, so that few items stay bare.
    """
    if not text_vectors.present[item] or not len(vectors):
        return []
    cosines, order = (vectors @ text_vectors.matrix[item]).sort(descending=True, stable=True)
    near = (cosines >= config.assign) | (cosines >= config.assign_first) & (
        torch.arange(len(cosines)) < 3
    )
    return (order[near] + 1).tolist()


class _Listed:
    """The list, asked for the places 1..G of tags; a dropped tag keeps its place and is never given."""

    def __init__(self, catalogue: Catalogue, refinement: Refinement, config: TagConfig):
        self.catalogue, self.leader_of, self.config = catalogue, refinement.leader_of, config
        self.tags, self.vectors = refinement.tags, refinement.vectors
        self.open = torch.ones(len(self.tags), dtype=torch.bool)
        self.place = {tag: place for place, tag in enumerate(self.tags, start=1)}
        self.examples = [shot_tags(name, config.form) for name in config.domain_names]
        self._snapped: dict[str, int] = {}

    def drop(self, places: Sequence[int]) -> None:
        self.open[[place - 1 for place in places]] = False
        self._snapped.clear()

    def snap(self, tag: str) -> int:
        """The place of the tag of the list nearest in meaning, or 0 where none is near."""
        if tag not in self._snapped:
            cosines = (self.vectors @ self.catalogue.vector_of[tag]).masked_fill(~self.open, -1.0)
            nearest = int(cosines.argmax()) if len(cosines) else 0
            self._snapped[tag] = (
                nearest + 1 if len(cosines) and cosines[nearest] >= self.config.snap else 0
            )
        return self._snapped[tag]

    def own(self, proposed: Sequence[str]) -> list[tuple[int, int]]:
        """(place, origin) of an item's own tags: those on the list, then those snapped to it."""
        exact = [self.place.get(self.leader_of.get(tag, tag), 0) for tag in proposed]
        given = {place: OWN for place in exact if place and self.open[place - 1]}
        for tag, place in zip(proposed, exact):
            if place not in given and (near := self.snap(tag)):
                given.setdefault(near, SNAPPED)
        return list(given.items())

    def tags_for(self, item: int, proposed: Sequence[str]) -> list[tuple[int, int]]:
        """(place, origin) of all tags of an item, at most K."""
        given = dict(self.own(proposed)[: self.config.tags_per_item])
        if len(given) < self.config.tags_per_item:
            text, copies = (
                self.catalogue.items.text(item),
                self.examples[self.catalogue.items.domain_of_item[item]],
            )
            for place in nearest_tags(self.catalogue.text_vectors, item, self.vectors, self.config):
                if len(given) == self.config.tags_per_item:
                    break
                if (
                    place not in given
                    and self.open[place - 1]
                    and (self.tags[place - 1] not in copies or says(text, self.tags[place - 1]))
                ):
                    given[place] = NEAREST
        return list(given.items())


# ---------------------------------------------------------------------------------------------- 4 weigh


def weigh(
    tag_ids: Tensor, vectors: Tensor, text_vectors, config: TagConfig = TagConfig()
) -> Tensor:
    """Weights [N+1, K] of each item's tags: rows sum to 1, or to 0 where there is no tag."""
    given = tag_ids > 0
    if config.weight == "relevance":
        cosine = (vectors[tag_ids] * text_vectors.matrix[:, None, :]).sum(-1)
        return (
            (cosine / config.temperature)
            .masked_fill(~given, -torch.inf)
            .softmax(-1)
            .nan_to_num(0.0)
        )
    weights = given.float()
    if config.weight == "idf":
        counts = torch.bincount(tag_ids[given], minlength=len(vectors)).clamp(min=1)
        weights = weights * torch.log((len(tag_ids) - 1) / counts.float()).clamp(min=1e-6)[tag_ids]
    return weights / weights.sum(-1, keepdim=True).clamp(min=1e-12)
