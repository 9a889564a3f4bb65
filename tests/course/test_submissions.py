"""Which files of a class are submissions, and what is said about the others."""

from tema_lib.course.submissions import HandedIn, handed_in


def test_both_layouts_are_found_and_the_rest_is_named(tmp_path):
    for name in (
        "ada/a1.ipynb",
        "bob/a1/a1.ipynb",
        "bob/a1.ipynb",
        "bob/.ipynb_checkpoints/a1.ipynb",
        "cy/essay.ipynb",
        "cy/a2.txt",
        ".git/a1.ipynb",
        "list.csv",
    ):
        path = tmp_path / "class" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    folder = tmp_path / "class"
    (folder / "dan").symlink_to(tmp_path)
    (folder / "cy" / "a2").symlink_to(folder / "ada")
    found, strange = handed_in(folder, ["a1", "a2"])
    assert found == [
        HandedIn("ada", "a1", folder / "ada" / "a1.ipynb"),
        HandedIn("bob", "a1", folder / "bob" / "a1" / "a1.ipynb"),
    ]
    assert strange == [
        "cy: no assignment is called essay",
        "dan: no folder of a student",
        "list.csv: no folder of a student",
        f"bob: two of a1; {folder / 'bob' / 'a1.ipynb'} is left out",
    ]
