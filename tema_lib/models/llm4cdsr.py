"""LLM4CDSR (arXiv 2504.18383, SIGIR 2025): vectors of a language model bridge the domains, written profiles bridge the users.

    e_i   = W2 (W1 z_i + b1) + b2                               adapter, without non-linearity, on frozen text vectors z (joint PCA)
    E^d   = the text vectors of domain d, reduced alone           local table of each domain (per-domain PCA)
    h^d, h^AB                                                   three separate SASRecs: on E^A, on E^B, and on e for the merged sequence
    logit of item i of domain d  = <h^d, E^d_i> + <h^AB, e_i>
    L = L_A + L_B + alpha L_adapter + beta L_user               next item in each domain, and two soft contrasts

L_adapter draws for each user one item bought in A and one bought in B and pulls their adapted vectors together; L_user pulls the
merged state of a user to the vector of their written profile (`tags.profiles`).  Prediction never reads a profile, so the user adapter
is a head of training only.

Status: the equations above, K, no L2 normalisation in the contrasts and temperature 1 were read in the released code (without a licence:
nothing is copied).  Ours: MiniLM in place of text-embedding-ada-002; a tiny local model writes the profiles; among all items of the
target's domain in place of one drawn candidate (`loss`); one mean over all targets in place of a sum of two means; the contrast of items
takes the vectors as the encoder reads them, sqrt(D) e (shorter ones leave it at the logarithm of the number of pairs, where it teaches
nothing); no gradient through the soft targets; users without a profile stay out of L_user; padding is masked.
What the released code does and the text does not tell is a switch: `causal=False`, `local_tables="frozen"`, and profiles from sequences
that hold the validation item (`Experiment.profiles_of`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tema_lib.data.batches import Batch
from tema_lib.data.sequences import Sequences, domain_view
from tema_lib.models.base import SequenceRecommender, position_domains
from tema_lib.models.item_embedding import ItemInputs, reduce_features
from tema_lib.models.layers import Dropout, SequenceEncoder, check_sizes

if TYPE_CHECKING:
    from tema_lib.tags.profiles import Profiles


@dataclass(frozen=True)
class LLM4CDSRConfig:
    """Released values in brackets."""

    contrastive: float = 0.1  # alpha, weight of L_adapter (.1 or 1); 0: left out
    profile: float = 0.1  # beta, weight of L_user (.1 or 1); 0: left out
    hidden: int = 64  # (128)
    heads: int = 2  # (1)
    layers: int = 1  # (2)
    max_length: int = 50  # (200)
    dropout: float = 0.2  # (.5)
    adapter_width: int = (
        192  # ours: half the width of the text vectors, as in the release (1024 -> 512 -> 128)
    )
    loss: str = "domain softmax"  # ("binary")
    similarity: str = "dot"  # ("dot"); ours: "cosine", weaker on validation
    temperature: float = 0.07  # ours, of cosines
    local_tables: str = "trained"  # "initialise" in the paper's words; ("frozen")
    causal: bool = True  # ours; (False: every position sees the item it has to predict)

    def __post_init__(self):
        check_sizes(self)


def soft_contrastive_loss(x: Tensor, y: Tensor, temperature: float = 1.0) -> Tensor:
    """Rows of x and y [n, D] belong together pairwise; rows that are alike anyway may be confused.

        logits = x y^T / tau,   targets = softmax(tau (x x^T + y y^T) / 2),   mean of the cross-entropies over rows and over columns

    Source: read in the released code, which divides the logits by tau and multiplies the targets by it (tau = 1 there); that no gradient flows through the targets is ours.  Returns a scalar, 0 for fewer than two pairs.
    """
    if len(x) < 2:
        return (x.sum() + y.sum()) * 0
    logits = x @ y.T / temperature
    targets = ((x @ x.T + y @ y.T) / 2 * temperature).softmax(-1).detach()
    return (F.cross_entropy(logits, targets) + F.cross_entropy(logits.T, targets.T)) / 2


class LLM4CDSR(SequenceRecommender):
    """`profiles`: one row for each training sequence, in their order; None where `profile` is 0.

    Raises ValueError for data without text, for missing profiles and for an unknown option.
    """

    training_only = ("user_adapter",)

    def __init__(
        self,
        inputs: ItemInputs,
        profiles: Profiles | None = None,
        config: LLM4CDSRConfig = LLM4CDSRConfig(),
    ):
        super().__init__(inputs.domain_of_item, config.loss)
        if inputs.text is None:
            raise ValueError("LLM4CDSR reads text vectors, and these data have none.")
        if config.profile and profiles is None:
            raise ValueError(
                "LLM4CDSR with `profile` above 0 needs profiles: write them (`tags.profiles`) or set it to 0."
            )
        for name, choices in (
            ("local_tables", ("trained", "frozen")),
            ("similarity", ("cosine", "dot")),
        ):
            if getattr(config, name) not in choices:
                raise ValueError(
                    f"{name} is {getattr(config, name)!r}: choose {' or '.join(choices)}."
                )
        self.config, width = config, config.hidden
        self.register_buffer(
            "text", reduce_features(inputs.text, inputs.text_present, 1024), persistent=False
        )
        self.adapter = nn.Sequential(
            nn.Linear(self.text.size(1), config.adapter_width),
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

        def encoder():
            return SequenceEncoder(
                width, config.heads, config.layers, config.max_length, config.dropout
            )

        self.encoders = nn.ModuleDict({branch: encoder() for branch in ("A", "B", "merged")})
        self.dropout = Dropout(config.dropout)
        if config.profile:
            self.register_buffer("profiles", profiles.vectors, persistent=False)
            self.register_buffer("profile_present", profiles.present, persistent=False)
            raw = profiles.vectors.size(1)
            self.user_adapter = nn.Sequential(nn.Linear(raw, raw // 2), nn.Linear(raw // 2, width))

    def fit_statistics(self, train: Sequences) -> None:
        if self.config.profile and len(self.profiles) != len(train):
            raise ValueError(
                f"{len(self.profiles)} profiles for {len(train)} training sequences: write them from the same split."
            )

    def item_embeddings(self) -> tuple[Tensor, Tensor]:
        """Local and adapted vectors side by side, [N+1, 2 D]."""
        local, adapted = self.local, self.adapter(self.text)
        return torch.cat([local, adapted], -1), torch.cat(
            [self.compared(local), self.compared(adapted)], -1
        )

    def compared(self, vectors: Tensor) -> Tensor:
        return F.normalize(vectors, dim=-1) if self.config.similarity == "cosine" else vectors

    def branches(self, batch: Batch, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """(h^d for the target's domain d, h^AB), each (B, T, D); h^d is 0 where the user has bought nothing in d yet."""
        local, adapted = (
            self.config.hidden**0.5 * table for table in inputs.chunk(2, -1)
        )  # scaled by the root of the width: released
        own = []
        for domain, branch in enumerate("AB"):
            view = domain_view(batch.sequence, self.domain_of_item, domain)
            own.append(view.read(self.encode_branch(branch, view.sequence, local)))
        return torch.where(position_domains(batch)[..., None] == 0, *own), self.encode_branch(
            "merged", batch.sequence, adapted
        )

    def encode_branch(self, branch: str, sequence: Tensor, table: Tensor) -> Tensor:
        visible = None
        if not self.config.causal:
            visible = sequence > 0
            visible[:, 0] = (
                True  # an empty sequence may look at its padding; nobody reads that state
            )
        return self.encoders[branch](self.dropout(F.embedding(sequence, table)), visible=visible)[0]

    def encode(self, batch: Batch, inputs: Tensor) -> Tensor:
        return self.merged_states(*self.branches(batch, inputs))

    def merged_states(self, own: Tensor, merged: Tensor) -> Tensor:
        scale = self.config.temperature if self.config.similarity == "cosine" else 1.0
        return torch.cat([self.compared(own), self.compared(merged)], -1) / scale

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        inputs, outputs = self.item_embeddings()
        own, merged = self.branches(batch, inputs)
        terms = {"next item": self.next_item(self.merged_states(own, merged), outputs, batch)}
        if self.config.contrastive:
            terms["adapter contrastive"] = soft_contrastive_loss(*self.item_pairs(batch, inputs))
        if self.config.profile:
            known = self.profile_present[batch.rows]
            last = merged[torch.arange(len(merged), device=merged.device), batch.last]
            terms["profile contrastive"] = soft_contrastive_loss(
                self.user_adapter(self.profiles[batch.rows[known]]), last[known]
            )
        return terms

    def item_pairs(self, batch: Batch, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Adapted vectors of one random item of A and one of B for each user who bought in both, [n, D] each."""
        domains = self.domain_of_item[batch.sequence]
        both = (domains == 0).any(1) & (domains == 1).any(1)
        drawn = []
        for domain in (0, 1):
            position = (
                torch.rand(domains.shape, device=domains.device)
                .masked_fill(domains != domain, -1)
                .argmax(1)
            )
            drawn.append(batch.sequence.gather(1, position[:, None])[both, 0])
        return tuple(
            self.config.hidden**0.5 * F.embedding(items, inputs[:, self.config.hidden :])
            for items in drawn
        )

    def total_loss(self, terms: dict[str, Tensor]) -> Tensor:
        weights = {
            "adapter contrastive": self.config.contrastive,
            "profile contrastive": self.config.profile,
        }
        return sum(weights.get(name, 1.0) * term for name, term in terms.items())
