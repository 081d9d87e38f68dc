"""``inr-gateway documents``, as a person types it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from gateway.cli.main import main
from tests.unit.documents.conftest import ENROLLED
from tests.unit.server.stage import Stage, reading


class Said(NamedTuple):
    status: int
    out: str
    err: str


Type = Callable[..., Said]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    stage.register(ENROLLED)
    stage.take(reading(1))
    yield stage
    stage.close()


@pytest.fixture
def typed(stage: Stage, capsys: pytest.CaptureFixture[str]) -> Type:
    file = stage.folder / "server.toml"
    file.write_text(f'[server]\nname = "s"\nstore = "{stage.path}"\nrole = "production"\n', encoding="utf-8")

    def type_(*words: object) -> Said:
        capsys.readouterr()
        try:
            status = main(["documents", *map(str, words), "--config", str(file)])
        except SystemExit as error:
            status = int(error.code or 0)
        return Said(status, *capsys.readouterr())

    return type_


ORDER = ("add", "order", "--patient", "pat", "--by", "Ada", "signed_on=2026-01-05", "practitioner=Dr. V")


def test_a_document_is_added_listed_shown_and_corrected(typed: Type, tmp_path: Path) -> None:
    scan = tmp_path / "scan.pdf"
    scan.write_bytes(b"%PDF \x00 signed")
    assert typed(*ORDER, "--file", scan) == (0, "document 1 recorded\n", "")
    assert typed(*ORDER).out == "document 1 says the same already: nothing new\n"
    assert typed("supersede", 1, "--by", "Bob", "interval_days=7").out == "document 2 supersedes document 1\n"
    (row,) = [json.loads(line) for line in typed("list", "--patient", "pat", "--json").out.splitlines()]
    assert row["body"] == {"interval_days": 7, "practitioner": "Dr. V", "signed_on": "2026-01-05"}
    assert (row["recorded_by"], row["supersedes"], row["holds"]) == ("Bob", 1, True)
    both = typed("list", "--patient", "pat", "--all", "--kind", "order").out
    assert "superseded by 2" in both
    saved = tmp_path / "saved.pdf"
    shown = typed("show", 2, "--save", saved)
    assert "signed_on = 2026-01-05" in shown.out
    assert "file scan.pdf, 13 octets" in shown.out
    assert saved.read_bytes() == scan.read_bytes()
    assert typed("show", 2, "--save", saved).status == 1
    assert typed("void", 2, "--by", "Bob", "--note", "not hers").out == "document 3 voids document 2\n"
    assert typed("list", "--patient", "pat", "--json").out == ""
    scan.write_bytes(b"%PDF better")
    typed("supersede", 3, "--by", "Bob", "signed_on=2026-01-05", "practitioner=Dr. V")
    assert typed("attach", 4, "--by", "Bob", "--file", scan).out == "document 5 supersedes document 4\n"


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (
            ("add", "order", "--patient", "pat", "--by", "Ada", "practitioner=V"),
            1,
            "order: column signed_on: is missing",
        ),
        (
            ("add", "orders", "--patient", "pat", "--by", "Ada", "a=b"),
            1,
            "there is no kind 'orders'; the kinds are order",
        ),
        ((*ORDER, "signed"), 2, "'signed' says no column; write column=value"),
        ((*ORDER, "practitioner=W"), 2, "column practitioner is given twice"),
        ((*ORDER, "--file", "nowhere.pdf"), 2, "nowhere.pdf: cannot be read"),
        (("add", "order", "--patient", "pat", "--by", " ", "signed_on=2026-01-05"), 2, "--by needs the name"),
        (("add", "order", "--patient", "who", *ORDER[4:]), 1, "there is no patient who"),
        (("supersede", "9", "--by", "Ada", "signed_on=2026-01-05"), 1, "there is no document 9"),
        (("show", "9"), 1, "there is no document 9"),
        (("list", "--patient", "who"), 1, "there is no patient who"),
        (("list", "--patient", "pat", "--kind", "orders"), 2, "no kind 'orders'"),
        (("supplies", "--patient", "sam"), 1, "patient sam is not enrolled"),
        (("import", "nowhere.csv", "--by", "Ada"), 1, "nowhere.csv: cannot be read: No such file"),
    ],
)
def test_every_refusal_is_plain_and_records_nothing(
    typed: Type, stage: Stage, words: tuple[str, ...], status: int, said: str
) -> None:
    answer = typed(*words)
    assert answer.status == status
    assert said in answer.err
    assert answer.out == ""
    assert (stage.count("document"), stage.count("attachment")) == (0, 0)


def test_an_import_is_all_or_nothing_and_once(typed: Type, stage: Stage) -> None:
    file = stage.folder / "training.csv"
    header = "patient,date,code,trainer,able_to_test,able_to_report\n"
    file.write_text(f"{header}pat,2026-01-05,G0248,R,true,true\npat,2026-01-06,G0249,R,true,maybe\n")
    refused = typed("import", file, "--by", "Ada")
    assert refused.status == 1
    assert [line.split(": ")[:2] for line in refused.err.splitlines()[:2]] == [
        [f"{file}:3", "column code"],
        [f"{file}:3", "column able_to_report"],
    ]
    assert refused.err.endswith("nothing was recorded: 2 problems\n")
    assert stage.count("document") == 0
    file.write_text(f"{header}pat,2026-01-05,G0248,R,true,true\n")
    assert typed("import", file, "--by", "Ada").out == "training: 1 new\n"
    assert typed("import", file, "--by", "Ada").out == "training: 1 unchanged\n"
    (decision,) = stage.rows("SELECT by_name, subject FROM decision WHERE act = 'documents import'")
    assert tuple(decision) == ("Ada", str(file))


def test_a_second_training_under_g0248_is_a_caution(typed: Type) -> None:
    for day, code in (("2026-01-05", "G0248"), ("2026-02-05", "G0248"), ("2026-02-05", "93792")):
        session = (f"date={day}", f"code={code}", "trainer=R", "able_to_test=true", "able_to_report=true")
        assert typed("add", "training", "--patient", "pat", "--by", "Ada", *session).status == 0
    cautions = [line for line in typed("list", "--patient", "pat").out.splitlines() if line.startswith("caution")]
    assert len(cautions) == 2
    assert all("(R33, 2026-02-05)" in line for line in cautions)


def test_supplies_are_counted_from_the_record(typed: Type) -> None:
    typed("add", "supply_delivery", "--patient", "pat", "--by", "Ada", "date=2026-03-01", "strips=3")
    words = ("supplies", "--patient", "pat", "--as-of", "2026-03-14", "--shipping-days", "3")
    found = json.loads(typed(*words, "--json").out)
    assert (found["on_hand"], found["used"], found["exhausted_on"]) == (2, 1, "2026-03-29")
    assert (found["deliver_from"], found["contact_from"]) == ("2026-03-24", "2026-03-14")
    assert "no proof of the delivery on 2026-03-01" in typed(*words).out
    assert "a delivery is missing from the record" not in typed(*words).out
