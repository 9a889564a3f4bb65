"""One vector per item from four modalities: id, text, image and tags (notebook 03).

    e_i = id_i + W_text text_i + W_image image_i + sum_k w_ik (W_tag tag_k + o_k)        text, image, tag: centred and reduced; o: learned

Early fusion: "fused ... to construct enhanced item representations" (abstract, stated); linear maps and a sum (ours).
A modality that an item lacks contributes one learned vector instead, so "no picture" is a fact and not a black picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MODALITIES = ("id", "text", "image", "tags")


@dataclass(frozen=True)
class ItemInputs:
    """Frozen inputs of the fusion, all with N + 1 rows (row 0 = padding); a modality that does not exist is None.

    text, image: float [N+1, F] with `*_present` bool [N+1]; tag_ids int64 [N+1, K] (0 = none), tag_weights float [N+1, K],
    tag_vectors float [G+1, F]; domain_of_item int64 [N+1].
    """

    domain_of_item: Tensor
    text: Tensor | None = None
    text_present: Tensor | None = None
    image: Tensor | None = None
    image_present: Tensor | None = None
    tag_ids: Tensor | None = None
    tag_weights: Tensor | None = None
    tag_vectors: Tensor | None = None

    @property
    def count(self) -> int:
        return len(self.domain_of_item) - 1


def reduce_features(matrix: Tensor, present: Tensor, width: int = 128) -> Tensor:
    """Centre the present rows, keep their `width` strongest principal directions, scale to unit mean square norm; absent rows are 0.

    Frozen features are reduced once, outside of training: mapping 1,280 numbers per item in every step would cost more than the rest.
    Deterministic up to sign; signs are fixed by making each direction's largest entry positive.
    """
    rows = matrix[present]
    mean = rows.mean(0, dtype=torch.float64)
    covariance = sum(
        part.T @ part for part in (chunk.double() - mean for chunk in rows.split(4096))
    )  # [F, F], however many items there are
    _, directions = torch.linalg.eigh(covariance)  # ascending
    directions = directions.T.flip(0)[: min(width, len(rows))]
    directions = directions * directions.gather(1, directions.abs().argmax(1, keepdim=True)).sign()
    reduced = torch.cat(
        [(chunk.double() - mean) @ directions.T for chunk in rows.split(4096)]
    ).float()
    reduced = reduced / reduced.pow(2).sum(1).mean().sqrt().clamp(min=1e-12)
    out = torch.zeros(len(matrix), reduced.size(1))
    out[present] = reduced
    return out


class ItemRepresentation(nn.Module):
    """The fused item table [N+1, D], built once a step.

    `modalities` is the subset of ("id", "text", "image", "tags") to use.  Raises ValueError for a modality whose inputs are missing.
    """

    def __init__(
        self,
        inputs: ItemInputs,
        hidden: int,
        modalities: tuple[str, ...] = MODALITIES,
        tag_table: str = "both",
        tag_weighting: str = "given",
        feature_width: int = 128,
    ):
        super().__init__()
        unknown = set(modalities) - set(MODALITIES)
        if unknown or not modalities:
            raise ValueError(
                f"unknown modalities {sorted(unknown)}: choose from {', '.join(MODALITIES)}."
            )
        for modality, given in (
            ("text", inputs.text),
            ("image", inputs.image),
            ("tags", inputs.tag_ids),
        ):
            if modality in modalities and given is None:
                raise ValueError(
                    f"the modality {modality!r} was asked for but these data have none: leave it out of `modalities`."
                )
        self.modalities, self.tag_table, self.tag_weighting = (
            tuple(modalities),
            tag_table,
            tag_weighting,
        )
        scale = 0.02  # ids start small: what an item *is* speaks first
        if "id" in modalities:
            self.id = nn.Parameter(torch.randn(inputs.count + 1, hidden) * scale)
        for modality in ("text", "image"):
            if modality in modalities:
                matrix, present = getattr(inputs, modality), getattr(inputs, f"{modality}_present")
                self.register_buffer(
                    f"{modality}_features",
                    reduce_features(matrix, present, feature_width),
                    persistent=False,
                )
                self.register_buffer(f"{modality}_present", present, persistent=False)
                self.add_module(
                    f"{modality}_map",
                    nn.Linear(getattr(self, f"{modality}_features").size(1), hidden, bias=False),
                )
                self.register_parameter(
                    f"{modality}_missing", nn.Parameter(torch.randn(hidden) * scale)
                )
        if "tags" in modalities:
            self.register_buffer("tag_ids", inputs.tag_ids, persistent=False)
            self.register_buffer("tag_weights", inputs.tag_weights, persistent=False)
            self.tags_missing = nn.Parameter(torch.randn(hidden) * scale)
            if tag_table in ("frozen", "both"):  # what the tag means, from the text encoder
                known = torch.arange(len(inputs.tag_vectors)) > 0
                self.register_buffer(
                    "tag_features",
                    reduce_features(inputs.tag_vectors, known, feature_width),
                    persistent=False,
                )
                self.tags_map = nn.Linear(self.tag_features.size(1), hidden, bias=False)
            if tag_table in ("learned", "both"):  # what buyers make of it
                self.tag = nn.Parameter(torch.randn(len(inputs.tag_vectors), hidden) * scale)
            elif tag_table != "frozen":
                raise ValueError(f"tag_table is {tag_table!r}: choose frozen, learned or both.")
            if tag_weighting == "learned":  # starts at the given weights: weigh is 0
                self.weigh_tag = nn.Linear(hidden, hidden, bias=False)
                self.weigh_item = nn.Linear(hidden, hidden)
                self.weigh = nn.Parameter(torch.zeros(hidden))
            elif tag_weighting != "given":
                raise ValueError(f"tag_weighting is {tag_weighting!r}: choose given or learned.")

    def tag_embedding(self) -> Tensor:
        """One vector per tag, [G+1, D]; row 0 ("no tag") always has weight 0."""
        parts = []
        if self.tag_table != "learned":
            parts.append(self.tags_map(self.tag_features))
        if self.tag_table != "frozen":
            parts.append(self.tag)
        return sum(parts)

    def weights(self, tag_ids: Tensor, given: Tensor, others: Tensor | float) -> Tensor:
        """Weights [R, K] of the tags of R items: the `given` ones, or those learned on top of them, w ~ given exp(a . tanh(W tag + U item)).

        others [R, D]: the items without their tags (0 where tags are the only modality). Form of the learned weights: inferred, Bahdanau's.
        """
        if self.tag_weighting == "given":
            return given
        item = (
            self.weigh_item(others)
            if isinstance(others, Tensor)
            else self.weigh_item.bias.expand(len(tag_ids), -1)
        )
        scores = (
            torch.tanh(self.weigh_tag(self.tag_embedding())[tag_ids] + item[:, None]) @ self.weigh
        )
        grown = given * torch.exp(scores - scores.max(-1, keepdim=True).values)
        return grown / grown.sum(-1, keepdim=True).clamp(min=1e-12)

    def parts(
        self, rows: Tensor | None = None, tags: tuple[Tensor, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Each modality's share of the fused vector, [N+1, D] each: what notebook 03 looks at one by one.

        `rows` [R] asks for these items only, `tags` (ids, weights), [R, K] each, gives them other tags than their own (notebook 05).
        """
        chosen = (lambda tensor: tensor) if rows is None else (lambda tensor: tensor[rows])
        shares = {}
        if "id" in self.modalities:
            shares["id"] = chosen(self.id)
        for modality in ("text", "image"):
            if modality in self.modalities:
                mapped = getattr(self, f"{modality}_map")(
                    chosen(getattr(self, f"{modality}_features"))
                )
                present = chosen(getattr(self, f"{modality}_present"))[:, None]
                shares[modality] = torch.where(
                    present, mapped, getattr(self, f"{modality}_missing")
                )
        if "tags" in self.modalities:
            tag_ids, given = tags or (chosen(self.tag_ids), chosen(self.tag_weights))
            weights = self.weights(tag_ids, given, sum(shares.values()))
            weighted = F.embedding_bag(
                tag_ids,
                self.tag_embedding().to(weights.dtype),
                per_sample_weights=weights,
                mode="sum",
            )
            shares["tags"] = torch.where(
                (tag_ids > 0).any(1, keepdim=True), weighted, self.tags_missing
            )
        return shares

    def forward(self) -> Tensor:
        return sum(self.parts().values())
