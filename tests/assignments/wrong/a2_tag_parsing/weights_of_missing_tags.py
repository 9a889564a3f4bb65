"""The softmax runs over every place, and what is no tag is set to 0 afterwards."""

MARKS = {
    "write_prompt_tests": 3,
    "pieces_tests": 5,
    "clean_tags_tests": 4,
    "tag_weights_tests": 0,
    "shuffled_tags_tests": 4,
}


def tag_weights(cosine, given, temperature):
    return (cosine / temperature).softmax(-1) * given
