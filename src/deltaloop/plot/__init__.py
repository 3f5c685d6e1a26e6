"""Pictures of trainings, networks and predictions, drawn with matplotlib (extra ``plot``).

Every function takes the Axes to draw on as `ax`, or makes a new figure of pyplot's, and returns the
Axes. Nothing is shown, and no setting of matplotlib is changed. What colours tell is told by
lightness, dashes or markers as well, so that it is there in grey too.
"""

from deltaloop.plot._calibration import calibration
from deltaloop.plot._confusion import confusion_matrix
from deltaloop.plot._diagram import diagram
from deltaloop.plot._importance import importance
from deltaloop.plot._learning import learning_curve
from deltaloop.plot._predictions import predicted_against_true, residuals
from deltaloop.plot._regions import decision_regions

__all__ = [
    "calibration",
    "confusion_matrix",
    "decision_regions",
    "diagram",
    "importance",
    "learning_curve",
    "predicted_against_true",
    "residuals",
]
