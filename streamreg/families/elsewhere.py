"""What other programs call families and links."""

LINKS = {"log": "Log", "logit": "Logit", "probit": "Probit", "cloglog": "CLogLog", "cauchit": "Cauchy",
          "identity": "Identity", "inverse": "InversePower"}  # fmt: skip
"""Links, by what statsmodels calls them."""

FAMILIES = {
    "gaussian": ("Gaussian", "gaussian", "gaussian"),
    "binomial": ("Binomial", "binomial", "binomial"),
    "poisson": ("Poisson", "poisson", "poisson"),
    "gamma": ("Gamma", "Gamma", "gamma"),
    "inverse_gaussian": ("InverseGaussian", "inverse.gaussian", "igaussian"),
}
"""Families, by what statsmodels, R and Stata call them."""

SKLEARN = {
    ("binomial", "logit"): "LogisticRegression(C=np.inf, {})",
    ("poisson", "log"): "PoissonRegressor(alpha=0, {})",
    ("gamma", "log"): "GammaRegressor(alpha=0, {})",
}
"""Calls of scikit-learn without a penalty, by family and link, but for their last options."""
