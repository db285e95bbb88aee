"""The last of the suite: everything is taken down, the images that the functions ran included."""

import pytest

from cli import destroy
from cli.stack import Stack


def test_destroy_removes_the_images_of_the_functions_and_no_other(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(destroy, "change", lambda *_, **__: stack)
    functions = [name for output, name in stack.outputs.items() if output.startswith("Function")]
    run = {stack.client("lambda").get_function(FunctionName=name)["Code"]["ImageUri"] for name in functions}
    repository = next(iter(run)).partition("/")[2].rpartition(":")[0]
    ecr = stack.client("ecr")
    # The emulator runs what Docker has under these names, so nobody has pushed anything to it.
    for tag in [*(uri.rpartition(":")[2] for uri in run), "another"]:
        ecr.put_image(repositoryName=repository, imageManifest=f'{{"layers": ["{tag}"]}}', imageTag=tag)

    removed = destroy.destroy(yes=True)["removed"]
    assert removed["images"] == sorted(run)
    assert [one["imageTag"] for one in ecr.list_images(repositoryName=repository)["imageIds"]] == ["another"]
    assert stack.client("lambda").list_functions()["Functions"] == []
    assert stack.client("s3").list_buckets(Prefix="trefoil")["Buckets"] == []
