import re
from pathlib import Path

from cases import CASES
from test_streamed import SUMS

from isthmus.metrics import METRICS

PAGE = Path(__file__).parents[2] / "docs" / "facets" / "README.md"

NAMES = """mse explained_variance deviance_explained
l0 hoyer dead always_on nested nested_by_use probe_balanced probe_accuracy probe_accuracy_few knn_accuracy
knn_accuracy_few commonest_class cluster_ari cluster_nmi intrinsic_dimension mig dci_disentanglement dci_completeness
dci_informativeness sap mcc uniqueness f1 absorption
auroc average_precision vus_pr vus_pr_flat auroc_planted auroc_local auroc_global auroc_dependency auroc_cluster
auroc_reconstruction auroc_density auroc_both constant_scorer untrained_scorer
explained_disturbed explained_noise explained_mask explained_shift explained_adversarial code_movement jacobian_norm
cka subspace_overlap matched_units matched_atoms rank_agreement
spread_reconstruction spread_sparsity spread_features spread_robustness
c2st c2st_mixture c2st_prior c2st_smooth c2st_noisy with_noise from_prior boosted tstr mmd2 precision recall density
coverage frechet copied nearness copier ceiling elbo iwae_bound
imputation_error imputation_numbers imputation_categories parameters flops_per_row train_seconds
encode_bytes step_flops train_flops train_bytes
bits_per_element bits_with_model bits_mean bits_back rows_per_second artefact_bytes"""


def test_every_metric_is_defined_once_and_whole():
    assert set(METRICS) == set(NAMES.split())
    for name, metric in METRICS.items():
        assert metric.name == name
        assert metric.rope > 0
        assert metric.version >= 1
        assert metric.unit and metric.title and metric.citation  # noqa: PT018


def test_directions():
    assert all(metric.higher for name, metric in METRICS.items() if name.startswith("auroc_"))
    better = {name for name, metric in METRICS.items() if metric.higher and not name.startswith("auroc_")}
    assert better == {
        "explained_variance",
        "deviance_explained",
        "hoyer",
        "nested",
        "nested_by_use",
        "probe_balanced",
        "probe_accuracy",
        "probe_accuracy_few",
        "knn_accuracy",
        "knn_accuracy_few",
        "cluster_ari",
        "cluster_nmi",
        "mig",
        "dci_disentanglement",
        "dci_completeness",
        "dci_informativeness",
        "sap",
        "mcc",
        "uniqueness",
        "f1",
        "auroc",
        "average_precision",
        "vus_pr",
        "precision",
        "recall",
        "coverage",
        "elbo",
        "iwae_bound",
        "rows_per_second",
        "explained_disturbed",
        "explained_noise",
        "explained_mask",
        "explained_shift",
        "explained_adversarial",
        "cka",
        "subspace_overlap",
        "matched_units",
        "matched_atoms",
        "rank_agreement",
        "boosted",
        "tstr",
    }


def test_the_page_says_of_every_metric_how_it_is_checked():
    table = PAGE.read_text(encoding="utf-8").split("## How each metric is checked")[1]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines() if line.startswith("| `")]
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row[0])]
    assert sorted(named) == sorted(METRICS)
    for names, known, unseen, agrees, streamed in rows:
        assert known
        assert agrees
        for name in re.findall(r"`(\w+)`", names):
            assert unseen == (", ".join(CASES[name].same) if name in CASES and CASES[name].same else "—")
            same = "explained_variance" if name.startswith("explained_") else name
            assert streamed.startswith("`") == (same in SUMS)
