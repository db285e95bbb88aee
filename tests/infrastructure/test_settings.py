"""A stage's settings stand in one file, which is checked at synthesis."""

from pathlib import Path

import pytest
from aws_cdk.assertions import Template

from infra import settings
from infra.app import build
from infra.settings import StageFile, deployment
from layers.runtime.errors import InputError


@pytest.fixture
def stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(settings, "STAGES", tmp_path)
    return tmp_path


def synthesised(stage: str) -> Template:
    app = build(*deployment(stage))
    return Template.from_stack(app.node.find_child(f"trefoil-{stage}-service"))


def test_what_the_file_says_reaches_the_functions_of_its_leaf_only(stages: Path) -> None:
    (stages / "prod.toml").write_text('[deploy]\ntimezone = "Europe/Berlin"\n[classification]\ntarget = "churned"\n')
    functions = synthesised("prod").find_resources("AWS::Lambda::Function").values()
    targets = [f["Properties"]["Environment"]["Variables"].get("TREFOIL_TARGET") for f in functions]
    assert targets.count("churned") == 3
    assert set(targets) == {"churned", None}
    zones = {f["Properties"]["Environment"]["Variables"].get("TREFOIL_TIMEZONE") for f in functions}
    assert zones == {"Europe/Berlin", None}


def test_how_sales_files_are_read_reaches_the_functions_of_forecasting(stages: Path) -> None:
    said = {"frequency": "W", "aggregate": "sum", "timezone": "Europe/Berlin", "holidays": "DE-BY"}
    lines = (f"{name} = '{value}'" for name, value in said.items())
    (stages / "prod.toml").write_text("\n".join(["[forecasting]", *lines]))
    functions = synthesised("prod").find_resources("AWS::Lambda::Function").values()
    read = [f["Properties"]["Environment"]["Variables"] for f in functions]
    mine = [one for one in read if "TREFOIL_FORECASTS_TABLE" in one]
    assert len(mine) == 5
    for name, value in said.items():
        assert {one.get(f"TREFOIL_{name.upper()}") for one in mine} == {value}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[classification]\ntargte = 'y'\n", "dev.toml: classification.targte: is no setting"),
        ("[classification]\niterations = 'many'\n", "dev.toml: classification.iterations"),
        ("[clustering]\ncolumns = 'ride_dist'\n", "dev.toml: clustering.columns"),
        ("[clustering]\nlake_bucket = 'mine'\n", "dev.toml: clustering.lake_bucket: is set by the stack"),
        ("[deploy]\nregion = 'eu-west-1'\n", "dev.toml: deploy.region: is no setting"),
        ("[forecasting]\nholidays = 'XX'\n", "dev.toml: forecasting.holidays: Value error, is no country"),
        ("[forecasting]\nfrequency = 'day'\n", "dev.toml: forecasting.frequency"),
        ("[forecasting]\naggregate = 'max'\n", "dev.toml: forecasting.aggregate"),
        ("[forecasting]\ntimezone = 'Berlin'\n", "dev.toml: forecasting.timezone: Value error, is no IANA zone"),
        ("[web]\nport = 1\n", "dev.toml: web: is none of the sections"),
        ("[deploy\n", "dev.toml: cannot be read"),
    ],
)
def test_a_wrong_file_is_refused_by_section_and_field(stages: Path, text: str, said: str) -> None:
    (stages / "dev.toml").write_text(text)
    with pytest.raises(InputError) as error:
        synthesised("dev")
    assert str(error.value).startswith(said)


def test_a_run_time_setting_of_the_shell_is_refused(stages: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TREFOIL_TARGET", "churned")
    with pytest.raises(InputError, match=r"TREFOIL_TARGET: is set in this shell: write target into dev\.toml"):
        synthesised("dev")


def test_a_deploy_variable_is_stronger_than_the_file(stages: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (stages / "dev.toml").write_text("[deploy]\nmap_concurrency = 9\napi_rate = 7\n")
    monkeypatch.setenv("TREFOIL_DEPLOY_MAP_CONCURRENCY", "5")
    deploy, _ = deployment()
    assert (deploy.map_concurrency, deploy.api_rate) == (5, 7)


def test_the_files_that_come_with_the_project_are_right() -> None:
    for file in settings.STAGES.glob("*.toml"):
        assert isinstance(deployment(file.stem)[1], StageFile)
        synthesised(file.stem)
