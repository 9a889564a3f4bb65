"""The detector compares events of the target's domain only, and so misses the leak across them."""

MARKS = {
    "number_items_tests": 2,
    "k_core_tests": 5,
    "in_time_order_tests": 4,
    "leave_one_out_tests": 4,
    "future_events_tests": 0,
}


def future_events(inputs, targets):
    found = []
    for target in targets:
        user, _, domain, time = target
        own = [event for event in inputs if event[0] == user and event[2] == domain]
        found.append(sum(event[3] > time or event == target for event in own))
    return found
