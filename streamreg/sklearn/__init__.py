"""Estimators with the names and conventions of scikit-learn, fitted by streaming, with errors and digits.

>>> from streamreg.sklearn import LinearRegression
>>> model = LinearRegression().fit(X, y)                  # arrays or data frames, as in scikit-learn
>>> model = LinearRegression().fit("trips.parquet", "tip")  # or a file that does not fit in memory
>>> model.coef_, model.std_errors_, model.digits_
"""

from streamreg.errors import MissingExtra

try:
    from streamreg.sklearn.cross_validated import ElasticNetCV, LassoCV, RidgeCV
    from streamreg.sklearn.generalised import GammaRegressor, PoissonRegressor, TweedieRegressor
    from streamreg.sklearn.least_squares import ElasticNet, Lasso, LinearRegression, Ridge
    from streamreg.sklearn.logistic import LogisticRegression, LogisticRegressionCV
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "sklearn":
        raise
    raise MissingExtra("streamreg.sklearn needs scikit-learn: pip install 'streamreg[sklearn]'") from error

__all__ = [
    "ElasticNet",
    "ElasticNetCV",
    "GammaRegressor",
    "Lasso",
    "LassoCV",
    "LinearRegression",
    "LogisticRegression",
    "LogisticRegressionCV",
    "PoissonRegressor",
    "Ridge",
    "RidgeCV",
    "TweedieRegressor",
]
