"""The two folders to try a measurement on."""

from __future__ import annotations

from transferlib.measuring import example_folders


def test_the_example_is_two_folders_without_a_class_in_common(tmp_path, monkeypatch):
    monkeypatch.setenv("TRANSFERLIB_DATA", str(tmp_path / "data"))
    source, target = example_folders(tmp_path)
    counts = {}
    for role in ("source", "target"):
        for part in ("train", "val"):
            counts[role, part] = {c.name: len(list(c.iterdir())) for c in (tmp_path / role / part).iterdir()}
    assert not set(counts["source", "train"]) & set(counts["target", "train"])
    assert set(counts["source", "train"].values()) == {200} and set(counts["target", "train"].values()) == {15}
    assert all(len(classes) == 5 for classes in counts.values())
    assert (source, target) == (f"folder:{tmp_path / 'source'}", f"folder:{tmp_path / 'target'}")
