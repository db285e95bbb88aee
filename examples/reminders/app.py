"""The CDK app with a fourth leaf: `cdk deploy --all --app "python3 -m examples.reminders.app"`."""

from examples.reminders.stack import Reminders
from infra.app import build
from infra.settings import deployment

if __name__ == "__main__":
    build(*deployment(), Reminders).synth()
