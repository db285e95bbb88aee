"""A queue, its dead-letter queue, and the function that reads it in batches."""

from aws_cdk import Duration
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as sources
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.grants import acknowledge

TRIES = 5
KEPT = Duration.days(14)


class EventQueue(Construct):
    """Messages get five tries; then, or when the function says they can never succeed, they go to `dead_letters`.

    A message that failed comes again after `timeouts` times that of its function: six leave room for calls that are
    throttled, one is enough where calls are few.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        timeout: Duration,
        window: Duration,
        timeouts: int = 6,
        dead_letters: sqs.IQueue | None = None,
    ) -> None:
        super().__init__(scope, id_)
        self._window = window
        self.dead_letters = dead_letters or dead_letter_queue(self, "DeadLetters")
        self.queue = sqs.Queue(
            self,
            "Queue",
            visibility_timeout=Duration.seconds(timeouts * timeout.to_seconds() + window.to_seconds()),
            retention_period=Duration.days(4),
            dead_letter_queue=sqs.DeadLetterQueue(queue=self.dead_letters, max_receive_count=TRIES),
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
        )

    def read_by(self, function: lambda_.IFunction, *, batch: int, concurrency: int) -> None:
        """Call `function` with up to `batch` messages; it returns the ones that failed."""
        function.add_event_source(
            sources.SqsEventSource(
                self.queue,
                batch_size=batch,
                max_batching_window=self._window,
                max_concurrency=concurrency,
                report_batch_item_failures=True,
            )
        )


def dead_letter_queue(scope: Construct, id_: str) -> sqs.Queue:
    """A queue for what could not be delivered or processed, kept for 14 days."""
    queue = sqs.Queue(scope, id_, retention_period=KEPT, encryption=sqs.QueueEncryption.SQS_MANAGED, enforce_ssl=True)
    acknowledge(queue, SQS3="this is a dead-letter queue")
    return queue
