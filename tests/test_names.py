"""Names are data: what a folder is called is text in figures, tables and on terminals, and stops nothing."""

from __future__ import annotations

import io
import re
import warnings
from xml.etree import ElementTree

import pandas as pd
import pytest
from small_studies import invented, store_of

from transferlib.cli import main
from transferlib.figures import figure_2, figure_measured, rendered
from transferlib.names import printable, write_csv

ODD = [
    "prices_$1_to_$5",
    "a^b_c",
    r"\alpha",
    "two\nlines",
    "red\x1b[31m",
    "\udcff\udcfe",
    "<&>\"'",
    "猫 🐈",
    "\u202eback",
    "-x",
]


@pytest.mark.parametrize("name", ODD)
def test_a_store_with_an_odd_name_is_read_drawn_and_written(tmp_path, capsys, name):
    records = [invented("base", 0.7), invented("A3B", 0.5), invented("A5B", 0.4)]
    for record in records:
        record["config"]["data"] |= {"name": f"folder:{name}", "version": "0123456789abcdef"}
    store = store_of(tmp_path / "s", *records)
    assert set(store.table()["dataset"]) == {f"folder:{printable(name)}@012345"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        svg = rendered(figure_2(store.table()), "svg")
        rendered(figure_2(store.table()), "png")
    ElementTree.fromstring(svg)
    arguments = ["--store", str(tmp_path / "s")]
    assert main(["results", *arguments, "--csv", str(tmp_path / "t.csv")]) == 0
    assert main(["status", *arguments]) == 0
    assert main(["plot", *arguments, "--figure", "2", "--out", str(tmp_path / "f.svg")]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert printable(name) in out
    assert "\x1b" not in out
    assert len(pd.read_csv(tmp_path / "t.csv")) == 3


@pytest.mark.parametrize("name", ODD)
def test_the_title_of_a_measurement_is_text(name):
    rows = [("base", 0), *(("AnB", n) for n in (1, 2))]
    level = {f"{column}{end}": 50.0 for column in ("accuracy", "difference") for end in ("", "_low", "_high")}
    table = pd.DataFrame([{"family": family, "n": n, **level} for family, n in rows])
    title = f"target  folder:{printable(name)}"
    figure = figure_measured(table, title)
    rendered(figure, "png")
    assert figure.get_suptitle().splitlines()[0] == title


def test_printable_text_has_no_control_and_survives_any_terminal():
    text = printable("".join(map(chr, range(0x300))) + "\udc80\u200f\u2028")
    assert text.isprintable()
    assert printable("Grüße, 猫") == "Grüße, 猫"


@pytest.mark.parametrize("key", ["1234567890123456", "12345678e1234567", "0000000000000001", "1e10000000000000"])
def test_a_key_that_looks_like_a_number_comes_back_as_text(tmp_path, key):
    write_csv(pd.DataFrame({"key": [key], "recipe": [key[:8]], "top1": [0.5]}), tmp_path / "t.csv")
    row = pd.read_csv(tmp_path / "t.csv").iloc[0]
    assert (row["key"], row["recipe"], row["top1"]) == (f"key-{key}", f"recipe-{key[:8]}", 0.5)
    (line,) = (tmp_path / "t.csv").read_text().splitlines()[1:]
    # what spreadsheets take for a number, a date or a formula begins otherwise
    assert all(re.match("[a-z]", cell) for cell in line.split(",")[:2])


def test_an_output_of_another_encoding_gets_escapes(monkeypatch, tmp_path):
    store_of(tmp_path, invented("base", 0.5) | {"device": "Prozessor mit Grüßen \udcff"})
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding="ascii"))
    assert main(["status", "--store", str(tmp_path)]) == 0
    assert b"1 finished runs" in raw.getvalue()
