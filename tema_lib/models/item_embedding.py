"""One vector per item from four modalities: id, text, image and tags (notebook 03).

    e_i = id_i + W_text text_i + W_image image_i + sum_k w_ik (W_tag tag_k + o_k)

text, image and tag are frozen vectors, centred and reduced; id, the matrices W and o are learned.
An item that lacks a modality gets one learned vector in its place, so that a missing picture is
not a black picture.

Source: early fusion is stated ("fused ... to construct enhanced item representations", abstract);
linear maps and a sum are ours.
"""

from __future__ import annotations

from functools import lru_cache, reduce
from operator import add
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tema_lib.models.inputs import MODALITIES, ItemInputs


class Projection(NamedTuple):
    """Frozen features, centred, on their strongest principal components, and scaled.

    mean: float64 [F].
    directions: float64 [W, F].
    scale: float32 []; the rows that were fitted have a mean square norm of 1 after it.
    """

    mean: Tensor
    directions: Tensor
    scale: Tensor

    def __call__(self, matrix: Tensor, present: Tensor) -> Tensor:
        """Features [R, F], of items that were fitted or of others, as [R, W]; 0 where absent."""
        chunks = matrix[present].split(4096)
        rows = torch.cat([(chunk.double() - self.mean) @ self.directions.T for chunk in chunks])
        out = torch.zeros(len(matrix), len(self.directions))
        out[present] = rows.float() / self.scale
        return out


def fit_projection(matrix: Tensor, present: Tensor, width: int = 128) -> Projection:
    """The principal components of features.

    Signs are fixed by making the largest entry of each direction positive.

    Args:
        matrix: float [N+1, F].
        present: bool [N+1]; the other rows do not count.
        width: the number of components to keep, at most.
    """
    rows = matrix[present]
    mean = rows.mean(0, dtype=torch.float64)
    centred = (chunk.double() - mean for chunk in rows.split(4096))
    covariance = reduce(add, (chunk.T @ chunk for chunk in centred))  # (F, F), however many items
    _, directions = torch.linalg.eigh(covariance)  # ascending
    directions = directions.T.flip(0)[: min(width, len(rows))]
    directions = directions * directions.gather(1, directions.abs().argmax(1, keepdim=True)).sign()
    unscaled = Projection(mean, directions, torch.tensor(1.0))(matrix, present)[present]
    return Projection(mean, directions, unscaled.pow(2).sum(1).mean().sqrt().clamp(min=1e-12))


@lru_cache(maxsize=len(MODALITIES))  # by identity: the systems of a run share their features
def reduce_features(matrix: Tensor, present: Tensor, width: int = 128) -> Tensor:
    """Reduce frozen features to their strongest principal components, once, before training.

    Without this, a linear map of 1,280 numbers per item would cost more than the rest of a training
    step.  The same tensors are reduced once, so neither they nor the result may be changed in
    place.

    Args:
        matrix, present, width: as of `fit_projection`; a width of 0 leaves the features as they
            are.

    Returns:
        float [N+1, width or fewer]; rows that are not present are 0.
    """
    if not width:
        return matrix
    return fit_projection(matrix, present, width)(matrix, present)


