"""What statsmodels says of cumulative logits, written to ordinal.json.

Run with statsmodels 0.15: ``pip install statsmodels==0.15.*``, then ``python make_ordinal.py``.
"""

import json
from pathlib import Path

import numpy as np
from statsmodels.miscmodels.ordinal_model import OrderedModel

random = np.random.default_rng(0)
x = random.normal(size=(80, 2)).round(3)
places = x @ [1.5, -0.7] + random.logistic(size=80)
y = np.searchsorted([-1.0, 0.2, 1.7], places)
model = OrderedModel(y, x, distr="logit")
best = model.fit(method="newton", maxiter=200, tol=1e-10, disp=False).params
other = np.array([0.3, 0.4, -0.5, 0.1, -1.0])
found = {
    "x": x.tolist(),
    "y": y.tolist(),
    "fits": [
        {
            "slopes": params[:2].tolist(),
            "cuts": params[2:].tolist(),  # the first one, and logarithms of the gaps to the next
            "nll": (-model.loglikeobs(params)).tolist(),
            "shares": model.predict(params, exog=x[:5]).tolist(),
        }
        for params in (best, other)
    ],
}
Path(__file__).with_name("ordinal.json").write_text(json.dumps(found, indent=0) + "\n")
