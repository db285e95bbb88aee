"""What a leaf says of itself, once, to the stack, the commands and the tests."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from layers.runtime.settings import Settings


@dataclass(frozen=True)
class LeafDescription:
    """Declared in the settings of each leaf, `settings` being those of its functions.

    `jobs` of the ledger say what another run with the same input needs; in the `keyed` ones each key is a thing of its
    own that matters, in the others the last run alone. `samples` are what its `simulate` makes, with the usual number
    of rows. `trainer` is the output that names its training, a function or a state machine; a leaf without one has no
    champion: each run fits a model of its own.
    """

    name: str
    settings: type[Settings]
    jobs: Mapping[str, str]
    samples: Mapping[str, int]
    keyed: frozenset[str] = field(default_factory=frozenset)
    trainer: str = ""

    @property
    def champion(self) -> bool:
        """Whether one of its versions answers."""
        return bool(self.trainer)
