"""The lengths of the vectors count, and missing rows move the mean of the features."""

MARKS = {
    "standardised_tests": 0,
    "fuse_tests": 5,
    "cosine_logits_tests": 0,
    "next_item_loss_tests": 4,
    "item_gradient_tests": 4,
}


def standardised(features, present):
    rows = (features - features.mean(0)) * present[:, None]
    return rows / rows.pow(2).sum(1).mean().sqrt()


def cosine_logits(states, items, temperature):
    return states @ items.T / temperature
