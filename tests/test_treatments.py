"""The paper's notation, read and printed."""

from __future__ import annotations

import doctest
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transferlib import treatments
from transferlib.errors import TransferlibError
from transferlib.treatments import FAMILIES, KINDS, FamilyName, Kind, Treatment, parse_treatments, register

VALID = {"base"} | {
    f"{first}{n}B{plus}" for first in "ABR" for n in range(1, 8) for plus in ("", "+") if first + plus != "R+"
}


@given(st.sampled_from(sorted(VALID)))
def test_what_is_read_is_printed_again(text):
    assert str(Treatment.parse(text)) == text


@given(
    st.builds(Treatment, st.sampled_from(["AnB", "BnB"]), st.integers(1, 7), st.booleans())
    | st.builds(Treatment, st.just("RnB"), st.integers(1, 7))
    | st.just(Treatment("base"))
)
def test_what_is_printed_is_read_again(treatment):
    assert Treatment.parse(str(treatment)) == treatment
    assert treatment in treatment.family.treatments


@given(
    st.tuples(
        st.sampled_from("ABRCa"),
        st.sampled_from(["", "0", "1", "7", "8", "33"]),
        st.sampled_from(["B", "A", ""]),
        st.sampled_from(["", "+", "++", " ", "\n"]),
    ).map("".join)
    | st.text("ABR0123789+bnase\n", max_size=6)
    | st.just("base\n")
)
def test_every_other_text_is_refused(text):
    if text in VALID:
        assert str(Treatment.parse(text)) == text
    elif not re.search(r"[^\x00-\x7f]|[ABR]0\d", text):  # these two: see below
        with pytest.raises(TransferlibError):
            Treatment.parse(text)


@given(st.sampled_from("ABR"), st.integers(8, 10**6) | st.just(0))
def test_a_depth_out_of_range_is_named(first, n):
    with pytest.raises(TransferlibError, match=rf"^expected n in 1\.\.7, got {n}$"):
        Treatment.parse(f"{first}{n}B")


@pytest.mark.parametrize("text", ["A03B", "A٣B", "A" + "1" * 5000 + "B"], ids=["zero", "arabic", "long"])
def test_a_number_that_would_not_be_printed_so_is_refused(text):
    with pytest.raises(TransferlibError):
        Treatment.parse(text)


@pytest.mark.parametrize(
    "text, message",
    [
        ("A9B", "expected n in 1..7, got 9"),
        ("R3B+", "R3B+ is a base: random layers that are trained are an ordinary start"),
        ("3B", "unknown treatment '3B': expected base, A3B, B3B, A3B+, B3B+ or R3B, with n in 1..7"),
    ],
)
def test_refusals_say_what_was_expected(text, message):
    with pytest.raises(TransferlibError) as caught:
        Treatment.parse(text)
    assert str(caught.value) == message


@pytest.mark.parametrize("wrong", [("base", 1), ("base", 0, True), ("AnB", 0), ("BnB", 8), ("RnB", 2, True)])
def test_a_treatment_without_a_meaning_cannot_be_made(wrong):
    with pytest.raises(TransferlibError):
        Treatment(*wrong)


def test_families_hold_every_depth_and_nothing_else():
    assert [str(t) for t in FamilyName.parse("AnB+").treatments] == [
        "A1B+",
        "A2B+",
        "A3B+",
        "A4B+",
        "A5B+",
        "A6B+",
        "A7B+",
    ]
    assert {str(t) for name in FAMILIES for t in FamilyName.parse(name).treatments} == VALID
    with pytest.raises(TransferlibError, match="unknown family 'CnB'"):
        FamilyName.parse("CnB")


def test_a_family_says_what_it_is():
    assert [FamilyName.parse(name).meaning for name in FAMILIES] == [
        "base: trained from scratch",
        "BnB: own layers, frozen",
        "AnB: the other half's layers, frozen",
        "BnB+: own layers, fine-tuned",
        "AnB+: the other half's layers, fine-tuned",
        "RnB: random layers, frozen",
    ]
    assert [name for name in FAMILIES if FamilyName.parse(name).freezes] == ["BnB", "AnB", "RnB"]
    assert [name for name in FAMILIES if FamilyName.parse(name).is_base] == ["base"]


def test_a_kind_of_ones_own_is_read_and_printed_as_the_papers(monkeypatch):
    monkeypatch.setattr(treatments, "KINDS", dict(KINDS))
    monkeypatch.setattr(treatments, "FAMILIES", list(FAMILIES))
    register(Kind("SnB", "other", "shuffled layers"))
    assert [str(t) for t in parse_treatments("S2B,SnB+")] == ["S2B", *(f"S{n}B+" for n in range(1, 8))]
    register(Kind("ZnB", "random", "zeroed layers", untunable="zeros that are trained never leave each other"))
    with pytest.raises(TransferlibError, match=r"^Z3B\+ is a base: zeros that are trained never leave each other$"):
        Treatment.parse("Z3B+")
    assert treatments.FAMILIES[-3:] == ["SnB", "SnB+", "ZnB"]
    register(Kind("ZnB", "random", "zeroed layers"))  # as where a file is read twice
    assert treatments.FAMILIES[-4:] == ["SnB", "SnB+", "ZnB", "ZnB+"]
    for source in (None, "another"):
        with pytest.raises(TransferlibError, match="CnB: expected a source among other, own, random"):
            register(Kind("CnB", source, "nobody's layers"))
    for taken in ("AnB", "snb", "S3B", "SSnB"):
        with pytest.raises(TransferlibError, match="expected a kind named by a free letter"):
            register(Kind(taken, "own", ""))


def test_frozen_layers_are_those_copied_and_not_fine_tuned():
    frozen = {text: Treatment.parse(text).frozen for text in ("base", "A3B", "B5B", "R7B", "A3B+")}
    assert frozen == {"base": 0, "A3B": 3, "B5B": 5, "R7B": 7, "A3B+": 0}


def test_lists_hold_each_run_once_in_order_of_mention():
    assert [str(t) for t in parse_treatments(" A7B, base ,BnB,B2B,A7B,")] == [
        "A7B", "base", "B1B", "B2B", "B3B", "B4B", "B5B", "B6B", "B7B",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["", " , ", "base,A8B", "base;A1B"])
def test_lists_with_nothing_or_something_unknown_are_refused(text):
    with pytest.raises(TransferlibError):
        parse_treatments(text)


def test_the_examples_in_the_documentation_hold():
    result = doctest.testmod(treatments)
    assert result.attempted >= 4 and result.failed == 0
