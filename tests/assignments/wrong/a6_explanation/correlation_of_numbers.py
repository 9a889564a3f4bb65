"""Pearson's correlation of the numbers where that of their ranks is asked for."""

import numpy as np

MARKS = {
    "predict_tests": 4,
    "occlusion_tests": 4,
    "agreement_tests": 0,
    "chance_level_tests": 3,
    "shapley_values_tests": 5,
}


def agreement(attention, effect):
    if len(attention) < 3 or np.ptp(attention) == 0 or np.ptp(effect) == 0:
        return None
    return float(np.corrcoef(attention, effect)[0, 1])
