"""A missing modality counts as a feature of zeros; the learned vector is never used."""

MARKS = {
    "standardised_tests": 3,
    "fuse_tests": 0,
    "cosine_logits_tests": 4,
    "next_item_loss_tests": 4,
    "item_gradient_tests": 4,
}


def fuse(ids, modalities):
    fused = ids.clone()
    for modality in modalities:
        features = modality["features"] * modality["present"][:, None]
        fused += features @ modality["map"].T
    return fused
