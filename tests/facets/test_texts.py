"""Naive Bayes, NBSVM, logistic regression and truncated SVD of words: scikit-learn's, and the paper's formulas."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.naive_bayes import MultinomialNB
from sklearn.svm import LinearSVC

from isthmus.data.read import read
from isthmus.facets import FACETS, texts
from isthmus.facets.facet import Rows, Splits
from isthmus.study.design import design
from isthmus.study.material import prepare

STREAM = np.random.default_rng(0)
GOOD, BAD = ["good", "great", "lovely", "fine"], ["bad", "awful", "dull", "poor"]
BOTH = ["the", "a", "film", "it", "plot", "and", "of"]


def written(n, classes=2):
    """Texts whose words lean to their class, and "not", which turns the word behind it."""
    y, found = STREAM.integers(0, classes, n), []
    for label in y:
        kinds = [GOOD, BAD, ["odd", "strange", "weird"]]
        words = []
        for _ in range(12):
            kind = int(label) if STREAM.random() < 0.4 else int(STREAM.integers(classes))
            turned = classes == 2 and STREAM.random() < 0.3
            words += [*(["not"] * turned), str(STREAM.choice(kinds[1 - kind if turned else kind]))]
            words += STREAM.choice(BOTH, 2).tolist()
        found.append(" ".join(words))
    return np.array([*found, None], dtype=object)[:-1], y


def sides(classes=2):
    (train, y), (valid, valid_y), (test, test_y) = written(150, classes), written(60, classes), written(300, classes)
    return (train, y, valid, valid_y, test), test_y


def test_ratios_are_those_of_the_paper_by_hand():
    counts = csr_matrix(np.array([[2.0, 0, 1], [1, 0, 0], [0, 3, 1]]))
    inside, outside = np.array([4.0, 1, 2]), np.array([1.0, 4, 2])
    expected = np.log((inside / inside.sum()) / (outside / outside.sum()))
    np.testing.assert_allclose(texts.ratios(counts, np.array([True, True, False])), expected)


def test_nbsvm_is_a_support_vector_machine_on_ratios_with_weights_drawn_to_their_mean():
    (train, y, _, _, test), _ = sides()
    counts = texts.counted(train, test, test)
    scores = texts.nbsvm(counts.train, y, 0.5).scores
    ratio = texts.ratios(counts.train.sign(), y == 1)
    machine = LinearSVC(C=0.5, random_state=0).fit(counts.train.sign().multiply(ratio).tocsr(), y)
    seen = counts.test.sign().multiply(ratio).tocsr()
    np.testing.assert_allclose(scores(counts.test, 1.0)[:, 1], machine.decision_function(seen))
    even = np.abs(machine.coef_).mean() * np.asarray(seen.sum(axis=1)).ravel() + machine.intercept_
    np.testing.assert_allclose(scores(counts.test, 0.0)[:, 1], even)
    np.testing.assert_allclose(scores(counts.test, 0.25).sum(axis=1), 0, atol=1e-12)


def fair(model, counts, y, valid_y):
    """Balanced accuracy on validation rows, and what is said of test rows, by chances divided by shares of classes."""
    shares = np.unique(y, return_counts=True)[1] / len(y)
    held, said = (
        model.classes_[(model.predict_proba(one) / shares).argmax(axis=1)] for one in (counts.valid, counts.test)
    )
    return balanced_accuracy_score(valid_y, held), said


@pytest.mark.slow
def test_each_setting_is_tried_and_the_best_on_validation_rows_is_kept():
    given, _ = sides()
    train, y, valid, valid_y, test = given
    best = (-1.0, None)
    for pairs in texts.PAIRS:
        counts = texts.counted(train, valid, test, pairs=pairs)
        for smoothing in texts.SMOOTHING:
            model = MultinomialNB(alpha=smoothing).fit(counts.train, y)
            best = max(best, fair(model, counts, y, valid_y), key=lambda one: one[0])
    assert np.array_equal(texts.naive_bayes(*given).said.fair, best[1])
    best = (-1.0, None)
    for pairs in texts.PAIRS:
        seen = texts.weighed(texts.counted(train, valid, test, pairs=pairs))
        for strength in texts.STRENGTHS:
            model = LogisticRegression(C=strength, max_iter=1000, tol=1e-3).fit(seen.train, y)
            best = max(best, fair(model, seen, y, valid_y), key=lambda one: one[0])
    assert np.array_equal(texts.regression(*given).said.fair, best[1])


@pytest.mark.slow
@pytest.mark.parametrize("classes", [2, 3])
def test_all_read_the_classes_off_the_words(classes):
    given, truth = sides(classes)
    for classify in (texts.naive_bayes, texts.support_vectors, texts.regression):
        assert np.mean(classify(*given).said.fair == truth) > 1 / classes + 0.2


@pytest.mark.slow
def test_pairs_tell_what_words_do_not():
    given, truth = sides()
    counts = {pairs: texts.counted(given[0], given[2], given[4], pairs=pairs) for pairs in texts.PAIRS}
    right = {n: MultinomialNB().fit(c.train, given[1]).score(c.test, truth) for n, c in counts.items()}
    assert right[2] > right[1] + 0.03


def test_characters_are_counted_where_words_are_not_told_apart():
    one = np.array(["好电影", "坏电影"], dtype=object)
    assert texts.counted(one, one, one, words=True, pairs=1).train.shape == (2, 2)
    assert texts.counted(one, one, one, words=False, pairs=1).train.shape == (2, 7)


def test_odd_texts_are_no_matter(monkeypatch):
    none = np.array(["", "!!", " "], dtype=object)
    y = np.array([0, 1, 0])
    for classify in (texts.naive_bayes, texts.support_vectors, texts.regression):
        assert classify(none, y, none, y, none).said.usual.shape == (3,)
        assert set(classify(none, np.ones(3, int), none, y, none).said.fair) == {1}
    assert texts.axes(none, none, 4, 0)[0].shape == (3, 1)
    monkeypatch.setattr(texts, "ALL", 12)
    long = np.array(["good bad", "bad good", "ugly"], dtype=object)
    assert texts.counted(long, long, long, pairs=1).train.shape == (3, 3)  # good, bad, ugly: four characters of each


def test_axes_are_as_many_as_are_asked_for_and_follow_from_the_seed():
    (train, _, _, _, test), _ = sides()
    known, asked = texts.axes(train, test, 4, 7)
    assert (known.shape, asked.shape) == ((150, 4), (300, 4))
    assert np.array_equal(texts.axes(train, test, 4, 7)[1], asked)


def test_they_stand_in_the_table_only_where_rows_have_text(tmp_path):
    facet = FACETS["features"]
    of_text = {name for name, form in facet.only.items() if form == "text"}
    assert of_text == {"naive bayes", "nbsvm", "tf-idf", "truncated svd"}
    assert not of_text & set(facet.rivals_on())
    assert of_text < set(facet.rivals_on("text"))
    said, y = written(200)
    path = tmp_path / "reviews.csv"
    rows = [f"{text};{n % 5};{'ab'[k]}" for n, (text, k) in enumerate(zip(said, y, strict=True))]
    path.write_text("\n".join(["said;odd;kind", *rows]))
    data = read(path, label="kind")
    made = design(data, families="plain", facets="features", replicates=2)
    jobs = [job for job in made.jobs() if job.name.name in of_text]
    assert len(jobs) == 8
    splits = prepare(jobs[0], data).splits
    assert splits.train.text is not None
    assert set(splits.test.text) <= set(said)
    found = {name: facet.rivals[name](splits) for name in of_text}
    assert found["naive bayes"]["probe_accuracy"] > 0.7
    assert found["truncated svd"].keys() >= {"probe_accuracy", "knn_accuracy", "few_labels"}
    assert len({one["commonest_class"] for one in found.values()}) == 1
    bare = Splits(*(Rows(one.x, one.y) for one in splits[:3]), seed=0, latents=2)
    assert all(np.isnan(facet.rivals[name](bare)["probe_accuracy"]) for name in of_text)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["naive bayes", "nbsvm", "tf-idf", "truncated svd"])
def test_what_is_handed_over_says_what_was_measured(name):
    given, truth = sides()
    train, y, valid, valid_y, test = given
    parts = [
        Rows(np.zeros((len(t), 1), np.float32), label, text=t)
        for t, label in zip((train, valid, test), (y, valid_y, truth), strict=True)
    ]
    splits = Splits(*parts, seed=3, latents=4)
    kin = FACETS["features"].kin[name](splits)
    code = kin.code().replace("model.predict(X)", "")
    names = {"X": train, "y": y}
    exec(code, names)
    measured = FACETS["features"].rivals[name](splits)["probe_accuracy"]
    far = 0.02 if name == "truncated svd" else 0.005  # its axes are drawn
    assert names["model"].score(test, truth) == pytest.approx(measured, abs=far)
