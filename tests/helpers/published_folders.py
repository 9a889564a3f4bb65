"""Small folders of the published formats, written file by file."""

import json
import pickle


def write(folder, **files):
    for name, content in files.items():
        path = folder / name.replace("__", ".")
        path.write_bytes(content) if isinstance(content, bytes) else path.write_text(
            content, encoding="utf-8"
        )
    return folder


def llmcdsr(folder, **changed):
    return write(
        folder,
        **{
            "train_A__txt": "1\t0,1\n",
            "train_B__txt": "1\t4,2\n2\t3,4\n",
            "train_overlap__txt": "1\t0,3,1\n",
            "valid__txt": "1\t0,2,3\n",
            "test__txt": "1\t4,3,1\n",
            "num__txt": "2\n3\n",
            "instance_num__txt": "1\n2\n1\n",
            "item_set_A__pkl": pickle.dumps({"00A": 1, "0001": 0}),
            "item_set_B__pkl": pickle.dumps({"B1": 1, "B2": 2, "0B": 0}),
            "text_A__pkl": pickle.dumps({"0001": "Caf&amp;#233;", "00A": "NA"}),
            "text_B__pkl": pickle.dumps({"B1": "Pan", "0B": None}),
            **changed,
        },
    )


def c2dsr(folder, **changed):
    """One training line; a test line that is not in time order and has two events in one second."""
    return write(
        folder,
        **{
            "Alist__txt": "77\t0001\t0\n12\tA2\t1\n",
            "Blist__txt": "5\tB1\t0\n6\tB2\t1\n",
            "userlist__txt": "AUSER0\t0\nAUSER1\t1\n",
            "traindata_new__txt": "0\t99\t0|100|1970-01-01 08:01:40|\t2|200|1970-01-01 08:03:20|\n",
            "validdata_new__txt": "1\t3\t1|100|x|\t0|300|x|\t3|400|x|\n",
            "testdata_new__txt": "0\t2\t3|300|1970-01-01 08:05:00|\t2|100|1970-01-01 08:01:40|"
            "\t0|200|x|\t1|200|x|\n",
            **changed,
        },
    )


def abxi(folder, **changed):
    return write(
        folder,
        **{
            "afk_50_preprocessed__txt": "0 2|100 3|100 1|200\n1 1|50 3|60 2|70\n",
            "map_user_50__txt": json.dumps({"AU1": 1, "AU0": 0}),
            "map_item_50__txt": json.dumps({"B1": [3, 1], "0001": [1, 0], "A2": [2, 0]}),
            **changed,
        },
    )
