"""An import takes everything or nothing, and says of each problem where it is and what to do."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.configuration import shipped
from gateway.server.registry.importing import ImportRefusedError, import_registry
from gateway.server.registry.kinds import KINDS
from gateway.server.registry.tables import read_files
from gateway.store import registry
from gateway.store.opening import create_store, open_store
from tests.unit.server.stage import NOW, REGISTRY, Stage, reading, result


def refused(stage: Stage, **files: str) -> list[str]:
    """The problems of an import; nothing of it may be in the store."""
    before = [tuple(row) for kind in KINDS for row in registry.listing(stage.database, kind)]
    paths = []
    for name, text in files.items():
        path = stage.folder / name.replace("__", ".")
        path.write_text(text, encoding="utf-8")
        paths.append(path)
    with pytest.raises(ImportRefusedError) as caught:
        import_registry(stage.database, paths, "tester", NOW)
    assert [tuple(row) for kind in KINDS for row in registry.listing(stage.database, kind)] == before
    return [str(problem).replace(f"{stage.folder}/", "") for problem in caught.value.problems]


def test_the_shipped_example_imports_and_importing_it_again_changes_nothing(tmp_path: Path) -> None:
    folder = shipped() / "registry.example"
    create_store(tmp_path / "store.db", "production", NOW)
    with closing(open_store(tmp_path / "store.db")) as database:
        first = import_registry(database, [folder], "tester", NOW)
        assert set(first.counts) == set(KINDS)
        again = import_registry(database, [folder], "tester", NOW)
        assert {what for count in again.counts.values() for what in count} == {"unchanged"}
        assert len(registry.listing(database, "enrollments")) == 1


def test_csv_and_toml_say_the_same(stage: Stage) -> None:
    (stage.folder / "hubs.csv").write_text("id,kind\nhub-x,home\n", encoding="utf-8")
    import_registry(stage.database, [stage.folder / "hubs.csv"], "tester", NOW)
    (stage.folder / "x.toml").write_text('[[hubs]]\nid = "hub-x"\nkind = "home"\n', encoding="utf-8")
    again = import_registry(stage.database, [stage.folder / "x.toml"], "tester", NOW)
    assert again.counts["hubs"] == {"unchanged": 1}


def test_a_change_is_named_and_kept(stage: Stage) -> None:
    stage.register('[[providers]]\nid = "clinic"\nname = "Other name"\n')
    assert registry.row(stage.database, "providers", "clinic")[0]["name"] == "Other name"
    notes = [row["note"] for row in stage.rows("SELECT note FROM decision ORDER BY id")]
    assert notes[-1] == "providers: 1 changed"


def test_a_new_enrollment_adds_a_row_and_the_newest_holds(stage: Stage) -> None:
    text = '[[enrollments]]\npatient = "pat"\npayer = "medicare_ffs"\ndiagnosis = "I48.20"\n'
    stage.register(text)
    stage.register(text.replace("I48.20", "Z79.01,I48.20"))
    assert [row["diagnosis"] for row in stage.rows("SELECT diagnosis FROM enrollment ORDER BY id")] == [
        "I48.20",
        "Z79.01 I48.20",
    ]
    assert [row["diagnosis"] for row in registry.listing(stage.database, "enrollments")] == ["Z79.01 I48.20"]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        (
            "zones",
            "patient,from_date,zone\npat,2026-01-01,Amerika/X\n",
            ":2: column zone: 'Amerika/X' is no known zone; write an IANA name",
        ),
        ("zones", "patient,from_date,zone\n\npat,2026-02-30,America/Denver\n", ":3: column from_date:"),
        (
            "zones",
            "patient,from_date,zone\nnone,2026-02-20,America/Denver\n",
            ":2: column patient: names one of the patients that is not there: none; add it",
        ),
        ("zones", "patient;from_date;zone\n", ":1: is separated by semicolons"),
        ("zones", "patient,from_date\n", ":1: column zone: is missing; the columns are patient, from_date, zone"),
        ("zones", "patient,from_date,zone,zome\n", ":1: column zome: is no column of this kind; the columns are"),
        ("zones", "patient,patient,from_date,zone\n", ":1: column patient: stands there twice"),
        (
            "zones",
            "patient,from_date,zone\npat,2026-02-20\n",
            ":2: has 2 cells, the header has 3; count the commas",
        ),
        ("zones", "patient,from_date,zone\npat,2026-02-20,\n", ":2: column zone: is missing; write an IANA name"),
        ("zones", 'patient,from_date,zone\n"pat\n', ": is no CSV"),
        ("zones", "", ":1: has no header; the first line names the columns: patient, from_date, zone"),
        (
            "zones",
            "patient,from_date,zone\n" + "pat,2026-02-20,America/Denver\n" * 2,
            ":3: the same one stands at zones.csv:2 already; leave one of them out",
        ),
        ("hubs", "id,kind\na b,home\n", ":2: column id:"),
        ("hubs", "id,kind\nab,house\n", ":2: column kind:"),
        ("providers", "id,name,npi\nx,X,1234567890\n", ":2: column npi: is no National Provider Identifier"),
        (
            "destinations",
            "id,provider,address\nx,clinic,http://a:1\n",
            ":2: column address: 'http://a:1' is no MLLP address; write it as mllp://host:port",
        ),
        (
            "destinations",
            "id,provider,address\nx,clinic,mllp://a:99999\n",
            ":2: column address: 'mllp://a:99999' is no MLLP address; write it as mllp://host:port",
        ),
        (
            "destinations",
            "id,provider,channel,address\nx,clinic,telex,1\n",
            ":2: column channel: 'telex' is no channel; write one of hl7v2, ",
        ),
        (
            "destinations",
            'id,provider,address,settings\nx,clinic,mllp://a:1,"{""pause_s"": -1, ""colour"": ""red""}"\n',
            ":2: column settings: pause_s: input should be greater than or equal to 0, hl7v2 has no setting colour;"
            " pause_s: seconds between",
        ),
        (
            "destinations",
            "id,provider,address,mode,schedule\nx,clinic,mllp://a:1,batch,Mon 25:00\n",
            ":2: column schedule: '25:00' is no time of day; write it like",
        ),
        (
            "destinations",
            "id,provider,address,mode\nx,clinic,mllp://a:1,batch\n",
            ":2: mode batch needs schedule; write the batch hours",
        ),
        (
            "destinations",
            "id,provider,address,mode,schedule\nx,clinic,mllp://a:1,batch,Mon 08:00\n",
            ":2: column mode: needs batch hours in a zone, and provider clinic has none; give the provider a zone",
        ),
        (
            "destinations",
            "id,provider,address,rank\nx,clinic,mllp://a:1,0\n",
            ":2: column rank: input should be greater than or equal to 1; write 1 for the first choice",
        ),
        (
            "patients",
            "id,family_name,given_name,birth_date,sex\nx,Aname,B,1950-13-01,F\n",
            ":2: column birth_date:",
        ),
        (
            "meters",
            "vendor,serial\nACME,--\n",
            ":2: serial holds neither letters nor digits; write it as the meter sends it",
        ),
        (
            "assignments",
            "vendor,serial,patient,from,to\nACME,SN000123,pat,2027-01-01,2026-12-01\n",
            ":2: column to: lies before from",
        ),
        (
            "assignments",
            "vendor,serial,patient,from\nACME,SN000123,pat,2027-01-01T07:00:00\n",
            ":2: column from: is a time without an offset from UTC; write a date like",
        ),
        (
            "assignments",
            "vendor,serial,patient,from\nACME,other,pat,2027-01-01\n",
            ":2: column serial: names one of the meters that is not there",
        ),
        (
            "assignments",
            "vendor,serial,patient,from\nACME,SN000123,sam,2027-01-01\n",
            ":2: column from: overlaps the one from 2026-01-01T08:00:00.000Z to now and on; give the earlier",
        ),
        (
            "enrollments",
            "patient,payer,diagnosis\npat,medicare_ffs,I48.20 4280\n",
            ":2: column diagnosis: '4280' has not the form of an ICD-10-CM code; write ICD-10-CM codes",
        ),
        (
            "enrollments",
            "patient,payer,diagnosis,order_signed_on,order_expires_on\npat,medicare_ffs,I48.20,2026-02-01,2026-01-01\n",
            ":2: order_expires_on lies before order_signed_on; correct one of them",
        ),
        (
            "enrollments",
            "patient,payer,diagnosis,training_documented\npat,medicare_ffs,I48.20,true\n",
            ":2: training_documented needs training_date; write the day",
        ),
        ("unknowns", "a,b\n", ": its name says no kind of row; name it one of providers.csv"),
    ],
)
def test_each_problem_names_file_line_column_and_remedy(stage: Stage, name: str, text: str, expected: str) -> None:
    (problem,) = refused(stage, **{f"{name}__csv": text})
    assert problem.startswith(f"{name}.csv")
    assert expected in problem
    assert "; " in problem


def test_toml_problems_name_the_line_of_the_key(stage: Stage) -> None:
    text = '# people\n[[zones]]\npatient = "pat"\nfrom_date = 2026-02-01\nzone = "Nowhere"\n\n'
    text += '[[hubs]]\nid = 7\nkind = "home"\n'
    first, second = refused(stage, more__toml=text)
    assert first.startswith("more.toml:5: column zone: 'Nowhere' is no known zone")
    assert second.startswith("more.toml:8: column id:")
    assert refused(stage, more__toml="[[zones\n")[0].startswith("more.toml:1: is no TOML")
    assert "the kinds are providers" in refused(stage, more__toml="\n[[zebras]]\n")[0]


def test_all_problems_are_named_at_once(stage: Stage) -> None:
    problems = refused(
        stage, hubs__csv="id,kind\na,x\nb,y\n", zones__csv="patient,from_date,zone\npat,2026-01-01,X\n"
    )
    assert [problem.split(":")[:2] for problem in problems] == [
        ["hubs.csv", "2"],
        ["hubs.csv", "3"],
        ["zones.csv", "2"],
    ]


def test_a_good_row_beside_a_bad_one_is_not_imported(stage: Stage) -> None:
    refused(stage, hubs__csv="id,kind\ngood,home\n", meters__csv="vendor,serial\nACME,-\n")


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    latin = tmp_path / "hubs.csv"
    latin.write_bytes("id,kind\n\nh\xfcb,home\n".encode("latin-1"))
    _rows, problems = read_files([latin, tmp_path / "zones.csv", tmp_path])
    said = [str(problem) for problem in problems]
    assert f"{latin}:3: is not UTF-8" in said[0]
    assert "No such file" in said[1]


def test_a_patients_zone_comes_before_their_assignment(stage: Stage) -> None:
    people = '[[patients]]\nid = "new"\nfamily_name = "N"\ngiven_name = "N"\nbirth_date = 1950-01-01\nsex = "U"\n'
    text = (
        people
        + '[[treatments]]\npatient = "new"\nprovider = "clinic"\nprovider_patient_id = "1"\nfrom = 2026-01-01\n'
    )
    (problem,) = refused(stage, new__toml=text)
    assert "patient new has no zone of record; add one to zones" in problem


def test_handing_a_meter_over_works_in_one_import(stage: Stage) -> None:
    stage.take(reading(1, result("2026-03-01T07:00:00")))
    stage.register(HANDED_OVER)
    stage.take(reading(2, result("2026-03-11T07:00:00")))
    assert [row["patient_id"] for row in stage.versions()] == ["pat", "sam"]


HANDED_OVER = (
    REGISTRY.replace("from = 2026-01-01", "from = 2026-01-01\nto = 2026-03-10")
    + '[[assignments]]\nvendor = "acme"\nserial = "SN-000123"\npatient = "sam"\nfrom = 2026-03-10T00:00:00-07:00\n'
)


def test_an_import_that_would_move_a_known_result_is_refused(stage: Stage) -> None:
    stage.take(reading(1, result("2026-03-12T07:00:00")))
    problems = refused(stage, handed__toml=HANDED_OVER)
    assert len(problems) == 1
    assert "would take 1 known results, the first of them 1, from their patient" in problems[0]
    assert "see what it would do with --correct" in problems[0]


def test_an_import_that_would_shift_a_known_time_is_refused(stage: Stage) -> None:
    stage.take(reading(1, result("2026-03-12T07:00:00")))
    (problem,) = refused(stage, zones__csv="patient,from_date,zone\npat,2026-03-01,America/Denver\n")
    assert problem.startswith("zones.csv:2: column from_date: would shift the time of 1 known results")
    stage.register('[[zones]]\npatient = "pat"\nfrom_date = 2026-03-13\nzone = "America/Denver"\n')


def test_an_assignment_that_never_should_have_been_can_be_taken_back(stage: Stage) -> None:
    stage.register(REGISTRY.replace("from = 2026-01-01", "from = 2026-01-01\nto = 2026-01-01"))
    stage.register(
        '[[assignments]]\nvendor = "ACME"\nserial = "SN000123"\npatient = "sam"\nfrom = 2026-01-01T00:00:00Z\n'
    )
    stage.take(reading(1))
    assert [row["patient_id"] for row in stage.versions()] == ["sam"]


def test_treatments_of_one_provider_must_not_overlap_but_two_may_treat(stage: Stage) -> None:
    one = '[[treatments]]\npatient = "pat"\nprovider = "{}"\nprovider_patient_id = "{}"\nfrom = {}\n'
    stage.register(one.format("clinic", 1, "2026-01-01"))
    (problem,) = refused(stage, t__toml=one.format("clinic", 2, "2026-02-01"))
    assert "column from: overlaps" in problem
    stage.register('[[providers]]\nid = "second"\nname = "Second"\n' + one.format("second", 2, "2026-02-01"))


def test_related_rows_of_a_patient_are_found(stage: Stage) -> None:
    assert set(registry.related(stage.database, "patients", "pat")) == {"zones", "assignments"}
    assert registry.related(stage.database, "hubs", "home-1") == {}


@given(
    st.sampled_from([f"{kind}.csv" for kind in KINDS] + ["any.toml"]),
    st.binary(max_size=200) | st.text(max_size=200).map(str.encode),
)
@settings(max_examples=100, deadline=None)
def test_no_file_makes_reading_it_raise(tmp_path_factory: pytest.TempPathFactory, name: str, octets: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / name
    path.write_bytes(octets)
    rows, problems = read_files([path])
    assert all(problem.place.file == str(path) for problem in problems)
    assert all(row.place.line >= 0 for row in rows)
