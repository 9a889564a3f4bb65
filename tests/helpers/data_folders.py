"""Small data folders, and what is read of them."""

import csv
import io

import duckdb

from tema_lib.data.dataset import encode_ids
from tema_lib.data.sequences import build_sequences

CAFE_ITEMS = (
    'item_id\tdomain\ttitle\n0001\tA\tNA\na2\tA\tCaf&amp;eacute; "dark"\nb1\tB\tPan\nb2\tB\t\n'
)
CAFE_EVENTS = (
    "user_id\titem_id\tdomain\ttimestamp\n"
    "u2\tb1\tB\t50\nu1\t0001\tA\t10\nu1\tb1\tB\t20\nu1\ta2\tA\t30\nu1\tb2\tB\t40\nu2\t0001\tA\t60\nu2\ta2\tA\t70\n"
)
ITEMS = "item_id\tdomain\ttitle\nt1\tA\tGreen tea\nt2\tA\tOat flakes\nk1\tB\tWok\nk2\tB\tKettle\n"
EVENTS = (
    "user_id\titem_id\tdomain\ttimestamp\n"
    "mina\tk1\tB\t100\nmina\tt1\tA\t200\nmina\tt2\tA\t300\nmina\tk2\tB\t400\n"
)
RIGHT = {"mina": "k1 t1 t2 k2"}
MARK = b"\xef\xbb\xbf"


def cafe_folder(tmp_path, items=CAFE_ITEMS, events=CAFE_EVENTS):
    (tmp_path / "items.tsv").write_text(items, encoding="utf-8")
    (tmp_path / "interactions.tsv").write_text(events, encoding="utf-8")
    return tmp_path


def tables(folder, items=ITEMS, events=EVENTS, end=""):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (("items", items), ("interactions", events)):
        (folder / f"{name}.tsv{end}").write_bytes(
            content if isinstance(content, bytes) else content.encode()
        )
    return folder


PARQUET_ITEMS = (
    "VALUES ('t1', 'A', 'Tea'), ('t2', 'A', 'Oats'), ('k1', 'B', 'Wok'), ('k2', 'B', 'Kettle')"
)


def parquet(folder, events, items=PARQUET_ITEMS):
    """Two parquet tables, written under a harmless name: a wrong reading is the reader's alone."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, values, columns in (
        ("interactions", events, "user_id, item_id, domain, timestamp"),
        ("items", items, "item_id, domain, title"),
    ):
        plain = folder.parent / "plain.parquet"
        duckdb.execute(
            f"COPY (SELECT * FROM ({values}) t({columns})) TO '{plain}' (FORMAT parquet)"
        )
        plain.rename(folder / f"{name}.parquet")
    return folder


def order(raw):
    """{user: "item item ..."} as the models will see it."""
    items = encode_ids(raw)
    sequences = build_sequences(raw, items)
    return {
        user: " ".join(items.item_id[item] for item in sequences[row].tolist())
        for row, user in enumerate(sequences.user_id)
    }


def write_c2dsr(
    folder,
    lists=("7\tt1\t0\n8\tt2\t1\n", "3\tk1\t0\n4\tk2\t1\n"),
    train="0\t9\t0|1|x|\t2|2|x|\t1|3|x|\t3|4|x|\n",
):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (
        ("Alist", lists[0]),
        ("Blist", lists[1]),
        ("traindata_new", train),
        ("validdata_new", "1\t2\t0|1|x|\t3|2|x|\n"),
        ("testdata_new", "2\t2\t3|1|x|\t0|2|x|\t3|3|x|\n"),
    ):
        (folder / f"{name}.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def event_lines(*histories):
    return "user_id\titem_id\tdomain\ttimestamp\n" + "".join(
        f"u{user}\t{item}\t{'B' if item[0] == 'k' else 'A'}\t{position}\n"
        for user, history in enumerate(histories)
        for position, item in enumerate(history.split(), start=1)
    )


def write_tables(raw, folder):
    """Any data as our own two tables; the published split and pictures are not copied."""
    for name, table in (
        ("interactions.tsv", raw.interactions[["user_id", "item_id", "domain", "timestamp"]]),
        ("items.tsv", raw.items),
    ):
        text = io.StringIO()
        writer = csv.writer(
            text, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_NONE, quotechar=None
        )
        writer.writerow(table.columns)
        writer.writerows(table.itertuples(index=False))
        (folder / name).write_bytes(text.getvalue().encode())
