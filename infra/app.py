"""The CDK app: `cdk deploy --all`. Settings come from the stage's file, see infra/settings.py."""

import sys

from aws_cdk import App, Tags, Validations
from cdk_nag import AwsSolutionsChecks

from infra.data_stack import DataStack
from infra.leaf import Leaf
from infra.service_stack import ServiceStack
from infra.settings import DeploySettings, StageFile, deployment
from layers.runtime.errors import InputError

# The data stack refuses to drop what the service stack still uses.
CONTEXT = {"@aws-cdk/core:defaultCrossStackReferences": "strong"}


def build(deploy: DeploySettings, file: StageFile, *more: type[Leaf]) -> App:
    """An app with the two stacks of the stage, and `more` leaves in the second. Raises InputError for run-time settings
    that are wrong."""
    app = App(context=CONTEXT)
    data = DataStack(
        app,
        f"trefoil-{deploy.stage}-data",
        superseded_days=deploy.superseded_days,
        scored_days=deploy.scored_days,
        description="Trefoil: what outlives a deployment",
    )
    ServiceStack(
        app,
        f"trefoil-{deploy.stage}-service",
        data=data,
        deploy=deploy,
        file=file,
        more=more,
        description="Trefoil: everything that runs",
    )
    Tags.of(app).add("project", "trefoil")
    Tags.of(app).add("stage", deploy.stage)
    Validations.of(app).add_plugins(AwsSolutionsChecks())
    return app


if __name__ == "__main__":
    try:
        build(*deployment()).synth()
    except InputError as exc:
        sys.exit(f"trefoil: {exc}")
