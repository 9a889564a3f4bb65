"""A trained system, put to use: recommending needs no training data and no language model.

    folder      one folder that holds all that is needed (`tema export`)
    predictor   it recommends, to known and new users, known and new items
    service     the same over HTTP (`tema serve`)

Status: ours.
"""
