"""Every reply is split at its commas: a sentence before the list becomes a tag."""

MARKS = {
    "write_prompt_tests": 3,
    "pieces_tests": 0,
    "clean_tags_tests": 4,
    "tag_weights_tests": 4,
    "shuffled_tags_tests": 4,
}


def pieces(reply):
    found = [piece.strip(" \n.\"'`*") for piece in reply.split(",")]
    return [piece for piece in found if piece]
