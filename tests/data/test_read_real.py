"""Real files, where they lie beside the project: read right, or refused with a line that helps."""

import numpy as np
import pytest

from isthmus.data.read import read
from isthmus.data.scale import Scaler
from isthmus.data.split import duplicates, split
from isthmus.errors import BadInput


@pytest.fixture(scope="module")
def folder(shared):
    return shared("data")


@pytest.mark.slow
def test_mnist(folder):
    data = read(folder / "mnist" / "train-images-idx3-ubyte.gz")
    assert (data.x.shape, data.images, data.name) == ((60000, 28, 28), True, "train-images")
    assert np.bincount(data.y).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert (data.x.min(), data.x.max(), data.classes) == (0, 255, tuple("0123456789"))
    assert data.x.mean() == pytest.approx(33.3184, abs=1e-3)
    test = read(folder / "mnist" / "t10k-images-idx3-ubyte.gz")
    assert np.bincount(test.y).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_mnist_labels_are_no_images(folder):
    with pytest.raises(BadInput, match="probably labels; give the file of the images"):
        read(folder / "mnist" / "train-labels-idx1-ubyte.gz")


@pytest.mark.parametrize(
    ("name", "rows", "columns", "anomalies"),
    [("14_glass", 214, 7, 9), ("38_thyroid", 3772, 6, 93), ("10_cover", 286048, 10, 2747), ("6_cardio", 1831, 21, 176)],
)
def test_anomaly_benchmarks(folder, name, rows, columns, anomalies):
    data = read(folder / "adbench" / f"{name}.npz", anomaly="1")
    assert data.x.shape == (rows, columns)
    assert (data.classes, data.anomaly) == (("0", "1"), "1")
    assert (data.y == 1).sum() == anomalies


def test_duplicates_of_a_set_that_is_known_for_them(folder):
    for name, low, high in (("23_mammography", 1000, 3335), ("40_vowels", 0, 4)):
        x = read(folder / "adbench" / f"{name}.npz").x
        train, *held = (Scaler.fit(x).apply(x[part]) for part in split(len(x), 0))
        assert low <= sum(duplicates(train, part) for part in held) <= high


def test_electricity(folder):
    data = read(folder / "drift" / "elec.csv.gz", label="target")
    assert (data.x.shape, data.classes, data.name) == ((45312, 6), ("0", "1"), "elec")
    assert data.columns == tuple(f"feat_{i}" for i in range(1, 7))
    np.testing.assert_allclose(data.x[1], [0.021277, 0.051699, 0.415055, 0.003467, 0.422915, 0.414912], rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "adult/adult.data.gz",
            "it looks like a text table with separator ',' (its first line should name the columns): rename it to "
            "adult.csv.gz",
        ),
        ("mnist", "this is a folder; give one file in it"),
        ("mnist/train-images", "(did you mean 'train-images-idx3-ubyte.gz'?)"),
    ],
)
def test_files_that_are_refused(folder, name, said):
    with pytest.raises(BadInput) as caught:
        read(folder / name)
    assert said in str(caught.value)


def test_a_census_file_is_read(folder, tmp_path):
    (tmp_path / "adult.csv.gz").symlink_to(folder / "adult" / "adult.data.gz")
    data = read(tmp_path / "adult.csv.gz", label="classification")
    kinds = {field.name: field.kind for field in data.fields}
    assert [name for name, kind in kinds.items() if kind == "category"] == [
        *("workclass", "education", "marital-status", "occupation", "relationship", "race", "sex", "native-country"),
    ]
    assert kinds["capital-gain"] == "amount"
    sex = data.columns.index("sex")
    assert data.fields[sex].values == ("Female", "Male")
    assert np.bincount(data.x[:, sex].astype(int)).tolist() == [10771, 21790]
    assert [field.name for field in data.fields if field.gaps] == ["workclass", "occupation", "native-country"]


def test_a_series_with_its_times_is_read(folder):
    data = read(folder / "nab" / "realKnownCause" / "nyc_taxi.csv.gz")
    assert [(field.name, field.kind) for field in data.fields][:1] == [("timestamp", "date")]
    assert np.diff(data.x[:3, 0]).tolist() == [1800, 1800]


@pytest.mark.slow
def test_news_are_free_text(folder):
    data = read(folder / "text" / "ag_news_test.csv.gz")
    assert [field.kind for field in data.fields] == ["number", "text", "text"]
    assert any("2 columns" in said and "are read as free text, by their words" in said for said in data.cautions)


def test_cifar_names_its_training_rows(folder):
    data = read(folder / "cifar10_subset" / "cifar10_subset.npz")
    assert data.images
    assert data.told == ("rows are member 'X_train'; 'X_test', 'y_test' left out",)
