"""Old names: ``Network.fit`` is what to use."""

from deltaloop._deprecated import moved

_NAMES = (
    "FINAL",
    "FIRST_WORK",
    "SLICE",
    "Course",
    "ProgressBar",
    "adapted",
    "check_parts",
    "divergence",
    "exclusive",
    "final_costs",
    "fit",
    "progress_bar",
    "set_aside",
    "stream_of",
    "train",
    "train_stage",
)

__getattr__ = moved(
    __name__,
    {name: f"deltaloop._fit.run.{name}" for name in _NAMES},
    {"fit": "deltaloop.Network.fit"},
)
