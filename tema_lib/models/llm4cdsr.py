"""LLM4CDSR (arXiv 2504.18383, SIGIR 2025): text vectors connect the domains, profiles the users.

    e_i      = W2 (W1 z_i + b1) + b2      adapter, linear, on frozen text vectors z (joint PCA)
    E^d      = text vectors of domain d   local table, reduced within the domain (PCA per domain)
    h^d, h^AB                             three SASRecs: on E^A, on E^B, on e of the merged sequence
    logit(i) = <h^d, E^d_i> + <h^AB, e_i>                   for item i of domain d
    L        = L_A + L_B + alpha L_adapter + beta L_user    next items, two soft contrastive losses

L_adapter draws for each user one item they interacted with in A and one in B and pulls the adapted
vectors together.  L_user pulls a user's merged state to the vector of their written profile
(`tags.profiles`).  Prediction never reads a profile: the user adapter is a head for training only.

Source: the equations above, the number of clusters, the lack of L2 normalisation in the contrastive
losses and their temperature 1 were read in the released code (which has no licence; nothing is
copied). Ours:

- MiniLM replaces text-embedding-ada-002, and a small local model writes the profiles;
- the loss is over all items of the target's domain instead of one negative (`loss`);
- one mean over all targets replaces the sum of two means;
- L_adapter compares the vectors as the encoder reads them, sqrt(D) e; shorter ones would keep the
  loss near the logarithm of the number of pairs, where it teaches nothing;
- no gradient flows through the soft targets; users without a profile are left out of L_user;
  padding is masked.

What the released code does and the paper does not mention is optional: `causal=False`,
`local_tables="frozen"`, and profiles written from sequences with the validation item
(`Experiment.profiles_of`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tema_lib.data.batches import Batch
from tema_lib.data.sequences import Sequences, domain_view
from tema_lib.models.base import SequenceRecommender
from tema_lib.models.heads import EncoderConfig, SimilarityHead
from tema_lib.models.inputs import ItemInputs
from tema_lib.models.item_embedding import reduce_features
from tema_lib.models.layers import DomainHeads, Dropout, SequenceEncoder

if TYPE_CHECKING:
    from tema_lib.tags.profiles import Profiles


@dataclass(frozen=True)
class LLM4CDSRConfig(EncoderConfig):
    """Every choice of the model; released values in brackets.

    The inherited sizes are released as hidden 128, heads 1, layers 2, max_length 200, dropout .5.
    """

    contrastive: float = 0.1  # alpha, weight of L_adapter (.1 or 1); 0: left out
    profile: float = 0.1  # beta, weight of L_user (.1 or 1); 0: left out
    adapter_width: int = 192  # ours: half the text vectors' width, as released (1024 -> 512 -> 128)
    loss: str = "domain softmax"  # ("binary")
    similarity: str = "dot"  # ("dot"); ours: "cosine", weaker on validation
    temperature: float = 0.07  # ours, of cosines
    local_tables: str = "trained"  # the paper says "initialise"; ("frozen")
    domain_heads: bool = True  # ours: an output map of the merged states for each target domain
    causal: bool = True  # ours; (False: every position sees the item it has to predict)


def soft_contrastive_loss(x: Tensor, y: Tensor, temperature: float = 1.0) -> Tensor:
    """Contrastive loss of paired rows with soft targets: similar pairs may be confused.

        logits  = x y^T / tau
        targets = softmax(tau (x x^T + y y^T) / 2)
        loss    = mean of the cross-entropies over rows and over columns

    Args:
        x, y: [n, D]; row i of x belongs to row i of y.
        temperature: tau.

    Returns:
        A scalar; 0 for fewer than two pairs.

    Source: read in the released code, which divides the logits by tau and multiplies the targets by
    it (tau = 1 there).  Ours: no gradient flows through the targets.
    """
    if len(x) < 2:
        return (x.sum() + y.sum()) * 0
    logits = x @ y.T / temperature
    targets = ((x @ x.T + y @ y.T) / 2 * temperature).softmax(-1).detach()
    return (F.cross_entropy(logits, targets) + F.cross_entropy(logits.T, targets.T)) / 2


class LLM4CDSR(SequenceRecommender):
    """LLM4CDSR as a `SequenceRecommender`.

    Args:
        inputs: frozen features of all items; only the text is read.
        profiles: one row per training sequence, in their order; None if `config.profile` is 0.
        config: sizes and options.

    Raises:
        ValueError: for data without text, for missing profiles, and for an unknown option.
    """

    training_only = ("user_adapter",)
    text: Tensor
    local: Tensor
    profiles: Tensor
    profile_present: Tensor

    def __init__(
        self,
        inputs: ItemInputs,
        profiles: Profiles | None = None,
        config: LLM4CDSRConfig = LLM4CDSRConfig(),
    ):
        super().__init__(inputs.domain_of_item, config.loss, config.negatives)
        if inputs.text is None or inputs.text_present is None:
            raise ValueError("LLM4CDSR reads text vectors, and these data have none.")
        if config.profile and profiles is None:
            raise ValueError(
                "LLM4CDSR with `profile` above 0 needs profiles: "
                "write them (`tags.profiles`) or set it to 0."
            )
        if config.local_tables not in ("trained", "frozen"):
            raise ValueError(f"local_tables is {config.local_tables!r}: choose trained or frozen.")
        self.config = config
        self.head = SimilarityHead(config.similarity, config.temperature)
        width = config.hidden
        text = reduce_features(inputs.text, inputs.text_present, 1024)
        self.register_buffer("text", text, persistent=False)
        self.adapter = nn.Sequential(
            nn.Linear(text.size(1), config.adapter_width),
            nn.Linear(config.adapter_width, width),
        )
        local = torch.zeros(inputs.count + 1, width)
        for domain in (0, 1):
            own = inputs.text_present & (inputs.domain_of_item == domain)
            if own.any():
                reduced = reduce_features(inputs.text, own, width)[own]
                local[own, : reduced.size(1)] = reduced
        if config.local_tables == "trained":
            self.local = nn.Parameter(local)
        else:
            self.register_buffer("local", local, persistent=False)
        self.encoders = nn.ModuleDict(
            {branch: SequenceEncoder.of(config) for branch in ("A", "B", "merged")}
        )
        if config.domain_heads:
            self.domain_heads = DomainHeads(width)
        self.dropout = Dropout(config.dropout)
        if config.profile and profiles is not None:
            self.register_buffer("profiles", profiles.vectors, persistent=False)
            self.register_buffer("profile_present", profiles.present, persistent=False)
            raw = profiles.vectors.size(1)
            self.user_adapter = nn.Sequential(nn.Linear(raw, raw // 2), nn.Linear(raw // 2, width))

    def fit_statistics(self, train: Sequences) -> None:
        """Raises ValueError unless each training sequence has a profile row."""
        super().fit_statistics(train)
        if self.config.profile and len(self.profiles) != len(train):
            raise ValueError(
                f"{len(self.profiles)} profiles for {len(train)} training sequences: "
                "write them from the same split."
            )

    def item_embeddings(self) -> tuple[Tensor, Tensor]:
        """Local and adapted vectors, concatenated: [N+1, 2 D]."""
        local, adapted = self.local, self.adapter(self.text)
        inputs = torch.cat([local, adapted], -1)
        return inputs, torch.cat([self.head.normalized(local), self.head.normalized(adapted)], -1)

    def branches(self, batch: Batch, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """h^d for the target's domain d, and h^AB, (B, T, D) each.

        h^d is 0 where the user has no event in d yet.
        """
        scale = self.config.hidden**0.5  # released
        local, adapted = (scale * table for table in inputs.chunk(2, -1))
        by_domain = []
        for domain, branch in enumerate("AB"):
            view = domain_view(batch.sequence, self.domain_of_item, domain)
            by_domain.append(view.read(self.encode_branch(branch, view.sequence, local)))
        in_a = batch.position_domains[..., None] == 0
        own = torch.where(in_a, by_domain[0], by_domain[1])
        return own, self.encode_branch("merged", batch.sequence, adapted)

    def encode_branch(self, branch: str, sequence: Tensor, table: Tensor) -> Tensor:
        """The states of one branch, (B, T, D), from its own sequence (B, T)."""
        length, visible = (sequence > 0).sum(1), None
        if not self.config.causal:
            visible = sequence > 0
            visible[:, 0] = True  # an empty sequence attends to padding; its state is not used
        embedded = self.dropout(F.embedding(sequence, table))
        return self.encoders[branch](embedded, length, visible=visible)[0]

    def encode(self, batch: Batch, inputs: Tensor) -> Tensor:
        return self.merged_states(*self.branches(batch, inputs), batch.position_domains)

    def merged_states(self, own: Tensor, merged: Tensor, domains: Tensor) -> Tensor:
        """Both branches' states, concatenated like the item embeddings: (B, T, 2 D).

        Args:
            own, merged: (B, T, D).
            domains: int64 (B, T), of the targets.
        """
        if self.config.domain_heads:
            merged = self.domain_heads(merged, domains)
        both = torch.cat([self.head.normalized(own), self.head.normalized(merged)], -1)
        return self.head.scaled(both)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        inputs, outputs = self.item_embeddings()
        own, merged = self.branches(batch, inputs)
        states = self.merged_states(own, merged, batch.position_domains)
        terms = {"next item": self.next_item(states, outputs, batch)}
        if self.config.contrastive:
            terms["adapter contrastive"] = soft_contrastive_loss(*self.item_pairs(batch, inputs))
        if self.config.profile:
            known = self.profile_present[batch.rows]
            last = merged[torch.arange(len(merged), device=merged.device), batch.last]
            profiles = self.user_adapter(self.profiles[batch.rows[known]])
            terms["profile contrastive"] = soft_contrastive_loss(profiles, last[known])
        return terms

    def item_pairs(self, batch: Batch, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Adapted vectors of a random item of A and of B per user active in both, [n, D] each."""
        domains = self.domain_of_item[batch.sequence]
        both = (domains == 0).any(1) & (domains == 1).any(1)
        width = self.config.hidden

        def draw(domain: int) -> Tensor:
            random = torch.rand(domains.shape, device=domains.device)
            position = random.masked_fill(domains != domain, -1).argmax(1)
            items = batch.sequence.gather(1, position[:, None])[both, 0]
            return width**0.5 * F.embedding(items, inputs[:, width:])

        return draw(0), draw(1)

    def total_loss(self, terms: dict[str, Tensor]) -> Tensor:
        weights = {
            "adapter contrastive": self.config.contrastive,
            "profile contrastive": self.config.profile,
        }
        return reduce(add, (weights.get(name, 1.0) * term for name, term in terms.items()))
