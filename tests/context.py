"""What Lambda passes beside the event."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Context:
    """Of one call; a repeated asynchronous one has the same request id."""

    aws_request_id: str = "request"
    function_name: str = "function"
    function_version: str = "$LATEST"
    memory_limit_in_mb: int = 1024
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:000000000000:function:function"
    left_ms: int = 600_000

    def get_remaining_time_in_millis(self) -> int:
        return self.left_ms
