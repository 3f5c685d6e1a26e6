"""Old names: ``deltaloop.GradientCheck`` and ``Network.check_gradient`` are what to use."""

from deltaloop._deprecated import moved

_NAMES = ("GradientCheck", "SMALL", "STEP", "check_gradient", "indices_of", "place")

__getattr__ = moved(
    __name__,
    {name: f"deltaloop._fit.gradient_check.{name}" for name in _NAMES},
    {
        "GradientCheck": "deltaloop.GradientCheck",
        "check_gradient": "deltaloop.Network.check_gradient",
    },
)
