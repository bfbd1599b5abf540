"""The catalogue is whole: each row has a test, each test a defence that can still be taken out, each option a proof."""

import re

import pytest

from tests.defences import ROOT, Marked, every_test
from workbench.model.options import Options

ROWS = """
A1 A2 A3 A4 A5 A6 A7 A8  B1 B2 B3 B4 B5 B6 B7 B8 B9 B10 B11 B13 B16  C1 C2 C3 C4 C6 C7 C8 C9 C10 C11 C14 C15
D1 D2 D3 D4 D5 D6 D7 D9 D10 D11  E1 E2 E4 E6 E7 E9 E11  F1 F2 F3 F4 F5 F6 F8 F9 F10 F11 F12 F13 F14
G1 G2 G3 G4 G5 G6 G7 G8 G9 G10 G11
J1 J2 J3 J4 J5 J6 J7 J8 J9 J10 J11 J12 J13 J14 J15 J16  H1 H2 H3 H6 H7 H8 H9 H12  M1 M2 M3 M4 M7 M8  X13
""".split()
SDK_DEFECTS = [f"S{number}" for number in range(1, 18)]  # what the VideoSDK worker got wrong, see the tests


def named(kind: str) -> dict[str, list[Marked]]:
    """The tests of each row: `test_fault_B4_...` belongs to B4."""
    found: dict[str, list[Marked]] = {}
    for test in every_test():
        if match := re.match(rf"test_{kind}_([A-Z]\d+)_", test.name):
            found.setdefault(match[1], []).append(test)
    return found


def test_every_row_of_the_catalogue_has_a_test() -> None:
    assert not set(ROWS) - set(named("fault"))


def test_every_defect_of_the_sdk_has_a_regression_test() -> None:
    assert not set(SDK_DEFECTS) - set(named("sdk"))


@pytest.mark.parametrize("kind", ["fault", "sdk"])
def test_every_row_has_a_defence_to_take_out(kind: str) -> None:
    assert [row for row, tests in named(kind).items() if row != "H12" and not any(t.defences for t in tests)] == []


def test_every_defence_can_be_taken_out() -> None:
    edits = {edit for test in every_test() for edits in test.defences for edit in edits}
    texts = {edit.file: (ROOT / edit.file).read_text() for edit in edits}
    assert [edit for edit in edits if texts[edit.file].count(edit.old) != 1] == []


def test_fault_H12_an_option_without_a_proof_of_its_effect_fails_here() -> None:
    proven = {name for test in every_test() for name in test.options}
    assert proven - set(Options.model_fields) == set()
    assert set(Options.model_fields) - proven == set()
