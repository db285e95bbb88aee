"""What a function is made of: an edit reaches the images it concerns, and no other."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App, Duration, Stack
from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk import aws_s3_assets as s3_assets
from aws_cdk.assertions import Match, Template

from infra import image_function
from infra.image_function import ImageFunction
from infra.settings import DeploySettings
from layers.storage import manifest

ROOT = Path(__file__).resolve().parents[2]
IMAGES = {
    "clustering": "functions.clustering.handler.fit",
    "forecasting": "functions.forecasting.handler.api",
    "console": "functions.console.handler.api",
    "classification": "functions.classification.handler.score",
    "classification-training": "functions.classification.handler.train",
}
CLASSIFICATION = {"classification", "classification-training"}


def make(stack: Stack, name: str, group: str, handler: str, packaging: str = "image", **more: bool):
    return ImageFunction(
        stack,
        name,
        handler=handler,
        group=group,
        memory_mb=512,
        timeout=Duration.seconds(30),
        environment={"TREFOIL_STAGE": "test"},
        deploy=DeploySettings(packaging=packaging),
        **more,
    )


def asset_hash(function: ImageFunction) -> str:
    nodes = [child for child in function.function.node.children if child.node.id in {"AssetImage", "Code"}]
    (asset,) = nodes
    assert isinstance(asset, ecr_assets.DockerImageAsset | s3_assets.Asset)
    return asset.asset_hash


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("tree")
    for name in ("functions", "layers", "cli", "infra", "pyproject.toml", "uv.lock", "README.md"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy / name)
    (copy / "tests").mkdir()
    return copy


@pytest.fixture(params=["image", "source"])
def hashes(request: pytest.FixtureRequest, tree: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], dict[str, str]]:
    monkeypatch.setattr(image_function, "ROOT", tree)

    def synthesise() -> dict[str, str]:
        stack = Stack(App(), "Test")
        return {g: asset_hash(make(stack, g.title(), g, handler, request.param)) for g, handler in IMAGES.items()}

    return synthesise


@pytest.mark.parametrize(
    ("path", "concerned"),
    [
        ("functions/clustering/learn.py", {"clustering"}),
        ("functions/clustering/domain/__init__.py", {"clustering"}),
        ("functions/forecasting/handler.py", {"forecasting"}),
        ("functions/console/page/new.js", {"console"}),
        ("functions/console/api.py", {"console"}),
        ("functions/classification/settings.py", CLASSIFICATION),
        ("functions/__init__.py", set(IMAGES)),
        ("layers/runtime/errors.py", set(IMAGES)),
        ("layers/Dockerfile", set(IMAGES)),
        ("uv.lock", set(IMAGES)),
        ("README.md", set()),
        ("layers/README.md", set()),
        ("cli/main.py", set()),
        ("infra/settings.py", set()),
        ("tests/test_new.py", set()),
        ("functions/clustering/__pycache__/service.cpython-313.pyc", set()),
    ],
)
def test_an_edit_changes_the_images_it_concerns_and_no_other(
    hashes: Callable[[], dict[str, str]], tree: Path, path: str, concerned: set[str]
) -> None:
    before = hashes()
    file = tree / path
    file.parent.mkdir(exist_ok=True)
    with file.open("a") as text:
        text.write("\n# edited\n")
    after = hashes()
    assert {group for group in before if before[group] != after[group]} == concerned


def test_the_pages_bundle_is_part_of_the_code(tmp_path: Path) -> None:
    app = App(outdir=str(tmp_path))
    make(Stack(app, "Test"), "Api", "console", "functions.console.handler.api", "source")
    make(Stack(app, "Image"), "Api", "console", "functions.console.handler.api")
    staged = [path for path in Path(app.synth().directory).glob("asset.*") if path.is_dir()]
    assert len(staged) == 2
    for folder in staged:
        built = folder / "functions/console/page/built"
        named = re.findall(r"/static/(\w+-\w+\.\w+)", (built / "index.html").read_text())
        files = [path.name for path in built.iterdir()]
        assert {"index.html", *named} == set(files)
        assert len(files) == 4


def test_functions_of_a_leaf_share_one_image() -> None:
    stack = Stack(App(), "Test")
    fit = make(stack, "Fit", "clustering", "functions.clustering.handler.fit")
    label = make(stack, "Label", "clustering", "functions.clustering.handler.label")
    assert asset_hash(fit) == asset_hash(label)
    functions = Template.from_stack(stack).find_resources("AWS::Lambda::Function").values()
    assert sorted(f["Properties"]["ImageConfig"]["Command"][0] for f in functions) == [
        "functions.clustering.handler.fit",
        "functions.clustering.handler.label",
    ]


def test_serving_and_training_are_two_images_of_one_leaf() -> None:
    stack = Stack(App(), "Test")
    made = [make(stack, g.title(), g, IMAGES[g]) for g in sorted(CLASSIFICATION)]
    assert len({asset_hash(function) for function in made}) == 2


def test_a_function_writes_to_its_own_log_group_and_nothing_else() -> None:
    stack = Stack(App(), "Test")
    make(stack, "Fit", "clustering", "functions.clustering.handler.fit")
    template = Template.from_stack(stack)
    template.has_resource_properties("AWS::Logs::LogGroup", {"RetentionInDays": 30})
    template.has_resource_properties(
        "AWS::Lambda::Function",
        {"TracingConfig": {"Mode": "Active"}, "LoggingConfig": {"LogGroup": Match.any_value()}},
    )
    template.has_resource_properties(
        "AWS::IAM::Policy",
        {
            "PolicyDocument": {
                "Statement": [
                    Match.object_like({"Action": ["logs:CreateLogStream", "logs:PutLogEvents"]}),
                    Match.object_like({"Action": ["xray:PutTraceSegments", "xray:PutTelemetryRecords"]}),
                ]
            }
        },
    )


def test_with_snap_start_triggers_call_the_alias_of_a_published_version() -> None:
    stack = Stack(App(), "Test")
    function = make(stack, "Api", "forecasting", "functions.forecasting.handler.api", snap_start=True)
    template = Template.from_stack(stack)
    template.has_resource_properties(
        "AWS::Lambda::Function", {"SnapStart": {"ApplyOn": "PublishedVersions"}, "PackageType": "Image"}
    )
    template.has_resource_properties("AWS::Lambda::Alias", {"Name": "live"})
    assert function.target.function_arn != function.function.function_arn
    plain = make(stack, "Plain", "forecasting", "functions.forecasting.handler.api")
    assert plain.target is plain.function


def test_other_code_is_another_version_and_cloudformation_deletes_the_old_one(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_function, "ROOT", tree)
    versions: list[dict[str, Any]] = []
    for _ in range(2):
        stack = Stack(App(), "Test")
        make(stack, "Api", "forecasting", "functions.forecasting.handler.api", snap_start=True)
        versions.append(dict(Template.from_stack(stack).find_resources("AWS::Lambda::Version")))
        with (tree / "functions/forecasting/handler.py").open("a") as text:
            text.write("\n# edited\n")
    assert [len(found) for found in versions] == [1, 1]
    assert versions[0].keys() != versions[1].keys()
    # What leaves the template is deleted, unless its policy says otherwise.
    (old,) = versions[0].values()
    assert (old["DeletionPolicy"], old["UpdateReplacePolicy"]) == ("Delete", "Delete")


def test_the_code_that_a_manifest_names_is_what_the_image_holds(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hash is taken at run time from the sources in the image, and compared in a checkout."""
    app = App(outdir=str(tmp_path))
    make(Stack(app, "Test"), "Fit", "clustering", "functions.clustering.handler.fit", "source")
    (staged,) = Path(app.synth().directory).glob("asset.*")
    assert (staged / "functions/clustering/handler.py").exists()
    here = manifest.code_hash("clustering")
    monkeypatch.setattr(manifest, "ROOT", staged)
    assert manifest.code_hash.__wrapped__("clustering") == here
    with (tree / "functions/clustering/handler.py").open("a") as text:
        text.write("\n# edited\n")
    monkeypatch.setattr(manifest, "ROOT", tree)
    assert manifest.code_hash.__wrapped__("clustering") != here
