"""Which model predicts best on rows that none has seen?"""

from streamreg.scoring.scorecard import Scorecard
from streamreg.scoring.scorer import score

__all__ = ["Scorecard", "score"]
