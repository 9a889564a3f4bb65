"""Text of items -> vectors, with a real sentence encoder.

Status: the paper states that titles are encoded by a pretrained model; which encoder stands here is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from tqdm.auto import tqdm

from tema_lib.encoders.features import ItemFeatures, collect, model_type
from tema_lib.encoders.weights import configuration, from_folder, quiet_transformers, resolve

LONGEST = 256  # tokens of one text that are read; MiniLM was trained on texts up to this length


def encode_text(
    texts: Sequence[str], model: str | Path = "minilm-l6-v2", batch: int = 64, progress: bool = True
) -> ItemFeatures:
    """One vector of length 1 per text: row i belongs to ``texts[i]``.

    An empty text (padding, or an item without any) has ``present`` False and a row of zeros.
    ``model`` is a name, folder or hub id for ``tema_lib.pretrained.resolve``; a folder with a CLIP model uses its text tower.
    Returns a matrix [len(texts), F].  Raises ``ValueError`` for a model that cannot encode text, or a damaged folder.
    """
    folder = resolve(model)
    if model_type(folder) == "efficientnet-lite0":
        raise ValueError(
            f"The model {model} encodes pictures, not text: take minilm-l6-v2 or another sentence encoder."
        )
    encode = _clip_texts(folder) if model_type(folder) == "clip" else _sentences(folder)
    present = torch.tensor([bool(text.strip()) for text in texts], dtype=torch.bool)

    # Texts of like length go together, so that little padding is computed; the longest come first, so that too large
    # a batch runs out of memory at once and not at the end.
    order = sorted(present.nonzero().flatten().tolist(), key=lambda i: -len(texts[i]))
    rows, vectors = [], []
    with (
        torch.inference_mode(),
        tqdm(total=len(order), desc="texts", unit="text", disable=not progress) as bar,
    ):
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            rows += chosen
            vectors.append(encode([texts[i] for i in chosen]))  # [B, F]
            bar.update(len(chosen))
    return collect(rows, vectors, present, model, folder)


def _sentences(folder: Path):
    """A sentence encoder: the mean of its last hidden states over the real tokens (or the first one, if the folder says so)."""
    from transformers import AutoModel

    tokenizer, network = _tokenizer_and(AutoModel, folder)
    network = network.float().eval()
    pooling = folder / "1_Pooling"  # how sentence-transformers writes down the pooling
    first_token = (pooling / "config.json").is_file() and configuration(pooling).get(
        "pooling_mode_cls_token"
    )

    def encode(texts: list[str]) -> Tensor:
        tokens = tokenizer(
            texts, padding=True, truncation=True, max_length=LONGEST, return_tensors="pt"
        )
        hidden = network(**tokens).last_hidden_state  # [B, T, D]
        if first_token:
            return hidden[:, 0]
        real = tokens["attention_mask"].unsqueeze(-1).float()  # [B, T, 1]
        return (hidden * real).sum(1) / real.sum(1)  # [B, D]

    return encode


def _tokenizer_and(kind, folder: Path):
    """Tokenizer and network of a folder.  Raises ``ValueError``, also where a word piece of the one has no vector in the other."""
    from transformers import AutoTokenizer

    tokenizer, network = (
        from_folder(AutoTokenizer, folder),
        from_folder(kind, folder, use_safetensors=True),
    )
    rows = getattr(network, "text_model", network).get_input_embeddings().weight.shape[0]
    if len(tokenizer) > rows:
        raise ValueError(
            f"The tokenizer in {folder} has {len(tokenizer):,} word pieces and the model {rows:,} vectors for "
            "them: they belong to two models; copy or download the whole folder again."
        )
    return tokenizer, network


def _clip_texts(folder: Path):
    """The text tower of CLIP: its vectors lie in the same space as those of its image tower."""
    from transformers import CLIPModel

    tokenizer, network = _tokenizer_and(CLIPModel, folder)
    network = network.float().eval()
    longest = network.config.text_config.max_position_embeddings

    def encode(texts: list[str]) -> Tensor:
        tokens = tokenizer(
            texts, padding=True, truncation=True, max_length=longest, return_tensors="pt"
        )
        vectors = network.get_text_features(
            input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]
        )
        return getattr(vectors, "pooler_output", vectors)  # newer transformers wrap the tensor

    return encode


@dataclass(frozen=True)
class TitleTokens:
    """Titles as word pieces, the encoder's smallest units; row 0 of both tensors is padding.

    ids          [N+1, L] int64: the word pieces of each title from the left, 0 behind the last one; numbered 1..V as they occur in these titles
    vectors      [V+1, F] float: what the encoder takes in for each word piece, before its first layer: the same in every sentence
    """

    ids: Tensor
    vectors: Tensor


def title_tokens(
    titles: Sequence[str], model: str | Path = "minilm-l6-v2", length: int = 16
) -> TitleTokens:
    """The first `length` word pieces of each title, with the encoder's own frozen vectors for them.  Status: ours.

    ``titles[0]`` belongs to the padding item and is not read.  Any other title without a word piece becomes the encoder's
    token for the unknown, so that no real item is empty.  Raises ``ValueError`` for a model without a table of word pieces.
    """
    from transformers import AutoModel

    folder = resolve(model)
    if model_type(folder) in ("efficientnet-lite0", "clip"):
        raise ValueError(
            f"The model {model} has no word pieces for titles: take minilm-l6-v2 or another sentence encoder."
        )
    tokenizer, network = _tokenizer_and(AutoModel, folder)
    table = network.get_input_embeddings().weight.detach().float()
    with quiet_transformers():  # no note about titles longer than the encoder reads
        pieces = tokenizer(list(titles), add_special_tokens=False)["input_ids"]
    grid = torch.full(
        (len(titles), length), -1
    )  # -1: none; the smallest, so that it becomes number 0
    for row, title in enumerate(pieces[1:], start=1):
        title = title[:length] or [tokenizer.unk_token_id]
        grid[row, : len(title)] = torch.tensor(title)
    occurring, ids = grid.unique(return_inverse=True)
    return TitleTokens(ids, torch.cat([table.new_zeros(1, table.shape[1]), table[occurring[1:]]]))