class ItemRepresentation(nn.Module):
    """The fused item embeddings [N+1, D], computed once a training step.

    Args:
        inputs: frozen features of all items.
        hidden: width D.
        modalities: which of `MODALITIES` to use.
        tag_table: "frozen" (the text encoder's vector of a tag), "learned", or "both", added.
        tag_weighting: "given", "learned" on top of the given weights, or "uniform".
        feature_width: the number of components that frozen features are reduced to; 0: they are
            not.

    Raises:
        ValueError: for an unknown option, or a modality that the inputs lack.
    """

    text_features: Tensor
    text_present: Tensor
    text_map: nn.Linear
    text_missing: nn.Parameter
    image_features: Tensor
    image_present: Tensor
    image_map: nn.Linear
    image_missing: nn.Parameter
    tag_ids: Tensor
    tag_weights: Tensor
    tag_features: Tensor

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
        features = {"text": inputs.text, "image": inputs.image, "tags": inputs.tag_ids}
        for modality, given in features.items():
            if modality in modalities and given is None:
                raise ValueError(
                    f"the data have no {modality!r} modality: leave it out of `modalities`."
                )
        if tag_table not in ("frozen", "learned", "both"):
            raise ValueError(f"tag_table is {tag_table!r}: choose frozen, learned or both.")
        if tag_weighting not in ("given", "learned", "uniform"):
            raise ValueError(
                f"tag_weighting is {tag_weighting!r}: choose given, learned or uniform."
            )
        self.modalities = tuple(modalities)
        self.tag_table = tag_table
        self.tag_weighting = tag_weighting
        scale = 0.02  # id embeddings start small: at first the content decides
        if "id" in modalities:
            self.id = nn.Parameter(torch.randn(inputs.count + 1, hidden) * scale)
        for modality in ("text", "image"):
            if modality in modalities:
                present = getattr(inputs, f"{modality}_present")
                reduced = reduce_features(getattr(inputs, modality), present, feature_width)
                self.register_buffer(f"{modality}_features", reduced, persistent=False)
                self.register_buffer(f"{modality}_present", present, persistent=False)
                linear = nn.Linear(reduced.size(1), hidden, bias=False)
                self.add_module(f"{modality}_map", linear)
                missing = nn.Parameter(torch.randn(hidden) * scale)
                self.register_parameter(f"{modality}_missing", missing)
        if "tags" in modalities:
            assert inputs.tag_vectors is not None  # tag_ids come with the vectors of the tags
            self.register_buffer("tag_ids", inputs.tag_ids, persistent=False)
            self.register_buffer("tag_weights", inputs.tag_weights, persistent=False)
            self.tags_missing = nn.Parameter(torch.randn(hidden) * scale)
            if tag_table in ("frozen", "both"):  # what the tag means, by the text encoder
                known = torch.arange(len(inputs.tag_vectors)) > 0
                reduced = reduce_features(inputs.tag_vectors, known, feature_width)
                self.register_buffer("tag_features", reduced, persistent=False)
                self.tags_map = nn.Linear(reduced.size(1), hidden, bias=False)
            if tag_table in ("learned", "both"):  # what the tag means for the users
                self.tag = nn.Parameter(torch.randn(len(inputs.tag_vectors), hidden) * scale)
            if tag_weighting == "learned":  # `weigh` is 0, so this starts at the given weights
                self.weigh_tag = nn.Linear(hidden, hidden, bias=False)
                self.weigh_item = nn.Linear(hidden, hidden)
                self.weigh = nn.Parameter(torch.zeros(hidden))

    def tag_embedding(self) -> Tensor:
        """One vector per tag, [G+1, D]; row 0 ("no tag") always has weight 0."""
        if self.tag_table == "learned":
            return self.tag
        frozen = self.tags_map(self.tag_features)
        return frozen if self.tag_table == "frozen" else frozen + self.tag

    def weights(self, tag_ids: Tensor, given: Tensor, others: Tensor | float) -> Tensor:
        """Weights of the tags of R items: as given, or w ~ given exp(a . tanh(W tag + U item)).

        Uniform weights are 1 / (number of the item's tags).

        Args:
            tag_ids, given: [R, K].
            others: [R, D], the items without their tags; 0 if tags are the only modality.

        Returns:
            float [R, K].

        Source: learned weights are inferred, their form is Bahdanau's attention.
        """
        if self.tag_weighting == "given":
            return given
        if self.tag_weighting == "uniform":
            own = (tag_ids > 0).to(given.dtype)
            return own / own.sum(-1, keepdim=True).clamp(min=1)
        if isinstance(others, Tensor):
            item = self.weigh_item(others)
        else:
            item = self.weigh_item.bias.expand(len(tag_ids), -1)
        tag = self.weigh_tag(self.tag_embedding())[tag_ids]
        scores = torch.tanh(tag + item[:, None]) @ self.weigh
        unscaled = given * torch.exp(scores - scores.max(-1, keepdim=True).values)
        return unscaled / unscaled.sum(-1, keepdim=True).clamp(min=1e-12)

    def parts(
        self, rows: Tensor | None = None, tags: tuple[Tensor, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """What each modality contributes to the fused vectors; notebook 03 shows them one by one.

        Args:
            rows: int64 [R], the items to compute; None for all N + 1.
            tags: (ids, weights), [R, K] each, to use in place of the items' own (notebook 05).

        Returns:
            Per modality float [R, D].
        """

        def chosen(tensor: Tensor) -> Tensor:
            return tensor if rows is None else tensor[rows]

        parts = {}
        if "id" in self.modalities:
            parts["id"] = chosen(self.id)
        for modality in ("text", "image"):
            if modality in self.modalities:
                features = chosen(getattr(self, f"{modality}_features"))
                present = chosen(getattr(self, f"{modality}_present"))[:, None]
                mapped = getattr(self, f"{modality}_map")(features)
                parts[modality] = torch.where(present, mapped, getattr(self, f"{modality}_missing"))
        if "tags" in self.modalities:
            tag_ids, given = tags or (chosen(self.tag_ids), chosen(self.tag_weights))
            weights = self.weights(tag_ids, given, sum(parts.values()))
            table = self.tag_embedding().to(weights.dtype)
            mean = F.embedding_bag(tag_ids, table, per_sample_weights=weights, mode="sum")
            tagged = (tag_ids > 0).any(1, keepdim=True)
            parts["tags"] = torch.where(tagged, mean, self.tags_missing)
        return parts

    def forward(self) -> Tensor:
        return reduce(add, self.parts().values())
