"""What a person reads of a record."""

from bench.store.records import Record


def record(method="m", simulated=None, accuracy=(0.5, 0.75), **more):
    return Record(
        identity={"method": method, "seed": 3, "source": {"name": "SEED:3"},
                  "target": {"name": "DEAP:valence"}, "protocol": {"name": "few-shot"}},
        simulated=simulated,
        folds=[{"subject": i, "scores": {unit: {"accuracy": a, "auroc": None}
                                         for unit in ("window", "trial")}}
               for i, a in enumerate(accuracy)], **more)


def test_a_repr_is_one_line_however_many_folds():
    text = repr(record(accuracy=[0.5] * 500))
    assert "\n" not in text
    assert len(text) < 160
    assert "SEED:3→DEAP:valence" in text
    assert "500 folds" in text


def test_a_summary_says_scores_n_and_controls():
    text = record(controls=[record("majority", accuracy=(0.25, 0.25))]).summary()
    assert "few-shot" in text
    rows = [line.split() for line in text.splitlines()]
    assert ["per", "window", "m", "62.5", "–", "–", "–", "2"] in rows
    assert ["per", "trial", "majority", "25.0", "–", "–", "–", "2"] in rows


def test_a_score_that_some_folds_lack_says_how_many_have_it():
    assert "75.0 (n 1)" in record(accuracy=(None, 0.75)).summary()


def test_simulated_is_said_and_only_where_it_is():
    shown = record(simulated={})
    assert all("SIMULATED" in text for text in (repr(shown), shown.summary(), shown._repr_html_()))
    assert "SIMULATED" not in record().summary()


def test_a_failed_record_says_why():
    assert "failed: no memory" in Record(
        identity=record().identity, status="failed", reason="no memory").summary()


def test_html_is_escaped():
    text = record("<script>alert(1)</script>")._repr_html_()
    assert "<script>" not in text
    assert "&lt;script&gt;" in text


def test_a_record_without_an_identity_is_shown():
    assert "failed" in repr(Record(identity={}, status="failed", reason="no corpus"))
