"""The softmax runs over all items, so that training pushes new items away."""

import torch

MARKS = {
    "standardised_tests": 3,
    "fuse_tests": 5,
    "cosine_logits_tests": 4,
    "next_item_loss_tests": 0,
    "item_gradient_tests": 0,
}


def next_item_loss(logits, targets, possible):
    return torch.nn.functional.cross_entropy(logits, targets)


def item_gradient(states, items, targets, possible):
    share = (states @ items.T).softmax(1)
    share[torch.arange(len(states)), targets] -= 1
    return share.T @ states / len(states)
