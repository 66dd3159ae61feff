"""Which model predicts best on rows that none has seen?"""

from streamreg.scoring.scorer import score
from streamreg.scoring.scorecard import Scorecard

__all__ = ["Scorecard", "score"]
