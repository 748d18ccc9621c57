"""The article's example runs, and its baselines have the values that theory gives them."""

from pathlib import Path

import numpy as np
import pytest

from isthmus.train.plan import Plan


@pytest.fixture
def article(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "examples")
    import article

    monkeypatch.setattr(article, "REPLICATES", 2)
    monkeypatch.setattr(article, "AS_WRITTEN", Plan(steps=40, batch=32, schedule="constant", check=20))
    monkeypatch.setattr(article, "CONVERGED", Plan(steps=60, batch=32, check=20))
    return article


@pytest.mark.slow
def test_the_article_runs_and_its_baselines_are_right(article, capsys: pytest.CaptureFixture[str]) -> None:
    results = article.run()
    # a uniform column has variance 1/12, and the mean of 100 rows misses its own by a hundredth of that
    assert results["mean of the rows"]["unseen"] == pytest.approx(1 / 12 * 1.01, rel=0.03)
    assert results["PCA, 64 wide"]["unseen"] == pytest.approx(0, abs=1e-12)
    assert results["PCA, 5 wide"]["unseen"] == pytest.approx(1 / 24, rel=0.05)  # half of the variance
    assert all((numbers["unseen"] >= 0).all() for numbers in results.values())
    again = article.run()
    for name, numbers in results.items():
        for key, values in numbers.items():
            np.testing.assert_array_equal(values, again[name][key])
    article.main()
    said = capsys.readouterr().out
    assert all(name in said for name in results)
    assert "What it can't show" in said


def test_its_models_are_the_article_s(article) -> None:
    """Sigmoid output and mean squared error; activations within the bound, small ones masked."""
    rows = article.rows("train", 0, 50)
    for name, (recipe, _) in article.contenders().items():
        model = recipe.build((10,), "bernoulli", number=0)
        out = model.decode(model.encode(rows))
        assert model.latents == (5 if name == "PCA, 5 wide" else 64)
        if "PCA" not in name:
            assert ((out > 0) & (out < 1)).all()
            loss = model(rows, rows, None).terms["reconstruction"]
            assert loss.item() == pytest.approx((out - rows).square().mean().item(), rel=1e-6)
    sparse = article.contenders()["sparse relu, converged"][0].build((10,), "bernoulli", number=0)
    codes = sparse.encode(100 * rows)
    assert codes.max().item() == 1.0
    assert codes[codes > 0].min().item() >= 0.01
