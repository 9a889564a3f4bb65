"""Which export a run takes."""

import pytest

from tema_lib.llm.local import SMALL
from tema_lib.tags.export_choice import check_choice, choose_export, find_exports
from tests.helpers.hand_tags import exported


def test_the_export_of_the_small_model_is_taken_where_it_is_named(tmp_path):
    own = exported(tmp_path, SMALL)
    assert choose_export("", tmp_path, "beef") is None
    assert choose_export(f"export:{SMALL}", tmp_path, "beef") == own
    large = exported(tmp_path, "large")
    assert choose_export("", tmp_path, "beef") == large
    assert choose_export("small", tmp_path, "beef") is None


def test_an_export_is_found_by_the_hash_of_its_tables_whatever_it_is_called(tmp_path, monkeypatch):
    tiny = exported(tmp_path, "tiny-1b")
    large = exported(tmp_path, "large (hosted), 2026", data="another name")
    other = exported(tmp_path, "tiny-1b", sha256="f00d", data="toy2")
    (tmp_path / "._toy.tiny-1b.tsv.gz").write_bytes(b"\0\5\x16\7")
    (tmp_path / "broken.tsv.gz").write_bytes(b"")
    (tmp_path / "broken.json").write_text("[")
    (tmp_path / "alone.tsv.gz").write_bytes(b"")
    assert set(find_exports(tmp_path, "beef")) == {tiny, large}
    assert choose_export("small", tmp_path, "beef") is None
    assert choose_export("", tmp_path, "0123") is None
    assert (
        choose_export("export:tiny-1b", tmp_path, "beef")
        == choose_export("export:tiny", tmp_path, "beef")
        == choose_export("export:TINY", tmp_path, "beef")
        == tiny
    )
    assert choose_export("export:large", tmp_path, "beef") == large
    assert choose_export("", tmp_path, "f00d") == other
    assert choose_export(str(tiny), tmp_path / "nowhere", "0") == tiny
    aside = exported(tmp_path / "exports", "mine")  # a path may begin with the word
    monkeypatch.chdir(tmp_path)
    assert choose_export(str(aside.relative_to(tmp_path)), tmp_path, "beef") == aside.relative_to(
        tmp_path
    )
    with pytest.raises(
        ValueError,
        match="Several exports .* fit a large model: .*"
        "export:large .hosted., 2026 .*; export:tiny-1b .*",
    ):
        choose_export("", tmp_path, "beef")
    with pytest.raises(
        ValueError, match="is by a model called huge; there are export:large.*export:tiny-1b"
    ):
        choose_export("export:huge", tmp_path, "beef")
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(
            ValueError, match="was made from these tables .hash 0123.*make tags.*small model's tags"
        ):
            choose_export("export:tiny", folder, "0123")
    with pytest.raises(FileNotFoundError, match="no.tsv.gz is missing"):
        choose_export(str(tmp_path / "no.tsv.gz"), tmp_path, "beef")
    exported(tmp_path, "tiny-1b-long")
    # A whole name before a beginning.
    assert choose_export("export:tiny-1b", tmp_path, "beef") == tiny
    for word in ("exprot", "live", "exports", "smaller", "tags.tsv"):
        with pytest.raises(ValueError, match='choose "small", "export:MODEL", or the path'):
            check_choice(word)
