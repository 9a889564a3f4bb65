"""Events of one day stay in the order of the file, which a model can learn."""

MARKS = {
    "number_items_tests": 2,
    "k_core_tests": 5,
    "in_time_order_tests": 0,
    "leave_one_out_tests": 4,
    "future_events_tests": 5,
}


def in_time_order(events, seed):
    sequences = {}
    for user, item, _, _ in sorted(events, key=lambda event: event[3]):
        sequences.setdefault(user, []).append(item)
    return sequences
